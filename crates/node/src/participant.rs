//! One connection as the node sees it: its seat in the hub and the channels it is in.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::future::try_join_all;
use redcast_broker::SubscribeError;
use redcast_hub::{ChannelKey, Connection, Form, HubClosed, Seat, Socket};
use redcast_protocol::{Channel, Cursor, Reply, ResetReason, Start, Subscription};
use redcast_wire::text_frame;

use crate::interest::{Interest, Membership};
use crate::snapshot::{Snapshot, Watching};
use crate::stream::{Joining, Plan, Way};

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
    /// It wants events of the past of a channel that keeps none.
    #[error("the channel {0} keeps no events, so `recent` finds none; leave it out")]
    NoHistory(Channel),
    /// Events of the past can't be had while the broker is away.
    #[error("{0} can't be gone on from its place at the moment; try again")]
    Unavailable(Channel),
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

    /// Joins all of `channels` with their next events or, if one is refused, none. `then`
    /// is sent to the client when the last join is applied, before any event that follows.
    pub async fn join(
        &mut self,
        channels: &[Channel],
        then: Option<Bytes>,
    ) -> Result<(), JoinError> {
        let now = |channel: &Channel| Subscription { channel: channel.clone(), start: Start::Now };
        let wanted: Vec<Subscription> = channels.iter().map(now).collect();
        self.subscribe(&wanted, |_| then).await
    }

    /// Joins all that is wanted or, if one channel is refused, none. Who begins at an
    /// earlier place in a stream channel is first sent what follows it, as fast as it reads;
    /// and a reset where that can't be all.
    ///
    /// `ack` gets the places in stream channels from which events follow. What it makes of
    /// them is sent when all is joined, after those events and before the live ones. A
    /// channel that the connection is in already goes on as it is.
    ///
    /// Whoever polls this must also flush the connection.
    pub async fn subscribe<A>(&mut self, wanted: &[Subscription], ack: A) -> Result<(), JoinError>
    where
        A: FnOnce(&[(Channel, Cursor)]) -> Option<Bytes>,
    {
        let mut fresh: Vec<&Subscription> = Vec::with_capacity(wanted.len());
        for wish in wanted {
            let known = |other: &&Subscription| other.channel == wish.channel;
            if self.position(&wish.channel).is_none() && !fresh.iter().any(known) {
                fresh.push(wish);
            }
        }
        let most = self.interest.max_subscriptions();
        if self.memberships.len() + fresh.len() > most {
            return Err(JoinError::TooMany(most));
        }
        let (notices, lost) = self.without_history(&fresh)?;
        let (shard, encoding) = (self.connection().shard(), self.connection().encoding());
        let channels = fresh.iter().map(|wish| &wish.channel);
        let subscribe = |channel| self.interest.subscribe(channel, shard, encoding);
        let joined = try_join_all(channels.map(subscribe)).await?;
        let plans = self.plans(wanted, &fresh, &joined);
        let mut keys: Vec<ChannelKey> = joined.iter().map(Membership::key).collect();
        // Those too that it is in already: what is held of them for `flush_every` comes
        // before the places that the acknowledgement tells.
        let known = plans.iter().map(|plan| plan.entry.key).filter(|key| !keys.contains(key));
        keys.extend(known.collect::<Vec<_>>());
        if keys.is_empty() && plans.is_empty() {
            // Nothing is new, so there is nothing else to say.
            ack(&[]).inspect(|frame| self.connection().send(frame));
            return Ok(());
        }
        let (reader, metrics) = (&self.interest.reader, self.interest.stream_metrics());
        let joining = Joining { seat: &self.seat, reader, metrics, keys, notices };
        let applied = joining.run(plans, ack).await?;
        // Exactly: most connections are in one channel, and there are many of them.
        self.memberships.reserve_exact(joined.len());
        self.memberships.extend(joined);
        (0..lost).for_each(|_| metrics.count_resume(Some(ResetReason::Unknown)));
        Ok(applied.done().await?)
    }

    /// What is to be said to one who wants history of channels that have none, and of how
    /// many of them.
    fn without_history(&self, fresh: &[&Subscription]) -> Result<(BytesMut, usize), JoinError> {
        let (mut notices, mut lost) = (BytesMut::new(), 0);
        for wish in fresh.iter().filter(|wish| wish.start != Start::Now) {
            if self.interest.is_stream(&wish.channel) {
                continue;
            }
            if let Start::Recent(_) = wish.start {
                return Err(JoinError::NoHistory(wish.channel.clone()));
            }
            lost += 1;
            if self.connection().encoding().form != Form::Quiet {
                let (channel, reason) = (wish.channel.as_str(), ResetReason::Unknown);
                let reset = Reply::Reset { channel, reason, id: None };
                notices.extend_from_slice(&text_frame(&reset.encode()));
            }
        }
        Ok((notices, lost))
    }

    /// The ways into the stream channels among those that are wanted. Who is in one already
    /// learns where it is, and nothing else.
    fn plans(
        &self,
        wanted: &[Subscription],
        fresh: &[&Subscription],
        joined: &[Membership],
    ) -> Vec<Plan> {
        let rules = self.interest.replay_rules(fresh.len());
        let is_wanted = |membership: &&Membership| {
            wanted.iter().any(|wish| wish.channel == *membership.channel())
        };
        let before = self.memberships.iter().filter(is_wanted);
        let before = before.map(|membership| (membership.entry(), Start::Now, false));
        let now = fresh.iter().zip(joined).map(|(wish, membership)| {
            let is_live = self.interest.reader.is_live(&wish.channel);
            (membership.entry(), wish.start, is_live)
        });
        let streams = before.chain(now).filter(|(entry, ..)| entry.is_stream);
        let plan = |(entry, start, is_live)| Plan {
            entry: Arc::clone(entry),
            way: Way::new(start, is_live, rules),
        };
        streams.map(plan).collect()
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
