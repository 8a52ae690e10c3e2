//! What is wrong although each value by itself is right: values with which nothing
//! could work, and values that don't go together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use redcast_broker::{MAX_NODES, QueueLimits};
use redcast_edge::{ConfigError, EdgeConfig};

use super::{
    EndpointSettings, Parsed, RedisUrl, Settings, SlowConsumerSetting, SourceSetting, Written,
    quoted,
};

/// What `flush_every` may be. Shorter is finer than the timers, and longer than any
/// client would call news.
const FLUSH_EVERY: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

/// One thing that is wrong. The keys are those that could mend it, each with what
/// is wrong about it; the one that an operator set last is to blame.
#[derive(Debug)]
pub(crate) struct Finding(pub(crate) Vec<(String, String)>);

impl Finding {
    pub(super) fn at(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![(key.into(), message.into())])
    }

    fn between<const N: usize>(keys: [(&str, String); N]) -> Self {
        Self(keys.map(|(key, message)| (key.to_owned(), message)).into())
    }
}

/// Whether who listens at `place` gets what is sent to `address`. The unspecified address
/// of IPv6 takes IPv4, too (ipv6(7)).
fn takes(place: IpAddr, address: IpAddr) -> bool {
    place == address || (place.is_unspecified() && (place.is_ipv6() || address.is_ipv4()))
}

/// What is wrong with a list of nodes, each of which is a URL.
pub(crate) fn wrong_nodes(nodes: &[Parsed<RedisUrl>]) -> Option<String> {
    let twice = (0..nodes.len()).find(|at| nodes[..*at].contains(&nodes[*at]));
    match (nodes.len(), twice) {
        (0, _) => Some("names no node; leave it out for the memory broker".to_owned()),
        (count, _) if count > MAX_NODES => Some(format!(
            "{count} nodes are more than {MAX_NODES}; Redis Cluster has no such limit"
        )),
        _ if nodes.iter().any(|node| node.is_cluster()) => {
            Some("one is a cluster, which goes to redis.url alone".to_owned())
        }
        (_, Some(at)) => Some(format!("node {at} (counted from 0) stands there twice")),
        (_, None) => None,
    }
}

impl Settings {
    /// Everything that is wrong. Who has no `own_endpoints` can't be told of their keys.
    pub(crate) fn check(&self, own_endpoints: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.check_values(&mut findings);
        self.check_times(&mut findings);
        self.check_addresses(&mut findings);
        self.check_forward_auth(own_endpoints, &mut findings);
        self.check_endpoints(&mut findings);
        self.check_channels(&mut findings);
        self.check_tls(&mut findings);
        self.check_nodes(&mut findings);
        self.check_snapshots(&mut findings);
        findings
    }

    /// What works, but not as it says. `descriptors` is the most this process may open.
    pub(crate) fn warnings(&self, descriptors: u64) -> Vec<Finding> {
        let (wanted, spare) =
            (self.limits.max_connections, descriptors.saturating_sub(self.reserved_descriptors()));
        let message = format!(
            "{wanted} connections need more descriptors than the {descriptors} that this process \
             may open; about {spare} will fit (raise the limit with ulimit -n)"
        );
        let too_many = u64::from(wanted) > spare;
        let too_many = too_many.then(|| Finding::at("limits.max_connections", message));
        too_many.into_iter().chain(self.unused_snapshots()).collect()
    }

    fn check_values(&self, findings: &mut Vec<Finding>) {
        let values = [
            ("http.handshake_timeout", self.http.handshake_timeout.is_zero()),
            ("http.unsent_limit", self.http.unsent_limit.as_u64() == 0),
            ("limits.max_event_size", self.limits.max_event_size.as_u64() == 0),
            ("limits.outbox", self.limits.outbox.as_u64() == 0),
            ("streams.replay_bytes", self.streams.replay_bytes.as_u64() == 0),
            ("auth.forward_timeout", self.auth.forward_timeout.is_zero()),
            ("keepalive.ping_every", self.keepalive.ping_every.is_zero()),
        ];
        for (key, _) in values.iter().filter(|(_, is_zero)| *is_zero) {
            findings.push(Finding::at(*key, "must be more than 0"));
        }
        if u32::try_from(self.http.unsent_limit.as_u64()).is_err() {
            findings.push(Finding::at("http.unsent_limit", "must be less than 4GiB"));
        }
        if self.limits.max_event_size.as_u64() > QueueLimits::default().bytes as u64 {
            let message = "at most 32MiB, which is what may wait for the fan-out";
            findings.push(Finding::at("limits.max_event_size", message));
        }
    }

