//! A strict judge of what a server sends: whole frames of RFC 6455, or a sentence
//! about what is wrong with them. It shares no code with the gateway.

/// What kind of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A text message.
    Text,
    /// A binary message.
    Binary,
    /// The close frame.
    Close,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
}

/// One whole frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its kind.
    pub opcode: Opcode,
    /// Whether the payload is compressed data: RSV1, RFC 7692 section 6.
    pub compressed: bool,
    /// Its payload, as it was sent.
    pub payload: Vec<u8>,
}

/// Cuts a byte stream into frames, however it arrives.
#[derive(Debug, Default)]
pub struct FrameReader {
    bytes: Vec<u8>,
    taken: usize,
    closed: bool,
    may_compress: bool,
}

impl Opcode {
    /// The four bits on the wire, RFC 6455 section 5.2.
    pub fn bits(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    fn from_bits(bits: u8) -> Result<Self, String> {
        let all = [Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong];
        let known = all.into_iter().find(|opcode| opcode.bits() == bits);
        known.ok_or_else(|| format!("opcode {bits} is none that this server may send"))
    }

    fn is_control(self) -> bool {
        self.bits() >= 8
    }
}

impl Frame {
    /// The payload as text; panics if it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("a text payload is UTF-8")
    }

    /// Code and reason of a close frame.
    pub fn close(&self) -> (u16, &str) {
        match &self.payload[..] {
            [high, low, reason @ ..] => {
                let reason = std::str::from_utf8(reason).expect("a reason is UTF-8");
                (u16::from_be_bytes([*high, *low]), reason)
            }
            _ => (1005, ""),
        }
    }
}

impl FrameReader {
    /// One for a connection on which compression was agreed on.
    pub fn with_compression() -> Self {
        Self { may_compress: true, ..Self::default() }
    }

    /// Adds what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.taken));
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame, none while it is incomplete, or what is wrong.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, String> {
        let rest = &self.bytes[self.taken..];
        let [first, second, more @ ..] = rest else { return Ok(None) };
        if self.closed {
            return Err("a frame behind the close frame".to_owned());
        }
        let compressed = self.may_compress && first & 0x78 == 0x40;
        if first & 0x80 == 0 || (first & 0x70 != 0 && !compressed) {
            return Err(format!("first byte {first:#04x}: fragmented, or reserved bits set"));
        }
        let opcode = Opcode::from_bits(first & 0x0f)?;
        if second & 0x80 != 0 {
            return Err("a masked frame from a server".to_owned());
        }
        let Some((length, head)) = length(second & 0x7f, more)? else { return Ok(None) };
        if opcode.is_control() && length > 125 {
            return Err(format!("a control frame of {length} bytes"));
        }
        let Some(payload) = rest.get(head..head + length) else { return Ok(None) };
        let frame = Frame { opcode, compressed, payload: payload.to_vec() };
        self.taken += head + length;
        self.closed = opcode == Opcode::Close;
        let is_text = opcode == Opcode::Text && !compressed;
        if is_text && std::str::from_utf8(&frame.payload).is_err() {
            return Err("a text frame that is not UTF-8".to_owned());
        }
        Ok(Some(frame))
    }

    /// Whether the stream may end here: behind a whole frame.
    pub fn is_between_frames(&self) -> bool {
        self.taken == self.bytes.len()
    }
}

/// Payload length and header size; none while the header is incomplete.
fn length(short: u8, more: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let (length, head) = match (short, more) {
        (126, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 4),
        (127, [a, b, c, d, e, f, g, h, ..]) => {
            (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 10)
        }
        (126 | 127, _) => return Ok(None),
        (short, _) => (u64::from(short), 2),
    };
    let shortest = match length {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    if head != shortest {
        return Err(format!("{length} bytes in a header of {head}"));
    }
    let length = usize::try_from(length).map_err(|_| format!("a frame of {length} bytes"))?;
    Ok(Some((length, head)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Frame>, String> {
        let mut reader = FrameReader::default();
        let mut frames = Vec::new();
        // One byte at a time: every frame is met incomplete.
        for byte in bytes {
            reader.feed(&[*byte]);
            while let Some(frame) = reader.next_frame()? {
                frames.push(frame);
            }
        }
        if reader.is_between_frames() { Ok(frames) } else { Err("cut off".to_owned()) }
    }

    #[test]
    fn reads_whole_frames() {
        let mut bytes = vec![0x81, 2, b'h', b'i', 0x8a, 0, 0x82, 126, 0, 200];
        bytes.extend([7; 200]);
        bytes.extend([0x88, 4, 0x03, 0xe8, b'o', b'k']);
        let frames = read(&bytes).unwrap();
        assert_eq!(frames[0].text(), "hi");
        let pong = Frame { opcode: Opcode::Pong, compressed: false, payload: Vec::new() };
        assert_eq!(frames[1], pong);
        assert_eq!(frames[2].payload, [7; 200]);
        assert_eq!(frames[3].close(), (1000, "ok"));
    }

    #[test]
    fn takes_compressed_messages_only_where_that_was_agreed_on() {
        let read = |mut reader: FrameReader, bytes: &[u8]| {
            reader.feed(bytes);
            reader.next_frame().map(|frame| frame.expect("a whole frame").compressed)
        };
        for (first, fits) in [(0xc1, true), (0xc2, true), (0xe1, false), (0xc9, false)] {
            let frame = [first, 1, 0xff];
            let got = read(FrameReader::with_compression(), &frame);
            assert_eq!(got.ok(), fits.then_some(true), "{first:#x}");
            assert!(read(FrameReader::default(), &frame).is_err());
        }
        assert_eq!(read(FrameReader::with_compression(), &[0x81, 1, b'a']), Ok(false));
    }

    #[test]
    fn refuses_what_a_server_must_not_send() {
        for (bytes, part) in [
            (&[0x01, 1, b'a'][..], "fragmented"),
            (&[0xc1, 1, b'a'], "reserved"),
            (&[0x83, 1, b'a'], "opcode 3"),
            (&[0x81, 0x81, 0, 0, 0, 0, b'a'], "masked"),
            (&[0x81, 126, 0, 125], "in a header of 4"),
            (&[0x89, 126, 0, 126], "control frame of 126"),
            (&[0x81, 1, 0xff], "not UTF-8"),
            (&[0x88, 0, 0x8a, 0], "behind the close"),
            (&[0x81, 2, b'a'], "cut off"),
        ] {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(part), "{bytes:?}: {error}");
        }
    }
}
