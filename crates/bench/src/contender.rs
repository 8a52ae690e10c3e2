//! Who is measured: how each contender is started and how it tells its URL.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use redcast_e2e::free_port;

use crate::dialect::Dialect;
use crate::feed::Feed;
use crate::peers::Peer;

/// The channel that every contender serves.
pub const CHANNEL: &str = "analytics";

/// A server that can be measured.
#[derive(Debug, Clone)]
pub struct Contender {
    /// Its name in the table.
    pub name: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// This program's own `floor`.
    Floor,
    /// The gateway, from this binary.
    Gateway(PathBuf),
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
    /// What it speaks with its clients.
    pub dialect: Dialect,
    /// How its events are published.
    pub feed: Feed,
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

impl Launch {
    /// A server that prints its URL, reads `redis` and sends each event as a frame.
    pub fn printing_its_url(program: PathBuf, arguments: Vec<OsString>, redis: &str) -> Self {
        let (address, channel) = (redis.to_owned(), CHANNEL.to_owned());
        Self {
            program,
            arguments,
            environment: Vec::new(),
            files: Vec::new(),
            ready: Ready::UrlPrinted,
            dialect: Dialect::Plain,
            feed: Feed::Redis { address, channel },
        }
    }
}

impl Contender {
    /// The floor, which everything is compared to.
    pub fn floor() -> Self {
        Self { name: "floor".to_owned(), kind: Kind::Floor }
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
        Ok(Self { name: "gateway".to_owned(), kind: Kind::Gateway(program) })
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
        Ok(Self { name: name.to_owned(), kind: Kind::Peer(words) })
    }

    /// A server that was installed in `folder`.
    pub fn packaged(peer: Peer, folder: &Path) -> Self {
        let name = peer.name().to_owned();
        Self { name, kind: Kind::Packaged(peer, folder.to_owned()) }
    }

    /// Whether a run goes on without it when it can't take part.
    pub fn is_optional(&self) -> bool {
        matches!(self.kind, Kind::Packaged(..))
    }

    /// The command, on ports that are free now.
    pub fn launch(&self, redis: &str) -> Result<Launch> {
        match &self.kind {
            Kind::Floor => floor(redis),
            Kind::Gateway(program) => Ok(gateway(program, redis)),
            Kind::Peer(words) => peer(words, redis),
            Kind::Packaged(peer, folder) => peer.launch(folder, redis),
        }
    }
}

fn floor(redis: &str) -> Result<Launch> {
    let program = std::env::current_exe().context("can't find this program's own file")?;
    let arguments = ["floor", "--redis", redis, "--channel", CHANNEL].map(OsString::from).to_vec();
    Ok(Launch::printing_its_url(program, arguments, redis))
}

fn gateway(program: &Path, redis: &str) -> Launch {
    let (public, admin) = (loopback(free_port()), loopback(free_port()));
    let url = format!("ws://{public}/ws/{CHANNEL}");
    let arguments = vec!["serve".into()];
    Launch {
        environment: vec![
            ("REDCAST_HTTP__LISTEN", public),
            ("REDCAST_ADMIN__LISTEN", admin.clone()),
            ("REDCAST_REDIS__URL", format!("redis://{redis}")),
        ],
        ready: Ready::Readyz { admin, url },
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
