//! A collector behind a real listener, and a store that does as a test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use redcast_e2e::{Metrics, Response, request};
use redcast_producer::collect::{CollectConfig, Collector};
use redcast_producer::{PageView, Store, StoreError};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
pub const PAGE: &str =
    r#"{"url":"https://acme.example/pricing?q=1","referrer":"https://search.example/x"}"#;

/// A store in a test's hands.
pub struct Hands {
    pub views: std::sync::Mutex<Vec<PageView>>,
    pub calls: AtomicUsize,
    /// Each call takes one.
    pub permits: Semaphore,
    pub refuses: std::sync::Mutex<Option<StoreError>>,
}

impl Hands {
    pub fn with_permits(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            views: std::sync::Mutex::default(),
            calls: AtomicUsize::new(0),
            permits: Semaphore::new(permits),
            refuses: std::sync::Mutex::default(),
        })
    }

    pub fn open() -> Arc<Self> {
        Self::with_permits(Semaphore::MAX_PERMITS / 2)
    }

    pub fn views(&self) -> Vec<PageView> {
        self.views.lock().unwrap().clone()
    }
}

#[async_trait]
impl Store for Hands {
    async fn record(&self, views: &[PageView]) -> Result<(), StoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.permits.acquire().await.unwrap().forget();
        if let Some(error) = self.refuses.lock().unwrap().clone() {
            return Err(error);
        }
        self.views.lock().unwrap().extend_from_slice(views);
        Ok(())
    }
}

/// A collector that listens on a free port.
pub struct Door {
    pub address: String,
    pub admin: String,
    _servers: JoinSet<()>,
}

impl Door {
    pub async fn open(store: Arc<dyn Store>, config: CollectConfig) -> Self {
        let collector = Collector::start(store, config).unwrap();
        let mut servers = JoinSet::new();
        let mut addresses = Vec::new();
        for router in [collector.routes(), collector.admin_routes()] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap().to_string());
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            servers.spawn(async move { axum::serve(listener, service).await.unwrap() });
        }
        let [address, admin] = addresses.try_into().unwrap();
        Self { address, admin, _servers: servers }
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Response {
        request(&self.address, head(method, path, headers, body.len()) + body).await
    }

    pub async fn collect(&self, headers: &[&str], body: &str) -> Response {
        self.send("POST", "/collect", headers, body).await
    }

    /// A view by an ordinary browser.
    pub async fn page(&self, body: &str) -> Response {
        self.collect(&[&format!("User-Agent: {FIREFOX}")], body).await
    }

    pub async fn metrics(&self) -> Metrics {
        Metrics::parse(&redcast_e2e::get(&self.admin, "/metrics").await.body)
    }

    pub async fn outcome(&self, outcome: &str) -> f64 {
        let name = format!("redcast_producer_views_total{{outcome=\"{outcome}\"}}");
        self.metrics().await.value(&name)
    }
}

pub fn head(method: &str, path: &str, headers: &[&str], length: usize) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: r.acme.example\r\n");
    for header in headers.iter().chain(&["Connection: close"]) {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head + &format!("Content-Length: {length}\r\n\r\n")
}

pub fn config() -> CollectConfig {
    CollectConfig { sites: vec!["acme.example".to_owned()], ..CollectConfig::default() }
}

/// The sentence of a refusal, which every refusal has.
#[track_caller]
pub fn reason(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{} {}", response.head, response.body);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_str(&response.body).unwrap();
    body["error"].as_str().unwrap().to_owned()
}
