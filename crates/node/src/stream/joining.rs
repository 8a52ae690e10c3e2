//! A client's way into stream channels: what it missed is sent at its own pace until it is
//! as far as the channel, and then it joins in one step with what is left.
//!
//! That step holds the locks under which the channels' events are handed over, so between
//! the last event of the past and the first live one there is neither a hole nor a repeat.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::MutexGuard;
use redcast_broker::{HistoryError, SubscribeError};
use redcast_hub::{Applied, ChannelKey, Form, HubClosed, JoinPlace, Seat, Socket};
use redcast_protocol::{Channel, Cursor, Reply};
use redcast_wire::text_frame;
use tokio::time::{Instant, sleep, timeout};

use super::metrics::StreamMetrics;
use super::reader::{Reader, What};
use super::replay::{Replay, cursor_frame, frame, frames};
use super::ring::Kept;
use super::way::{Step, Way};
use crate::interest::{Entry, Members};
use crate::participant::JoinError;

/// How long a client waits for a channel, or for Redis, without any progress.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before Redis is asked again that did not answer, or that told
/// something else than the channel itself.
const PAUSE: Duration = Duration::from_millis(250);

/// The way of one connection into some channels.
pub(crate) struct Joining<'a, S: Socket> {
    pub(crate) seat: &'a Seat<S>,
    pub(crate) reader: &'a Reader,
    pub(crate) metrics: &'a StreamMetrics,
    /// Everything that is joined, channels without a history, too.
    pub(crate) keys: Vec<ChannelKey>,
    /// What the client is told before anything else.
    pub(crate) notices: BytesMut,
}

/// One stream channel that a client joins, and how far it is on its way there.
pub(crate) struct Plan {
    pub(crate) entry: Arc<Entry>,
    pub(crate) way: Way,
}

/// Events of the past that are sent together.
struct Piece {
    frames: Bytes,
    events: usize,
    /// What tells a tracked client how far it has come by them.
    cursor: Option<Bytes>,
}

/// What a step has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Progress,
    Nothing,
    /// Redis did not answer.
    Away,
}

impl Piece {
    fn of(channel: &Channel, events: &[Kept], form: Form) -> Option<Self> {
        let place = events.last()?.cursor;
        Some(Self::new(channel, place, frames(channel, events, form), (events.len(), form)))
    }

    /// A page of the past may have no events and still something to tell.
    fn all(channel: &Channel, replay: &Replay, form: Form) -> Option<Self> {
        let place = replay.events.last().map_or(replay.cursor, |last| last.cursor);
        let frames = replay.frames(form);
        let count = replay.events.len();
        (!frames.is_empty()).then(|| Self::new(channel, place, frames, (count, form)))
    }

    fn new(channel: &Channel, place: Cursor, frames: Bytes, (events, form): (usize, Form)) -> Self {
        let cursor = (form == Form::Tracked).then(|| cursor_frame(channel, place));
        Self { frames, events, cursor }
    }
}

