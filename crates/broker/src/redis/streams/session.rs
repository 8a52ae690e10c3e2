//! The reading of streams over one connection, as long as it holds. One round after the
//! other: take over what is newly wanted, look once a second at what does not tell of
//! itself, read what is there or wait a moment for it, and judge it before it is told.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use redcast_protocol::{Channel, Cursor};
use redis::{Pipeline, RedisError, Value};
use tokio::time::sleep_until;

use super::appetite::Appetite;
use super::desk::Desk;
use super::entry::{self, spell};
use super::followed::Followed;
use super::judge::{Read, tell, verify};
use super::link::{Broken, Lineage, Lineages, Link, NoAnswer, ask_all, ask_lineage, refusal};
use super::patience::Patience;
use super::reader::{Reader, Waiting};
use super::tail::{Census, EntryId, Verdict};
use super::turns::Turns;
use crate::clock;
use crate::redis::server::words;
use crate::redis::wish::Effect;

/// The most streams that are asked about in one write: each answer may hold two entries.
const ASK_TOGETHER: usize = 64;
/// After a channel was taken over, the next one follows soon: a page joins several.
const SHORT_BLOCK: Duration = Duration::from_millis(20);
/// How long that is thought of.
const EAGER_FOR: Duration = Duration::from_secs(1);

/// How a session ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// When anything was heard last.
    pub(crate) heard: Instant,
    /// Why the connection is of no more use; none if nothing is wanted any more.
    pub(crate) reason: Option<Broken>,
    /// Whether an answer was too long in coming.
    pub(crate) was_late: bool,
    /// How patient to be with the next one.
    pub(crate) patience: Patience,
}

/// One connection that follows streams.
pub(crate) struct Session<'a> {
    reader: &'a Reader,
    link: Link,
    followed: &'a mut Followed,
    appetite: &'a mut Appetite,
    turns: Turns,
    next_look: Instant,
    eager_until: Instant,
    /// Who answered, when all places were judged last.
    lineage: Lineage,
}

impl<'a> Session<'a> {
    /// Goes on with what was `followed` before, and with what is known of its entries.
    pub(crate) fn new(
        reader: &'a Reader,
        link: Link,
        followed: &'a mut Followed,
        appetite: &'a mut Appetite,
    ) -> Self {
        let now = Instant::now();
        followed.connection_is_new();
        Self {
            reader,
            link,
            followed,
            appetite,
            turns: Turns::default(),
            next_look: now,
            eager_until: now,
            lineage: Lineage::default(),
        }
    }

    /// Reads until the connection is of no more use, or nothing is wanted.
    pub(crate) async fn run(mut self) -> Ended {
        let reason = self.follow().await.err();
        let mut patience = self.link.patience;
        patience.ended(self.link.was_late);
        Ended { heard: self.link.heard, reason, was_late: self.link.was_late, patience }
    }

    async fn follow(&mut self) -> Result<(), Broken> {
        let mut questions = redis::pipe();
        ask_lineage(&mut questions);
        let mut answers = self.link.ask(questions, Duration::ZERO).await?;
        self.lineage = self.link.lineages(&mut answers)?.later;
        loop {
            self.settle().await?;
            if self.next_look <= Instant::now() {
                self.look_around().await?;
            }
            if self.followed.live().next().is_some() {
                self.take_turn().await?;
            } else if self.reader.desk.wishes.is_empty() {
                return Ok(());
            } else {
                // What was refused waits for its turn.
                self.wait_until(self.next_look).await;
            }
        }
    }

    /// Reads the streams whose turn it is, and tells what they had.
    async fn take_turn(&mut self) -> Result<(), Broken> {
        let began = Instant::now();
        let (streams, reach) = (self.followed.live().count(), self.appetite.reach());
        let turn = self.turns.take(streams, reach, began);
        let count = self.appetite.count(turn.len());
        let read = self.read(count, turn.clone(), turn.len() == streams).await?;
        let behind = read.iter().filter(|(_, entries)| entries.len() >= count).count();
        self.turns.read(&turn, (streams, reach), behind, Instant::now());
        tell(read, &mut self.link, self.followed, self.reader).await?;
        let is_done = behind == 0 && turn.end == streams;
        if let (Waiting::Poll { every, .. }, true) = (self.reader.waiting, is_done) {
            self.wait_until(began + every).await;
        }
        Ok(())
    }

