//! Server-sent events: `GET /sse/…` for those who can't speak WebSocket, at the same
//! endpoints and under the same rules.
//!
//! Behind the request stands a connection of the hub in envelope mode, whose socket is a
//! [`Pipe`]. Flow: `asked.rs` reads the request → `admission.rs` of the door judges it →
//! the hub writes frames into `pipe.rs` → `body.rs` drains it when the HTTP server wants
//! more → `frames.rs`, `translator.rs` and `block.rs` make an event stream of it, with
//! the id that `cursors.rs` knows. `session.rs` is the connection's life.

mod asked;
mod block;
mod body;
mod cursors;
mod frames;
mod pipe;
mod session;
mod translator;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONNECTION,
    CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use self::asked::Asked;
use self::body::EventStream;
pub(crate) use self::pipe::Pipe;
use self::translator::Translator;
use crate::admission::{Admitted, admit};
use crate::commands::Wishes;
use crate::error::Refusal;
use crate::granted::{Expiry, Granted};
use crate::life::Life;
use crate::origin::CrossOrigin;
use crate::place::SocketPlace;
use crate::router::Edge;

/// Under which all event streams are.
const PREFIX: &str = "/sse";

/// Between which times a client should wait before it connects again, milliseconds: with
/// some chance in it, or those of an instance that died would all come back at once.
const RETRY_MS: std::ops::Range<u64> = 500..2500;

/// Whether no endpoint may have this path.
pub(crate) fn is_reserved(path: &str) -> bool {
    path == PREFIX || path.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('/'))
}

/// Adds the event streams of all endpoints to a router.
pub(crate) fn routes(mut router: Router<Arc<Edge>>, edge: &Arc<Edge>) -> Router<Arc<Edge>> {
    for (path, index) in paths(edge.endpoint_paths()) {
        let edge = edge.clone();
        let connect = move |request| async move { connect(&edge, index, request).await };
        router = router.route(&path, get(connect));
    }
    router
}

/// Each endpoint's own path behind `/sse`; and where that begins with `/ws/`, which says
/// nothing here, one without it, unless another endpoint's own path has it.
fn paths<'a>(endpoints: impl Iterator<Item = &'a str>) -> Vec<(String, usize)> {
    let endpoints: Vec<&str> = endpoints.collect();
    let own = endpoints.iter().map(|path| format!("{PREFIX}{path}"));
    let short = endpoints.iter().enumerate().filter_map(|(index, path)| {
        path.strip_prefix("/ws/").map(|rest| (format!("{PREFIX}/{rest}"), index))
    });
    let mut taken = HashSet::new();
    let mut paths: Vec<_> = own.enumerate().map(|(index, path)| (path, index)).collect();
    paths.extend(short);
    paths.retain(|(path, _)| taken.insert(path.clone()));
    paths
}

/// Answers a request for an endpoint's event stream.
async fn connect(edge: &Arc<Edge>, endpoint: usize, request: Request) -> Result<Response, Refusal> {
    let answer = accept(edge, endpoint, request).await;
    answer.inspect_err(|refusal| edge.metrics.count_rejected(refusal.rejected()))
}

async fn accept(edge: &Arc<Edge>, index: usize, request: Request) -> Result<Response, Refusal> {
    let (request, _) = request.into_parts();
    let endpoint = &edge.config.endpoints[index];
    let asked = Asked::read(edge, endpoint, &request)?;
    let Admitted { permit, grant } = admit(edge, endpoint, &request).await?;
    let globs = grant.subscribe.as_deref();
    let stranger = asked.channels.iter().find(|channel| !endpoint.access.permits(channel, globs));
    if let Some(channel) = stranger {
        let text = format!("this endpoint does not offer the channel {channel}");
        return Err(Refusal::Forbidden(text));
    }
    let place = request.extensions.get::<Arc<SocketPlace>>();
    let pipe = Pipe::new(edge.node.hub().config());
    let address = permit.address();
    if !place.is_some_and(|place| place.become_connection(permit, pipe.clone())) {
        return Err(Refusal::BadRequest("this connection can't carry an event stream".to_owned()));
    }
    let cross_origin = endpoint.allowed_origins.cross_origin(&request.headers);
    let expiry = grant.expires_at.and_then(Expiry::new);
    let life = Life::begin(edge.clone(), index, address, Granted::keep(grant));
    Ok(begin(edge, asked, (life, pipe, expiry), cross_origin))
}

/// Leaves the connection to a task of its own, and answers with what will come of it.
fn begin(
    edge: &Edge,
    asked: Asked,
    (life, pipe, expiry): (Life, Arc<Pipe>, Option<Box<Expiry>>),
    cross_origin: Option<CrossOrigin>,
) -> Response {
    let translator = Translator::new(asked.resumed.clone(), asked.envelopes);
    let stream = EventStream::new(pipe.clone(), translator, retry_after_ms());
    // A client that can say nothing asks for a fault in its request.
    #[cfg(feature = "faults")]
    match asked.fault.as_deref() {
        Some("session") => pipe.fault.arm_panic(),
        Some("body") => stream.fault.arm_panic(),
        _ => {}
    }
    let wishes =
        Wishes { since: asked.resumed.since(), channels: asked.channels, id: acknowledgement_id() };
    edge.sessions.spawn(session::run(life, pipe, wishes, expiry));
    let mut response = Response::new(Body::new(stream));
    *response.headers_mut() = headers(cross_origin);
    response
}

/// Under which id the joins are acknowledged, so that the client gets the places from
/// which it can resume before it has seen any event.
fn acknowledgement_id() -> Option<redcast_protocol::CommandId> {
    let command = redcast_protocol::Request::parse(r#"{"type":"ping","id":"sse"}"#);
    command.ok().and_then(|command| command.id)
}

fn retry_after_ms() -> u64 {
    // The standard library's hash maps have the only randomness that this room needs.
    let random = RandomState::new().hash_one(());
    RETRY_MS.start + random % (RETRY_MS.end - RETRY_MS.start)
}

fn headers(cross_origin: Option<CrossOrigin>) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // nginx would keep what it gets until a buffer is full.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
        // The socket is counted as this connection to its end.
        (CONNECTION, HeaderValue::from_static("close")),
    ]);
    match cross_origin {
        Some(CrossOrigin::Any) => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        Some(CrossOrigin::This(origin)) => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(VARY, HeaderValue::from_static("origin"));
        }
        None => {}
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_has_its_own_path_and_where_it_can_a_short_one() {
        let paths = paths(["/ws/a", "/ws/b", "/b", "/ws/ws/b", "/ws", "/live"].into_iter());
        let expected = [
            ("/sse/ws/a", 0),
            ("/sse/ws/b", 1),
            ("/sse/b", 2),
            ("/sse/ws/ws/b", 3),
            ("/sse/ws", 4),
            ("/sse/live", 5),
            ("/sse/a", 0),
        ];
        let expected = expected.map(|(path, index)| (path.to_owned(), index));
        assert_eq!(paths, expected);
    }

    #[test]
    fn clients_are_told_to_come_back_at_different_times() {
        let times: HashSet<u64> = (0..100).map(|_| retry_after_ms()).collect();
        assert!(times.len() > 50, "{times:?}");
        assert!(times.iter().all(|time| RETRY_MS.contains(time)), "{times:?}");
    }

    #[test]
    fn what_is_behind_the_prefix_is_ours() {
        for (path, reserved) in [
            ("/sse", true),
            ("/sse/", true),
            ("/sse/ws/a", true),
            ("/sses", false),
            ("/ws/sse", false),
        ] {
            assert_eq!(is_reserved(path), reserved, "{path}");
        }
    }
}
