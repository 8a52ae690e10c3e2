//! The hub's handle: seats connections, and hands messages to the shards.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use redcast_protocol::CloseCode;
use tokio::sync::mpsc::{self, Permit};
use tokio::sync::{Notify, Semaphore, SemaphorePermit, oneshot};

use crate::broadcast::{Broadcast, ChannelKey, Encoding, Form};
use crate::config::HubConfig;
use crate::connection::{Common, Connection, Member};
use crate::metrics::HubMetrics;
use crate::shard::ShardTask;
use crate::socket::Socket;

/// The shards have ended; this process is going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hub is closed")]
pub struct HubClosed;

/// What waits in a shard's queue, in one order: a join can't overtake an event.
pub(crate) enum Message {
    Broadcast {
        broadcast: Broadcast,
        reserved: usize,
    },
    Enter(Arc<Member>),
    Join {
        member: Arc<Member>,
        channel: ChannelKey,
        then: Option<Bytes>,
        applied: oneshot::Sender<()>,
    },
    JoinAll {
        member: Arc<Member>,
        channels: Vec<ChannelKey>,
        then: Option<Bytes>,
        applied: oneshot::Sender<()>,
    },
    Leave {
        member: Arc<Member>,
        channel: ChannelKey,
        then: Option<Bytes>,
        applied: oneshot::Sender<()>,
    },
    GiveBack {
        member: Arc<Member>,
        code: CloseCode,
        reason: String,
    },
    Members(oneshot::Sender<Vec<Weak<Member>>>),
    EndHolding,
}

/// The way to one shard.
pub(crate) struct Mailbox {
    messages: mpsc::Sender<Message>,
    desk: Arc<Desk>,
}

/// What a shard's task shares with those who write to it. Apart from the queue's
/// sender: a task that held one could never see the last of them go.
pub(crate) struct Desk {
    /// Free bytes of the queue.
    pub(crate) room: Semaphore,
    /// Connections whose session has ended. Bounded by the number of members.
    pub(crate) departed: Mutex<Vec<Arc<Member>>>,
    pub(crate) departure: Notify,
    /// When the shard's timer ticked last.
    pub(crate) ticked: Mutex<Instant>,
}

/// Cheap to clone; all clones are one hub.
#[derive(Clone)]
pub struct Hub {
    common: Arc<Common>,
    mailboxes: Arc<[Arc<Mailbox>]>,
    next_shard: Arc<AtomicUsize>,
}

/// A connection's place in the hub, held by its session. Dropping it takes the
/// connection out of every channel.
pub struct Seat<S: Socket> {
    connection: Arc<Connection<S>>,
    mailbox: Arc<Mailbox>,
}

impl Hub {
    /// Makes a hub and the tasks that must run for it to work.
    pub fn new(config: HubConfig, metrics: HubMetrics) -> (Self, Vec<ShardTask>) {
        let shards = config.shards.clamp(1, usize::from(u16::MAX));
        let common = Arc::new(Common { config, metrics, started: Instant::now() });
        let mut mailboxes = Vec::with_capacity(shards);
        let mut tasks = Vec::with_capacity(shards);
        for _ in 0..shards {
            let (messages, waiting) = mpsc::channel(common.config.queue_events.max(1));
            let desk = Arc::new(Desk {
                room: Semaphore::new(common.config.queue_bytes),
                departed: Mutex::default(),
                departure: Notify::new(),
                ticked: Mutex::new(Instant::now()),
            });
            tasks.push(ShardTask::new(common.clone(), desk.clone(), waiting));
            mailboxes.push(Arc::new(Mailbox { messages, desk }));
        }
        let hub = Self { common, mailboxes: mailboxes.into(), next_shard: Arc::default() };
        (hub, tasks)
    }

    /// What every connection is held by.
    pub fn config(&self) -> &HubConfig {
        &self.common.config
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.mailboxes.len()
    }

    /// Gives a socket its place. It is in no channel yet.
    pub async fn enter<S: Socket>(
        &self,
        socket: S,
        encoding: Encoding,
    ) -> Result<Seat<S>, HubClosed> {
        let shard = self.next_shard.fetch_add(1, Ordering::Relaxed) % self.mailboxes.len();
        let mailbox = self.mailboxes[shard].clone();
        let index = u16::try_from(shard).map_err(|_| HubClosed)?;
        let connection = Arc::new(Connection::new(self.common.clone(), index, encoding, socket));
        mailbox.send(Message::Enter(connection.clone())).await?;
        Ok(Seat { connection, mailbox })
    }

