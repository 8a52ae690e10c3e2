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
        say(sentence(thread, &location));
    }
}

fn sentence(thread: &str, location: &str) -> String {
    format!("panic in the thread {thread:?} at {location}; this is a fault of ours")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_logged_a_panic_is_one_sentence() {
        assert_eq!(
            sentence("a\nb", "src/a.rs:1:2"),
            "panic in the thread \"a\\nb\" at src/a.rs:1:2; this is a fault of ours"
        );
    }
}
