//! Snapshots over HTTP, for pollers that keep no connection.
//!
//! A poller costs Redis no more than a client: what it gets is the document of the last
//! tick, and where nobody ticks one read for all who ask meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::join_all;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONNECTION,
    CONTENT_TYPE, ETAG,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use redcast_node::{Snapshot, SnapshotState};
use serde_json::json;

use crate::conditional::has_already;
use crate::error::Refusal;
use crate::router::Edge;

/// Said where the document is an older one.
const STALE: HeaderName = HeaderName::from_static("redcast-stale");

/// `GET /api/state`: every snapshot that an endpoint uses.
pub(crate) async fn all(State(edge): State<Arc<Edge>>) -> Result<Response, Refusal> {
    check_open(&edge)?;
    let snapshots = used(&edge);
    let states = snapshots.values().map(|(snapshot, _)| snapshot.state());
    let states = join_all(states).await;
    let body = body_of(snapshots.keys().copied().zip(&states));
    let public = snapshots.values().all(|(_, is_public)| *is_public);
    Ok((headers(public && !snapshots.is_empty()), body).into_response())
}

/// `GET /api/state/{snapshot}`: the document itself.
pub(crate) async fn one(
    State(edge): State<Arc<Edge>>,
    name: Result<Path<String>, PathRejection>,
    request: HeaderMap,
) -> Result<Response, Refusal> {
    check_open(&edge)?;
    let Path(name) = name.map_err(|error| Refusal::BadRequest(error.body_text()))?;
    let used = used(&edge);
    let (snapshot, is_public) = used.get(name.as_str()).ok_or(Refusal::NotFound)?;
    let state = snapshot.state().await;
    let mut headers = headers(*is_public);
    let tag = format!("\"{}\"", state.tag);
    if state.stale {
        headers.insert(STALE, HeaderValue::from_static("true"));
    }
    let unchanged = has_already(&request, &tag);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    if unchanged {
        // What would describe the body is left out (RFC 9110 section 15.4.5).
        headers.remove(CONTENT_TYPE);
        return Ok((StatusCode::NOT_MODIFIED, headers, Body::empty()).into_response());
    }
    Ok((headers, state.data).into_response())
}

/// Who may connect is decided about handshakes; nobody is asked about these requests, so
/// they must not get what a handshake would be refused.
fn check_open(edge: &Edge) -> Result<(), Refusal> {
    if edge.access.is_some() {
        let text = "snapshots are for connections alone here, because auth.forward_url decides \
            who may have them; connect to the endpoint";
        return Err(Refusal::Forbidden(text.to_owned()));
    }
    Ok(())
}

/// The snapshots that endpoints use, by name, each with whether any page may have it: one
/// that may connect to such an endpoint has it anyway.
fn used(edge: &Edge) -> BTreeMap<&str, (&Arc<Snapshot>, bool)> {
    let mut used = BTreeMap::new();
    for endpoint in &edge.config.endpoints {
        let Some(name) = endpoint.snapshot.as_deref() else { continue };
        let Some(snapshot) = edge.node.snapshots().find(name) else { continue };
        let (_, is_public) = used.entry(name).or_insert((snapshot, false));
        *is_public |= endpoint.allowed_origins.permits_all();
    }
    used
}

fn body_of<'a>(states: impl Iterator<Item = (&'a str, &'a SnapshotState)>) -> Bytes {
    let mut body = b"{\"snapshots\":{".to_vec();
    for (index, (name, state)) in states.enumerate() {
        let comma = if index > 0 { "," } else { "" };
        body.extend_from_slice(format!("{comma}{}:{{\"data\":", json!(name)).as_bytes());
        body.extend_from_slice(&state.data);
        let (stale, read_at) = (state.stale, json!(state.read_at));
        body.extend_from_slice(format!(",\"stale\":{stale},\"read_at\":{read_at}}}").as_bytes());
    }
    body.extend_from_slice(b"}}");
    body.into()
}

fn headers(is_public: bool) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // Kept alive, each poller would hold one of the few places for plain HTTP.
        (CONNECTION, HeaderValue::from_static("close")),
    ]);
    if is_public {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        let exposed = HeaderValue::from_static("etag, redcast-stale");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_stand_in_the_list_as_they_are() {
        let state = |data: &'static str, stale, read_at| SnapshotState {
            data: Bytes::from_static(data.as_bytes()),
            tag: String::new(),
            stale,
            read_at,
        };
        let states =
            [("a", state("{ \"x\": 1.0 }", false, Some(7))), ("b", state("{}", true, None))];
        let body = body_of(states.iter().map(|(name, state)| (*name, state)));
        let expected = r#"{"snapshots":{"a":{"data":{ "x": 1.0 },"stale":false,"read_at":7},"b":{"data":{},"stale":true,"read_at":null}}}"#;
        assert_eq!(body, expected);
        assert_eq!(body_of([].into_iter()), r#"{"snapshots":{}}"#);
    }
}