    fn check_times(&self, findings: &mut Vec<Finding>) {
        let (ping, idle) = (self.keepalive.ping_every, self.keepalive.idle_timeout);
        if *idle <= *ping {
            let why = "or clients that answer every ping would be dropped";
            let (ping, idle) = (ping.write(), idle.write());
            findings.push(Finding::between([
                (
                    "keepalive.idle_timeout",
                    format!("must be longer than keepalive.ping_every ({ping}), {why}"),
                ),
                (
                    "keepalive.ping_every",
                    format!("must be shorter than keepalive.idle_timeout ({idle}), {why}"),
                ),
            ]));
        }
    }

    fn check_addresses(&self, findings: &mut Vec<Finding>) {
        let (public, admin) = (*self.http.listen, *self.admin.listen);
        let meet = takes(public.ip(), admin.ip()) || takes(admin.ip(), public.ip());
        // Port 0 is a free port, another one each time.
        if public.port() == admin.port() && public.port() != 0 && meet {
            let message = |other: &str| {
                format!("port {} is {other}'s, too; give each a port of its own", public.port())
            };
            findings.push(Finding::between([
                ("http.listen", message("admin.listen")),
                ("admin.listen", message("http.listen")),
            ]));
        }
    }

    fn asks(&self) -> bool {
        self.auth.forward_url.is_some() || self.auth.forward_url_file.is_some()
    }

