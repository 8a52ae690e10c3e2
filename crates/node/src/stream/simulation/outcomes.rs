//! What happened how often, so that it is known whether a simulation meets what it is for.

use redcast_protocol::ResetReason;

/// How often something happened.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// Clients came back and missed nothing.
    pub(super) exact: u64,
    trimmed: u64,
    forked: u64,
    unknown: u64,
    /// Some of what they had missed came from the ring, or from Redis.
    pub(super) from_ring: u64,
    pub(super) from_redis: u64,
    /// What others had read served them.
    pub(super) shared: u64,
    /// They got the last events.
    pub(super) recent: u64,
    /// They heard of a reset.
    pub(super) told_resets: u64,
    pub(super) waits: u64,
    /// They were sent away.
    pub(super) refused: u64,
}

impl Outcomes {
    pub(super) fn all(&self) -> [(&'static str, u64); 11] {
        [
            ("exact", self.exact),
            ("trimmed", self.trimmed),
            ("forked", self.forked),
            ("unknown", self.unknown),
            ("from the ring", self.from_ring),
            ("from Redis", self.from_redis),
            ("shared", self.shared),
            ("recent", self.recent),
            ("resets told", self.told_resets),
            ("waits", self.waits),
            ("refused", self.refused),
        ]
    }

    pub(super) fn count(&mut self, reason: ResetReason) {
        match reason {
            ResetReason::Trimmed => self.trimmed += 1,
            ResetReason::Forked => self.forked += 1,
            ResetReason::Unknown => self.unknown += 1,
        }
    }
}
