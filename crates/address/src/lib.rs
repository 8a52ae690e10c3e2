//! Whose connection it is: the socket's own address or, behind proxies that are
//! trusted, the one they report.
//!
//! The gateway and the collector of page views must not differ in whom they believe, so
//! the rule stands here once. It is pure: no I/O, no clock.

#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address, in its shortest form: an IPv4 address that came mapped into an
/// IPv6 one is an IPv4 address.
///
/// `peer` is the other end of the socket. Each proxy appends whom it heard from to
/// X-Forwarded-For, so the list is read from its right end: what stands left of the first
/// address that is not in `trusted`, anybody could have written.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut nearest = peer.to_canonical();
    let values = headers.get_all(X_FORWARDED_FOR).into_iter().rev();
    let values = values.map(|value| value.to_str().unwrap_or_default());
    for text in values.flat_map(|value| value.rsplit(',')) {
        if !is_trusted(nearest) {
            break;
        }
        // What is no address ends the trail: who wrote it is not known to be right.
        let Some(address) = parse(text.trim()) else { break };
        nearest = address;
    }
    nearest
}

/// An address, alone or with a port as some proxies write it.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let alone = bare.parse::<IpAddr>();
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    alone.or_else(|_| with_port()).ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(peer: &str, forwarded: &[&str], expected: &str) {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let values = forwarded.iter().map(|value| value.parse().unwrap());
        let name = http::HeaderName::from_static(X_FORWARDED_FOR);
        let headers = values.map(|value| (name.clone(), value)).collect();
        let address = client_address(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(address.to_string(), expected, "{peer} {forwarded:?}");
    }

    #[test]
    fn a_stranger_is_what_its_socket_says() {
        check("192.0.2.1", &["198.51.100.7"], "192.0.2.1");
        check("192.0.2.1", &[], "192.0.2.1");
        check("::ffff:192.0.2.1", &["198.51.100.7"], "192.0.2.1");
    }

    #[test]
    fn behind_trusted_proxies_the_right_most_stranger_counts() {
        check("10.0.0.1", &["198.51.100.7"], "198.51.100.7");
        check("10.0.0.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7");
        check("10.0.0.1", &["203.0.113.9, 198.51.100.7, 10.9.9.9"], "198.51.100.7");
        check("fd00::1", &["203.0.113.9", "198.51.100.7,fd00::2"], "198.51.100.7");
        check("::ffff:10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7");
        check("10.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1");
        check("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1");
    }

    #[test]
    fn what_nobody_vouches_for_ends_the_trail() {
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["10.0.0.2"], "10.0.0.2");
        check("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.7, "], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.7, 10.0.0.2, nonsense, 10.0.0.3"], "10.0.0.3");
    }
}