    async fn wait_until(&self, moment: Instant) {
        tokio::select! {
            () = self.reader.desk.wishes.changed() => {}
            () = sleep_until(moment.into()) => {}
        }
    }

    /// Lets go of what is not wanted any more and takes over what is.
    async fn settle(&mut self) -> Result<(), Broken> {
        let heard_ms = clock::unix_ms_of(self.link.heard);
        let wanted = self.reader.desk.settle(self.followed, Instant::now(), heard_ms);
        for channels in wanted.chunks(ASK_TOGETHER) {
            self.take_over(channels).await?;
            self.eager_until = Instant::now() + EAGER_FOR;
        }
        Ok(())
    }

    /// Begins to read streams, or goes on with them where they were lost.
    async fn take_over(&mut self, channels: &[Channel]) -> Result<(), Broken> {
        let mut questions = redis::pipe();
        for channel in channels {
            let key = self.reader.desk.names.channel(channel);
            let place = self.followed.follow(&key, channel).tail.cursor();
            ask_all(&mut questions, &key, place.unwrap_or(Cursor::BEGINNING).id());
        }
        ask_lineage(&mut questions);
        let mut answers = self.link.ask(questions, Duration::ZERO).await?;
        let mut found = Vec::with_capacity(channels.len());
        for channel in channels {
            found.push((channel, answers.all()?));
        }
        let lineages = self.link.lineages(&mut answers)?;
        for (channel, found) in found {
            match found {
                Ok(found) => self.begin(channel, found, &lineages).await,
                Err(error) => self.refused(channel, &error).await?,
            }
        }
        Ok(())
    }

    async fn begin(
        &mut self,
        channel: &Channel,
        (before, census): (Option<Cursor>, Census),
        lineages: &Lineages,
    ) {
        let Reader { desk: desk @ Desk { names, wishes, .. }, wrong, outlet, .. } = self.reader;
        if !desk.still_serves(self.followed, channel) {
            return;
        }
        let stream = self.followed.follow(&names.channel(channel), channel);
        let is_new = stream.tail.cursor().is_none();
        if is_new {
            let cursor = stream.open(&census, lineages);
            outlet.position(channel, cursor, None).await;
        } else {
            outlet.metrics().streams.verifications.inc();
            let verdict = stream.judge(&[], before, Some((&census, lineages)));
            if let (Verdict::Reset(reason), Some(cursor)) = (verdict, stream.tail.cursor()) {
                outlet.position(channel, cursor, Some(reason)).await;
            }
        }
        stream.goes_on(&census);
        wrong.made_good(channel);
        // What goes on where it was has missed nothing.
        if let Some(gap) = wishes.subscribed(channel, clock::unix_ms()).filter(|_| is_new) {
            outlet.gap(gap).await;
        }
    }

    async fn refused(&mut self, channel: &Channel, error: &RedisError) -> Result<(), Broken> {
        let Reader { server, desk: Desk { wishes, .. }, wrong, outlet, .. } = self.reader;
        let Some(refusal) = refusal(error) else {
            if !self.link.is_of_many() {
                return Err(words(error));
            }
            // Its node is away or being replaced, and with it all its streams.
            wrong.with_channel(channel, server.away(&words(error)));
            wishes.ended(channel.as_str(), clock::unix_ms_of(self.link.heard));
            return Ok(());
        };
        let what = format!("the subscription to {channel}");
        wrong.with_channel(channel, server.refused(&what, &refusal.reason));
        let effect = wishes.refused(channel, &refusal);
        if effect != Effect::None {
            tracing::warn!(%channel, reason = refusal.reason, "Redis refused a stream");
        }
        if let Effect::BrokenPromise(error) = effect {
            outlet.refused(error).await;
        }
        Ok(())
    }

