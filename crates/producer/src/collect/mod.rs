//! The collector: an HTTP beacon for page views.
//!
//! A page loads `r.js` and sends a beacon to `collect` for each view. Flow of one:
//! the address's rate (`rate.rs`) → the page's origin (`sites.rs`) → the body
//! (`body.rs`, `beacon.rs`) → its site → is it a robot (`agent.rs`) → the queue
//! (`queue.rs`), where the visitor becomes a hash and many views one call of the store.
//! It is answered 204 once the store has acknowledged it.

mod admin;
pub(crate) mod agent;
mod beacon;
mod body;
mod config;
mod metrics;
mod queue;
mod rate;
mod refusal;
mod script;
mod sites;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ORIGIN, USER_AGENT, VARY,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use redcast_address::client_address;
use tokio::task::JoinSet;

pub use self::config::CollectConfig;

use self::agent::Agent;
use self::beacon::Beacon;
use self::metrics::CollectMetrics;
use self::queue::{Queue, Visitor};
use self::rate::RateLimit;
use self::refusal::{Outcome, Refusal};
use self::script::Script;
use self::sites::Sites;
use crate::page_view::PageView;
use crate::store::Store;

/// A collector over a store; clones are the same one. It ends when the last clone and the
/// last of its routers are dropped.
#[derive(Clone)]
pub struct Collector(Arc<Shared>);

struct Shared {
    config: CollectConfig,
    sites: Sites,
    rate: Arc<RateLimit>,
    queue: Queue,
    metrics: CollectMetrics,
    script: Script,
    // Dropping it ends what forgets idle addresses.
    _forgetting: JoinSet<()>,
}

/// The collector's metrics could not be registered.
#[derive(Debug, thiserror::Error)]
#[error("the collector's metrics: {0}")]
pub struct CollectorError(#[from] prometheus::Error);

impl Collector {
    /// Starts it. Must be called inside a tokio runtime.
    pub fn start(store: Arc<dyn Store>, config: CollectConfig) -> Result<Self, CollectorError> {
        let metrics = CollectMetrics::new()?;
        let rate = Arc::new(RateLimit::new(config.rate));
        let (mut forgetting, table) = (JoinSet::new(), Arc::clone(&rate));
        forgetting.spawn(async move { table.forget_idle_forever().await });
        Ok(Self(Arc::new(Shared {
            sites: Sites::new(&config),
            rate,
            queue: Queue::start(store, config.queue, metrics.clone()),
            script: Script::new(),
            _forgetting: forgetting,
            metrics,
            config,
        })))
    }

    /// What the public may ask for: `GET /r.js`, `POST` and `OPTIONS /collect`. Requests
    /// carry the other end of their socket as the extension `ConnectInfo<SocketAddr>`.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/r.js", get(script))
            .route("/collect", post(collect).options(preflight))
            .with_state(self.clone())
    }

    /// What operators ask for, to be served where the public is not: `GET /metrics`,
    /// `/healthz` and `/readyz`.
    pub fn admin_routes(&self) -> Router {
        admin::routes(self.clone())
    }

    async fn take(&self, request: Request) -> Result<Outcome, Refusal> {
        let Self(shared) = self;
        let (parts, body) = request.into_parts();
        let address = self.address(&parts);
        shared.rate.take(address, Instant::now()).map_err(Refusal::TooMany)?;
        if origin(&parts.headers).is_some() && self.allowed_origin(&parts.headers).is_none() {
            return Err(Refusal::Origin);
        }
        let body = body::read(body, shared.config.body_timeout).await?;
        let beacon = Beacon::parse(&body).map_err(Refusal::BadRequest)?;
        let Some(site) = shared.sites.site(&beacon.host) else {
            return Err(Refusal::Site(beacon.host));
        };
        // Some browsers name their makers in other signs than ASCII; they are no robots.
        let name = parts.headers.get(USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
        let name = String::from_utf8_lossy(name);
        let name = agent::shorten(&name);
        let agent = Agent::new(name);
        if agent.is_robot() {
            return Ok(Outcome::Robot);
        }
        let visitor = Visitor { site: site.to_owned(), address, agent: name.to_owned() };
        let view = self.view(beacon, &agent);
        shared.queue.put(visitor, view).await?;
        Ok(Outcome::Recorded)
    }

    /// The view, but for the visitor's id.
    fn view(&self, beacon: Beacon, agent: &Agent) -> PageView {
        let Beacon { host, path, referrer } = beacon;
        // A link from one page of the site to another refers nobody.
        let from_outside = referrer.filter(|(_, from)| !self.0.sites.is_own(from, &host));
        PageView {
            visitor_id: String::new(),
            at: SystemTime::now(),
            path: path.into(),
            referrer: from_outside.map(|(origin, _)| origin.into()),
            country: None,
            device: agent.device(),
        }
    }

    fn address(&self, parts: &Parts) -> IpAddr {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        // Without it all share one address, and one limit.
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
        client_address(peer, &parts.headers, &self.0.config.trusted_proxies)
    }

    /// The request's origin, if its pages may send views.
    fn allowed_origin<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = origin(headers)?;
        origin.to_str().ok().filter(|origin| self.0.sites.allows_origin(origin))?;
        Some(origin)
    }
}

fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(ORIGIN)
}

async fn script(State(Collector(shared)): State<Collector>, headers: HeaderMap) -> Response {
    shared.script.answer(&headers)
}

async fn collect(State(collector): State<Collector>, request: Request) -> Response {
    let allowed = collector.allowed_origin(request.headers()).cloned();
    let (outcome, response) = match collector.take(request).await {
        Ok(outcome) => (outcome, StatusCode::NO_CONTENT.into_response()),
        Err(refusal) => (refusal.outcome(), refusal.into_response()),
    };
    // What reached the queue is counted there.
    if !matches!(outcome, Outcome::Recorded | Outcome::Unavailable) {
        collector.0.metrics.count(outcome);
    }
    with_origin(allowed, response)
}

/// The browser asks beforehand whether a page may send what is not plain text.
async fn preflight(State(collector): State<Collector>, headers: HeaderMap) -> Response {
    let Some(allowed) = collector.allowed_origin(&headers) else {
        return with_origin(None, Refusal::Origin.into_response());
    };
    let answers = [
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST")),
        (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type")),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
    ];
    let response = (StatusCode::NO_CONTENT, answers).into_response();
    with_origin(Some(allowed.clone()), response)
}

/// Lets the page read the answer, where it may have it.
fn with_origin(allowed: Option<HeaderValue>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}
