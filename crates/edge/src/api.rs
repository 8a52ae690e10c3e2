//! The HTTP API for services that can't speak Redis, and what the page asks.

use std::error::Error;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use http::header::{AUTHORIZATION, CONNECTION};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use http_body_util::LengthLimitError;
use redcast_node::SnapshotConfig;
use redcast_protocol::Channel;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::time::timeout;

use crate::config::{ApiConfig, Collector};
use crate::error::Refusal;
use crate::router::Edge;

/// Proof that a request may publish. Taken from its head alone: nobody without the
/// key makes us wait for a body, or keep one.
pub(crate) struct Authorized;

impl FromRequestParts<Arc<Edge>> for Authorized {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, edge: &Arc<Edge>) -> Result<Self, Refusal> {
        authorize(&edge.config.api, &parts.headers)?;
        Ok(Self)
    }
}

/// `POST /api/publish/{channel}`: the body is the event, byte for byte.
///
/// Answers once the broker acknowledged it. The event takes the same road as any
/// other (invariant 7).
pub(crate) async fn publish(
    _: Authorized,
    State(edge): State<Arc<Edge>>,
    channel: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Json<Value>, Refusal> {
    let Path(channel) = channel.map_err(|error| Refusal::BadRequest(error.body_text()))?;
    let channel =
        Channel::parse(&channel).map_err(|error| Refusal::BadRequest(error.to_string()))?;
    let payload = read_body(&edge, body).await?;
    let size = payload.len();
    edge.node.publish(&channel, payload).await?;
    Ok(Json(json!({ "channel": channel.as_str(), "bytes": size })))
}

/// Reads a body that must be whole within the time a head may take: the server's
/// own deadline ends with the head.
async fn read_body(edge: &Edge, body: Body) -> Result<Bytes, Refusal> {
    let limit = edge.config.max_event_size;
    match timeout(edge.config.handshake_timeout, to_bytes(body, limit)).await {
        Ok(Ok(payload)) => Ok(payload),
        Ok(Err(error)) if error.source().is_some_and(|cause| cause.is::<LengthLimitError>()) => {
            Err(Refusal::TooLarge(format!("an event has at most {limit} bytes")))
        }
        Ok(Err(_)) => Err(Refusal::BadRequest("the body ended too early".to_owned())),
        Err(_) => Err(Refusal::TooSlow),
    }
}

fn authorize(api: &ApiConfig, headers: &HeaderMap) -> Result<(), Refusal> {
    let key = match api {
        ApiConfig::Open => return Ok(()),
        ApiConfig::Closed => {
            let text = "publishing over HTTP is off; set api.key_file or api.key to switch it on";
            return Err(Refusal::Forbidden(text.to_owned()));
        }
        ApiConfig::Key(key) => key,
    };
    let shown = headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
    let shown = shown.and_then(|value| value.split_at_checked(b"Bearer ".len()));
    // The scheme's case is free (RFC 9110 section 11.1).
    let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "));
    let shown = shown.map(|(_, key)| key);
    match shown {
        // In constant time: how long a wrong key takes must not tell how wrong it is.
        Some(shown) if bool::from(shown.ct_eq(key.0.as_bytes())) => Ok(()),
        Some(_) => Err(Refusal::Unauthenticated("this API key is not valid")),
        None => Err(Refusal::Unauthenticated("send the API key as `Authorization: Bearer KEY`")),
    }
}

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
    let snapshot = endpoint.snapshot.as_deref().and_then(|name| edge.node.snapshots().find(name));
    json!({
        "endpoint": endpoint.path,
        "channel": endpoint.access.join.first().map(Channel::as_str),
        "snapshot": snapshot.map(|snapshot| beat(snapshot.config())),
    })
}

/// By which words the page knows the statistics, and how often they come.
fn beat(config: &SnapshotConfig) -> Value {
    json!({
        "name": config.name.as_str(),
        "on_connect": config.on_connect,
        "on_tick": config.on_tick,
        "every_ms": u64::try_from(config.every.as_millis()).unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ApiKey;

    fn shown(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_the_key_opens_the_api() {
        let keyed = ApiConfig::Key(ApiKey("s3cret".to_owned()));
        assert_eq!(authorize(&keyed, &shown("Bearer s3cret")), Ok(()));
        assert_eq!(authorize(&keyed, &shown("bearer s3cret")), Ok(()));
        for wrong in ["Bearer s3cre", "Bearer s3cret1", "Bearer ", "s3cret", "Basic s3cret"] {
            assert!(
                matches!(authorize(&keyed, &shown(wrong)), Err(Refusal::Unauthenticated(_))),
                "{wrong}"
            );
        }
        assert!(authorize(&keyed, &HeaderMap::new()).is_err());
        assert!(matches!(
            authorize(&ApiConfig::Closed, &shown("Bearer s3cret")),
            Err(Refusal::Forbidden(_))
        ));
        assert_eq!(authorize(&ApiConfig::Open, &HeaderMap::new()), Ok(()));
    }
}
