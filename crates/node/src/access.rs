//! Which channels a connection may be in.

use redcast_protocol::{Channel, Pattern};

/// What an endpoint permits its connections.
#[derive(Clone, Debug, Default)]
pub struct ChannelAccess {
    /// Channels joined on connect.
    pub join: Vec<Channel>,
    /// What a client may join itself; empty means nothing.
    pub subscribe: Vec<Pattern>,
}

impl ChannelAccess {
    /// Whether a client may ask for this channel. What it is given on connect it
    /// may also leave and join again.
    pub fn permits(&self, channel: &Channel) -> bool {
        self.join.contains(channel)
            || self.subscribe.iter().any(|pattern| pattern.matches(channel.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_what_it_gives_and_what_its_globs_match() {
        let channel = |name: &str| Channel::parse(name).unwrap();
        let access = ChannelAccess {
            join: vec![channel("analytics")],
            subscribe: vec![Pattern::parse("analytics:*").unwrap()],
        };
        assert!(access.permits(&channel("analytics")));
        assert!(access.permits(&channel("analytics:eu")));
        assert!(!access.permits(&channel("orders")));
        assert!(!ChannelAccess::default().permits(&channel("analytics")));
    }
}
