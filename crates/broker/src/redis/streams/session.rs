//! The reading of streams over one connection, as long as it holds. One round after the
//! other: take over what is newly wanted, look once a second at what does not tell of
//! itself, read what is there or wait a moment for it, and judge it before it is told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use redcast_protocol::{Channel, Cursor};
use redis::{Pipeline, RedisError, Value};
use tokio::time::sleep_until;

use super::appetite::Appetite;
use super::entry::{self, spell};
use super::followed::Followed;
use super::judge::{Read, tell, verify};
use super::link::{Broken, Lineage, Lineages, Link, NoAnswer, ask_all, ask_lineage, refusal};
use super::patience::Patience;
use super::reader::{Reader, Waiting};
use super::tail::{Census, EntryId, Verdict};
use crate::clock;
use crate::redis::server::words;
use crate::redis::wish::Effect;
use crate::redis::wishes::Refusal;

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
    /// How patient to be with the next one.
    pub(crate) patience: Patience,
}

/// One connection that follows streams.
pub(crate) struct Session<'a> {
    reader: &'a Reader,
    link: Link,
    followed: &'a mut Followed,
    appetite: Appetite,
    next_look: Instant,
    eager_until: Instant,
    /// Who answered, when all places were judged last.
    lineage: Lineage,
}

impl<'a> Session<'a> {
    /// Goes on with what was `followed` before.
    pub(crate) fn new(reader: &'a Reader, link: Link, followed: &'a mut Followed) -> Self {
        let now = Instant::now();
        followed.connection_is_new();
        Self {
            reader,
            link,
            followed,
            appetite: Appetite::new(),
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
        Ended { heard: self.link.heard, reason, patience }
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
                let began = Instant::now();
                let count = self.appetite.count(self.followed.live().count());
                let read = self.read(count).await?;
                let is_behind = read.iter().any(|(_, entries)| entries.len() >= count);
                tell(read, &mut self.link, self.followed, self.reader).await?;
                if let (Waiting::Poll { every, .. }, false) = (self.reader.waiting, is_behind) {
                    self.wait_until(began + every).await;
                }
            } else if self.reader.wishes.is_empty() {
                return Ok(());
            } else {
                // What was refused waits for its turn.
                self.wait_until(self.next_look).await;
            }
        }
    }

    async fn wait_until(&self, moment: Instant) {
        tokio::select! {
            () = self.reader.wishes.changed() => {}
            () = sleep_until(moment.into()) => {}
        }
    }

    /// Lets go of what is not wanted any more and takes over what is.
    async fn settle(&mut self) -> Result<(), Broken> {
        let Reader { number, names, wishes, seats, .. } = self.reader;
        for channel in seats.renewed(*number) {
            self.followed.remove(&names.channel(&channel));
        }
        for channel in self.followed.take_lost() {
            wishes.ended(channel.as_str(), clock::unix_ms_of(self.link.heard));
        }
        let work = wishes.take_work(Instant::now());
        for channel in &work.unsubscribe {
            self.followed.remove(&names.channel(channel));
            wishes.unsubscribed(channel.as_str());
            seats.release(channel);
        }
        for channels in [work.subscribe, work.subscribe_singly].concat().chunks(ASK_TOGETHER) {
            self.take_over(channels).await?;
            self.eager_until = Instant::now() + EAGER_FOR;
        }
        Ok(())
    }

    /// Begins to read streams, or goes on with them where they were lost.
    async fn take_over(&mut self, channels: &[Channel]) -> Result<(), Broken> {
        let mut questions = redis::pipe();
        for channel in channels {
            let key = self.reader.names.channel(channel);
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
        let Reader { names, wishes, outlet, .. } = self.reader;
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
        // What goes on where it was has missed nothing.
        if let Some(gap) = wishes.subscribed(channel, clock::unix_ms()).filter(|_| is_new) {
            outlet.gap(gap).await;
        }
    }

    async fn refused(&mut self, channel: &Channel, error: &RedisError) -> Result<(), Broken> {
        let Reader { server, wishes, last_error, outlet, .. } = self.reader;
        let refusal = match refusal(error) {
            Some(refusal) => refusal,
            None if self.link.is_of_many() => Refusal { is_final: false, reason: words(error) },
            None => return Err(words(error)),
        };
        last_error.set(server.refused(&format!("the subscription to {channel}"), &refusal.reason));
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
        let Reader { number, config, wishes, seats, .. } = self.reader;
        self.next_look = Instant::now() + config.ask_again_every;
        wishes.ask_again(Instant::now(), config.ask_again_every);
        seats.sweep(*number, |channel| wishes.knows(channel));
        self.followed.retain(|channel| wishes.knows(channel));
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

    /// Reads what was added, or waits a moment for it.
    async fn read(&mut self, count: usize) -> Result<Read, Broken> {
        let (questions, keys, block) = match self.reader.waiting {
            Waiting::Block(block) => {
                let is_eager = Instant::now() < self.eager_until;
                let block = if is_eager { block.min(SHORT_BLOCK) } else { block };
                let live = self.followed.live().map(|(key, place)| (key, place.id()));
                let mut questions = redis::pipe();
                ask_read(&mut questions, count, Some(block), live.unzip());
                (questions, vec![Vec::new()], block)
            }
            Waiting::Poll { slot_of, .. } => {
                let (questions, keys) = self.ask_each_slot(count, slot_of);
                (questions, keys, Duration::ZERO)
            }
        };
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

    /// In a cluster the streams of one command have to be of one slot; a command that waits
    /// would hold up those behind it.
    fn ask_each_slot(
        &self,
        count: usize,
        slot_of: fn(&str) -> u16,
    ) -> (Pipeline, Vec<Vec<String>>) {
        let mut slots: BTreeMap<u16, (Vec<&str>, Vec<EntryId>)> = BTreeMap::new();
        for (key, place) in self.followed.live() {
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
