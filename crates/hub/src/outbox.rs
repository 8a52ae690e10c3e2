//! A connection's way out: straight to the socket while it takes everything, a
//! [`Backlog`] from the first short write until it has drained.
//!
//! Everything that writes goes through here, under one lock, so no frame can
//! land in the middle of another. Nothing here waits.

use std::io::{self, IoSlice};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use redcast_protocol::CloseCode;
use redcast_wire::close_frame;

use crate::backlog::{Backlog, Full, Kind, Loss};
use crate::broadcast::{Broadcast, Encoding};
use crate::metrics::HubMetrics;
use crate::socket::Socket;

const WRITE_SLICES: usize = 64;

/// Why and by whom a connection is being closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// The code in the close frame, or [`CloseCode::Abnormal`] without one.
    pub code: CloseCode,
}

/// One member's share of a turn.
pub(crate) struct Share<'a> {
    /// All messages of the turn.
    pub(crate) events: &'a [Broadcast],
    /// Which of them this member gets, in order.
    pub(crate) picks: &'a [u32],
    /// The same frames joined, if other members get exactly these too.
    pub(crate) joined: Option<&'a [u8]>,
}

/// What became of a share.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// The session must be woken: something waits, or the connection ends.
    pub(crate) wake: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    backlog: Option<Box<Backlog>>,
    closing: Option<Closing>,
}

impl Share<'_> {
    fn frames(&self, encoding: Encoding) -> impl Iterator<Item = (&Bytes, Kind)> + Clone {
        self.picks.iter().filter_map(move |&pick| {
            let event = &self.events[pick as usize];
            event.frames.get(encoding).map(|frame| (frame, Kind::of(event)))
        })
    }
}

impl Outbox {
    pub(crate) fn closing(&self) -> Option<Closing> {
        self.closing
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.backlog.is_none()
    }

    /// Ready when nothing waits; else `waker` is woken then, or when the socket is dead.
    pub(crate) fn poll_drained(&mut self, waker: &Waker) -> Poll<()> {
        match &mut self.backlog {
            None => Poll::Ready(()),
            Some(backlog) => {
                backlog.wake_when_gone(waker);
                Poll::Pending
            }
        }
    }

    /// Writes a member's share, and keeps what the socket does not take.
    pub(crate) fn deliver<S: Socket + ?Sized>(
        &mut self,
        socket: &S,
        share: &Share<'_>,
        encoding: Encoding,
        (limit, metrics): (usize, &HubMetrics),
    ) -> Delivered {
        if self.closing.is_some() {
            return Delivered::default();
        }
        let frames = share.frames(encoding);
        let written = match &self.backlog {
            Some(_) => 0,
            None => match write_frames(socket, share.joined, frames.clone()) {
                Ok(written) => written,
                Err(_) => {
                    // Handed over and given up, like what waits when a connection ends.
                    let events = frames.map(|(_, kind)| kind.events()).sum();
                    metrics.dropped_closed.inc_by(events);
                    return Delivered { events, ..self.broken(metrics) };
                }
            },
        };
        self.keep(frames, written, limit, metrics)
    }

    /// Sends one frame that is no event: a reply, a notice, a pong or a ping.
    pub(crate) fn send<S: Socket + ?Sized>(
        &mut self,
        socket: &S,
        frame: &Bytes,
        kind: Kind,
        (limit, metrics): (usize, &HubMetrics),
    ) -> Delivered {
        if self.closing.is_some() {
            return Delivered::default();
        }
        let frames = std::iter::once((frame, kind));
        let written = match &self.backlog {
            Some(_) => 0,
            None => match write_frames(socket, None, frames.clone()) {
                Ok(written) => written,
                Err(_) => return self.broken(metrics),
            },
        };
        self.keep(frames, written, limit, metrics)
    }

    /// Ends the connection: what waits goes first if `flush`, else the close frame
    /// goes right behind the frame in progress. Answers whether this was the first
    /// call; after it nothing else is accepted.
    pub(crate) fn close(
        &mut self,
        code: CloseCode,
        reason: &str,
        flush: bool,
        metrics: &HubMetrics,
    ) -> bool {
        if self.closing.is_some() {
            return false;
        }
        self.closing = Some(Closing { code });
        let backlog = self.backlog.get_or_insert_with(|| new_backlog(metrics));
        if !flush {
            let dropped = backlog.discard_queue();
            match code {
                CloseCode::SlowConsumer => metrics.dropped_slow.inc_by(dropped),
                _ => metrics.dropped_closed.inc_by(dropped),
            }
        }
        backlog.push_close(close_frame(code, reason));
        true
    }

