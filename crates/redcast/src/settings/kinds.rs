//! Each kind of text that a setting can be.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use redcast_edge::{Collector, ForwardAuthConfig, ForwardAuthConfigError};
use redcast_node::{ItemPointer, MergePointer, SnapshotName};
use redcast_protocol::{Channel, Pattern};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::parsed::Written;

/// Longer than anything here should last, and short enough that no clock overflows.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A page's origin, or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(String);

/// Where the dashboard's own visits are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CollectorUrl(pub(super) Collector);

/// The name of an HTTP header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderName(String);

/// What is logged.
pub(crate) struct LogFilter(String);

impl Origin {
    pub(super) fn any() -> Self {
        Self("*".to_owned())
    }

    pub(super) fn is_any(&self) -> bool {
        self.0 == "*"
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl HeaderName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Written for SocketAddr {
    const NAME: &'static str = "address";
    const EXPECTED: &'static str =
        "an IP address with a port, such as \"0.0.0.0:8080\" or \"[::1]:8080\"";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| match text.rsplit_once(':') {
            None if text.parse::<u16>().is_ok() => format!("write \"0.0.0.0:{text}\""),
            None if text.parse::<IpAddr>().is_ok() => "the port is missing".to_owned(),
            Some((host, port)) if port.parse::<u16>().is_err() && !host.is_empty() => {
                format!("{port:?} is no port")
            }
            Some(("", port)) => format!("write \"0.0.0.0:{port}\""),
            Some((host, _)) if host.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                "names are not looked up".to_owned()
            }
            _ => String::new(),
        })
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Written for Duration {
    const NAME: &'static str = "duration";
    const EXPECTED: &'static str = "a duration such as \"30s\" or \"500ms\"";

    fn read(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
            return Err(format!("the unit is missing: write \"{text}s\" or \"{text}ms\""));
        }
        let duration = humantime::parse_duration(text).map_err(|_| String::new())?;
        if duration > LONGEST { Err("more than a year".to_owned()) } else { Ok(duration) }
    }

    fn write(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl Written for ByteSize {
    const NAME: &'static str = "size";
    const EXPECTED: &'static str = "a size such as \"64KiB\" or \"1MiB\"";

    fn read(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
            return Err(format!("the unit is missing: write \"{text}B\" or \"{text}KiB\""));
        }
        text.parse().map_err(|_| String::new())
    }

    fn write(&self) -> String {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let whole =
            |(bits, _): &&(u32, _)| self.as_u64() > 0 && self.as_u64().is_multiple_of(1 << bits);
        let (bits, unit) = units.iter().find(whole).copied().unwrap_or((0, "B"));
        format!("{}{unit}", self.as_u64() >> bits)
    }
}

impl Written for IpNet {
    const NAME: &'static str = "network";
    const EXPECTED: &'static str = "an address or a network such as \"10.0.0.0/8\"";