    fn check_forward_auth(&self, own_endpoints: bool, findings: &mut Vec<Finding>) {
        if !self.asks() {
            return;
        }
        if let Err(error) = self.forward_auth() {
            findings.push(Finding::at("auth.forward_headers", error.to_string()));
        }
        let headers = &self.auth.forward_headers;
        if !headers.iter().any(|name| name.as_str().eq_ignore_ascii_case("cookie")) {
            return;
        }
        // Browsers send a visitor's cookie along whatever page opens the connection.
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            if endpoint.allowed_origins.iter().any(|origin| origin.is_any()) {
                let key = format!("endpoints[{index}].allowed_origins");
                let no_cookie = "or take \"cookie\" out of auth.forward_headers";
                let own = format!(
                    "\"*\" lets any page connect with its visitors' cookies, which \
                     auth.forward_headers passes on as proof; set {key} to your pages' \
                     origins, {no_cookie}"
                );
                let other = match own_endpoints {
                    true => format!(
                        "while {key} is \"*\", any page could connect with its visitors' \
                         cookies; set it to your pages' origins, {no_cookie}"
                    ),
                    false => format!(
                        "the built-in endpoint allows every origin, so that any page could \
                         connect with its visitors' cookies; write an [[endpoints]] with path, \
                         channels and allowed_origins, {no_cookie}"
                    ),
                };
                findings.push(Finding::between([
                    (&key, own),
                    ("auth.forward_headers", other.clone()),
                    ("auth.forward_url", other.clone()),
                    ("auth.forward_url_file", other),
                ]));
            }
        }
    }

    fn check_endpoints(&self, findings: &mut Vec<Finding>) {
        if self.endpoints.is_empty() {
            let message = "at least one endpoint is needed, or nobody could connect";
            findings.push(Finding::at("endpoints", message));
        }
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let at = |key: &str| format!("endpoints[{index}].{key}");
            if let Some(first) = seen.insert(&endpoint.path, index) {
                let message = format!(
                    "{} is the path of endpoints[{first}] already; each endpoint needs its own",
                    quoted(&endpoint.path)
                );
                findings.push(Finding::at(at("path"), message));
            } else if let Some(message) = self.wrong_path(endpoint) {
                findings.push(Finding::at(at("path"), message));
            }
            let origins = &endpoint.allowed_origins;
            if origins.len() > 1 && origins.iter().any(|origin| origin.is_any()) {
                let message = "\"*\" allows all pages, so nothing may stand beside it";
                findings.push(Finding::at(at("allowed_origins"), message));
            }
            if endpoint.max_message_size.as_u64() == 0 {
                findings.push(Finding::at(at("max_message_size"), "must be more than 0"));
            }
            let (joined, most) = (endpoint.channels.len(), self.limits.max_subscriptions);
            if u32::try_from(joined).is_ok_and(|joined| joined > most) {
                let message =
                    format!("{joined} channels are more than limits.max_subscriptions ({most})");
                let channels = at("channels");
                let limit = format!("must be at least {joined}, as {channels} has so many");
                let keys = [(channels.as_str(), message), ("limits.max_subscriptions", limit)];
                findings.push(Finding::between(keys));
            }
        }
    }

    fn check_tls(&self, findings: &mut Vec<Finding>) {
        let (cert, key) = ("redis.tls.cert_file", "redis.tls.key_file");
        let alone = match (&self.redis.tls.cert_file, &self.redis.tls.key_file) {
            (Some(_), None) => (cert, key),
            (None, Some(_)) => (key, cert),
            (Some(_), Some(_)) | (None, None) => return,
        };
        let message = format!("{} is missing: a certificate goes with its key", alone.1);
        findings.push(Finding::at(alone.0, message));
    }

    /// TLS that is configured and would not be used. The URL may have come from a file.
    pub(crate) fn check_use_of_tls(&self) -> Option<Finding> {
        let tls = &self.redis.tls;
        let files = [
            ("redis.tls.ca_file", &tls.ca_file),
            ("redis.tls.cert_file", &tls.cert_file),
            ("redis.tls.key_file", &tls.key_file),
        ];
        let (key, _) = files.into_iter().find(|(_, file)| file.is_some())?;
        let mut urls = self.redis.nodes.iter().flatten().chain(&self.redis.url).peekable();
        let is_plain = urls.peek().is_some() && urls.all(|url| !url.is_tls());
        let message = "no URL of Redis asks for TLS: write rediss:// in one, or leave this out";
        is_plain.then(|| Finding::at(key, message))
    }

    fn check_nodes(&self, findings: &mut Vec<Finding>) {
        let nodes = self.redis.nodes.iter();
        findings.extend(nodes.filter_map(|nodes| {
            wrong_nodes(nodes).map(|message| Finding::at("redis.nodes", message))
        }));
    }

    /// What goes with a cluster alone, and what does not go with one. The URL may have come
    /// from a file.
    pub(crate) fn check_cluster(&self) -> Vec<Finding> {
        let is_cluster = self.redis.url.as_ref().is_some_and(|url| url.is_cluster());
        let has_brace = self.redis.prefix.contains(['{', '}']);
        let wrong = [
            (
                self.redis.sharded && !is_cluster,
                "redis.sharded",
                "needs a redis.url that begins with redis+cluster:// or rediss+cluster://",
            ),
            (
                is_cluster && has_brace,
                "redis.prefix",
                "has a brace; in a cluster that would choose the slot of everything",
            ),
        ];
        let wrong = wrong.into_iter().filter(|(is_wrong, ..)| *is_wrong);
        wrong.map(|(_, key, message)| Finding::at(key, message)).collect()
    }

    fn check_channels(&self, findings: &mut Vec<Finding>) {
        for (index, rule) in self.channels.iter().enumerate() {
            if rule.flush_every.is_some_and(|every| !FLUSH_EVERY.contains(&*every)) {
                let key = format!("channels[{index}].flush_every");
                findings.push(Finding::at(key, "must be from 1ms to 60s"));
            }
            if rule.source == SourceSetting::Stream
                && rule.slow_consumer != SlowConsumerSetting::Disconnect
            {
                let key = format!("channels[{index}].slow_consumer");
                let message = "a stream channel loses nothing; leave it out";
                findings.push(Finding::at(key, message));
            }
            if rule.latest_by.is_some() && rule.slow_consumer != SlowConsumerSetting::KeepLatest {
                let key = format!("channels[{index}].latest_by");
                let message = "needs slow_consumer = \"keep_latest\" in the same rule";
                findings.push(Finding::at(key, message));
            }
        }
    }

    /// Asks the door about one path alone, as it knows its own.
    fn wrong_path(&self, endpoint: &EndpointSettings) -> Option<String> {
        let config = EdgeConfig { endpoints: vec![endpoint.endpoint()], ..self.door() };
        let path = quoted(&endpoint.path);
        Some(match config.validate().err()? {
            ConfigError::BadPath(_) => format!(
                "{path} is not a path such as \"/ws/orders\", which begins with \"/\" and has \
                 only A-Z a-z 0-9 _ . - / ~"
            ),
            ConfigError::ReservedPath(_) => {
                format!("{path} is Redcast's own: leave out /api/ and /sse/")
            }
            ConfigError::DuplicatePath(_) => format!("{path} is Redcast's own page"),
        })
    }
}
