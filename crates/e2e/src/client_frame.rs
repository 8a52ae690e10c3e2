//! A frame as a client might send it, right or wrong in any bit.

use crate::frames::Opcode;

/// RFC 6455 wants a fresh mask per frame against proxies that are fooled by a page's
/// bytes; between a test and its gateway there is none.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const FIN: u8 = 0x80;

/// A frame under construction: correct until told otherwise.
#[derive(Debug, Clone)]
pub struct ClientFrame {
    first: u8,
    masked: bool,
    declared: Option<u64>,
    payload: Vec<u8>,
}

impl ClientFrame {
    /// A whole frame of a known kind.
    pub fn new(opcode: Opcode, payload: impl Into<Vec<u8>>) -> Self {
        Self::with_bits(opcode.bits(), payload)
    }

    /// A whole frame with any four bits as its opcode, RFC 6455 section 5.2.
    pub fn with_bits(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { first: FIN | opcode & 0x0f, masked: true, declared: None, payload: payload.into() }
    }

    /// A whole payload behind any first byte: FIN, the reserved bits and the opcode.
    pub fn starting_with(first: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { first, ..Self::with_bits(0, payload) }
    }

    /// A text frame.
    pub fn text(payload: &str) -> Self {
        Self::new(Opcode::Text, payload)
    }

    /// A whole continuation frame: the last fragment of a message.
    pub fn continuation(payload: impl Into<Vec<u8>>) -> Self {
        Self::with_bits(0, payload)
    }

    /// A close frame.
    pub fn close(code: u16, reason: impl AsRef<[u8]>) -> Self {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend_from_slice(reason.as_ref());
        Self::new(Opcode::Close, payload)
    }

    /// The same, not the last fragment of its message.
    pub fn unfinished(mut self) -> Self {
        self.first &= !FIN;
        self
    }

    /// The same with some of the three reserved bits set: 0x40, 0x20, 0x10.
    pub fn reserved(mut self, bits: u8) -> Self {
        self.first |= bits & 0x70;
        self
    }

    /// The same without a mask, as only a server may send it.
    pub fn unmasked(mut self) -> Self {
        self.masked = false;
        self
    }

    /// The same with a header that announces `length` bytes in its longest form,
    /// whatever follows.
    pub fn declaring(mut self, length: u64) -> Self {
        self.declared = Some(length);
        self
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = vec![self.first];
        let mask_bit = if self.masked { 0x80 } else { 0 };
        let length = self.payload.len();
        match (self.declared, u8::try_from(length), u16::try_from(length)) {
            (None, Ok(short @ ..=125), _) => frame.push(mask_bit | short),
            (None, _, Ok(medium)) => {
                frame.push(mask_bit | 126);
                frame.extend(medium.to_be_bytes());
            }
            (declared, ..) => {
                frame.push(mask_bit | 127);
                frame.extend(declared.unwrap_or(length as u64).to_be_bytes());
            }
        }
        if self.masked {
            frame.extend_from_slice(&MASK);
            let mask = MASK.iter().cycle();
            frame.extend(self.payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        } else {
            frame.extend_from_slice(&self.payload);
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_few_bytes_as_possible_unless_told_otherwise() {
        for (length, head) in [(0, 6), (125, 6), (126, 8), (65_535, 8), (65_536, 14)] {
            let frame = ClientFrame::new(Opcode::Binary, vec![0; length]).bytes();
            assert_eq!(frame.len(), head + length, "{length}");
        }
        let frame = ClientFrame::text("a").declaring(1 << 63).bytes();
        assert_eq!(frame[..10], [0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn each_wish_changes_its_own_bits() {
        assert_eq!(ClientFrame::text("a").unmasked().bytes(), [0x81, 1, b'a']);
        assert_eq!(ClientFrame::text("a").unmasked().unfinished().bytes()[0], 0x01);
        assert_eq!(ClientFrame::text("a").reserved(0x40).bytes()[0], 0xc1);
        assert_eq!(ClientFrame::with_bits(3, "").bytes()[0], 0x83);
        assert_eq!(ClientFrame::starting_with(0x73, "").bytes()[..2], [0x73, 0x80]);
        assert_eq!(ClientFrame::close(1000, "ok").unmasked().bytes()[1..], *b"\x04\x03\xe8ok");
        assert_eq!(ClientFrame::continuation("").bytes()[..2], [0x80, 0x80]);
    }
}
