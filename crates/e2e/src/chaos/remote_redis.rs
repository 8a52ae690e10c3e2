//! A redis-server inside of a network namespace. Gateways reach it over the link, which
//! can be cut; the producer and the judge over a socket in the file system, which can't.

use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Child;
use tokio::time::sleep;

use crate::namespace::Namespace;

const PORT: u16 = 6379;

/// A running redis-server; it is stopped by pid when dropped.
pub(super) struct RemoteRedis {
    address: std::net::Ipv4Addr,
    dir: TempDir,
    _child: Child,
}

impl RemoteRedis {
    /// Starts it with more command-line options, and waits until it answers.
    pub(super) async fn start(namespace: &Namespace, extra: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let address = namespace.inner_address();
        let child = namespace
            .command("redis-server")
            .args(["--port", &PORT.to_string(), "--bind", &address.to_string(), "--save", ""])
            // Nobody but its gateways can reach this address.
            .args(["--protected-mode", "no", "--unixsocket", "redis.sock"])
            .args(extra)
            .arg("--dir")
            .arg(dir.path())
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server starts");
        let redis = Self { address, dir, _child: child };
        let client = redis::Client::open(redis.socket_url()).expect("a Redis URL");
        while client.get_multiplexed_async_connection().await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        redis
    }

    /// The way over the link.
    pub(super) fn url(&self) -> String {
        format!("redis://{}:{PORT}", self.address)
    }

    /// The way past it.
    pub(super) fn socket_url(&self) -> String {
        format!("unix://{}/redis.sock", self.dir.path().display())
    }
}
