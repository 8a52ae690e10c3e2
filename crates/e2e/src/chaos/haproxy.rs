//! HAProxy before three gateways, as an operator would have it: sticky by a cookie,
//! with `/readyz` deciding who gets new clients.

use std::fmt::Write;
use std::process::Stdio;
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::config_file::config_file;
use crate::redis_server::free_port;

const HEAD: &str = "
global
    maxconn 12000
    no strict-limits
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    option http-no-delay
    retries 3
    option redispatch 1
";

/// A running HAProxy; it is stopped by pid when dropped.
pub struct HaProxy {
    port: u16,
    _child: Child,
    _config: NamedTempFile,
}

impl HaProxy {
    /// Starts it before gateways on these ports, public and admin.
    pub async fn before(gateways: &[(u16, u16)]) -> Self {
        let port = free_port();
        let (config, path) = config_file(text(port, gateways));
        let child = Command::new("haproxy")
            // Debian keeps it where a user's PATH does not look.
            .env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin")
            .args(["-db", "-f", &path])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("haproxy starts (apt-get install haproxy)");
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        Self { port, _child: child, _config: config }
    }

    /// Where clients connect.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

fn text(port: u16, gateways: &[(u16, u16)]) -> String {
    let mut text = format!(
        "{HEAD}
frontend public
    bind 127.0.0.1:{port}
    default_backend gateways
backend gateways
    balance leastconn
    cookie SERVER insert indirect nocache
    option httpchk GET /readyz
    retry-on conn-failure empty-response 503
    default-server inter 250ms fall 2 rise 1
"
    );
    for (number, (public, admin)) in gateways.iter().enumerate() {
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "    server g{number} 127.0.0.1:{public} cookie g{number} check addr 127.0.0.1 port {admin}"
        );
    }
    text
}
