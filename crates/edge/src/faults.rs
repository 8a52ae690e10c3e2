//! Faults on purpose: what a test needs to see where a fault ends. Not part of any
//! release (cargo feature `faults`).

use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

#[cfg(not(debug_assertions))]
compile_error!("the feature \"faults\" is for tests and never for a release");

/// Longer than `/livez` lets a shard be silent.
const STUCK: Duration = Duration::from_secs(14);

const PANIC: u8 = 1;
const HANG: u8 = 2;

/// What the next write to a socket does, in whichever task it happens.
#[derive(Debug, Default)]
pub(crate) struct Armed(AtomicU8);

impl Armed {
    /// Obeys a client that asks for a fault; answers whether it did.
    #[expect(clippy::panic, reason = "to panic is all this is for")]
    pub(crate) fn obey(&self, command: &str) -> bool {
        match command {
            r#"{"type":"fault","kind":"panic"}"# => panic!("a client asked for this panic"),
            r#"{"type":"fault","kind":"panic_on_write"}"# => self.arm_panic(),
            r#"{"type":"fault","kind":"hang_on_write"}"# => self.0.store(HANG, Ordering::SeqCst),
            _ => return false,
        }
        true
    }

    /// Makes the next write panic.
    pub(crate) fn arm_panic(&self) {
        self.0.store(PANIC, Ordering::SeqCst);
    }

    /// Does what was asked for, once.
    #[expect(clippy::panic, reason = "to panic is all this is for")]
    pub(crate) fn strike(&self) {
        match self.0.swap(0, Ordering::SeqCst) {
            PANIC => panic!("a client asked for this panic"),
            // The thread itself, as an endless loop would.
            HANG => thread::sleep(STUCK),
            _ => {}
        }
    }
}
