//! An HTTP/1.1 listener with limits: of connections, in all and of one address, of a head's
//! size, and of the time it may take.

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
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::places::{Place, Places};

/// The most that a request's head may take, bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// How long a client may take for a head, and be idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// After this long the kernel asks whether a silent client is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long to wait after a failed accept: descriptors come back as others leave.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(50);

/// What a listener takes.
#[derive(Debug, Clone)]
pub(super) struct ServeConfig {
    /// Connections at a time; one more waits in the kernel until another ends.
    pub(super) max_connections: usize,
    /// Connections of one address; one more is closed at once.
    pub(super) places: Places,
}

/// Accepts and serves until `stop`; then each request in progress finishes, held by
/// `tasks`.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    config: ServeConfig,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(config.max_connections));
    let accept = async || {
        // The semaphore is never closed.
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        listener.accept().await.map(|(stream, peer)| (place, stream, peer))
    };
    while let Some(accepted) = stop.run_until_cancelled(accept()).await {
        match accepted {
            Ok((place, stream, peer)) => {
                let Some(own) = config.places.take(peer.ip()) else { continue };
                tasks.spawn(serve_socket((place, own), stream, peer, router.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept connections");
                sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

async fn serve_socket(
    _places: (OwnedSemaphorePermit, Place),
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    if let Err(error) = set_options(&stream) {
        tracing::debug!(%error, "a client's socket refused its options");
        return;
    }
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.map(Body::new)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
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

fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE))
}