impl<S: Socket> Joining<'_, S> {
    /// Brings the client as far as each stream channel, and then into all channels at
    /// once. `ack` gets the places from which events follow, and says what the client is
    /// told last.
    pub(crate) async fn run<A>(mut self, mut plans: Vec<Plan>, ack: A) -> Result<Applied, JoinError>
    where
        A: FnOnce(&[(Channel, Cursor)]) -> Option<Bytes>,
    {
        // In this order their locks are taken, by everybody who takes several.
        plans.sort_unstable_by_key(|plan| plan.entry.key);
        let entries: Vec<Arc<Entry>> = plans.iter().map(|plan| plan.entry.clone()).collect();
        loop {
            for plan in &mut plans {
                self.catch_up(plan).await?;
            }
            let place = self.seat.reserve().await?;
            let members: Vec<_> = entries.iter().map(|entry| entry.members()).collect();
            let looks = plans.iter_mut().zip(&members);
            let steps: Vec<Step> =
                looks.map(|(plan, members)| plan.way.step(members.ring())).collect();
            if steps.iter().all(|step| matches!(step, Step::Join(_))) {
                return Ok(self.join(place, (&plans, steps, &members), ack));
            }
        }
    }

    /// Under the locks of all these channels: nothing is handed over meanwhile.
    fn join<A>(
        &mut self,
        place: JoinPlace<'_>,
        (plans, steps, members): (&[Plan], Vec<Step>, &[MutexGuard<'_, Members>]),
        ack: A,
    ) -> Applied
    where
        A: FnOnce(&[(Channel, Cursor)]) -> Option<Bytes>,
    {
        let form = self.form();
        let mut then = std::mem::take(&mut self.notices);
        let mut cursors = Vec::with_capacity(plans.len());
        for ((plan, step), members) in plans.iter().zip(steps).zip(members) {
            let channel = &plan.entry.channel;
            let position = members.ring().position();
            if let Step::Join(rest) = step {
                self.metrics.replayed.inc_by(rest.len() as u64);
                rest.iter().for_each(|kept| then.extend_from_slice(&frame(channel, kept, form)));
            }
            if let Some(reason) = plan.way.lost().filter(|_| form != Form::Quiet) {
                let reset = Reply::Reset { channel: channel.as_str(), reason, id: position };
                then.extend_from_slice(&text_frame(&reset.encode()));
            }
            if plan.way.resumes {
                self.metrics.count_resume(plan.way.lost());
            }
            cursors.extend(position.map(|cursor| (channel.clone(), cursor)));
        }
        if form == Form::Tracked {
            let notices = cursors.iter().map(|(channel, cursor)| cursor_frame(channel, *cursor));
            notices.for_each(|notice| then.extend_from_slice(&notice));
        }
        then.extend(ack(&cursors).into_iter().flatten());
        let keys = std::mem::take(&mut self.keys);
        place.join(keys, (!then.is_empty()).then(|| then.freeze()))
    }

    /// Sends what the client missed, until it is as far as the channel.
    async fn catch_up(&self, plan: &mut Plan) -> Result<(), JoinError> {
        let entry = plan.entry.clone();
        let mut until = Instant::now() + PATIENCE;
        loop {
            // Before the look: what moves after it is noticed.
            let mut moved = pin!(entry.moved());
            moved.as_mut().enable();
            let (step, is_approached) = {
                let members = entry.members();
                let step = plan.way.step(members.ring());
                (step, plan.way.is_approached(members.ring()))
            };
            let outcome = match step {
                Step::Join(_) => return Ok(()),
                Step::Send(events) => {
                    let piece = Piece::of(&entry.channel, &events, self.form());
                    plan.way.sent(&events);
                    drop(events);
                    self.send(piece).await?;
                    Outcome::Progress
                }
                Step::Read(what) => self.read(plan, what).await?,
                Step::Wait => {
                    if timeout(PAUSE, moved).await.is_err() {
                        plan.way.ask_again();
                    }
                    // That the channel moves is no progress: it may be in another history.
                    if is_approached { Outcome::Progress } else { Outcome::Nothing }
                }
            };
            match outcome {
                Outcome::Progress => until = Instant::now() + PATIENCE,
                Outcome::Nothing | Outcome::Away if Instant::now() < until => {}
                Outcome::Nothing => self.give_up(plan)?,
                Outcome::Away => return Err(self.unavailable(plan)),
            }
        }
    }

    /// Reads Redis and sends what it has.
    async fn read(&self, plan: &mut Plan, what: What) -> Result<Outcome, JoinError> {
        let channel = &plan.entry.channel;
        let outcome = match self.reader.read(channel, what).await {
            Ok(replay) => {
                let is_further = plan.way.read(&replay);
                let piece = Piece::all(channel, &replay, self.form());
                // A slow client holds its frames and not what they were made of.
                drop(replay);
                self.send(piece).await?;
                if is_further { Outcome::Progress } else { Outcome::Nothing }
            }
            Err(HistoryError::Reset(reason)) => {
                plan.way.lose(reason);
                Outcome::Progress
            }
            Err(HistoryError::Unavailable(_)) => Outcome::Away,
            Err(HistoryError::Refused(reason)) => {
                return Err(SubscribeError { channel: channel.clone(), reason }.into());
            }
        };
        if outcome != Outcome::Progress {
            sleep(PAUSE).await;
        }
        Ok(outcome)
    }

    /// Sends events of the past no faster than the client takes them.
    async fn send(&self, piece: Option<Piece>) -> Result<(), JoinError> {
        let Some(Piece { frames, events, cursor }) = piece else { return Ok(()) };
        let connection = self.seat.connection();
        connection.send(&frames);
        drop(frames);
        // Now, as nobody knows whether the client will still be here after the next piece.
        cursor.inspect(|cursor| connection.send(cursor));
        connection.drained().await;
        if connection.closing().is_some() {
            return Err(HubClosed.into());
        }
        // Commands and pongs are not read meanwhile; a client that takes what it is sent
        // lives.
        connection.mark_alive();
        tokio::task::consume_budget().await;
        self.metrics.replayed.inc_by(events as u64);
        Ok(())
    }

    fn give_up(&self, plan: &mut Plan) -> Result<(), JoinError> {
        let entry = plan.entry.clone();
        let is_live = self.reader.is_live(&entry.channel);
        let can_join = plan.way.give_up(entry.members().ring(), is_live);
        if can_join { Ok(()) } else { Err(self.unavailable(plan)) }
    }

    fn unavailable(&self, plan: &Plan) -> JoinError {
        if plan.way.resumes {
            self.metrics.unavailable.inc();
        }
        JoinError::Unavailable(plan.entry.channel.clone())
    }

    fn form(&self) -> Form {
        self.seat.connection().encoding().form
    }
}
