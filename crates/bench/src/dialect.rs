//! What a peer's clients say after the 101, and where in its frames the events are.
//!
//! The gateway and most peers send each event as one frame. Socket.IO wraps it and
//! NATS speaks a protocol of lines that takes no notice of frames.

use crate::frame::{self, Split};
use crate::payload::{self, Stamp};

/// What a server speaks inside WebSocket frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// One event is one frame.
    #[default]
    Plain,
    /// Engine.IO 4 and Socket.IO 5: a packet is one frame, its type comes first.
    SocketIo,
    /// The NATS client protocol: a stream that frames cut anywhere.
    Nats,
}

/// What a client learns from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// An event of the benchmark.
    Event(Stamp),
    /// Something else, which a plain client would get too.
    Other,
    /// The client is subscribed.
    Ready,
    /// The server waits for this.
    Asked(&'static str),
    /// Part of the protocol, nothing to do.
    Noise,
    /// The server ends it.
    Goodbye,
}

/// One client's conversation.
#[derive(Debug)]
pub struct Session {
    dialect: Dialect,
    /// Bytes still to come of a frame that is handed on in parts.
    frame_left: usize,
    /// The start of a NATS message whose rest has not come yet.
    message: Vec<u8>,
}

/// `PONG` answers the `PING` after the subscription, and so shows that it is live.
const NATS_OPENING: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"rust\",\
     \"version\":\"1\",\"protocol\":1}\r\nSUB analytics 1\r\nPING\r\n";

impl Session {
    /// A conversation that begins with the 101.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, frame_left: 0, message: Vec::new() }
    }

    /// Whether a client with its 101 is served without another word.
    pub fn is_ready_at_once(&self) -> bool {
        self.dialect == Dialect::Plain
    }

    /// The opcode of what its clients send.
    pub fn opcode(&self) -> u8 {
        if self.dialect == Dialect::Nats { frame::BINARY } else { frame::TEXT }
    }

    /// Splits the first frame off `bytes`, or of a NATS frame what is there: NATS sends
    /// all that waits for a client as one frame, which may be of any size.
    pub fn split<'a>(&mut self, bytes: &'a [u8]) -> Split<'a> {
        if self.dialect == Dialect::Nats && self.frame_left > 0 {
            return self.split_part(self.frame_left, bytes);
        }
        let whole = frame::split(bytes);
        if self.dialect == Dialect::Nats
            && whole == Split::Partial
            && let Some(head) = frame::split_head(bytes)
            && head.opcode == frame::BINARY
            && !head.compressed
        {
            return self.split_part(head.length, head.body);
        }
        whole
    }

    fn split_part<'a>(&mut self, length: usize, body: &'a [u8]) -> Split<'a> {
        // Nothing is remembered before the first byte of the body, because until then
        // the head is kept and comes again.
        if body.is_empty() {
            return Split::Partial;
        }
        let (payload, rest) = body.split_at(body.len().min(length));
        self.frame_left = length - payload.len();
        Split::Frame { opcode: frame::BINARY, compressed: false, payload, rest }
    }

    /// Takes the next thing said off a frame's `payload`, which may be empty from the
    /// first; none if what is left of it says nothing yet.
    pub fn hear(&mut self, payload: &mut &[u8]) -> Option<Said> {
        match self.dialect {
            Dialect::Plain => Some(event(std::mem::take(payload))),
            Dialect::SocketIo => Some(hear_socket_io(std::mem::take(payload))),
            Dialect::Nats => self.hear_nats(payload),
        }
    }

    fn hear_nats(&mut self, payload: &mut &[u8]) -> Option<Said> {
        if self.message.is_empty() {
            let Some((said, length)) = split_nats(payload) else {
                self.message.extend_from_slice(std::mem::take(payload));
                return None;
            };
            *payload = &payload[length..];
            return Some(said);
        }
        let kept = self.message.len();
        self.message.extend_from_slice(payload);
        let Some((said, length)) = split_nats(&self.message) else {
            *payload = &[];
            return None;
        };
        // What was kept was no whole message, so that this one ends in the payload.
        *payload = &payload[length - kept..];
        self.message.clear();
        Some(said)
    }
}

fn event(payload: &[u8]) -> Said {
    payload::read(payload).map_or(Said::Other, Said::Event)
}

/// The first digit is Engine.IO's packet type, after a 4 comes Socket.IO's.
fn hear_socket_io(packet: &[u8]) -> Said {
    match packet {
        [b'0', ..] => Said::Asked("40"),
        [b'2'] => Said::Asked("3"),
        [b'4', b'0', ..] => Said::Ready,
        [b'4', b'2', ..] => {
            let arguments = packet.strip_prefix(b"42[\"event\",");
            arguments.and_then(|rest| rest.strip_suffix(b"]")).map_or(Said::Other, event)
        }
        [b'1', ..] | [b'4', b'1' | b'4', ..] => Said::Goodbye,
        _ => Said::Noise,
    }
}

/// The first operation and its length; none if it is not complete.
fn split_nats(bytes: &[u8]) -> Option<(Said, usize)> {
    let end = bytes.iter().position(|&byte| byte == b'\n')? + 1;
    let line = &bytes[..end];
    if !line.starts_with(b"MSG ") {
        let said = match line.get(..4)? {
            b"INFO" => Said::Asked(NATS_OPENING),
            b"PING" => Said::Asked("PONG\r\n"),
            b"PONG" => Said::Ready,
            b"-ERR" => Said::Goodbye,
            _ => Said::Noise,
        };
        return Some((said, end));
    }
    // MSG <subject> <sid> [reply-to] <#bytes>
    let size = std::str::from_utf8(line).ok()?.split_ascii_whitespace().next_back()?;
    let size: usize = size.parse().ok()?;
    let payload = bytes.get(end..end + size + "\r\n".len())?;
    Some((event(&payload[..size]), end + size + "\r\n".len()))
}

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