    /// Looks at what no read tells: streams that are gone or went back, and a server that
    /// goes on with another history than it had.
    async fn look_around(&mut self) -> Result<(), Broken> {
        let Reader { config, desk, .. } = self.reader;
        self.next_look = Instant::now() + config.ask_again_every;
        desk.wishes.ask_again(Instant::now(), config.ask_again_every);
        desk.sweep(self.followed);
        let live: Vec<String> = self.followed.live().map(|(key, _)| key.to_owned()).collect();
        let mut questions = redis::pipe();
        ask_lineage(&mut questions);
        for key in &live {
            questions.cmd("XLEN").arg(key);
        }
        let mut answers = self.link.ask(questions, Duration::ZERO).await?;
        let lineage = self.link.lineages(&mut answers)?.later;
        let is_other = !lineage.is_subset(&self.lineage);
        self.lineage = lineage;
        let mut doubtful = Vec::new();
        for key in live {
            let Some(length) = self.followed.unless_lost(&key, answers.value())? else { continue };
            let length = entry::number(&length).map_err(|error| words(&error))?;
            if let Some(stream) = self.followed.get_mut(&key)
                && (stream.tail.look(length) || is_other)
            {
                doubtful.push(key);
            }
        }
        for keys in doubtful.chunks(ASK_TOGETHER) {
            verify(keys, &mut self.link, self.followed, self.reader).await?;
        }
        Ok(())
    }

    /// Reads what was added to the streams of this `turn`, or, if these are `all`, waits a
    /// moment for it.
    async fn read(&mut self, count: usize, turn: Range<usize>, all: bool) -> Result<Read, Broken> {
        let live = self.followed.live().skip(turn.start).take(turn.len());
        let (questions, keys, block) = match self.reader.waiting {
            Waiting::Block(block) => {
                let is_eager = Instant::now() < self.eager_until;
                let block = if is_eager { block.min(SHORT_BLOCK) } else { block };
                let live = live.map(|(key, place)| (key, place.id()));
                let mut questions = redis::pipe();
                ask_read(&mut questions, count, all.then_some(block), live.unzip());
                (questions, vec![Vec::new()], if all { block } else { Duration::ZERO })
            }
            Waiting::Poll { slot_of, .. } => {
                let (questions, keys) = ask_each_slot(count, live, slot_of);
                (questions, keys, Duration::ZERO)
            }
        };
        self.link.begins_to_read();
        let mut answers = self.link.ask(questions, block).await?;
        let mut read = Read::new();
        for keys in keys {
            let answer = match (answers.value(), keys.is_empty()) {
                (Err(NoAnswer::Stream), false) => {
                    for key in keys {
                        self.followed.unless_lost::<()>(&key, Err(NoAnswer::Stream))?;
                    }
                    continue;
                }
                (answer, _) => self.followed.unless_lost("", answer)?,
            };
            let streams = entry::streams(answer.unwrap_or(Value::Nil));
            read.extend(streams.map_err(|error| words(&error))?);
        }
        let entries = || read.iter().flat_map(|(_, entries)| entries);
        self.appetite.learn(entries().count(), entries().map(|entry| entry.size).sum());
        Ok(read)
    }
}

/// In a cluster the streams of one command have to be of one slot; a command that waits
/// would hold up those behind it.
fn ask_each_slot<'a>(
    count: usize,
    streams: impl Iterator<Item = (&'a str, Cursor)>,
    slot_of: fn(&str) -> u16,
) -> (Pipeline, Vec<Vec<String>>) {
    let mut slots: BTreeMap<u16, (Vec<&str>, Vec<EntryId>)> = BTreeMap::new();
    for (key, place) in streams {
        let (keys, places) = slots.entry(slot_of(key)).or_default();
        keys.push(key);
        places.push(place.id());
    }
    let mut questions = redis::pipe();
    let mut asked = Vec::with_capacity(slots.len());
    for (keys, places) in slots.into_values() {
        asked.push(keys.iter().map(|&key| key.to_owned()).collect());
        ask_read(&mut questions, count, None, (keys, places));
    }
    (questions, asked)
}

fn ask_read(
    questions: &mut Pipeline,
    count: usize,
    block: Option<Duration>,
    (keys, places): (Vec<&str>, Vec<EntryId>),
) {
    questions.cmd("XREAD").arg("COUNT").arg(count);
    if let Some(block) = block {
        // 0 would be for ever.
        questions.arg("BLOCK").arg(u64::try_from(block.as_millis()).unwrap_or(u64::MAX).max(1));
    }
    let places: Vec<String> = places.into_iter().map(spell).collect();
    questions.arg("STREAMS").arg(keys).arg(places);
}
