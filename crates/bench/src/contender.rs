//! Who is measured: how each contender is started and how it tells its URL.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use redcast_e2e::free_port;

use crate::collect::beacons::SITE;
use crate::dialect::Dialect;
use crate::feed::Feed;
use crate::peers::Peer;
pub use crate::setup::CHANNEL;
use crate::setup::Setup;

/// How long a server may take until it is ready, if nothing else is said.
const READY_PATIENCE: Duration = Duration::from_secs(20);

/// Views per second that the collector takes from one address: more than any visitor of
/// the benchmark sends.
const VISITOR_RATE: &str = "1000";

/// A server that can be measured.
#[derive(Debug, Clone)]
pub struct Contender {
    /// What it is called.
    pub name: String,
    /// What its runs are called in the table: its name, or what is special about them.
    pub label: String,
    /// How long it may take until it is ready.
    pub patience: Duration,
    kind: Kind,
    setup: Setup,
}

#[derive(Debug, Clone)]
enum Kind {
    /// This program's own `floor`.
    Floor,
    /// The gateway, from this binary.
    Gateway(PathBuf),
    /// The producer's `collect`, from this binary.
    Collector(PathBuf),
    /// Any other command line.
    Peer(Vec<String>),
    /// A known server, installed in this folder.
    Packaged(Peer, PathBuf),
}

/// A command that serves WebSocket clients, and how to know that it does.
#[derive(Debug)]
pub struct Launch {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables added to its environment.
    pub environment: Vec<(&'static str, String)>,
    /// Files that it finds in its working folder.
    pub files: Vec<(&'static str, String)>,
    /// When it is ready.
    pub ready: Ready,
    /// How a client says which channel it wants.
    pub joining: Joining,
    /// What it speaks with its clients.
    pub dialect: Dialect,
    /// How its events are published.
    pub feed: Feed,
}

impl Launch {
    /// A server of one channel that prints its URL, reads `redis` and sends each event
    /// as a frame.
    pub fn printing_its_url(program: PathBuf, arguments: Vec<OsString>, redis: &str) -> Self {
        Self {
            program,
            arguments,
            environment: Vec::new(),
            files: Vec::new(),
            ready: Ready::UrlPrinted,
            joining: Joining::Given,
            dialect: Dialect::Plain,
            feed: Feed::Redis { address: redis.to_owned() },
        }
    }
}

/// How a client says which of many channels it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joining {
    /// Not at all: the server has one for everybody.
    Given,
    /// By the path of its request, which is the channel's name.
    Path,
    /// By the gateway's subscribe command, after the 101.
    Command,
}

/// When a server is ready, and where.
#[derive(Debug)]
pub enum Ready {
    /// When a line of its standard output holds a `ws://` URL.
    UrlPrinted,
    /// When `GET http://ADMIN/readyz` is 200; clients connect to `url`.
    Readyz {
        /// The admin listener, `HOST:PORT`.
        admin: String,
        /// The WebSocket URL.
        url: String,
    },
    /// When all of its ports accept connections; clients connect to `url`.
    Listening {
        /// Its listeners, `HOST:PORT`.
        addresses: Vec<String>,
        /// The WebSocket URL.
        url: String,
    },
}

impl Contender {
    fn new(name: &str, kind: Kind) -> Self {
        let (name, label) = (name.to_owned(), name.to_owned());
        Self { name, label, patience: READY_PATIENCE, kind, setup: Setup::default() }
    }

    /// The floor, which everything is compared to.
    pub fn floor() -> Self {
        Self::new("floor", Kind::Floor)
    }

    /// The gateway: the binary at `path`, an error if there is none.
    pub fn gateway(path: &Path) -> Result<Self> {
        let shown = path.display();
        let Ok(program) = path.canonicalize() else {
            bail!(
                "there is no gateway at {shown}: build it (cargo build --release -p redcast), \
                 name it (--gateway PATH or $GATEWAY_BIN) or leave it out (--without-gateway)"
            );
        };
        Ok(Self::new("gateway", Kind::Gateway(program)))
    }

    /// The collector of page views: the producer's binary at `path`, an error if there is
    /// none.
    pub fn collector(path: &Path) -> Result<Self> {
        let shown = path.display();
        let Ok(program) = path.canonicalize() else {
            bail!(
                "there is no producer at {shown}: build it (cargo build --release -p \
                 redcast-producer) or name it (--producer PATH or $PRODUCER_BIN)"
            );
        };
        Ok(Self::new("collector", Kind::Collector(program)))
    }

    /// A peer from `NAME=COMMAND`. `{redis}` in the command stands for Redis's
    /// `HOST:PORT`, `{channel}` for [`CHANNEL`]; the server must print its URL.
    pub fn peer(text: &str) -> Result<Self> {
        let (name, command) = text.split_once('=').context("a peer is written NAME=COMMAND")?;
        let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let program = words.first_mut().context("a peer's command can't be empty")?;
        if program.contains('/') {
            let path = Path::new(program.as_str()).canonicalize();
            let path = path.with_context(|| format!("the peer {name:?} has no {program}"))?;
            *program = path.to_string_lossy().into_owned();
        }
        let taken = Peer::ALL.iter().any(|peer| peer.name() == name);
        ensure!(
            !taken && !matches!(name, "" | "floor" | "gateway"),
            "a peer needs a name of its own"
        );
        Ok(Self::new(name, Kind::Peer(words)))
    }

