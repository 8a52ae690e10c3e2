//! One line on standard error that says what runs now and how long it takes.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

/// The progress line.
#[derive(Debug)]
pub struct Progress {
    left: Duration,
    /// On a terminal the line is rewritten in place; in a log each is a line.
    in_place: bool,
}

impl Progress {
    /// For work that takes about `total`.
    pub fn new(total: Duration) -> Self {
        Self { left: total, in_place: stderr().is_terminal() }
    }

    /// Shows how far the work has come.
    pub fn show(&self, what: &str) {
        let (start, end) = if self.in_place { ("\r\x1b[2K", "") } else { ("", "\n") };
        // A progress line that can't be shown is no reason to stop.
        let _ = write!(stderr(), "{start}{what}{end}");
        let _ = stderr().flush();
    }

    /// How often a count that grows is worth showing.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(if self.in_place { 200 } else { 2_000 })
    }

    /// Shows what begins now and takes about `estimate`.
    pub fn begin(&mut self, what: &str, estimate: Duration) {
        self.show(&format!("{what}, about {} s left", self.left.as_secs()));
        self.left = self.left.saturating_sub(estimate);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.in_place {
            let _ = write!(stderr(), "\r\x1b[2K");
        }
    }
}
