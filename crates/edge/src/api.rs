//! What the page asks about the instance that serves it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::HeaderName;
use http::header::CONNECTION;
use serde_json::{Value, json};

use crate::config::ApiConfig;
use crate::router::Edge;

/// `GET /api/info`: who answers, for the page.
///
/// Every open page asks every few seconds. Kept alive, each would hold one of the few
/// places for plain HTTP as long as it is open.
pub(crate) async fn info(
    State(edge): State<Arc<Edge>>,
) -> ([(HeaderName, &'static str); 1], Json<Value>) {
    let endpoints: Vec<&str> = edge.endpoint_paths().collect();
    let (broker, health) = edge.node.broker();
    let info = json!({
        "version": edge.identity.version,
        "instance": edge.identity.instance,
        "broker": broker,
        "broker_connected": health.connected,
        "publish_open": matches!(edge.config.api, ApiConfig::Open),
        "channel": edge.first_channel(),
        "endpoints": endpoints,
    });
    ([(CONNECTION, "close")], Json(info))
}
