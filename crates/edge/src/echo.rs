//! The echo endpoint of the conformance suite, behind the feature `echo`: never in
//! a release.
//!
//! Autobahn's cases judge a server by what it sends back. An endpoint that is
//! configured at `/echo` goes the way of every other, from the handshake to the
//! closing one, but a message is answered by itself instead of being obeyed.

use redcast_hub::Connection;
use redcast_wire::{Limits, binary_frame, text_frame};

use crate::life::Life;
use crate::socket::ClientSocket;

#[cfg(not(debug_assertions))]
compile_error!("the feature \"echo\" is for the conformance suite and never for a release");

const PATH: &str = "/echo";

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
    connection.send(&text_frame(text.as_bytes()));
}

/// Answers a binary message, which any other endpoint refuses.
pub(crate) fn send_back_binary(connection: &Connection<ClientSocket>, payload: &[u8]) {
    connection.send(&binary_frame(payload));
}
