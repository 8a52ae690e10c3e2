//! Where everything is, for somebody who has just started a gateway at a terminal.

use std::io::{IsTerminal, stdout};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;
use redcast_edge::Edge;

use crate::demo::Shown;
use crate::terminal::print;
use crate::version::VERSION;

/// An event to paste.
const EVENT: &str = r#"{"type":"page_view","data":{"path":"/hello"}}"#;

/// Prints the banner at a terminal; the demo's everywhere, because it is what the demo is
/// for. Otherwise standard output stays clean.
pub(crate) fn announce(
    edge: &Edge,
    (public, admin): (SocketAddr, SocketAddr),
    broker: &Shown,
    demo: bool,
) -> Result<()> {
    if !demo && !stdout().is_terminal() {
        return Ok(());
    }
    let (public, admin) = (reachable(public), reachable(admin));
    let path = edge.endpoint_paths().next().unwrap_or("/");
    let traffic = if demo { ", with demo traffic" } else { "" };
    let mut text = format!("Redcast {VERSION} is running{traffic}\n");
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<10} {value}\n"));
    line("page", &format!("http://{public}/"));
    line("websocket", &format!("ws://{public}{path}"));
    line("metrics", &format!("http://{admin}/metrics"));
    line(
        "broker",
        match broker {
            Shown::Memory => {
                "memory: this process alone, all gone at its end (set REDCAST_REDIS__URL for Redis)"
            }
            Shown::Redis(_) => "redis",
        },
    );
    if let Some(command) = how_to_publish(edge, public, broker, demo) {
        line("publish", &command);
    }
    line("stop", "Ctrl-C");
    Ok(print(text)?)
}

/// A command that works as it stands; none where it would need a key.
fn how_to_publish(edge: &Edge, public: SocketAddr, broker: &Shown, demo: bool) -> Option<String> {
    let channel = edge.first_channel().unwrap_or_else(|| "CHANNEL".to_owned());
    match broker {
        // Only then the API is open to everybody.
        Shown::Memory if demo => {
            Some(format!("curl -d '{EVENT}' http://{public}/api/publish/{channel}"))
        }
        Shown::Memory => None,
        Shown::Redis(url) => {
            let server = url.as_ref().map(|url| format!(" -u {url}")).unwrap_or_default();
            Some(format!("redis-cli{server} PUBLISH {channel} '{EVENT}'"))
        }
    }
}

/// An address that can be pasted: nobody can open 0.0.0.0 everywhere.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_means_everywhere_is_reached_on_the_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("[fe80::1]:1", "[fe80::1]:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), reached);
        }
    }
}
