//! The echo endpoint of the conformance suite, behind the feature `echo`: never in
//! a release.
//!
//! Autobahn's cases judge a server by what it sends back. An endpoint that is
//! configured at `/echo` goes the way of every other, from the handshake to the
//! closing one, but a message is answered by itself instead of being obeyed.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use redcast_hub::Connection;
use redcast_wire::{Deflater, Limits, Window, binary_frame, text_frame};

use crate::life::Life;
use crate::socket::ClientSocket;

#[cfg(not(debug_assertions))]
compile_error!("the feature \"echo\" is for the conformance suite and never for a release");

const PATH: &str = "/echo";

/// How a compressed message begins (RFC 7692 section 6): FIN, RSV1 and the opcode.
const TEXT: u8 = 0xc1;
const BINARY: u8 = 0xc2;

thread_local! {
    static DEFLATER: RefCell<Deflater> = RefCell::new(Deflater::new(1));
}

/// Whether this endpoint is the one that echoes.
pub(crate) fn is_at(life: &Life) -> bool {
    life.endpoint().path == PATH
}

/// Lets the echo endpoint take a message of 65,536 fragments, as cases 9.3.1 and 9.4.1
/// send it. An operator can't: anywhere else that is an attack.
pub(crate) fn widen(limits: Limits, life: &Life) -> Limits {
    let max_fragments = if is_at(life) { 70_000 } else { limits.max_fragments };
    Limits { max_fragments, ..limits }
}

/// Answers a text message, where a command would be carried out.
pub(crate) fn send_back_text(connection: &Connection<ClientSocket>, text: &str) {
    connection.send(&match connection.encoding().window {
        None => text_frame(text.as_bytes()),
        Some(window) => compressed(TEXT, text.as_bytes(), window, Deflater::text_frame),
    });
}

/// Answers a binary message, which any other endpoint refuses.
pub(crate) fn send_back_binary(connection: &Connection<ClientSocket>, payload: &[u8]) {
    connection.send(&match connection.encoding().window {
        None => binary_frame(payload),
        Some(window) => compressed(BINARY, payload, window, Deflater::binary_frame),
    });
}

/// The frame as an event's would be, or in blocks that only say that they are compressed:
/// the suite can't read a plain answer where compression was agreed on.
fn compressed(
    first_byte: u8,
    payload: &[u8],
    window: Window,
    make: fn(&mut Deflater, &[u8], Window) -> Option<Bytes>,
) -> Bytes {
    let frame = DEFLATER.with_borrow_mut(|deflater| make(deflater, payload, window));
    frame.unwrap_or_else(|| {
        let mut frame = BytesMut::from(binary_frame(&stored(payload)));
        frame[0] = first_byte;
        frame.freeze()
    })
}

/// Stored blocks (RFC 1951 section 3.2.4), and the beginning of one that is empty.
fn stored(payload: &[u8]) -> Vec<u8> {
    let mut blocks = Vec::with_capacity(payload.len() + payload.len() / 1000 + 16);
    for block in payload.chunks(usize::from(u16::MAX)) {
        let len = block.len() as u16;
        blocks.push(0);
        blocks.extend_from_slice(&len.to_le_bytes());
        blocks.extend_from_slice(&(!len).to_le_bytes());
        blocks.extend_from_slice(block);
    }
    blocks.push(0);
    blocks
}
