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
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::channels;
use crate::error::Refusal;
use crate::router::{Edge, Identity};

/// A shard whose timer has not ticked for this long is stuck for good.
const SHARD_STUCK: Duration = Duration::from_secs(10);

/// What the handlers of the admin listener can reach.
#[derive(Clone)]
pub(crate) struct Admin {
    edge: Arc<Edge>,
    registry: Registry,
}

/// Whether the process works.
#[derive(Serialize, ToSchema)]
pub(crate) struct LiveAnswer {
    /// The verdict.
    alive: bool,
    /// For how long a shard's timer has not ticked; 10 seconds are too long.
    #[schema(minimum = 0)]
    shard_silence_seconds: f64,
}

/// Whether clients should be sent here.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReadyAnswer {
    /// The verdict.
    ready: bool,
    /// Why not, in a sentence for people; only where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// What it is made of, for people; only where `verbose` was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, nullable = false)]
    checks: Option<Value>,
}

/// Which version runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct VersionAnswer {
    /// The version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The commit it was built from, or `unknown`.
    #[schema(example = "fb5feaa")]
    commit: &'static str,
    /// A name that differs between instances.
    #[schema(example = "1f0c9a3e")]
    instance: String,
}

/// Everything the admin listener serves.
pub fn admin_router(edge: Arc<Edge>, registry: Registry) -> Router {
    let admin = Admin { edge, registry };
    let listing =
        Router::new().route("/api/channels", get(channels::list)).with_state(admin.edge.clone());
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/version", get(version))
        .fallback(|| async { Refusal::NotFound })
        .method_not_allowed_fallback(|| async { Refusal::MethodNotAllowed })
        .with_state(admin)
        .merge(listing)
}

/// Read all metrics
///
/// In the text format of Prometheus; docs/METRICS.md tells what each means.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operations",
    responses((status = 200, description = "Every series of this instance", body = String)),
)]
pub(crate) async fn metrics(State(admin): State<Admin>) -> Response {
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    match encoder.encode(&admin.registry.gather(), &mut text) {
        Ok(()) => ([(CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Ask whether the process works
///
/// Whether the process itself works; never whether Redis does, because a restart
/// would not bring Redis back.
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "livez",
    tag = "operations",
    responses(
        (status = 200, description = "It works", body = LiveAnswer),
        (status = 503, description = "A part of it hangs for good", body = LiveAnswer),
    ),
)]
pub(crate) async fn livez(State(admin): State<Admin>) -> Response {
    let silence = admin.edge.node.hub().longest_silence();
    let alive = is_alive(silence);
    let body = LiveAnswer { alive, shard_silence_seconds: silence.as_secs_f64() };
    answer(alive, body)
}

/// Whether shards may still go on by themselves, by the longest silence of any.
fn is_alive(silence: Duration) -> bool {
    silence < SHARD_STUCK
}

/// Ask whether to send clients here
///
/// Whether it was proven lately that every event arrives that should, and the instance is
/// not about to stop. With `admin.fail_static` an instance that was ready stays so while
/// Redis itself is away. With `?verbose` the answer has the checks.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operations",
    params(("verbose" = Option<bool>, Query, description = "There: with the checks")),
    responses(
        (status = 200, description = "Yes", body = ReadyAnswer),
        (status = 503, description = "No", body = ReadyAnswer),
    ),
)]
pub(crate) async fn readyz(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Response {
    let edge = &admin.edge;
    let (kind, health) = edge.node.broker();
    let draining = edge.is_draining();
    let fail_static = edge.config.fail_static;
    let delivers = health.is_ready() || (fail_static && health.is_outage());
    let ready = delivers && !draining;
    let complaint = match draining {
        true => Some("this instance is about to stop".to_owned()),
        false => health.complaint(),
    };
    let reason = complaint.clone().filter(|_| !ready);
    let verbose =
        query.is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")));
    if !verbose {
        return answer(ready, ReadyAnswer { ready, reason, checks: None });
    }
    let checks = json!({
        "broker": kind,
        "delivery_proven": health.is_ready(),
        "last_proof_seconds": health.last_proof.map(|age| age.as_secs_f64()),
        "fail_static": fail_static,
        "complaint": complaint,
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
    answer(ready, ReadyAnswer { ready, reason, checks: Some(checks) })
}

fn answer(good: bool, body: impl Serialize) -> Response {
    if good {
        return Json(body).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], Json(body)).into_response()
}

/// Ask which version runs
///
/// And which instance answers.
#[utoipa::path(
    get,
    path = "/version",
    operation_id = "version",
    tag = "operations",
    responses((status = 200, description = "This instance", body = VersionAnswer)),
)]
pub(crate) async fn version(State(admin): State<Admin>) -> Json<VersionAnswer> {
    let Identity { instance, version, commit } = admin.edge.identity.clone();
    Json(VersionAnswer { version, commit, instance })
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
