//! One connection as the node sees it: its seat in the hub and the channels it is in.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use redcast_broker::SubscribeError;
use redcast_hub::{ChannelKey, Connection, HubClosed, Seat, Socket};
use redcast_protocol::Channel;

use crate::interest::{Interest, Membership};
use crate::snapshot::{Snapshot, Watching};

/// A connected client. Dropping it leaves every channel.
pub struct Participant<S: Socket> {
    // Before the seat: what is no longer counted gets no more events.
    memberships: Vec<Membership>,
    watching: Option<Box<Watching>>,
    seat: Seat<S>,
    interest: Arc<Interest>,
}

/// Why a connection did not get into a channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// It would be in more channels than one connection may.
    #[error("a connection can be in at most {0} channels")]
    TooMany(usize),
    /// The broker refused. Its own words are for the operator's log: they may tell how it
    /// is set up.
    #[error("the subscription to {} was refused", .0.channel)]
    Refused(#[from] SubscribeError),
    /// The process is going down.
    #[error(transparent)]
    Closed(#[from] HubClosed),
}

impl<S: Socket> Participant<S> {
    pub(crate) fn new(interest: Arc<Interest>, seat: Seat<S>) -> Self {
        Self { memberships: Vec::new(), watching: None, seat, interest }
    }

    /// The connection itself.
    pub fn connection(&self) -> &Arc<Connection<S>> {
        self.seat.connection()
    }

    /// Joins all of `channels` or, if one is refused, none. `then` is sent to the
    /// client when the last join is applied, before any event that follows it.
    pub async fn join(
        &mut self,
        channels: &[Channel],
        then: Option<Bytes>,
    ) -> Result<(), JoinError> {
        let mut wanted: Vec<&Channel> = Vec::with_capacity(channels.len());
        for channel in channels {
            if self.position(channel).is_none() && !wanted.contains(&channel) {
                wanted.push(channel);
            }
        }
        let most = self.interest.max_subscriptions();
        if self.memberships.len() + wanted.len() > most {
            return Err(JoinError::TooMany(most));
        }
        let (shard, encoding) = (self.connection().shard(), self.connection().encoding());
        let subscribe = |channel| self.interest.subscribe(channel, shard, encoding);
        let joined = try_join_all(wanted.into_iter().map(subscribe)).await?;
        self.apply(joined, then).await
    }

    async fn apply(
        &mut self,
        joined: Vec<Membership>,
        then: Option<Bytes>,
    ) -> Result<(), JoinError> {
        let Some(last) = joined.last().map(Membership::key) else {
            if let Some(frame) = then {
                self.connection().send(&frame);
            }
            return Ok(());
        };
        let mut then = then;
        // Exactly: most connections are in one channel, and there are many of them.
        self.memberships.reserve_exact(joined.len());
        for membership in joined {
            let key = membership.key();
            let after = if key == last { then.take() } else { None };
            self.seat.join(key, after).await?;
            self.memberships.push(membership);
        }
        Ok(())
    }

    /// Leaves a channel; answers whether it was in it. `then` is sent to the client
    /// after the last event of the channel.
    pub async fn leave(
        &mut self,
        channel: &Channel,
        then: Option<Bytes>,
    ) -> Result<bool, HubClosed> {
        let Some(index) = self.position(channel) else { return Ok(false) };
        let membership = self.memberships.swap_remove(index);
        self.seat.leave(membership.key(), then).await?;
        Ok(true)
    }

    /// Greets the client with a snapshot and counts it among those who watch it; every
    /// beat from then on goes to it, too. Waits for the first document, a second at most.
    pub async fn watch(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), HubClosed> {
        // First: who is greeted is counted in the greeting.
        let watching = snapshot.watch(self.connection().shard());
        let greeting = snapshot.greeting().await;
        self.seat.join(snapshot.channel(), Some(greeting)).await?;
        self.watching = Some(watching);
        Ok(())
    }

    /// The snapshot that this connection watches.
    pub fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.watching.as_ref().map(|watching| watching.snapshot())
    }

    /// The name of a channel this connection is in.
    pub fn channel(&self, key: ChannelKey) -> Option<&Channel> {
        let found = self.memberships.iter().find(|membership| membership.key() == key);
        found.map(Membership::channel)
    }

    fn position(&self, channel: &Channel) -> Option<usize> {
        self.memberships.iter().position(|membership| membership.channel() == channel)
    }
}

#[cfg(test)]
#[path = "participant_tests.rs"]
mod tests;
