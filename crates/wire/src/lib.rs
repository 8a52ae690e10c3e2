//! The frames: RFC 6455 and 7692 as a server speaks them, over byte slices.
//!
//! This room does no I/O and has no async function (invariant 1). Headers are
//! parsed and formatted by tungstenite; unmasking, the rules and the assembling
//! of messages are ours, because tungstenite's own codec needs a stream and
//! keeps a buffer for every connection, and an idle connection here keeps
//! nothing.
//!
//! - `handshake`: the answer to `Sec-WebSocket-Key`.
//! - `decode`: bytes from a client become messages (`message`); `header` checks
//!   one frame, `mask` removes its mask, `fragments` joins what came in pieces.
//! - `encode`: what we send, as whole frames ready to be shared.
//! - `deflate`: compression, agreed on in the handshake, both ways.
//! - `close`: what may stand in a close frame, in both directions.
//! - `error`: what a client did wrong, and the close code that answers it.

#![forbid(unsafe_code)]

mod close;
mod decode;
mod deflate;
mod encode;
mod error;
mod fragments;
mod handshake;
mod header;
mod mask;
mod message;
#[cfg(test)]
mod testing;

pub use decode::Decoder;
pub use deflate::{Agreement, Deflater, Inflater, Window, negotiate};
pub use encode::{
    binary_frame, close_frame, event_frame, frame_len, ping_frame, pong_frame, text_frame,
};
pub use error::WireError;
pub use handshake::accept_key;
pub use message::{Flow, Limits, Message};
