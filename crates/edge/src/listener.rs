//! The accept loop: HTTP/1.1 over our own sockets, so that the handshake's
//! deadline, the header limits and the socket options are ours to set.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use prometheus::{IntCounter, IntGauge};
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::client_io::{ClientIo, poll_discard};
use crate::error::NO_ROOM_FOR_SOCKET;
use crate::place::{HeldPlace, SocketPlace};
use crate::seldom::Seldom;

/// The most that a request's head may take, bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// How long to wait after a failed accept: descriptors come back as others leave.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(50);

/// How many sockets that are being turned away may linger at each listener, so that the
/// answer is read before the socket is gone. These come on top of [`SocketLimits`].
pub const LINGERING_DESCRIPTORS: usize = 16;
/// How long they may.
const LINGER: Duration = Duration::from_secs(1);

/// What a listener does with its sockets.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// How long a client may take for a request's head.
    pub head_timeout: Duration,
    /// Unsent bytes the kernel may hold per socket (`TCP_NOTSENT_LOWAT`). Without
    /// it a silent client's socket swallows megabytes before the outbox sees one.
    pub unsent_limit: u32,
    /// How many it takes.
    pub sockets: SocketLimits,
}

/// How many sockets a listener takes; one more is answered 503 and closed, unread.
#[derive(Clone, Debug)]
pub struct SocketLimits {
    /// The most that may speak plain HTTP at a time: handshakes under way, the page,
    /// the API, and who only pretends.
    pub max_http: usize,
    /// The most in all, WebSocket connections included.
    pub max_all: usize,
    /// Counts those that speak plain HTTP.
    pub http: IntGauge,
    /// Counts the WebSocket connections.
    pub connections: IntGauge,
    /// Counts those that were turned away.
    pub refused: IntCounter,
}

impl SocketLimits {
    fn have_room(&self) -> bool {
        let http = usize::try_from(self.http.get()).unwrap_or(0);
        let connections = usize::try_from(self.connections.get()).unwrap_or(0);
        http < self.max_http && http + connections < self.max_all
    }
}

/// A socket that there is room for.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    place: HeldPlace,
}

/// Accepts and serves until `stop`; then lets each request in progress finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: ListenerConfig,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let lingering = Arc::new(Semaphore::new(LINGERING_DESCRIPTORS));
    let failures = Seldom::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) if config.sockets.have_room() => {
                // Counted before the next accept, or a burst would pass the limit.
                let place = SocketPlace::take(&config.sockets.http);
                let socket = Accepted { stream, peer, place };
                let serving = serve_socket(socket, router.clone(), config.clone(), stop.clone());
                tasks.spawn(serving);
            }
            Ok((stream, _)) => {
                config.sockets.refused.inc();
                // Past the runtime, which does not know yet that a new socket has room.
                let _ = SockRef::from(&stream).send(NO_ROOM_FOR_SOCKET.as_bytes());
                if let Ok(place) = lingering.clone().try_acquire_owned() {
                    tasks.spawn(turn_away(stream, place));
                }
            }
            Err(error) => {
                if failures.is_due() {
                    tracing::warn!(%error, "can't accept connections");
                }
                sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

/// Ends a socket that was answered before anything was read of it. Only the end of what
/// the client sends, or a moment's patience, makes sure that the answer is not lost to a
/// reset.
async fn turn_away(mut stream: TcpStream, _place: OwnedSemaphorePermit) {
    let goodbye = async {
        stream.shutdown().await?;
        poll_fn(|cx| poll_discard(&stream, cx)).await;
        io::Result::Ok(())
    };
    // Whether it was heard or not, the socket goes.
    let _ = timeout(LINGER, goodbye).await;
}

async fn serve_socket(
    // An argument, because these are dropped last: the count falls after the socket.
    Accepted { stream, peer, place }: Accepted,
    router: Router,
    config: ListenerConfig,
    stop: CancellationToken,
) {
    if let Err(error) = set_options(&stream, config.unsent_limit) {
        tracing::debug!(%error, "a client's socket refused its options");
        return;
    }
    let shared = place.shared();
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(shared.clone());
        request.map(Body::new)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(ClientIo::new(stream, place.shared()), TowerToHyperService::new(service))
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

fn set_options(stream: &TcpStream, unsent_limit: u32) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_notsent_lowat(unsent_limit)
}
