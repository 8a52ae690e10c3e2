//! The gateway put together: every part is built here, in reading order, and every
//! task is held here.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use prometheus::{IntCounter, IntGauge, Registry};
use redcast_broker::{
    Broker, BrokerMetrics, Deliveries, MemoryBroker, REDIS_DESCRIPTORS, RedisBroker, SnapshotStore,
};
use redcast_edge::{
    Edge, EdgeMetrics, FORWARD_AUTH_DESCRIPTORS, Identity, LINGERING_DESCRIPTORS, ListenerConfig,
    SocketLimits, admin_router, public_router, serve,
};
use redcast_hub::{Hub, HubMetrics, ShardTask};
use redcast_node::{Node, NodeMetrics, NodeTasks};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::ServeFlags;
use crate::demo::{Counts, Demo, check_paths};
use crate::settings::{BrokerSettings, RESERVED_DESCRIPTORS, Settings};
use crate::shutdown::{Drain, EXIT_INTERRUPTED, Signals};
use crate::version::{COMMIT, VERSION};
use crate::{banner, telemetry};

/// Scrapers and probes are few.
const ADMIN_SOCKETS: usize = 32;
/// The listeners, the runtime's own, standard streams, and files read now and then.
const OTHER_DESCRIPTORS: usize = 24;
/// Handshakes that there is room for when all connections are taken, if only to refuse
/// them.
const SPARE_HANDSHAKES: usize = 48;
/// Descriptors that no client's socket may take, with one Redis at a fixed address.
const INTERNAL_DESCRIPTORS: usize = ADMIN_SOCKETS
    + 2 * LINGERING_DESCRIPTORS
    + FORWARD_AUTH_DESCRIPTORS
    + REDIS_DESCRIPTORS
    + OTHER_DESCRIPTORS;
const _: () = assert!(INTERNAL_DESCRIPTORS + SPARE_HANDSHAKES <= RESERVED_DESCRIPTORS as usize);

/// How many connections the kernel holds that we have not accepted yet; the system's
/// own limit, `net.core.somaxconn`, counts where it is lower. Over the usual 128, a burst
/// of clients makes the kernel drop the next one's SYN, which costs it a whole second.
const BACKLOG: u32 = 4096;

/// A configuration that can't be run: exit code 78 (EX_CONFIG of sysexits.h).
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub(crate) struct BadConfig(pub(crate) anyhow::Error);

/// The gateway, built and not yet serving.
pub(crate) struct App {
    settings: Settings,
    /// How many descriptors the process may hold.
    descriptors: u64,
    registry: Registry,
    node: Arc<Node>,
    edge: Arc<Edge>,
    /// Tasks without which the process is of no use: if one ends, all ends.
    vital: JoinSet<&'static str>,
    /// Sessions and HTTP connections.
    sessions: TaskTracker,
    /// The broker's tasks and the demo.
    background: TaskTracker,
    stop: CancellationToken,
    draining: IntGauge,
    demo: Option<Demo>,
    /// What was started with.
    flags: ServeFlags,
}

/// Where the gateway listens.
struct Doors {
    public: TcpListener,
    admin: TcpListener,
}

impl App {
    /// Builds every part; nothing is served yet.
    pub(crate) fn build(settings: Settings, flags: ServeFlags) -> Result<Self> {
        let registry = telemetry::registry()?;
        let background = TaskTracker::new();
        let stop = CancellationToken::new();
        let identity = identity();
        let mut world = settings.broker();
        if let BrokerSettings::Redis(config) = &mut world {
            config.instance.clone_from(&identity.instance);
        }
        let (broker, store, counts) = build_broker(world, &registry, (&background, &stop))?;
        let (hub, shards) = Hub::new(settings.hub(), HubMetrics::register(&registry)?);
        let descriptors = rlimit::increase_nofile_limit(u64::MAX).context("descriptor limit")?;
        let node_config = settings.node(descriptors, &identity.instance);
        let node_metrics = NodeMetrics::register(&registry)?;
        let (node, node_tasks) = Node::new(node_config, &node_metrics, broker, &store, hub);
        let sessions = TaskTracker::new();
        let edge_config = settings.edge(flags.demo).map_err(|error| BadConfig(error.into()))?;
        let trusted_proxies = edge_config.trusted_proxies.clone();
        let edge_metrics = EdgeMetrics::register(&registry)?;
        let edge = Edge::new(node.clone(), edge_config, edge_metrics, identity, sessions.clone());
        let demo = match flags.demo {
            true => {
                check_paths(edge.endpoint_paths()).map_err(BadConfig)?;
                Some(Demo::new(counts, node.clone(), trusted_proxies)?)
            }
            false => None,
        };
        let vital = vital_tasks(shards, node_tasks);
        let draining = telemetry::draining_gauge(&registry)?;
        Ok(Self {
            settings,
            descriptors,
            registry,
            node,
            edge,
            vital,
            sessions,
            background,
            stop,
            draining,
            demo,
            flags,
        })
    }

    /// Serves until a signal or a failure; answers the exit code.
    pub(crate) async fn run(mut self) -> Result<u8> {
        let mut signals = Signals::listen()?;
        let doors = Doors::open(&self.settings)?;
        let (public, admin) = (doors.public.local_addr()?, doors.admin.local_addr()?);
        let stop_accepting = CancellationToken::new();
        self.serve(doors, &stop_accepting)?;
        if let Some(demo) = self.demo.take() {
            self.background.spawn(demo.traffic(self.stop.clone()));
        }
        self.announce(public, admin);
        let patience = tokio::select! {
            patience = signals.wait(&self.settings.shutdown) => patience,
            ended = self.vital.join_next() => return Err(failure(ended)),
        };
        let drain = Drain {
            edge: self.edge.clone(),
            hub: self.node.hub().clone(),
            sessions: self.sessions.clone(),
            stop_accepting,
            draining: self.draining.clone(),
        };
        let leaving = async {
            let cut = drain.run(&patience).await;
            self.node.snapshots().leave().await;
            cut
        };
        let cut = tokio::select! {
            cut = leaving => cut,
            () = signals.again() => return Ok(EXIT_INTERRUPTED),
            ended = self.vital.join_next() => return Err(failure(ended)),
        };
        self.stop.cancel();
        tracing::info!(cut, "stopped");
        Ok(0)
    }

