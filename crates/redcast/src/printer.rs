//! How `redcast subscribe` prints: one event per line, all that waits in one write, and
//! nothing kept back while nothing else comes.

use std::io::{ErrorKind, IsTerminal, stdout};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use redcast_broker::{Deliveries, Delivery, Event, Gap, Position, SubscribeError};
use redcast_protocol::Reply;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::escape::escaped;
use crate::terminal::say;

/// The most that is written at once.
const BATCH: usize = 256;
/// A shell's prompt may come back that much later.
const LOOK_FOR_READER_EVERY: Duration = Duration::from_millis(100);

/// Why the printing ended.
#[derive(Debug)]
pub(crate) enum Stop {
    /// By a signal, after enough events, or because nobody reads any more.
    Asked,
    /// Redis does not permit a channel.
    Refused(SubscribeError),
}

/// Prints deliveries.
pub(crate) struct Printer {
    json: bool,
    /// Whether each line names its channel.
    named: bool,
    /// Whether somebody looks at a terminal, which payloads must not steer.
    terminal: bool,
    /// How many events are still to come.
    left: Option<u64>,
}

impl Printer {
    /// Prints as JSON or as text, to the end or at most `count` events.
    pub(crate) fn new(json: bool, named: bool, count: Option<u64>) -> Self {
        Self { json, named, terminal: stdout().is_terminal(), left: count }
    }

    /// Prints until there is a reason to stop.
    pub(crate) async fn run(mut self, mut deliveries: Deliveries) -> Result<Stop> {
        let mut out = tokio::io::stdout();
        let mut waiting = Vec::with_capacity(BATCH);
        let mut text = Vec::new();
        loop {
            if deliveries.recv_many(&mut waiting, BATCH).await == 0 {
                bail!("the subscription ended by itself; this is a fault of ours");
            }
            text.clear();
            let stop = self.write_all(waiting.drain(..), &mut text);
            let written = out.write_all(&text).await;
            match written.and(out.flush().await) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Stop::Asked),
                written => written.context("standard output can't be written")?,
            }
            if let Some(stop) = stop {
                return Ok(stop);
            }
        }
    }

    fn write_all(
        &mut self,
        deliveries: impl Iterator<Item = Delivery>,
        text: &mut Vec<u8>,
    ) -> Option<Stop> {
        for delivery in deliveries {
            match delivery {
                Delivery::Event(event) => {
                    self.write_event(&event, text);
                    text.push(b'\n');
                    self.left = self.left.map(|left| left - 1);
                    if self.left == Some(0) {
                        return Some(Stop::Asked);
                    }
                }
                Delivery::Gap(gap) => self.write_gap(&gap, text),
                Delivery::Refused(error) => return Some(Stop::Refused(error)),
                Delivery::Position(position) => self.write_reset(&position, text),
                Delivery::Passed { .. } => {}
            }
        }
        None
    }

    fn write_event(&self, event: &Event, text: &mut Vec<u8>) {
        let Event { channel, payload, received, cursor } = event;
        if self.json {
            let line = Reply::encode_event_line(channel, *cursor, payload, unix_ms_of(*received));
            return text.extend(self.shown(&line));
        }
        if self.named {
            text.extend(channel.as_str().bytes());
            text.push(b'\t');
        }
        text.extend(self.shown(payload));
    }

    fn shown(&self, payload: &[u8]) -> Vec<u8> {
        match self.terminal {
            true => escaped(String::from_utf8_lossy(payload)).into_bytes(),
            false => payload.to_vec(),
        }
    }

    /// Where a stream begins is no news; that it broke is.
    fn write_reset(&self, position: &Position, text: &mut Vec<u8>) {
        let Position { channel, cursor, reset: Some(reason) } = position else { return };
        let reason = reason.label();
        if self.json {
            let id = cursor.to_string();
            let reset = json!({
                "type": "reset", "channel": channel.as_str(), "reason": reason, "id": id,
            });
            text.extend(reset.to_string().bytes());
            return text.push(b'\n');
        }
        say(format_args!("{channel}: events may be missing here ({reason})"));
    }

    fn write_gap(&self, gap: &Gap, text: &mut Vec<u8>) {
        let Gap { channel, from_ms: from, to_ms: to, reason, dropped } = gap;
        let (from, to, reason, dropped) = (*from, *to, *reason, *dropped);
        if self.json {
            let channel = channel.as_str();
            text.extend(Reply::Gap { channel, from, to, reason, dropped }.encode());
            return text.push(b'\n');
        }
        let count = dropped.map(|count| format!("{count} ")).unwrap_or_default();
        let (millis, label) = (to.saturating_sub(from), reason.label());
        say(format_args!("{channel}: {count}events may be missing from {millis} ms ({label})"));
    }
}

