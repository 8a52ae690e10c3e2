//! What is said of a panic: where it happened, never what it says, because a message may
//! hold what a client sent.

use std::panic::{Location, PanicHookInfo, set_hook};
use std::thread;

use crate::terminal::say;

/// From now on a panic is one log line, or one sentence where nothing is logged.
pub(crate) fn tell_of_panics() {
    set_hook(Box::new(tell));
}

/// The hook.
pub(crate) fn tell(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map_or_else(|| "unknown".to_owned(), Location::to_string);
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    if tracing::event_enabled!(tracing::Level::ERROR) {
        tracing::error!(location, thread, "panic");
    } else {
        say(format_args!("panic in the thread {thread:?} at {location}; this is a fault of ours"));
    }
}
