//! The accept loop: HTTP/1.1 over our own sockets, so that the handshake's
//! deadline, the header limits and the socket options are ours to set.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use prometheus::IntGauge;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::client_io::ClientIo;

/// The most that a request's head may take, bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// How long to wait after a failed accept: descriptors come back as others leave.
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(50);

/// What a listener does with its sockets.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// How long a client may take for a request's head.
    pub head_timeout: Duration,
    /// Unsent bytes the kernel may hold per socket (`TCP_NOTSENT_LOWAT`). Without
    /// it a silent client's socket swallows megabytes before the outbox sees one.
    pub unsent_limit: u32,
    /// Counts the sockets that speak plain HTTP.
    pub connections: IntGauge,
}

struct Counted(IntGauge);

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Accepts and serves until `stop`; then lets each request in progress finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: ListenerConfig,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                let serving = serve_socket(stream, router.clone(), config.clone(), stop.clone());
                tasks.spawn(serving);
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection");
                sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
}

async fn serve_socket(
    stream: TcpStream,
    router: Router,
    config: ListenerConfig,
    stop: CancellationToken,
) {
    let _counted = Counted::new(&config.connections);
    if let Err(error) = set_options(&stream, config.unsent_limit) {
        tracing::debug!(%error, "a client's socket refused its options");
        return;
    }
    let service = router.map_request(|request: Request<Incoming>| request.map(Body::new));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(ClientIo::new(stream), TowerToHyperService::new(service))
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
