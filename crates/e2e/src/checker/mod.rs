//! The judge: what each client should have been told of each channel, and what it was.
//!
//! Nothing here does I/O. Clients write down what they are told ([`StreamRecord`],
//! [`PubSubRecord`]) and the producer what Redis answered it ([`Ledger`]); at the end
//! both are compared with what Redis really holds ([`Truth`]).

mod ledger;
mod numbers;
mod pubsub;
mod stream;
mod tally;
mod window;

pub use ledger::{Entry, Fate, Ledger};
pub use numbers::Numbers;
pub use pubsub::{PubSubRecord, PubSubVerdict, Span, ToldGap};
pub use stream::{StreamRecord, StreamVerdict, ToldReset, Truth};
pub use tally::Tally;
pub use window::{GapVerdict, Window};

/// A stream ID: milliseconds and sequence.
pub type StreamId = (u64, u64);

/// Reads a stream ID, or the one that a cursor begins with.
pub fn stream_id(text: &str) -> Option<StreamId> {
    let id = text.split_once('.').map_or(text, |(id, _)| id);
    let (millis, sequence) = id.split_once('-')?;
    Some((millis.parse().ok()?, sequence.parse().ok()?))
}

/// The last ID that is lower than this one.
fn before(id: StreamId) -> StreamId {
    match id {
        (millis, 0) => (millis.saturating_sub(1), u64::MAX),
        (millis, sequence) => (millis, sequence - 1),
    }
}
