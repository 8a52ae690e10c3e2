//! One frame's header, checked as far as it can be without its neighbours.

use std::io::Cursor;
use std::ops::Range;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::WireError;
use crate::mask::unmask;

/// The longest payload of a control frame, bytes (RFC 6455 5.5).
pub(crate) const MAX_CONTROL_PAYLOAD: usize = 125;

/// A header that breaks none of the rules that concern one frame alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whether this is the last or only fragment.
    pub(crate) is_final: bool,
    pub(crate) kind: FrameKind,
    /// Whether the message that begins here is compressed (RFC 7692 6).
    pub(crate) is_compressed: bool,
    /// The declared length, bytes: a client's word, not a size to trust.
    pub(crate) payload_len: u64,
    mask: [u8; 4],
    header_len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// The first or only frame of a message.
    Start(DataKind),
    Continuation,
    Close,
    Ping,
    Pong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataKind {
    Text,
    Binary,
}

impl Header {
    /// Reads the header at the front of `bytes`; `None` while it is incomplete.
    /// `may_compress` says whether compression was agreed on.
    pub(crate) fn parse(bytes: &[u8], may_compress: bool) -> Result<Option<Self>, WireError> {
        let mut cursor = Cursor::new(bytes);
        // Over a slice nothing but a reserved opcode can fail.
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| reserved_opcode(bytes))?;
        let Some((header, payload_len)) = parsed else { return Ok(None) };
        if (header.rsv1 && !may_compress) || header.rsv2 || header.rsv3 {
            return Err(WireError::ReservedBit);
        }
        let Some(mask) = header.mask else { return Err(WireError::Unmasked) };
        let header_len = header.len(payload_len);
        if header_len as u64 != cursor.position() {
            return Err(WireError::LengthNotMinimal);
        }
        let kind = kind_of(header.opcode)?;
        let (is_final, is_compressed) = (header.is_final, header.rsv1);
        let header = Self { is_final, kind, is_compressed, mask, payload_len, header_len };
        header.check_compressed()?;
        header.check_control()?;
        Ok(Some(header))
    }

    /// Where the payload lies, counted from the header's first byte. Meaningful
    /// once the length was found to be within the limits; a length beyond the
    /// address space gives a range that no slice contains.
    pub(crate) fn payload_range(&self) -> Range<usize> {
        let payload_len = usize::try_from(self.payload_len).unwrap_or(usize::MAX);
        self.header_len..self.header_len.saturating_add(payload_len)
    }

    /// Removes this frame's mask from its payload.
    pub(crate) fn unmask(&self, payload: &mut [u8]) {
        unmask(payload, self.mask);
    }

    fn is_control(&self) -> bool {
        matches!(self.kind, FrameKind::Close | FrameKind::Ping | FrameKind::Pong)
    }

    /// Only a message's first frame says that it is compressed.
    fn check_compressed(&self) -> Result<(), WireError> {
        match self.kind {
            FrameKind::Start(_) => Ok(()),
            _ if self.is_compressed => Err(WireError::ReservedBit),
            _ => Ok(()),
        }
    }

    fn check_control(&self) -> Result<(), WireError> {
        if !self.is_control() {
            return Ok(());
        }
        if !self.is_final {
            return Err(WireError::FragmentedControl);
        }
        if self.payload_len > MAX_CONTROL_PAYLOAD as u64 {
            return Err(WireError::ControlTooLong(self.payload_len));
        }
        Ok(())
    }
}

fn kind_of(opcode: OpCode) -> Result<FrameKind, WireError> {
    match opcode {
        OpCode::Data(Data::Continue) => Ok(FrameKind::Continuation),
        OpCode::Data(Data::Text) => Ok(FrameKind::Start(DataKind::Text)),
        OpCode::Data(Data::Binary) => Ok(FrameKind::Start(DataKind::Binary)),
        OpCode::Control(Control::Close) => Ok(FrameKind::Close),
        OpCode::Control(Control::Ping) => Ok(FrameKind::Ping),
        OpCode::Control(Control::Pong) => Ok(FrameKind::Pong),
        OpCode::Data(Data::Reserved(code)) | OpCode::Control(Control::Reserved(code)) => {
            Err(WireError::ReservedOpcode(code))
        }
    }
}

fn reserved_opcode(bytes: &[u8]) -> WireError {
    WireError::ReservedOpcode(bytes.first().map_or(0, |first| first & 0x0f))
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
