//! What the page asks about the instance that serves it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::HeaderName;
use http::header::CONNECTION;
use redcast_protocol::Channel;
use serde_json::{Value, json};

use crate::config::{ApiConfig, Collector};
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
        "dashboard": dashboard(&edge),
        "collector": edge.config.page.collector.as_ref().map(Collector::base),
    });
    ([(CONNECTION, "close")], Json(info))
}

/// What the page shows: the first endpoint with a snapshot, else the first of all.
fn dashboard(edge: &Edge) -> Value {
    let endpoints = &edge.config.endpoints;
    let with_snapshot = endpoints.iter().find(|endpoint| endpoint.snapshot.is_some());
    let Some(endpoint) = with_snapshot.or(endpoints.first()) else { return Value::Null };
    let snapshot = endpoint.snapshot.as_ref().and_then(|name| edge.node.snapshots().find(name));
    let snapshot = snapshot.map(|snapshot| {
        let config = snapshot.config();
        json!({
            "name": config.name.as_str(),
            "on_connect": config.on_connect,
            "on_tick": config.on_tick,
            "every_ms": config.every.as_millis() as u64,
            "counts_connections": config.counts_connections_at("/data/current_visitors"),
        })
    });
    json!({
        "endpoint": endpoint.path,
        "channel": endpoint.access.join.first().map(Channel::as_str),
        "snapshot": snapshot,
    })
}