    fn serve(&mut self, doors: Doors, stop_accepting: &CancellationToken) -> Result<()> {
        let head_timeout = *self.settings.http.handshake_timeout;
        // The settings have judged it already.
        let unsent_limit =
            u32::try_from(self.settings.http.unsent_limit.as_u64()).unwrap_or(u32::MAX);
        let descriptors = usize::try_from(self.descriptors).unwrap_or(usize::MAX);
        let internal = INTERNAL_DESCRIPTORS + self.settings.more_descriptors();
        let sockets = self.edge.socket_limits(descriptors.saturating_sub(internal));
        let config = ListenerConfig { head_timeout, unsent_limit, sockets };
        let mut routes = public_router(&self.edge);
        if let Some(demo) = &self.demo {
            routes = routes.merge(demo.collector.routes());
        }
        let public =
            serve(doors.public, routes, config, self.sessions.clone(), stop_accepting.clone());
        let stopped = stop_accepting.clone();
        self.vital.spawn(async move {
            public.await;
            if stopped.is_cancelled() {
                // It ended because it was asked to, which ends nothing else.
                std::future::pending::<()>().await;
            }
            "the accept loop"
        });
        // Health and metrics are answered to the very end of a drain.
        let config = ListenerConfig { head_timeout, unsent_limit, sockets: admin_sockets()? };
        let admin = admin_router(self.edge.clone(), self.registry.clone());
        let admin = serve(doors.admin, admin, config, self.background.clone(), self.stop.clone());
        self.background.spawn(admin);
        Ok(())
    }

    fn announce(&self, public: SocketAddr, admin: SocketAddr) {
        let kind = self.node.broker().0;
        tracing::info!(
            http = %public, admin = %admin, broker = kind, version = VERSION, commit = COMMIT,
            "serving"
        );
        let broker = self.settings.shown_broker(&self.flags);
        banner::announce(&self.edge, (public, admin), &broker, self.flags.demo);
    }
}

impl Doors {
    fn open(settings: &Settings) -> Result<Self> {
        let public = listen(*settings.http.listen, "http.listen")?;
        let admin = listen(*settings.admin.listen, "admin.listen")?;
        Ok(Self { public, admin })
    }
}

fn admin_sockets() -> Result<SocketLimits> {
    let uncounted = || IntGauge::new("admin", "not exposed");
    Ok(SocketLimits {
        max_http: ADMIN_SOCKETS,
        max_all: ADMIN_SOCKETS,
        http: uncounted()?,
        connections: uncounted()?,
        refused: IntCounter::new("admin_refused", "not exposed")?,
    })
}

fn listen(address: SocketAddr, key: &str) -> Result<TcpListener> {
    let listening = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Without it a restart would have to wait for the sockets of the run before.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listening().with_context(|| format!("{key}: can't listen on {address}"))
}

/// The world outside, as the node wants it: events, and where snapshots are read; and as a
/// demo does.
type Outside = ((Arc<dyn Broker>, Deliveries), Arc<dyn SnapshotStore>, Counts);

fn build_broker(
    settings: BrokerSettings,
    registry: &Registry,
    (tracker, stop): (&TaskTracker, &CancellationToken),
) -> Result<Outside> {
    let metrics = BrokerMetrics::register(registry)?;
    match settings {
        BrokerSettings::Memory(config) => {
            let (broker, deliveries) = MemoryBroker::new(&config, metrics);
            Ok(((broker.clone(), deliveries), broker.clone(), Counts::InMemory(broker)))
        }
        BrokerSettings::Redis(config) => {
            let counts = Counts::in_redis(&config);
            let started = RedisBroker::start(*config, metrics, tracker, stop.clone());
            let (broker, deliveries) = started.map_err(|error| BadConfig(error.into()))?;
            Ok(((broker.clone(), deliveries), broker, counts))
        }
    }
}

fn vital_tasks(shards: Vec<ShardTask>, node: NodeTasks) -> JoinSet<&'static str> {
    let mut vital = JoinSet::new();
    for shard in shards {
        vital.spawn(async {
            shard.run().await;
            "a shard"
        });
    }
    vital.spawn(async {
        node.fanout.run().await;
        "the fan-out"
    });
    vital.spawn(async {
        node.reaper.run().await;
        "the reaper of idle channels"
    });
    vital.spawn(async {
        node.snapshots.run().await;
        "the reader of snapshots"
    });
    vital
}

/// A vital task that ended, by itself or by a panic, ends the process: a gateway
/// that looks alive and delivers nothing is worse than none.
fn failure(ended: Option<Result<&'static str, JoinError>>) -> anyhow::Error {
    match ended.map(|ended| ended.ok()) {
        Some(Some(name)) => anyhow!("{name} ended; the process can't go on"),
        // Not the panic's own words: they may quote what a client sent.
        Some(None) => anyhow!("a vital task panicked; the line above says where"),
        None => anyhow!("there are no vital tasks"),
    }
}

fn identity() -> Identity {
    // Unique enough to tell instances apart in logs and welcomes.
    let instance = format!("{:08x}", fastrand::u32(..));
    Identity { instance, version: VERSION, commit: COMMIT }
}
