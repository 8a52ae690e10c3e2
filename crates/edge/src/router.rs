//! The public routes, as a table of contents.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::routing::{get, post};
use redcast_node::{Access, Node};
use tokio_util::task::TaskTracker;

use crate::config::EdgeConfig;
use crate::error::Refusal;
use crate::forward_auth::ForwardAuth;
use crate::listener::SocketLimits;
use crate::metrics::{EdgeMetrics, Rejected};
use crate::pace::Rates;
use crate::{api, api_docs, page, publish, sse, state, upgrade};

/// What every handler of the public listener can reach.
pub struct Edge {
    pub(crate) node: Arc<Node>,
    pub(crate) config: EdgeConfig,
    pub(crate) metrics: EdgeMetrics,
    pub(crate) identity: Identity,
    pub(crate) rates: Rates,
    /// Who decides about each handshake; none means that all are admitted.
    pub(crate) access: Option<Box<dyn Access>>,
    /// Holds every session, so that shutdown can wait for them.
    pub(crate) sessions: TaskTracker,
    leaving: AtomicBool,
    closed: AtomicBool,
}

/// Who this instance is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// A name that differs between instances.
    pub instance: String,
    /// The version of the program.
    pub version: &'static str,
    /// The commit it was built from, or "unknown".
    pub commit: &'static str,
}

impl Edge {
    /// Puts the door together.
    pub fn new(
        node: Arc<Node>,
        config: EdgeConfig,
        metrics: EdgeMetrics,
        identity: Identity,
        sessions: TaskTracker,
    ) -> Arc<Self> {
        let (leaving, closed) = (AtomicBool::new(false), AtomicBool::new(false));
        let rates = Rates::new(config.commands_per_second);
        let access = config.forward_auth.clone().map(|config| {
            let hook = ForwardAuth::new(config, metrics.forward_auth.clone());
            Box::new(hook) as Box<dyn Access>
        });
        Arc::new(Self { node, config, metrics, identity, rates, access, sessions, leaving, closed })
    }

    /// From now on this instance is not ready; it still takes connections, because
    /// load balancers learn of it late.
    pub fn begin_drain(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// From now on handshakes are refused.
    pub fn refuse_connections(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Whether the instance is on its way out.
    pub fn is_draining(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// How many sockets the public port takes, where the process may hold
    /// `descriptors` for them.
    pub fn socket_limits(&self, descriptors: usize) -> SocketLimits {
        SocketLimits {
            max_http: self.config.max_http_connections,
            max_all: descriptors,
            http: self.metrics.http_connections.clone(),
            connections: self.node.connections_gauge(),
            refused: self.metrics.rejected(Rejected::Sockets),
        }
    }

    /// The paths that accept WebSocket connections.
    pub fn endpoint_paths(&self) -> impl Iterator<Item = &str> {
        self.config.endpoints.iter().map(|endpoint| endpoint.path.as_str())
    }

    /// Under which name the first endpoint's first channel is published to, for
    /// examples that can be pasted.
    pub fn first_channel(&self) -> Option<String> {
        let channel = self.config.endpoints.iter().find_map(|each| each.access.join.first())?;
        Some(self.node.published_name(channel))
    }

    pub(crate) fn refuses_connections(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

/// Everything the public listener serves.
pub fn public_router(edge: &Arc<Edge>) -> Router {
    let mut router = page::routes(Router::new(), &edge.config.page)
        .route("/api/publish/{channel}", post(publish::publish))
        .route("/api/state", get(state::all))
        .route("/api/state/{snapshot}", get(state::one));
    if edge.config.page.enabled {
        router = router.route("/api/info", get(api::info));
    }
    if edge.config.docs {
        router = api_docs::routes(router, edge);
    }
    for (index, endpoint) in edge.config.endpoints.iter().enumerate() {
        let edge = edge.clone();
        let connect = move |request| async move { upgrade::connect(&edge, index, request).await };
        router = router.route(&endpoint.path, get(connect));
    }
    sse::routes(router, edge)
        .fallback(|| async { Refusal::NotFound })
        .method_not_allowed_fallback(|| async { Refusal::MethodNotAllowed })
        .with_state(edge.clone())
}
