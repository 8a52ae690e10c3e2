//! `POST /api/publish/{channel}`: one event or a batch of them, and at most once where the
//! producer names its request.

use std::error::Error;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use http_body_util::LengthLimitError;
use redcast_node::{OnceKey, Published};
use redcast_protocol::Channel;
use serde::Serialize;
use subtle::ConstantTimeEq;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::config::ApiConfig;
use crate::error::{ErrorAnswer, Refusal};
use crate::ndjson;
use crate::router::Edge;

/// Names a request, so that it can be repeated
/// (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The media types of a batch; the second is one that some clients send.
const NDJSON: [&str; 2] = ["application/x-ndjson", "application/ndjson"];

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

/// What was published.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublishAnswer {
    /// The channel, without the prefix it has in Redis.
    #[schema(example = "analytics")]
    channel: String,
    /// How many events the request holds.
    #[schema(minimum = 1, example = 1)]
    events: usize,
    /// Their payloads together, bytes.
    #[schema(example = 20)]
    bytes: usize,
    /// There, and true, if they had been published under the same key before, and were not
    /// again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    repeated: bool,
}

/// Publish an event, or a batch of events
///
/// The body is the event, byte for byte. With `Content-Type: application/x-ndjson` each
/// line that is not blank is one event, and must be JSON; all are published in their order,
/// with nothing between them, or none. The answer comes once the broker has acknowledged
/// them; clients get them like any other event.
#[utoipa::path(
    post,
    path = "/api/publish/{channel}",
    operation_id = "publish",
    tag = "publish",
    params(
        ("channel" = String, Path, description = "The channel, without the prefix it has in Redis",
            pattern = "^[A-Za-z0-9_.:@-]{1,255}$", example = "analytics"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "The producer's own name for this request. The same key with the same \
                channel and events within 24 hours publishes once; with others it is refused by \
                422.",
            pattern = "^[!-~]{1,255}$", nullable = false),
    ),
    request_body(
        description = "One event of at most `limits.max_event_size`, as any type; or, as \
            `application/x-ndjson`, 1 to 1,000 lines of at most that size, in a body of at most \
            4 MiB (or twice `limits.max_event_size`).",
        content(
            (serde_json::Value = "application/json", example = json!({"type": "page_view"})),
            (String = "application/x-ndjson", example = "{\"type\":\"page_view\"}\n{\"type\":\"alert\"}\n"),
            (String = "text/plain", example = "any text"),
            ([u8] = "application/octet-stream"),
        ),
    ),
    responses(
        (status = 200, description = "The broker has acknowledged the events", body = PublishAnswer),
        (status = 400, description = "The channel or the key can't be one, the body ended early, \
            or a line of a batch is not JSON; the sentence says which. Nothing was published.",
            body = ErrorAnswer),
        (status = 401, description = "No API key, or a wrong one", body = ErrorAnswer),
        (status = 403, description = "No API key is set, the channel is one of Redcast's \
            own (`redcast:…`), or Redis does not permit it",
            body = ErrorAnswer),
        (status = 408, description = "The body did not arrive in time", body = ErrorAnswer),
        (status = 413, description = "An event, the body, or the number of events is over its \
            limit. Nothing was published.", body = ErrorAnswer),
        (status = 422, description = "Other content was published under this key. Nothing was \
            published now.", body = ErrorAnswer),
        (status = 503, description = "Redis is away or did not answer; whether the events were \
            published is not known. With an idempotency key the request can be repeated.",
            body = ErrorAnswer,
            headers(("Retry-After" = u32, description = "Seconds to wait"))),
    ),
    security(("api_key" = []), ()),
)]
pub(crate) async fn publish(
    authorized: Result<Authorized, Refusal>,
    State(edge): State<Arc<Edge>>,
    channel: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<PublishAnswer>, Refusal> {
    let answer = match authorized {
        Ok(Authorized) => carry_out(&edge, channel, &headers, body).await,
        Err(refusal) => Err(refusal),
    };
    match &answer {
        Ok(done) if done.repeated => edge.metrics.publishes.repeated.inc(),
        Ok(done) => {
            edge.metrics.publishes.published.inc();
            edge.metrics.events_published.inc_by(done.events as u64);
        }
        Err(Refusal::Unavailable(..)) => edge.metrics.publishes.unavailable.inc(),
        Err(_) => edge.metrics.publishes.refused.inc(),
    }
    answer.map(Json)
}

/// Publishes once the broker acknowledged it. The events take the same road as any other
/// (invariant 7).
async fn carry_out(
    edge: &Edge,
    channel: Result<Path<String>, PathRejection>,
    headers: &HeaderMap,
    body: Body,
) -> Result<PublishAnswer, Refusal> {
    let Path(channel) = channel.map_err(|error| Refusal::BadRequest(error.body_text()))?;
    let channel =
        Channel::parse(&channel).map_err(|error| Refusal::BadRequest(error.to_string()))?;
    if channel.is_reserved() {
        let why = format!("{channel} is Redcast's own: nobody else publishes to it");
        return Err(Refusal::Forbidden(why));
    }
    let key = once_key(headers)?;
    let events = if is_batch(headers) {
        let limit = ndjson::max_bytes(edge.config.max_event_size);
        let body = read_body(edge, body, (limit, "the body of a batch")).await?;
        ndjson::events(&body, edge.config.max_event_size)?
    } else {
        vec![read_body(edge, body, (edge.config.max_event_size, "an event")).await?]
    };
    let published = edge.node.publish_all(&channel, &events, key.as_ref()).await?;
    Ok(PublishAnswer {
        channel: channel.as_str().to_owned(),
        events: events.len(),
        bytes: events.iter().map(Bytes::len).sum(),
        repeated: published == Published::Before,
    })
}

fn is_batch(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    NDJSON.iter().any(|name| media_type.trim().eq_ignore_ascii_case(name))
}

fn once_key(headers: &HeaderMap) -> Result<Option<OnceKey>, Refusal> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::BadRequest("send one Idempotency-Key, not several".to_owned()));
    }
    // What is no ASCII is no key either.
    let key = OnceKey::parse(value.to_str().unwrap_or_default());
    key.map(Some).map_err(|error| Refusal::BadRequest(error.to_string()))
}

