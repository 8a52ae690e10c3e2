//! Which channels are streams.

use redcast_protocol::{Channel, Pattern};

use crate::Source;

/// The rules that say where channels' events come from; the first that matches counts.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<(Pattern, Source)>);

impl Sources {
    /// Rules in their order. A channel that none matches is [`Source::PubSub`].
    pub fn new(rules: impl IntoIterator<Item = (Pattern, Source)>) -> Self {
        Self(rules.into_iter().collect())
    }

    /// Where this channel's events come from.
    pub fn of(&self, channel: &Channel) -> Source {
        let rule = self.0.iter().find(|(pattern, _)| pattern.matches(channel.as_str()));
        rule.map_or(Source::PubSub, |(_, source)| *source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_rule_counts() {
        let rule = |glob: &str, source| (Pattern::parse(glob).unwrap(), source);
        let sources =
            Sources::new([rule("orders:test", Source::PubSub), rule("orders:*", Source::Stream)]);
        let of = |name: &str| sources.of(&Channel::parse(name).unwrap());
        assert_eq!(of("orders:1"), Source::Stream);
        assert_eq!(of("orders:test"), Source::PubSub);
        assert_eq!(of("analytics"), Source::PubSub);
    }
}
