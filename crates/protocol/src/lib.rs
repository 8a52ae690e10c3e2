//! The words of Redcast: what a channel may be called, what a client may say,
//! what we answer, and with which code a connection ends.
//!
//! This room is pure. It does no I/O, knows no clock and has no async function
//! (invariant 1), so that every rule in it can be tested by calling it.

#![forbid(unsafe_code)]

mod channel;
mod close;
mod command;
mod cursor;
mod pattern;
mod reply;

pub use channel::{Channel, ChannelError, MAX_CHANNEL_LEN};
pub use close::CloseCode;
pub use command::{Command, CommandError, CommandId, MAX_RECENT, Request, Start, Subscription};
pub use cursor::{Cursor, CursorError};
pub use pattern::{Pattern, PatternError};
pub use reply::{ErrorCode, GapReason, Reply, ResetReason};
