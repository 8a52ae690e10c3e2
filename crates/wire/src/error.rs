//! What a client did wrong, and the close code that answers it.

use redcast_protocol::CloseCode;

/// Why bytes from a client are refused. The connection ends: after any of these
/// it is no longer known where the next frame begins, or not worth knowing.
///
/// Section numbers are those of RFC 6455.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A frame without a mask (5.1).
    #[error("a client's frame must be masked")]
    Unmasked,
    /// A reserved bit that no extension gave a meaning (5.2), or the one of
    /// compression where it may not stand (RFC 7692 6).
    #[error("a reserved bit is set that means nothing here")]
    ReservedBit,
    /// An opcode that means nothing yet (5.2).
    #[error("opcode {0:#x} is reserved")]
    ReservedOpcode(u8),
    /// A length written with more bytes than it needs (5.2).
    #[error("a length must be written in as few bytes as possible")]
    LengthNotMinimal,
    /// A control frame in pieces (5.5).
    #[error("a control frame can't be fragmented")]
    FragmentedControl,
    /// A control frame over 125 bytes; the field is the declared length (5.5).
    #[error("a control frame has at most 125 bytes, this one has {0}")]
    ControlTooLong(u64),
    /// A continuation where no message had begun (5.4).
    #[error("a continuation of no message")]
    UnexpectedContinuation,
    /// A new message before the last fragment of the one before it (5.4).
    #[error("a new message inside a fragmented one")]
    InterruptedMessage,
    /// A close frame with half a code (5.5.1).
    #[error("a close frame's code has two bytes, this one has one")]
    HalfCloseCode,
    /// A close code that may not be sent (7.4).
    #[error("{0} is no close code to be sent")]
    BadCloseCode(u16),
    /// Text or a close reason that is not UTF-8 (8.1).
    #[error("text must be UTF-8")]
    InvalidUtf8,
    /// A compressed message that DEFLATE did not make, or not whole (RFC 7692 7.2.2).
    #[error("a compressed message must be whole blocks of DEFLATE")]
    NotDeflate,
    /// A message in more pieces than [`Limits::max_fragments`](crate::Limits).
    #[error("a message has at most {limit} fragments")]
    TooManyFragments {
        /// The limit.
        limit: u32,
    },
    /// A message over [`Limits::max_message_size`](crate::Limits), known from
    /// the declared length before its bytes are kept; for a compressed one also
    /// while it is inflated.
    #[error("a message has at most {limit} bytes, this one has {size} or more")]
    TooBig {
        /// Declared or inflated so far, bytes.
        size: u64,
        /// The limit, bytes.
        limit: usize,
    },
}

impl WireError {
    /// The code to close the connection with.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::Unmasked
            | Self::ReservedBit
            | Self::ReservedOpcode(_)
            | Self::LengthNotMinimal
            | Self::FragmentedControl
            | Self::ControlTooLong(_)
            | Self::UnexpectedContinuation
            | Self::InterruptedMessage
            | Self::HalfCloseCode
            | Self::BadCloseCode(_) => CloseCode::ProtocolError,
            // RFC 7692 names no code; 1007 is for payloads that are not what their
            // frame says, and tells this from a broken frame.
            Self::InvalidUtf8 | Self::NotDeflate => CloseCode::InvalidUtf8,
            Self::TooManyFragments { .. } => CloseCode::Policy,
            Self::TooBig { .. } => CloseCode::TooBig,
        }
    }
}
