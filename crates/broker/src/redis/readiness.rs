//! Whether clients should be sent here, judged by what has been proven. Pure: the clock
//! is given.
//!
//! To become ready takes one proof of everything; to stop being ready takes the lack of
//! one for [`PROOF_LIFETIME`]. So a link that is cut and built again within a blink, which
//! costs clients nothing but a gap, sends nobody elsewhere.

use std::time::{Duration, Instant};

use crate::Readiness;

/// How long a proof counts: three canaries, of which two may be late.
pub(super) const PROOF_LIFETIME: Duration = Duration::from_secs(3);

/// What is known at a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts {
    /// When the newest canary was sent that came back while every channel was confirmed
    /// that should be.
    pub(super) proven: Option<Instant>,
    /// When anything was last heard from Redis, whichever link brought it.
    pub(super) heard: Option<Instant>,
    /// Since when Redis answers whatever it is asked, if only by refusing it.
    pub(super) answering: Option<Instant>,
}

/// Keeps the verdict.
#[derive(Debug)]
pub(super) struct Judge {
    /// Silence after which Redis counts as hung, although its last proof is younger.
    dead_after: Duration,
    verdict: Readiness,
    /// The proof that a lost readiness was based on: it does not count again.
    spent: Option<Instant>,
}

impl Judge {
    /// Nothing has been proven yet.
    pub(super) fn new(dead_after: Duration) -> Self {
        Self { dead_after, verdict: Readiness::Unready, spent: None }
    }

    /// The verdict of `now`. It depends on the one before, so it must be asked for more
    /// often than a proof lives.
    pub(super) fn judge(&mut self, now: Instant, facts: &Facts) -> Readiness {
        let age = |moment: Instant| now.saturating_duration_since(moment);
        let is_heard = facts.heard.is_some_and(|heard| age(heard) < self.dead_after);
        let is_new = facts.proven > self.spent;
        let is_proven = facts.proven.is_some_and(|proven| age(proven) < PROOF_LIFETIME);
        // A Redis that has just come back is given the time of a proof before what is
        // missing counts as this instance's own fault.
        let answers = is_heard && facts.answering.is_some_and(|since| age(since) >= PROOF_LIFETIME);
        let verdict = match self.verdict {
            _ if is_heard && is_new && is_proven => Readiness::Ready,
            Readiness::Ready | Readiness::Outage if !answers => Readiness::Outage,
            _ => Readiness::Unready,
        };
        if self.verdict == Readiness::Ready && verdict != Readiness::Ready {
            self.spent = facts.proven;
        }
        self.verdict = verdict;
        verdict
    }
}

#[cfg(test)]
#[path = "readiness_tests.rs"]
mod tests;
