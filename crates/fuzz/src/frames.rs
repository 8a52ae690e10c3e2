//! Frames by hand: made, and read back without judging them (RFC 6455 5.2).
//!
//! Shares no code with redcast-wire, or a fault in it would look right here too.

use redcast_inflate::{Refusal, inflate};
use redcast_wire::Message;

/// The bit of the last or only frame of a message.
pub const FIN: u8 = 0x80;
/// The bit that says "compressed", in the first frame of a message (RFC 7692 6).
pub const RSV1: u8 = 0x40;
/// Opcode of a fragment that is not the first.
pub const CONTINUATION: u8 = 0;
/// Opcode of text.
pub const TEXT: u8 = 1;
/// Opcode of bytes.
pub const BINARY: u8 = 2;
/// Opcode of a goodbye.
pub const CLOSE: u8 = 8;
/// Opcode of a ping.
pub const PING: u8 = 9;
/// Opcode of a pong.
pub const PONG: u8 = 10;

/// Bit of the second byte that says "masked".
const MASKED: u8 = 0x80;

/// One message, in the one form that every decoder here is translated to: the
/// opcode that began it and its bytes, for a close frame with its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// What kind of message.
    pub opcode: u8,
    /// Its unmasked bytes.
    pub payload: Vec<u8>,
}

impl Said {
    /// A message of these bytes.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { opcode, payload: payload.into() }
    }

    /// A goodbye.
    pub fn close(close: Option<(u16, &str)>) -> Self {
        let payload = close.map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat());
        Self { opcode: CLOSE, payload: payload.unwrap_or_default() }
    }
}

impl From<Message<'_>> for Said {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::new(TEXT, text),
            Message::Binary(bytes) => Self::new(BINARY, bytes),
            Message::Ping(bytes) => Self::new(PING, bytes),
            Message::Pong(bytes) => Self::new(PONG, bytes),
            Message::Close(close) => Self::close(close),
        }
    }
}

/// A masked frame; `first` is its first byte: FIN, reserved bits and opcode.
pub fn frame(first: u8, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    frame.extend(key);
    frame.extend(masked(payload, key));
    frame
}

/// A header with the mask bit and without a key, in as few bytes as possible.
pub fn header(first: u8, len: u64) -> Vec<u8> {
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ 0..126), _) => vec![first, MASKED | len],
        (_, Ok(len)) => [&[first, MASKED | 126][..], &len.to_be_bytes()].concat(),
        _ => [&[first, MASKED | 127][..], &len.to_be_bytes()].concat(),
    }
}

/// `payload` with the mask on, or off again.
pub fn masked(payload: &[u8], key: [u8; 4]) -> impl Iterator<Item = u8> {
    payload.iter().zip(key.into_iter().cycle()).map(|(byte, key)| byte ^ key)
}

/// A frame's header as it stands there, right or wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawHeader {
    pub(crate) first: u8,
    /// `None` where the mask bit is not set.
    pub(crate) key: Option<[u8; 4]>,
    /// The length of the payload, as declared.
    pub(crate) declared: u64,
    /// The length of the header itself.
    pub(crate) len: usize,
}

impl RawHeader {
    /// Reads the header at the front of `bytes`; `None` where it is cut.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (declared, key_at) = match second & !MASKED {
            126 => (u64::from(u16::from_be_bytes(array(bytes, 2)?)), 4),
            127 => (u64::from_be_bytes(array(bytes, 2)?), 10),
            short => (u64::from(short), 2),
        };
        if second & MASKED == 0 {
            return Some(Self { first, key: None, declared, len: key_at });
        }
        Some(Self { first, key: Some(array(bytes, key_at)?), declared, len: key_at + 4 })
    }

    pub(crate) fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    pub(crate) fn is_final(&self) -> bool {
        self.first & FIN != 0
    }

    pub(crate) fn is_control(&self) -> bool {
        self.opcode() >= CLOSE
    }

    /// Whether the length is written in as few bytes as possible.
    pub(crate) fn is_minimal(&self) -> bool {
        let key = self.key.map_or(0, |key| key.len());
        header(self.first, self.declared).len() + key == self.len
    }

    /// Where the frame ends, counted from its first byte.
    pub(crate) fn end(&self) -> usize {
        usize::try_from(self.declared).unwrap_or(usize::MAX).saturating_add(self.len)
    }
}

/// The `N` bytes from `at` on, if they are there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Whether a close frame may carry `code` (7.4, and the registry as of today).
pub(crate) fn is_close_code(code: u16) -> bool {
    let registered = (1000..=1014).contains(&code) && ![1004, 1005, 1006].contains(&code);
    registered || (3000..=4999).contains(&code)
}

/// The headers of `stream`, as far as each frame is where the one before it ends.
pub(crate) fn headers(stream: &[u8]) -> impl Iterator<Item = RawHeader> {
    let mut rest = stream;
    std::iter::from_fn(move || {
        let header = RawHeader::read(rest)?;
        rest = rest.get(header.end()..).unwrap_or_default();
        Some(header)
    })
}

/// What a stream amounts to if nobody judges it.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) messages: Vec<Said>,
    /// The message begun and not ended, compressed as it came.
    pub(crate) open: Option<Said>,
    /// Whether that one, or the one that ended last, is compressed.
    pub(crate) is_compressed: bool,
    /// Why the last message could not be inflated.
    pub(crate) refusal: Option<Refusal>,
    /// The bytes behind the last whole frame.
    pub(crate) rest: usize,
    /// A close frame came: what is behind it counts for nothing.
    pub(crate) closed: bool,
}

/// Joins the frames of `bytes` as simply as possible, up to the first that no
/// reader could make sense of. With a limit, compression was agreed on, and no
/// message is inflated beyond it.
pub(crate) fn read(bytes: &[u8], inflated_limit: Option<usize>) -> Reading {
    let mut reading = Reading::default();
    let mut at = 0;
    while let Some(header) = RawHeader::read(&bytes[at..])
        && let Some(payload) = bytes[at..].get(header.len..header.end())
        && let Some(key) = header.key
        && reading.take(&header, masked(payload, key), inflated_limit)
    {
        at += header.end();
        if reading.closed {
            return reading;
        }
    }
    reading.rest = bytes.len() - at;
    reading
}

impl Reading {
    /// Whether the frame could be taken.
    fn take(
        &mut self,
        header: &RawHeader,
        payload: impl Iterator<Item = u8>,
        inflated_limit: Option<usize>,
    ) -> bool {
        match header.opcode() {
            opcode @ (CLOSE | PING | PONG) => {
                self.messages.push(Said::new(opcode, payload.collect::<Vec<_>>()));
                self.closed = opcode == CLOSE;
                return true;
            }
            opcode @ (TEXT | BINARY) if self.open.is_none() => {
                self.is_compressed = header.first & RSV1 != 0;
                self.open = Some(Said::new(opcode, payload.collect::<Vec<_>>()));
            }
            CONTINUATION => match &mut self.open {
                Some(open) => open.payload.extend(payload),
                None => return false,
            },
            _ => return false,
        }
        if header.is_final()
            && let Some(said) = self.open.take()
        {
            return self.finish(said, inflated_limit);
        }
        true
    }

    fn finish(&mut self, mut said: Said, inflated_limit: Option<usize>) -> bool {
        if let (true, Some(limit)) = (self.is_compressed, inflated_limit) {
            match inflate(&said.payload, limit) {
                Ok(inflated) => said.payload = inflated.bytes,
                Err(refusal) => {
                    self.refusal = Some(refusal);
                    return false;
                }
            }
        }
        self.messages.push(said);
        true
    }
}
