//! The peers that a user can install from a package: where each is, how it is
//! configured, how it is published to. What its own documentation advises stands in
//! docs/BENCHMARKS.md.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use redcast_e2e::free_port;

use crate::contender::{CHANNEL, Launch, Ready, loopback};
use crate::dialect::Dialect;
use crate::feed::Feed;

/// A peer that `make bench-peers` installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// axum and a broadcast channel of tokio, an example of this package.
    Axum,
    /// Node with ws and ioredis.
    Ws,
    /// Socket.IO with its Redis adapter.
    SocketIo,
    /// nginx with the module nchan.
    Nchan,
    /// The NATS server.
    Nats,
}

impl Peer {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] = [Self::Axum, Self::Ws, Self::SocketIo, Self::Nchan, Self::Nats];

    /// Its name in the table and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::Ws => "ws",
            Self::SocketIo => "socket.io",
            Self::Nchan => "nchan",
            Self::Nats => "nats",
        }
    }

    /// The peers that `names` asks for; `all` asks for each.
    pub fn choose(names: &[String]) -> Result<Vec<Self>> {
        for name in names {
            if name != "all" && !Self::ALL.iter().any(|peer| peer.name() == name) {
                let known = Self::ALL.map(Self::name).join(", ");
                bail!("there is no peer {name:?}; there are all, {known}");
            }
        }
        let asked_for = |name: &str| names.iter().any(|asked| asked == "all" || asked == name);
        Ok(Self::ALL.into_iter().filter(|peer| asked_for(peer.name())).collect())
    }

    /// The command, on ports that are free now; an error if it is not in `folder`.
    pub fn launch(self, folder: &Path, redis: &str) -> Result<Launch> {
        match self {
            Self::Axum => axum(redis),
            Self::Ws => node(folder, "ws.mjs", redis),
            Self::SocketIo => Ok(Launch {
                dialect: Dialect::SocketIo,
                feed: Feed::SocketIo { address: redis.to_owned() },
                ..node(folder, "socket-io.mjs", redis)?
            }),
            Self::Nchan => nchan(folder),
            Self::Nats => nats(folder),
        }
    }
}

fn installed(path: &Path) -> Result<PathBuf> {
    let shown = path.display().to_string();
    path.canonicalize()
        .with_context(|| format!("it is not installed: {shown} is missing (make bench-peers)"))
}

fn axum(redis: &str) -> Result<Launch> {
    let program = std::env::current_exe().context("can't find this program's own file")?;
    let program = installed(&program.with_file_name("examples").join("axum-hub"))?;
    Ok(Launch::printing_its_url(program, vec![redis.into(), CHANNEL.into()], redis))
}

fn node(folder: &Path, script: &str, redis: &str) -> Result<Launch> {
    let script = installed(&folder.join("node").join(script))?;
    let port = redis.rsplit_once(':').map_or(redis, |(_, port)| port);
    let arguments: Vec<OsString> = vec![script.into(), port.into(), CHANNEL.into()];
    Ok(Launch::printing_its_url("node".into(), arguments, redis))
}

/// Messages are kept in memory, nchan's default and what one instance needs.
fn nchan(folder: &Path) -> Result<Launch> {
    let program = installed(&folder.join("nchan/usr/sbin/nginx"))?;
    let module = installed(&folder.join("nchan/usr/lib/nginx/modules/ngx_nchan_module.so"))?;
    let address = loopback(free_port());
    ensure!(!module.to_string_lossy().contains('"'), "nginx can't load from {module:?}");
    let config = include_str!("../peers/nginx.conf")
        .replace("{module}", &module.to_string_lossy())
        .replace("{address}", &address)
        .replace("{channel}", CHANNEL);
    let arguments = ["-p", ".", "-c", "nginx.conf", "-e", "stderr"].map(OsString::from).to_vec();
    Ok(Launch {
        files: vec![("nginx.conf", config)],
        // Libraries that the system lacks are unpacked beside the program.
        environment: vec![("LD_LIBRARY_PATH", libraries(&folder.join("nchan")))],
        ready: Ready::Listening {
            addresses: vec![address.clone()],
            url: format!("ws://{address}/subscribe"),
        },
        feed: Feed::Http { address, path: "/publish".to_owned() },
        ..Launch::printing_its_url(program, arguments, "")
    })
}

fn libraries(root: &Path) -> String {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let folders = ["usr/lib", "lib"].map(|lib| root.join(lib).join(&triplet));
    folders.map(|folder| folder.to_string_lossy().into_owned()).join(":")
}

fn nats(folder: &Path) -> Result<Launch> {
    let program = installed(&folder.join("nats/usr/sbin/nats-server"))?;
    let (port, websocket_port) = (free_port(), free_port());
    let (address, websocket) = (loopback(port), loopback(websocket_port));
    let config = include_str!("../peers/nats.conf")
        .replace("{port}", &port.to_string())
        .replace("{websocket_port}", &websocket_port.to_string());
    Ok(Launch {
        files: vec![("nats.conf", config)],
        dialect: Dialect::Nats,
        ready: Ready::Listening {
            addresses: vec![address.clone(), websocket.clone()],
            url: format!("ws://{websocket}/"),
        },
        feed: Feed::Nats { address },
        ..Launch::printing_its_url(program, vec!["-c".into(), "nats.conf".into()], "")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_chosen_by_name_in_the_order_of_the_table() {
        let choose =
            |names: &str| Peer::choose(&names.split(',').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(choose("all").unwrap(), Peer::ALL);
        assert_eq!(choose("nats,ws").unwrap(), [Peer::Ws, Peer::Nats]);
        let error = choose("ws,apache").unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no peer \"apache\"; there are all, axum, ws, socket.io, nchan, nats"
        );
    }

    #[test]
    fn a_peer_that_is_not_installed_says_how_to_install_it() {
        let folder = Path::new("/no/such/folder");
        for peer in Peer::ALL {
            let error = peer.launch(folder, "127.0.0.1:1").unwrap_err().to_string();
            assert!(
                error.contains("not installed") && error.contains("make bench-peers"),
                "{error}"
            );
        }
    }
}
