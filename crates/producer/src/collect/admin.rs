//! What operators and their machines ask a collector.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::TEXT_FORMAT;

use super::Collector;

/// `/metrics`, `/healthz` and `/readyz`.
pub(super) fn routes(collector: Collector) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(collector)
}

async fn metrics(State(Collector(shared)): State<Collector>) -> Response {
    match shared.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn ready(State(Collector(shared)): State<Collector>) -> Response {
    if shared.queue.works() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the store is not available\n").into_response()
    }
}
