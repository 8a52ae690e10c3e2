//! Every Redis channel and key is spelled here and nowhere else.

use redcast_protocol::Channel;

use crate::OnceKey;

/// The names of one deployment: everything begins with its prefix.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    /// Names that begin with `prefix`, which may be empty.
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The Redis channel that carries the events of `channel`.
    pub(super) fn channel(&self, channel: &Channel) -> String {
        format!("{}{channel}", self.prefix)
    }

    /// The Redis key of a snapshot that is configured as `key`. It is the producer's, and
    /// taken as it is.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The Redis key under which instances tell each other their counts of `name`.
    pub(super) fn shares(&self, name: &str) -> String {
        format!("{}redcast:shares:{}", self.prefix, escape(name))
    }

    /// The Redis channel in which `instance` hears itself.
    pub(super) fn canary(&self, instance: &str) -> String {
        format!("{}redcast:canary:{}", self.prefix, escape(instance))
    }

    /// The key that remembers what was published under `key`.
    pub(super) fn published(&self, key: &OnceKey) -> String {
        format!("{}redcast:published:{}", self.prefix, key.as_str())
    }

    /// The same in the slot of `channel`, for where one call must reach both.
    pub(super) fn published_beside(&self, channel: &Channel, key: &OnceKey) -> String {
        let channel = self.channel(channel);
        format!("{}redcast:published:{{{channel}}}:{}", self.prefix, key.as_str())
    }

    /// The channel's name in the name of a Redis channel, not yet checked; `None`
    /// for a name outside the prefix or one that is not UTF-8.
    pub(super) fn channel_name<'a>(&self, redis_channel: &'a [u8]) -> Option<&'a str> {
        let name = redis_channel.strip_prefix(self.prefix.as_bytes())?;
        std::str::from_utf8(name).ok()
    }
}

/// `name` in the letters of channel names; each other byte is `%` and two digits. So no
/// name reads like another, and none has a brace, which would choose a cluster's slot.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.:@-".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_survives_the_way_there_and_back() {
        for prefix in ["", "live:", "prod/eu:"] {
            let names = Names::new(prefix);
            let channel = Channel::parse("orders:1").unwrap();
            let redis = names.channel(&channel);
            assert_eq!(redis, format!("{prefix}orders:1"));
            assert_eq!(names.channel_name(redis.as_bytes()), Some("orders:1"));
        }
    }

    #[test]
    fn a_figure_s_name_can_t_spell_another_s_key() {
        let names = Names::new("live:");
        assert_eq!(names.key("{analytics}:stats"), "live:{analytics}:stats");
        assert_eq!(names.shares("analytics"), "live:redcast:shares:analytics");
        assert_eq!(names.shares("{a} b\n\u{e9}"), "live:redcast:shares:%7Ba%7D%20b%0A%C3%A9");
        assert_ne!(names.shares("a%20b"), names.shares("a b"));
    }

    #[test]
    fn foreign_names_are_nobodys() {
        let names = Names::new("live:");
        assert_eq!(names.channel_name(b"test:orders"), None);
        assert_eq!(names.channel_name(b"liv"), None);
        assert_eq!(names.channel_name(b"live:\xff"), None);
    }
}