/// Reads a body that must be whole within the time a head may take: the server's
/// own deadline ends with the head.
async fn read_body(
    edge: &Edge,
    body: Body,
    (limit, what): (usize, &str),
) -> Result<Bytes, Refusal> {
    match timeout(edge.config.handshake_timeout, to_bytes(body, limit)).await {
        Ok(Ok(payload)) => Ok(payload),
        Ok(Err(error)) if error.source().is_some_and(|cause| cause.is::<LengthLimitError>()) => {
            Err(Refusal::TooLarge(format!("{what} has at most {limit} bytes")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ApiKey;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    fn shown(value: &str) -> HeaderMap {
        headers(&AUTHORIZATION, &[value])
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

    #[test]
    fn a_batch_is_told_by_its_media_type() {
        for batch in ["application/x-ndjson", "Application/X-NDJSON ; charset=utf-8", NDJSON[1]] {
            assert!(is_batch(&headers(&CONTENT_TYPE, &[batch])), "{batch}");
        }
        for single in ["application/json", "application/x-ndjson-like", "", "text/plain"] {
            assert!(!is_batch(&headers(&CONTENT_TYPE, &[single])), "{single}");
        }
        assert!(!is_batch(&HeaderMap::new()));
    }

    #[test]
    fn one_idempotency_key_or_none() {
        let read = |values: &[&str]| once_key(&headers(&IDEMPOTENCY_KEY, values));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["k-1"]), Ok(OnceKey::parse("k-1").ok()));
        for wrong in [&[""][..], &["a b"], &["é"], &["a", "a"], &["k".repeat(256).as_str()]] {
            assert!(matches!(read(wrong), Err(Refusal::BadRequest(_))), "{wrong:?}");
        }
    }
}
