//! `redcast-producer collect`: the collector behind a listener of its own.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use ipnet::IpNet;
use redcast_producer::collect::{CollectConfig, Collector};
use redcast_producer::{DemoConfig, demo};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::places::Places;
use super::redis::RedisFlags;
use super::serve::{ServeConfig, serve};
use super::{BadConfig, say, stop_at_signal};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4_096;
/// Descriptors for everything else: Redis, logs, the admin listener and its clients.
const OTHER_DESCRIPTORS: u64 = 64;
/// How many may ask the admin listener at a time.
const ADMIN_CONNECTIONS: usize = 32;
/// How long beacons in progress may take once it is to stop. A beacon that has arrived
/// waits for at most two calls of the store, each of at most 2 s: when one fails, all who
/// wait hear of it. Only those whose bodies are slow to come may be cut off.
const GOODBYE: Duration = Duration::from_secs(5);

/// Flags of `collect`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    redcast-producer collect --redis-url redis://127.0.0.1:6379 --site acme.example\n  \
    redcast-producer collect --redis-url redis://127.0.0.1:6379 --site '*' --demo\n\n\
    On each page of the site: <script src=\"https://HOST/r.js\" defer></script>\n\n\
    Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage, 78 wrong configuration.")]
pub(super) struct CollectFlags {
    /// Where browsers, or the proxy in front, connect
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    #[arg(env = "REDCAST_PRODUCER_LISTEN", hide_env_values = true)]
    listen: String,
    /// Where /metrics, /healthz and /readyz answer, or off
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9465")]
    #[arg(env = "REDCAST_PRODUCER_ADMIN_LISTEN", hide_env_values = true)]
    admin_listen: String,
    /// A host whose page views are taken: acme.example, *.acme.example, or * for all;
    /// repeatable
    #[arg(
        long = "site",
        value_name = "HOST",
        env = "REDCAST_PRODUCER_SITE",
        hide_env_values = true,
        value_delimiter = ','
    )]
    sites: Vec<String>,
    /// An origin whose pages may send views, e.g. https://acme.example, or null; repeatable
    /// [default: those of the sites]
    #[arg(long = "allowed-origin", value_name = "ORIGIN", value_delimiter = ',')]
    #[arg(env = "REDCAST_PRODUCER_ALLOWED_ORIGIN", hide_env_values = true)]
    allowed_origins: Vec<String>,
    /// A network of proxies whose X-Forwarded-For is believed, e.g. 10.0.0.0/8; repeatable
    #[arg(long = "trusted-proxy", value_name = "NETWORK", value_delimiter = ',')]
    #[arg(env = "REDCAST_PRODUCER_TRUSTED_PROXY", hide_env_values = true)]
    trusted_proxies: Vec<String>,
    /// Page views a second from one address, twice as many at once; 0: no limit
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        env = "REDCAST_PRODUCER_RATE",
        hide_env_values = true
    )]
    rate: u32,
    /// The most connections at a time; others wait
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    #[arg(env = "REDCAST_PRODUCER_MAX_CONNECTIONS", hide_env_values = true)]
    max_connections: usize,
    /// The most connections of one address at a time, trusted proxies aside; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 256)]
    #[arg(env = "REDCAST_PRODUCER_MAX_CONNECTIONS_PER_ADDRESS", hide_env_values = true)]
    max_connections_per_address: usize,
    /// Publish synthetic page views too, to have something to look at
    #[arg(long)]
    demo: bool,
}

impl CollectFlags {
    fn config(&self) -> Result<CollectConfig, BadConfig> {
        if self.sites.is_empty() {
            let text = "no site: name each host whose page views are taken with --site, e.g. \
                        --site acme.example, or take all with --site '*'";
            return Err(BadConfig(text.to_owned()));
        }
        let config = CollectConfig {
            sites: self.sites.clone(),
            allowed_origins: self.allowed_origins.clone(),
            trusted_proxies: self.trusted_proxies()?,
            rate: self.rate,
            ..CollectConfig::default()
        };
        config.check().map_err(BadConfig)?;
        Ok(config)
    }

    fn trusted_proxies(&self) -> Result<Vec<IpNet>, BadConfig> {
        let network = |text: &String| {
            let one = || text.parse().map(|address: std::net::IpAddr| IpNet::from(address));
            let network = text.parse().or_else(|_| one());
            network.map_err(|_| {
                BadConfig(format!("--trusted-proxy {text:?} is no network: write 10.0.0.0/8"))
            })
        };
        self.trusted_proxies.iter().map(network).collect()
    }

    /// Hosts that refer nobody, as far as they are named.
    fn own_hosts(&self) -> Vec<String> {
        let invented = self.demo.then(|| demo::HOST.to_owned());
        self.sites.iter().filter(|site| !site.contains('*')).cloned().chain(invented).collect()
    }
}

/// Serves until it is stopped.
pub(super) async fn run(
    flags: &CollectFlags,
    redis: &RedisFlags,
    stop: CancellationToken,
) -> Result<u8> {
    let config = flags.config()?;
    let places = Places::new(flags.max_connections_per_address, config.trusted_proxies.clone());
    let store = redis.store(flags.own_hosts())?;
    let signals = TaskTracker::new();
    stop_at_signal(&signals, &stop)?;
    let collector = Collector::start(store.clone(), config)?;
    let public = listen("--listen", &flags.listen)?;
    let admin = match flags.admin_listen.as_str() {
        "off" => None,
        address => Some(listen("--admin-listen", address)?),
    };
    let tasks = TaskTracker::new();
    let max_connections = connections(flags.max_connections);
    tracing::info!(
        listen = %public.local_addr()?,
        admin = admin.as_ref().map(TcpListener::local_addr).transpose()?.map(tracing::field::display),
        max_connections,
        "collecting",
    );
    if flags.demo {
        tasks.spawn(demo::run(store, DemoConfig::default(), stop.clone()));
    }
    if let Some(admin) = admin {
        let config =
            ServeConfig { max_connections: ADMIN_CONNECTIONS, places: Places::new(0, Vec::new()) };
        tasks.spawn(serve(admin, collector.admin_routes(), config, tasks.clone(), stop.clone()));
    }
    let config = ServeConfig { max_connections, places };
    serve(public, collector.routes(), config, tasks.clone(), stop).await;
    tasks.close();
    if timeout(GOODBYE, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "cut off what did not end in time");
    }
    Ok(0)
}

fn listen(flag: &str, text: &str) -> Result<TcpListener> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| BadConfig(format!("{flag} {text:?} is no address: write 127.0.0.1:8090")))?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    let listening = socket.bind(address).and_then(|()| socket.listen(BACKLOG));
    listening.with_context(|| format!("can't listen at {address}"))
}

/// As many as were asked for, or as there are descriptors.
fn connections(wanted: usize) -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1_024);
    let room = usize::try_from(limit.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX);
    if room < wanted {
        say(format_args!(
            "the limit of open files leaves room for {room} connections, not {wanted}"
        ));
    }
    wanted.min(room).max(1)
}