    /// Waits until every shard has room for one message of some `bytes`.
    ///
    /// Waiting here is the back-pressure of a busy hub: what can't wait is the
    /// broker's subscriber, whose own queue then fills and counts.
    pub async fn reserve(&self, bytes: usize) -> Result<Places<'_>, HubClosed> {
        // A message larger than the whole queue may still pass, alone.
        let bytes = bytes.min(self.common.config.queue_bytes);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let mut places = Vec::with_capacity(self.mailboxes.len());
        for mailbox in self.mailboxes.iter() {
            let room = mailbox.desk.room.acquire_many(bytes).await.map_err(|_| HubClosed)?;
            let place = mailbox.messages.reserve().await.map_err(|_| HubClosed)?;
            places.push((room, place));
        }
        Ok(Places { places, bytes: bytes as usize })
    }

    /// Weak handles to every connection, for a drain.
    pub async fn members(&self) -> Result<Vec<Weak<Member>>, HubClosed> {
        let mut all = Vec::new();
        for mailbox in self.mailboxes.iter() {
            let (answer, members) = oneshot::channel();
            mailbox.send(Message::Members(answer)).await?;
            all.extend(members.await.map_err(|_| HubClosed)?);
        }
        Ok(all)
    }

    /// Ends what `flush_every` began, before a drain: what is held is delivered, and
    /// from then on every event at once. Who is given back could not get it later.
    pub async fn end_holding(&self) -> Result<(), HubClosed> {
        for mailbox in self.mailboxes.iter() {
            mailbox.send(Message::EndHolding).await?;
        }
        Ok(())
    }

    /// Ends a connection after what already waits for it. A [`Form::Tracked`] one is told
    /// before that how far it has come, in order with its events.
    pub async fn give_back(
        &self,
        member: Arc<Member>,
        code: CloseCode,
        reason: String,
    ) -> Result<(), HubClosed> {
        if member.encoding().form != Form::Tracked {
            member.close_after_flush(code, &reason);
            return Ok(());
        }
        let mailbox = self.mailboxes.get(usize::from(member.shard)).ok_or(HubClosed)?;
        mailbox.send(Message::GiveBack { member, code, reason }).await
    }

    /// How long ago the timer of the slowest shard ticked: seconds mean that a
    /// shard is stuck.
    pub fn longest_silence(&self) -> Duration {
        let ages = self.mailboxes.iter().map(|mailbox| mailbox.desk.ticked.lock().elapsed());
        ages.max().unwrap_or_default()
    }
}

/// Room for one message in every shard's queue.
pub struct Places<'a> {
    places: Vec<(SemaphorePermit<'a>, Permit<'a, Message>)>,
    bytes: usize,
}

impl Places<'_> {
    /// Hands the message to the shards that `has_members` names; never waits.
    pub fn send(self, broadcast: &Broadcast, has_members: impl Fn(usize) -> bool) {
        for (shard, (room, place)) in self.places.into_iter().enumerate() {
            if has_members(shard) {
                // The shard gives the room back when it has taken the message.
                room.forget();
                place.send(Message::Broadcast {
                    broadcast: broadcast.clone(),
                    reserved: self.bytes,
                });
            }
        }
    }
}

/// Room for one join in a shard's queue. Who holds it can join without waiting, and so
/// in one step with something else.
pub struct JoinPlace<'a> {
    place: Permit<'a, Message>,
    member: Arc<Member>,
}

/// A join on its way.
pub struct Applied(oneshot::Receiver<()>);

impl JoinPlace<'_> {
    /// Joins channels, in order with their events; never waits. `then` is sent to the
    /// client when all are joined, before any event that follows.
    pub fn join(self, channels: Vec<ChannelKey>, then: Option<Bytes>) -> Applied {
        let (applied, done) = oneshot::channel();
        self.place.send(Message::JoinAll { member: self.member, channels, then, applied });
        Applied(done)
    }
}

impl Applied {
    /// Waits until the join is applied and what follows it is sent.
    pub async fn done(self) -> Result<(), HubClosed> {
        self.0.await.map_err(|_| HubClosed)
    }
}

impl<S: Socket> Seat<S> {
    /// Waits for room for one join.
    pub async fn reserve(&self) -> Result<JoinPlace<'_>, HubClosed> {
        let place = self.mailbox.messages.reserve().await.map_err(|_| HubClosed)?;
        Ok(JoinPlace { place, member: self.connection.clone() })
    }

    /// The connection that sits here.
    pub fn connection(&self) -> &Arc<Connection<S>> {
        &self.connection
    }

    /// Joins a channel, in order with the channel's events; returns when that is
    /// done. `then` is sent to the client at that moment, before any event that
    /// follows the join.
    pub async fn join(&self, channel: ChannelKey, then: Option<Bytes>) -> Result<(), HubClosed> {
        let (applied, done) = oneshot::channel();
        let member = self.connection.clone();
        self.mailbox.send(Message::Join { member, channel, then, applied }).await?;
        done.await.map_err(|_| HubClosed)
    }

    /// Leaves a channel, in order with the channel's events; returns when that is
    /// done. `then` is sent to the client at that moment, after the last event.
    pub async fn leave(&self, channel: ChannelKey, then: Option<Bytes>) -> Result<(), HubClosed> {
        let (applied, done) = oneshot::channel();
        let member = self.connection.clone();
        self.mailbox.send(Message::Leave { member, channel, then, applied }).await?;
        done.await.map_err(|_| HubClosed)
    }
}

// Drop can't wait for room in the queue, so leaving is a mark that the shard
// sweeps up; its messages that are read later find no member any more.
impl<S: Socket> Drop for Seat<S> {
    fn drop(&mut self) {
        self.connection.mark_departed();
        self.mailbox.desk.departed.lock().push(self.connection.clone());
        self.mailbox.desk.departure.notify_one();
    }
}

impl Mailbox {
    async fn send(&self, message: Message) -> Result<(), HubClosed> {
        self.messages.send(message).await.map_err(|_| HubClosed)
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
