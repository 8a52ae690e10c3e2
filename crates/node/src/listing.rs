//! The channels of this instance, for operators.

use redcast_hub::SlowConsumer;
use redcast_protocol::Channel;

use crate::node::Node;

/// One channel, as it is at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelStatus {
    /// Which one.
    pub channel: Channel,
    /// How many connections of this instance are in it.
    pub members: usize,
    /// How far its subscription has come.
    pub state: ChannelState,
    /// What its slow clients lose.
    pub policy: SlowConsumer,
}

/// How far a channel's subscription has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelState {
    /// The broker confirmed it: its events arrive.
    Live,
    /// The broker has not confirmed it, is away, or refuses it.
    Pending,
    /// Nobody is in it any more, and it will be unsubscribed soon.
    Lingering,
}

impl Node {
    /// Every channel of this instance, those with the most members first.
    pub fn channels(&self) -> Vec<ChannelStatus> {
        let entries = self.interest.entries().into_iter();
        let mut all: Vec<ChannelStatus> = entries
            .map(|entry| {
                let (held, members) = entry.members().count();
                let state = match held {
                    false => ChannelState::Lingering,
                    true if self.is_live(&entry.channel) => ChannelState::Live,
                    true => ChannelState::Pending,
                };
                ChannelStatus {
                    channel: entry.channel.clone(),
                    members,
                    state,
                    policy: entry.policy,
                }
            })
            .collect();
        all.sort_by(|a, b| b.members.cmp(&a.members).then_with(|| a.channel.cmp(&b.channel)));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use redcast_broker::QueueLimits;
    use redcast_hub::Form;

    use super::*;
    use crate::config::{ChannelRule, NodeConfig};
    use crate::testing::{ScriptedBroker, Sink, TestNode, channel, memory};
    use redcast_protocol::Pattern;

    fn summary(node: &TestNode) -> Vec<(String, usize, ChannelState)> {
        let all = node.node.channels().into_iter();
        all.map(|each| (each.channel.to_string(), each.members, each.state)).collect()
    }

    #[tokio::test]
    async fn the_fullest_channels_come_first_with_their_policy() {
        let rule = ChannelRule {
            pattern: Pattern::parse("b*").unwrap(),
            slow_consumer: SlowConsumer::KeepLatest,
            flush_every: None,
            latest_by: None,
        };
        let config = NodeConfig { rules: vec![rule], ..NodeConfig::default() };
        let node = TestNode::start(config);
        let mut guests = Vec::new();
        for names in [&["c", "b"][..], &["b"], &["a"]] {
            let mut guest = node.node.connect(Sink::default(), Form::Raw.into()).await.unwrap();
            for name in names {
                guest.join(&[channel(name)], None).await.unwrap();
            }
            guests.push(guest);
        }
        let live = |name: &str, members| (name.to_owned(), members, ChannelState::Live);
        assert_eq!(summary(&node), [live("b", 2), live("a", 1), live("c", 1)]);
        let policies: Vec<_> = node.node.channels().iter().map(|each| each.policy).collect();
        assert_eq!(policies[..2], [SlowConsumer::KeepLatest, SlowConsumer::Disconnect]);
        guests.truncate(1);
        let left = ("a".to_owned(), 0, ChannelState::Lingering);
        assert_eq!(summary(&node), [live("b", 1), live("c", 1), left]);
    }

    #[tokio::test]
    async fn a_channel_whose_broker_is_away_is_pending() {
        let broker = ScriptedBroker::new();
        broker.be_away(true);
        let (_, deliveries) = memory(QueueLimits::default());
        let broker: Arc<ScriptedBroker> = broker;
        let mut node = TestNode::new(NodeConfig::default(), (broker.clone(), deliveries));
        node.run_tasks();
        let mut guest = node.node.connect(Sink::default(), Form::Raw.into()).await.unwrap();
        guest.join(&[channel("a")], None).await.unwrap();
        assert_eq!(summary(&node), [("a".to_owned(), 1, ChannelState::Pending)]);
        broker.be_away(false);
        assert_eq!(summary(&node), [("a".to_owned(), 1, ChannelState::Live)]);
    }
}
