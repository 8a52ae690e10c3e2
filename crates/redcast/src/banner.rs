//! Where everything is, for somebody who has just started a gateway at a terminal.

use std::io::{IsTerminal, stdout};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use redcast_edge::Edge;

use crate::terminal::print;
use crate::version::VERSION;

/// An event to paste.
const EVENT: &str = r#"{"type":"page_view","data":{"path":"/hello"}}"#;

/// What may be shown of the broker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Memory,
    /// With the words that a channel and an event behind them publish; none where it
    /// takes a secret to say which Redis this is.
    Redis(Option<String>),
}

/// Prints the banner at a terminal; the demo's everywhere, because it is what the demo is
/// for. Otherwise standard output stays clean.
pub(crate) fn announce(
    edge: &Edge,
    (public, admin): (SocketAddr, SocketAddr),
    broker: &Shown,
    demo: bool,
) {
    if !demo && !stdout().is_terminal() {
        return;
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
    let channel = edge.first_channel().unwrap_or_else(|| "CHANNEL".to_owned());
    if let Some(command) = how_to_publish(&channel, public, broker, demo) {
        line("publish", &command);
    }
    line("stop", "Ctrl-C");
    // Nobody may be looking, and the gateway runs as well without: a full disk under
    // standard output is no reason to end.
    let _ = print(text);
}

/// A command that works as it stands; none where it would need a secret, or quotes that
/// every shell reads alike.
fn how_to_publish(channel: &str, public: SocketAddr, broker: &Shown, demo: bool) -> Option<String> {
    if !is_plain(channel) {
        return None;
    }
    match broker {
        // Only then the API is open to everybody.
        Shown::Memory if demo => {
            Some(format!("curl -d '{EVENT}' http://{public}/api/publish/{channel}"))
        }
        Shown::Memory => None,
        Shown::Redis(publish) => {
            publish.as_ref().map(|publish| format!("{publish} {channel} '{EVENT}'"))
        }
    }
}

/// Whether a shell takes these characters for themselves.
pub(crate) fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-._:/".contains(c))
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
    fn a_command_to_paste_works_as_it_stands() {
        let public = "127.0.0.1:1".parse().unwrap();
        let redis = |publish: &str| Shown::Redis(Some(publish.to_owned()));
        for (channel, broker, demo, command) in [
            ("a", Shown::Memory, true, Some("curl -d 'EVENT' http://127.0.0.1:1/api/publish/a")),
            ("a", Shown::Memory, false, None),
            ("a", redis("redis-cli PUBLISH"), false, Some("redis-cli PUBLISH a 'EVENT'")),
            ("a:b", redis("redcast publish"), true, Some("redcast publish a:b 'EVENT'")),
            ("$(a)", redis("redis-cli PUBLISH"), false, None),
            ("$(a)", Shown::Memory, true, None),
            ("a", Shown::Redis(None), false, None),
        ] {
            let command = command.map(|command| command.replace("EVENT", EVENT));
            assert_eq!(how_to_publish(channel, public, &broker, demo), command, "{broker:?}");
        }
    }

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