/// Waits until the other end of a pipe on standard output is closed; for ever on a file.
/// Without this a quiet channel would keep `… | head -n 1` waiting.
pub(crate) async fn reader_gone() {
    loop {
        sleep(LOOK_FOR_READER_EVERY).await;
        // Asked for nothing, it tells of errors alone.
        let out = stdout();
        let mut pipe = [PollFd::new(&out, PollFlags::empty())];
        let gone = PollFlags::ERR | PollFlags::HUP;
        if poll(&mut pipe, Some(&Timespec::default())).is_ok() && pipe[0].revents().intersects(gone)
        {
            return;
        }
    }
}

fn unix_ms_of(past: Instant) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.saturating_sub(past.elapsed()).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use redcast_protocol::{Channel, Cursor, ResetReason};

    fn events(payloads: &[&'static [u8]]) -> Vec<Delivery> {
        let channel = Channel::parse("a").unwrap();
        let event = |payload: &&'static [u8]| {
            let (channel, payload) = (channel.clone(), (*payload).into());
            Delivery::Event(Event { channel, payload, received: Instant::now(), cursor: None })
        };
        payloads.iter().map(event).collect()
    }

    fn printed(mut printer: Printer, payloads: &[&'static [u8]]) -> (Vec<u8>, bool) {
        let mut text = Vec::new();
        let stop = printer.write_all(events(payloads).into_iter(), &mut text);
        (text, stop.is_some())
    }

    fn printer(named: bool, terminal: bool, left: Option<u64>) -> Printer {
        Printer { json: false, named, terminal, left }
    }

    #[test]
    fn a_terminal_is_not_steered_by_payloads_and_a_file_gets_their_bytes() {
        let payload = b"\x1b[2J\xff";
        let (text, _) = printed(printer(false, false, None), &[payload]);
        assert_eq!(text, b"\x1b[2J\xff\n");
        let (text, _) = printed(printer(true, true, None), &[payload]);
        assert_eq!(String::from_utf8(text).unwrap(), "a\t\\u{1b}[2J\u{fffd}\n");
    }

    #[test]
    fn a_stream_s_events_have_ids_and_its_breaks_are_lines_of_their_own() {
        let mut json = Printer { json: true, ..printer(false, false, None) };
        let mut deliveries = events(&[b"1"]);
        let channel = deliveries[0].channel().clone();
        let cursor = Cursor::of(7, 1, b"1");
        if let Delivery::Event(event) = &mut deliveries[0] {
            event.cursor = Some(cursor);
        }
        for reset in [None, Some(ResetReason::Trimmed)] {
            let channel = channel.clone();
            deliveries.push(Delivery::Position(Position { channel, cursor, reset }));
        }
        let mut text = Vec::new();
        json.write_all(deliveries.into_iter(), &mut text);
        let lines: Vec<serde_json::Value> = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let id = cursor.to_string();
        assert_eq!(lines[0]["id"], id);
        let reset = json!({"type": "reset", "channel": "a", "reason": "trimmed", "id": id});
        assert_eq!(lines[1..], [reset]);
    }

    #[test]
    fn the_last_of_the_count_ends_the_batch() {
        let (text, stopped) = printed(printer(false, false, Some(2)), &[b"1", b"2", b"3"]);
        assert_eq!((text, stopped), (b"1\n2\n".to_vec(), true));
        let (text, stopped) = printed(printer(false, false, Some(4)), &[b"1", b"2", b"3"]);
        assert_eq!((text, stopped), (b"1\n2\n3\n".to_vec(), false));
    }
}