    /// The same server, its runs under another name.
    pub fn labelled(&self, label: &str) -> Self {
        Self { label: label.to_owned(), ..self.clone() }
    }

    /// The same server, set up otherwise.
    pub fn set_up(&self, setup: Setup) -> Self {
        Self { setup, ..self.clone() }
    }

    /// The same server under another name.
    pub fn named(&self, name: String) -> Self {
        Self { name, ..self.clone() }
    }

    /// What its runs ask for.
    pub fn setup(&self) -> Setup {
        self.setup
    }

    /// Whether it is the gateway, which alone is compared with itself and tells how
    /// many connections it has.
    pub fn is_gateway(&self) -> bool {
        matches!(self.kind, Kind::Gateway(_))
    }

    /// Whether it is somebody else's server.
    pub fn is_peer(&self) -> bool {
        matches!(self.kind, Kind::Peer(_) | Kind::Packaged(..))
    }

    /// Whether it can serve what `setup` asks for: a peer has one channel.
    pub fn can_serve(&self, setup: Setup) -> bool {
        match self.kind {
            Kind::Floor => !setup.deflate,
            Kind::Gateway(_) => true,
            Kind::Collector(_) => false,
            Kind::Peer(_) | Kind::Packaged(..) => setup.channels == 1 && !setup.deflate,
        }
    }

    /// A server that was installed in `folder`.
    pub fn packaged(peer: Peer, folder: &Path) -> Self {
        Self::new(peer.name(), Kind::Packaged(peer, folder.to_owned()))
    }

    /// Whether a run goes on without it when it can't take part.
    pub fn is_optional(&self) -> bool {
        matches!(self.kind, Kind::Packaged(..))
    }

    /// The command, on ports that are free now.
    pub fn launch(&self, redis: &str) -> Result<Launch> {
        match &self.kind {
            Kind::Floor => floor(redis, self.setup),
            Kind::Gateway(program) => Ok(gateway(program, redis, self.setup)),
            Kind::Collector(program) => Ok(collector(program, redis)),
            Kind::Peer(words) => peer(words, redis),
            Kind::Packaged(peer, folder) => peer.launch(folder, redis),
        }
    }
}

fn floor(redis: &str, setup: Setup) -> Result<Launch> {
    let program = std::env::current_exe().context("can't find this program's own file")?;
    let (joining, channel) = match setup.channels {
        1 => (Joining::Given, CHANNEL),
        _ => (Joining::Path, ""),
    };
    let arguments = ["floor", "--redis", redis, "--channel", channel].map(OsString::from).to_vec();
    Ok(Launch { joining, ..Launch::printing_its_url(program, arguments, redis) })
}

fn gateway(program: &Path, redis: &str, setup: Setup) -> Launch {
    let (public, admin) = (loopback(free_port()), loopback(free_port()));
    let url = format!("ws://{public}/ws/{CHANNEL}");
    // It looks for redcast.toml in the folder it runs in.
    let config = setup.gateway_config();
    Launch {
        environment: vec![
            ("REDCAST_HTTP__LISTEN", public),
            ("REDCAST_ADMIN__LISTEN", admin.clone()),
            ("REDCAST_REDIS__URL", format!("redis://{redis}")),
        ],
        files: config.map(|text| ("redcast.toml", text)).into_iter().collect(),
        ready: Ready::Readyz { admin, url },
        joining: if setup.channels > 1 { Joining::Command } else { Joining::Given },
        ..Launch::printing_its_url(program.to_owned(), vec!["serve".into()], redis)
    }
}

/// Its clients are no WebSocket clients: of the URL only the address matters.
fn collector(program: &Path, redis: &str) -> Launch {
    let listen = loopback(free_port());
    let redis_url = format!("redis://{redis}");
    let arguments = ["collect", "--listen", &listen, "--redis-url", &redis_url, "--site", SITE];
    let more = ["--rate", VISITOR_RATE, "--admin-listen", "off"];
    let arguments = arguments.into_iter().chain(more);
    let arguments = arguments.map(OsString::from).collect();
    let url = format!("ws://{listen}/collect");
    Launch {
        ready: Ready::Listening { addresses: vec![listen], url },
        ..Launch::printing_its_url(program.to_owned(), arguments, redis)
    }
}

fn peer(words: &[String], redis: &str) -> Result<Launch> {
    let mut words = words
        .iter()
        .map(|word| OsString::from(word.replace("{redis}", redis).replace("{channel}", CHANNEL)));
    let program = words.next().context("a peer's command can't be empty")?.into();
    Ok(Launch::printing_its_url(program, words.collect(), redis))
}

/// A port of this machine, as `HOST:PORT`.
pub(crate) fn loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}