    fn read(text: &str) -> Result<Self, String> {
        // A single address is a network of one.
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(Self::from));
        network.map_err(|_| String::new())
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Written for Channel {
    const NAME: &'static str = "channel";
    const EXPECTED: &'static str = "a channel name such as \"orders\" or \"orders:1\"";

    fn read(text: &str) -> Result<Self, String> {
        match Self::parse(text) {
            Ok(channel) if channel.is_reserved() => {
                Err("names that begin with redcast: are Redcast's own".to_owned())
            }
            read => read.map_err(|error| error.to_string()),
        }
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Written for Pattern {
    const NAME: &'static str = "pattern";
    const EXPECTED: &'static str = "a pattern of channel names such as \"orders:*\"";

    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Written for ItemPointer {
    const NAME: &'static str = "JSON pointer";
    const EXPECTED: &'static str = "a JSON pointer such as \"/data/id\"";

    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }

    fn write(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Written for MergePointer {
    const NAME: &'static str = "frame pointer";
    const EXPECTED: &'static str = "a JSON pointer into the frame such as \"/data/connections\"";

    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }

    fn write(&self) -> String {
        self.as_str().to_owned()
    }
}

impl Written for SnapshotName {
    const NAME: &'static str = "snapshot name";
    const EXPECTED: &'static str = "the name of a snapshot such as \"analytics\"";

    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }

    fn write(&self) -> String {
        self.to_string()
    }
}

impl Written for HeaderName {
    const NAME: &'static str = "header name";
    const EXPECTED: &'static str = "the name of a header to pass on, such as \"authorization\"";

    fn read(text: &str) -> Result<Self, String> {
        if text.contains(':') {
            return Err("leave out the colon and the value".to_owned());
        }
        // The door knows which headers it passes on; the URL is none that is asked.
        let name = [text.to_owned()];
        match ForwardAuthConfig::new("http://127.0.0.1/", Duration::from_secs(1), &name) {
            Err(ForwardAuthConfigError::NotForwarded(_)) => Err("this one can't be passed on: it \
                 is the connection's own, or set by Redcast"
                .to_owned()),
            Err(_) => Err(String::new()),
            Ok(_) => Ok(Self(text.to_owned())),
        }
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Written for LogFilter {
    const NAME: &'static str = "log filter";
    const EXPECTED: &'static str = "one of off, error, warn, info, debug, trace, \
         and not a filter such as \"info,redcast_edge=debug\"";

    fn read(text: &str) -> Result<Self, String> {
        // The library would take a misspelt level for a module's name, and log nothing.
        let levels = text.split(',').filter_map(|part| part.rsplit('=').next()).map(str::trim);
        for level in levels {
            if level.is_empty() || level.parse::<LevelFilter>().is_err() {
                return Err(String::new());
            }
        }
        let filter = EnvFilter::try_new(text);
        filter.map(|_| Self(text.to_owned())).map_err(|_| String::new())
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Written for Origin {
    const NAME: &'static str = "origin";
    const EXPECTED: &'static str = "an origin such as \"https://example.com\", nor \"*\"";

    fn read(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::any());
        }
        if text == "null" {
            return Err("pages without an origin of their own can't be told apart".to_owned());
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(match text.contains('*') {
                true => "list each origin, or \"*\" alone for all pages".to_owned(),
                false => format!("the scheme is missing: write \"https://{text}\""),
            });
        };
        let in_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(in_scheme)
        {
            return Err(format!("{scheme:?} is no scheme: write \"https://\" in front"));
        }
        for (socket, page) in [("ws", "http"), ("wss", "https")] {
            if scheme.eq_ignore_ascii_case(socket) {
                return Err(format!("a page has its own scheme: write \"{page}://{rest}\""));
            }
        }
        authority(scheme, rest)?;
        Ok(Self(text.to_owned()))
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

impl Written for CollectorUrl {
    const NAME: &'static str = "collector";
    const EXPECTED: &'static str =
        "\"/\" (the gateway's own address) or an origin such as \"https://collect.example\"";

    fn read(text: &str) -> Result<Self, String> {
        if text == "/" {
            return Ok(Self(Collector::Here));
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("http" | "https") => {}
            Some(other) => return Err(format!("{other:?} is neither http nor https")),
            None => return Err(format!("the scheme is missing: write \"https://{text}\"")),
        }
        if text.contains('*') {
            return Err("it is one address, without a wildcard".to_owned());
        }
        let origin = Origin::read(text)?;
        Ok(Self(Collector::Elsewhere(origin.0.to_ascii_lowercase())))
    }

    fn write(&self) -> String {
        match &self.0 {
            Collector::Here => "/".to_owned(),
            Collector::Elsewhere(origin) => origin.clone(),
        }
    }
}

/// Checks what stands behind an origin's scheme: browsers send host and port alone.
fn authority(scheme: &str, rest: &str) -> Result<(), String> {
    if let Some((host, path)) = rest.split_once(['/', '?', '#']) {
        let what = if path.is_empty() { "the slash at the end" } else { "the path" };
        return Err(format!("leave out {what}: write \"{scheme}://{host}\""));
    }
    if rest.contains('*') {
        return Err("a wildcard can't be part of it: list each origin, or \"*\" alone".to_owned());
    }
    if rest.contains('@') {
        return Err("an origin has no user".to_owned());
    }
    // The colons of an IPv6 address are inside its brackets.
    let port_at = rest.rfind(':').filter(|at| !rest[*at..].contains(']'));
    let (host, port) = port_at.map_or((rest, None), |at| (&rest[..at], Some(&rest[at + 1..])));
    if let Some(port) = port {
        let usual = [("http", "80"), ("https", "443")];
        if usual.contains(&(scheme.to_ascii_lowercase().as_str(), port)) {
            let known = "browsers leave out the usual port";
            return Err(format!("{known}: write \"{scheme}://{host}\""));
        }
        if port.parse::<u16>().is_err() || port.starts_with(['0', '+']) {
            return Err(format!("{port:?} is no port"));
        }
    }
    host_name(host)
}

/// An address as browsers serialize it (WHATWG URL, 3.5): in hexadecimal to its end.
fn in_origins(address: Ipv6Addr) -> String {
    match address.to_ipv4_mapped() {
        Some(_) => {
            let [.., high, low] = address.segments();
            format!("::ffff:{high:x}:{low:x}")
        }
        None => address.to_string(),
    }
}

fn host_name(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let parsed = address.parse::<Ipv6Addr>();
        let parsed = parsed.map_err(|_| format!("{address:?} is no IPv6 address"))?;
        // Origins are compared as text, and browsers have one way to write an address.
        return match in_origins(parsed) {
            usual if usual.eq_ignore_ascii_case(address) => Ok(()),
            usual => Err(format!("browsers write this address \"[{usual}]\"")),
        };
    }
    match host.chars().find(|c| !c.is_ascii_alphanumeric() && !"-._".contains(*c)) {
        Some(bad) if !bad.is_ascii() => {
            Err("browsers send such a host in its ASCII form (xn--…)".to_owned())
        }
        Some(bad) => Err(format!("no host has {bad:?} in its name")),
        None => Ok(()),
    }
}
