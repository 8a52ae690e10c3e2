//! From a request to a session: the checks before 101, and the hand-over of the
//! socket after it.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use redcast_hub::{Encoding, Form};
use redcast_node::{ConnectionPermit, Grant};
use redcast_protocol::{Channel, Cursor};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::admission::{Admitted, admit};
use crate::client_io::ClientIo;
use crate::config::Endpoint;
use crate::error::Refusal;
use crate::granted::{Expiry, Granted};
use crate::handshake::Handshake;
use crate::life::Life;
use crate::metrics::Rejected;
use crate::query::Query;
use crate::router::Edge;
use crate::session::{Beginning, Session};
use crate::socket::ClientSocket;

/// What the handshake settled.
struct Accepted {
    endpoint: usize,
    encoding: Encoding,
    since: Vec<(Channel, Cursor)>,
    permit: ConnectionPermit,
    grant: Grant,
}

/// Answers a handshake at an endpoint.
pub(crate) async fn connect(
    edge: &Arc<Edge>,
    endpoint: usize,
    request: Request,
) -> Result<Response, Refusal> {
    let answer = accept(edge, endpoint, request).await;
    answer.inspect_err(|refusal| edge.metrics.count_rejected(refusal.rejected()))
}

async fn accept(edge: &Arc<Edge>, index: usize, request: Request) -> Result<Response, Refusal> {
    let (mut request, _) = request.into_parts();
    let endpoint = &edge.config.endpoints[index];
    let mut handshake = Handshake::check(&request)?;
    if endpoint.deflate {
        handshake.agree_on_deflate(&request.headers);
    }
    let query = Query::read(request.uri.query())?;
    let Admitted { permit, grant } = admit(edge, endpoint, &request).await?;
    let upgrade = request.extensions.remove::<OnUpgrade>().ok_or_else(|| {
        Refusal::BadRequest("this connection can't be upgraded to WebSocket".to_owned())
    })?;
    let encoding =
        Encoding { form: form(&handshake, endpoint, &query), window: handshake.window() };
    let accepted = Accepted { endpoint: index, encoding, since: query.since, permit, grant };
    edge.sessions.spawn(begin(edge.clone(), upgrade, accepted));
    Ok(handshake.response())
}

fn form(handshake: &Handshake, endpoint: &Endpoint, query: &Query) -> Form {
    match (handshake.envelope, endpoint.notices, query.cursors) {
        (true, ..) => Form::Envelope,
        (false, true, false) => Form::Raw,
        (false, true, true) => Form::Tracked,
        (false, false, _) => Form::Quiet,
    }
}

/// Takes over the socket once the 101 is out, and leaves the session to a task of
/// its own: this one's future, sized for the handshake, would otherwise be held for
/// as long as the connection.
async fn begin(edge: Arc<Edge>, upgrade: OnUpgrade, accepted: Accepted) {
    let upgraded = timeout(edge.config.handshake_timeout, upgrade).await;
    let socket = upgraded.ok().and_then(Result::ok).and_then(into_socket);
    let Some((stream, read)) = socket else {
        edge.metrics.count_rejected(Rejected::Failed);
        return;
    };
    let Accepted { endpoint, encoding, since, permit, grant } = accepted;
    let expiry = grant.expires_at.and_then(Expiry::new);
    let life = Life::begin(edge.clone(), endpoint, permit.address(), Granted::keep(grant));
    let socket = ClientSocket::new(stream, permit);
    let Ok(participant) = edge.node.connect(socket, encoding).await else { return };
    let session = Session::new(life, participant, expiry);
    // A panic in there ends this connection alone: the task is its own, and each
    // count falls with the struct that holds it.
    edge.sessions.spawn(session.run(Box::new(Beginning { since, read })));
}

/// The TCP socket itself and what was read beyond the request. Any other kind of
/// connection is refused rather than served by a slower path nobody tests.
fn into_socket(upgraded: Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    let parts = upgraded.downcast::<ClientIo>().ok()?;
    // Copied, because even empty it would hold the HTTP server's 8 KiB buffer.
    Some((parts.io.into_stream(), parts.read_buf.to_vec()))
}
