//! The operators' listener: metrics, health, version. Never on the public port.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use prometheus::{Encoder, Registry, TextEncoder};
use serde_json::{Value, json};

use crate::error::Refusal;
use crate::router::{Edge, Identity};

/// A shard whose timer has not ticked for this long is stuck for good.
const SHARD_STUCK: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Admin {
    edge: Arc<Edge>,
    registry: Registry,
}

/// Everything the admin listener serves.
pub fn admin_router(edge: Arc<Edge>, registry: Registry) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/version", get(version))
        .fallback(|| async { Refusal::NotFound })
        .method_not_allowed_fallback(|| async { Refusal::MethodNotAllowed })
        .with_state(Admin { edge, registry })
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    match encoder.encode(&admin.registry.gather(), &mut text) {
        Ok(()) => ([(CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Whether the process itself works; never whether Redis does, because a restart
/// would not bring Redis back.
async fn livez(State(admin): State<Admin>) -> Response {
    let silence = admin.edge.node.hub().longest_silence();
    let alive = is_alive(silence);
    let body = json!({ "alive": alive, "shard_silence_seconds": silence.as_secs_f64() });
    answer(alive, body)
}

/// Whether shards may still go on by themselves, by the longest silence of any.
fn is_alive(silence: Duration) -> bool {
    silence < SHARD_STUCK
}

async fn readyz(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let edge = &admin.edge;
    let (kind, health) = edge.node.broker();
    let draining = edge.is_draining();
    let ready = health.is_ready() && !draining;
    let verbose =
        query.is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")));
    if !verbose {
        return answer(ready, json!({ "ready": ready }));
    }
    let checks = json!({
        "broker": kind,
        "broker_connected": health.connected,
        "channels_wanted": health.wanted,
        "channels_confirmed": health.confirmed,
        "channels_overdue": health.overdue,
        "broker_last_heard_seconds": health.last_heard.map(|age| age.as_secs_f64()),
        "broker_last_error": health.last_error,
        "draining": draining,
        "connections": edge.node.open_connections(),
        "memory_broker": (kind == "memory").then_some(
            "events stay in this process and are gone at restart; set redis.url for Redis"),
    });
    answer(ready, json!({ "ready": ready, "checks": checks }))
}

fn answer(good: bool, body: Value) -> Response {
    if good {
        return Json(body).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], Json(body)).into_response()
}

async fn version(State(admin): State<Admin>) -> Json<Value> {
    let Identity { instance, version, commit } = &admin.edge.identity;
    Json(json!({ "version": version, "commit": commit, "instance": instance }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_is_silent_for_ten_seconds_is_stuck_and_told_by_503() {
        for (silence, status) in [(0, 200), (9_999, 200), (10_000, 503), (60_000, 503)] {
            let alive = is_alive(Duration::from_millis(silence));
            assert_eq!(answer(alive, json!({})).status().as_u16(), status, "{silence} ms");
        }
    }
}
