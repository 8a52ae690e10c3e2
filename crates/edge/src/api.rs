//! The HTTP API for services that can't speak Redis, and what the page asks.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use redcast_protocol::Channel;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use crate::config::ApiConfig;
use crate::error::Refusal;
use crate::router::Edge;

/// `POST /api/publish/{channel}`: the body is the event, byte for byte.
///
/// Answers once the broker acknowledged it. The event takes the same road as any
/// other (invariant 7).
pub(crate) async fn publish(
    State(edge): State<Arc<Edge>>,
    Path(channel): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refusal> {
    authorize(&edge.config.api, &headers)?;
    let channel =
        Channel::parse(&channel).map_err(|error| Refusal::BadRequest(error.to_string()))?;
    let limit = edge.config.max_event_size;
    let payload = body.map_err(|_| {
        Refusal::TooLarge(format!(
            "the body could not be read whole; an event has at most {limit} bytes"
        ))
    })?;
    let size = payload.len();
    edge.node.publish(&channel, payload).await?;
    Ok(Json(json!({ "channel": channel.as_str(), "bytes": size })))
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
    let shown = shown.and_then(|value| value.strip_prefix(b"Bearer "));
    match shown {
        // In constant time: how long a wrong key takes must not tell how wrong it is.
        Some(shown) if bool::from(shown.ct_eq(key.as_bytes())) => Ok(()),
        Some(_) => Err(Refusal::Unauthenticated("this API key is not valid")),
        None => Err(Refusal::Unauthenticated("send the API key as `Authorization: Bearer KEY`")),
    }
}

/// `GET /api/info`: who answers, for the page.
pub(crate) async fn info(State(edge): State<Arc<Edge>>) -> Json<Value> {
    let endpoints: Vec<&str> =
        edge.config.endpoints.iter().map(|endpoint| endpoint.path.as_str()).collect();
    Json(json!({
        "version": edge.identity.version,
        "instance": edge.identity.instance,
        "broker": edge.node.broker().0,
        "endpoints": endpoints,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_the_key_opens_the_api() {
        let keyed = ApiConfig::Key("s3cret".to_owned());
        assert_eq!(authorize(&keyed, &shown("Bearer s3cret")), Ok(()));
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