    /// Offers what waits to the socket once. `Ok(true)`: all is written.
    pub(crate) fn flush<S: Socket + ?Sized>(
        &mut self,
        socket: &S,
        metrics: &HubMetrics,
    ) -> io::Result<(bool, Vec<Loss>)> {
        let Some(backlog) = &mut self.backlog else { return Ok((true, Vec::new())) };
        if !backlog.is_empty() {
            let written = backlog.offer(|slices| socket.try_write_vectored(slices))?;
            metrics.bytes_out.inc_by(written as u64);
            backlog.advance(written);
        }
        if !backlog.is_empty() {
            return Ok((false, Vec::new()));
        }
        let losses = backlog.take_losses();
        self.backlog = None;
        Ok((true, losses))
    }

    /// What a client that does not catch up should be told all the same.
    pub(crate) fn overdue_losses(&mut self, patience: Duration) -> Vec<Loss> {
        let backlog = self.backlog.as_mut();
        backlog.map_or_else(Vec::new, |backlog| backlog.take_overdue_losses(patience))
    }

    /// The socket is dead: nothing more can be said on it.
    pub(crate) fn broken(&mut self, metrics: &HubMetrics) -> Delivered {
        if let Some(mut backlog) = self.backlog.take() {
            metrics.dropped_closed.inc_by(backlog.discard_queue());
        }
        self.closing.get_or_insert(Closing { code: CloseCode::Abnormal });
        Delivered { wake: true, ..Delivered::default() }
    }

    fn keep<'a>(
        &mut self,
        mut frames: impl Iterator<Item = (&'a Bytes, Kind)>,
        written: usize,
        limit: usize,
        metrics: &HubMetrics,
    ) -> Delivered {
        let mut skip = written;
        let mut done = Delivered { events: 0, bytes: written as u64, wake: false };
        while let Some((frame, kind)) = frames.next() {
            done.events += kind.events();
            if skip >= frame.len() {
                skip -= frame.len();
                continue;
            }
            done.wake |= self.backlog.is_none();
            let backlog = self.backlog.get_or_insert_with(|| new_backlog(metrics));
            let begun = std::mem::take(&mut skip);
            if begun > 0 {
                backlog.begin(frame.clone(), begun);
            } else if backlog.push(frame.clone(), kind, limit) == Err(Full) {
                // What follows in this share is given up with it.
                let rest: u64 = frames.map(|(_, kind)| kind.events()).sum();
                metrics.dropped_slow.inc_by(kind.events() + rest);
                done.events += rest;
                let code = CloseCode::SlowConsumer;
                self.close(code, code.reason(), false, metrics);
                return Delivered { wake: true, ..done };
            }
        }
        done
    }
}

fn new_backlog(metrics: &HubMetrics) -> Box<Backlog> {
    Box::new(Backlog::new(metrics.clone()))
}

/// Writes frames until the socket takes no more; answers how many bytes it took.
fn write_frames<'a, S: Socket + ?Sized>(
    socket: &S,
    joined: Option<&[u8]>,
    frames: impl Iterator<Item = (&'a Bytes, Kind)>,
) -> io::Result<usize> {
    if let Some(joined) = joined {
        return if joined.is_empty() { Ok(0) } else { taken(socket.try_write(joined)) };
    }
    let mut frames = frames.map(|(frame, _)| frame).peekable();
    let mut total = 0;
    while let Some(first) = frames.next() {
        if frames.peek().is_none() {
            return Ok(total + taken(socket.try_write(first))?);
        }
        let mut slices = [IoSlice::new(first); WRITE_SLICES];
        let (mut count, mut bytes) = (1, first.len());
        for (slice, frame) in slices[1..].iter_mut().zip(frames.by_ref()) {
            *slice = IoSlice::new(frame);
            count += 1;
            bytes += frame.len();
        }
        let written = taken(socket.try_write_vectored(&slices[..count]))?;
        total += written;
        if written < bytes {
            break;
        }
    }
    Ok(total)
}

/// A full socket is no error: it took nothing.
fn taken(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            Ok(0)
        }
        other => other,
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
