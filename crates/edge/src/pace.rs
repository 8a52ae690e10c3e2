//! How fast one connection may speak.

use std::time::{Duration, Instant};

use redcast_node::{Bucket, Rate};
use redcast_protocol::CloseCode;

/// Pings and pongs one connection may send per second on average, and at once. An
/// honest client sends one or two a minute.
const CONTROL_FRAMES_PER_SECOND: u32 = 10;
const CONTROL_FRAMES_BURST: u32 = 100;
/// A burst of commands is this many seconds' worth: a page that opens subscribes to
/// much at once.
const COMMAND_BURST_SECONDS: u32 = 4;
/// How long a message may take from its first byte to its last.
const MESSAGE_DEADLINE: Duration = Duration::from_secs(10);

/// The rates that every connection has to keep.
#[derive(Debug)]
pub(crate) struct Rates {
    control: Option<Rate>,
    commands: Option<Rate>,
}

/// What one connection has used up of them.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    control: Bucket,
    commands: Bucket,
    /// Refusals have the same rate as commands: who goes on and on when told to wait
    /// does not listen.
    refusals: Bucket,
    /// When the message began that is not whole yet.
    begun: Option<Instant>,
}

/// What becomes of one more command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is carried out.
    InTime,
    /// It is not, and the client is told.
    TooFast,
    /// The client does not listen to that either: the connection ends.
    Flood,
}

/// A breach of the pace after which a connection is closed with 1008.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PaceError {
    /// A flood of pings or pongs.
    #[error("too many pings or pongs")]
    ControlFlood,
    /// A message that does not end.
    #[error("a message must be whole within 10 s")]
    MessageTooSlow,
}

impl PaceError {
    pub(crate) const CLOSE_CODE: CloseCode = CloseCode::Policy;
}

impl Rates {
    pub(crate) fn new(commands_per_second: u32) -> Self {
        let command_burst = commands_per_second.saturating_mul(COMMAND_BURST_SECONDS);
        Self {
            control: Rate::new(CONTROL_FRAMES_PER_SECOND, CONTROL_FRAMES_BURST),
            commands: Rate::new(commands_per_second, command_burst),
        }
    }
}

impl Pace {
    /// Counts a ping or a pong.
    pub(crate) fn control_frame(&mut self, rates: &Rates) -> Result<(), PaceError> {
        match &rates.control {
            Some(rate) if !rate.allows(&mut self.control, Instant::now()) => {
                Err(PaceError::ControlFlood)
            }
            _ => Ok(()),
        }
    }

    /// Counts a command at `now`.
    pub(crate) fn command(&mut self, rates: &Rates, now: Instant) -> Verdict {
        let Some(rate) = &rates.commands else { return Verdict::InTime };
        if rate.allows(&mut self.commands, now) {
            Verdict::InTime
        } else if rate.allows(&mut self.refusals, now) {
            Verdict::TooFast
        } else {
            Verdict::Flood
        }
    }

    /// A command was carried out meanwhile, and what follows it was left unread: that
    /// time was ours.
    pub(crate) fn resume(&mut self) {
        self.begun = None;
    }

    /// Notes at `now` that bytes came: whether they completed a message, and whether
    /// they left one incomplete. A client that sends nothing more is the idle
    /// time-out's, so no timer is needed.
    pub(crate) fn bytes_came(
        &mut self,
        now: Instant,
        completed: bool,
        incomplete: bool,
    ) -> Result<(), PaceError> {
        if completed || !incomplete {
            self.begun = incomplete.then_some(now);
            return Ok(());
        }
        let begun = *self.begun.get_or_insert(now);
        if now.saturating_duration_since(begun) > MESSAGE_DEADLINE {
            return Err(PaceError::MessageTooSlow);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_pings_passes_and_a_flood_does_not() {
        let rates = Rates::new(50);
        let mut pace = Pace::default();
        assert!((0..CONTROL_FRAMES_BURST).all(|_| pace.control_frame(&rates).is_ok()));
        assert!((0..100).any(|_| pace.control_frame(&rates) == Err(PaceError::ControlFlood)));
    }

    #[test]
    fn a_client_that_goes_on_when_told_to_wait_is_a_flood() {
        let rates = Rates::new(1);
        let now = Instant::now();
        let mut pace = Pace::default();
        let verdicts: Vec<Verdict> = (0..10).map(|_| pace.command(&rates, now)).collect();
        assert_eq!(verdicts[..4], [Verdict::InTime; 4]);
        assert_eq!(verdicts[4..8], [Verdict::TooFast; 4]);
        assert_eq!(verdicts[8..], [Verdict::Flood; 2]);
        let (unlimited, mut pace) = (Rates::new(0), Pace::default());
        assert!((0..1_000).all(|_| pace.command(&unlimited, now) == Verdict::InTime));
    }

    #[test]
    fn commands_in_time_between_them_forgive_no_flood() {
        let rates = Rates::new(10);
        let start = Instant::now();
        // Commands for a minute, evenly.
        let verdicts = |per_second: u32| {
            let mut pace = Pace::default();
            let moments =
                (0..60 * per_second).map(|i| start + Duration::from_secs(1) * i / per_second);
            moments.map(|now| pace.command(&rates, now)).collect::<Vec<_>>()
        };
        assert!(!verdicts(10).contains(&Verdict::TooFast));
        assert!(verdicts(19).contains(&Verdict::TooFast));
        assert!(!verdicts(19).contains(&Verdict::Flood));
        assert!(verdicts(25).contains(&Verdict::Flood));
    }

    #[test]
    fn a_message_has_ten_seconds_and_the_next_one_has_its_own() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        assert_eq!(pace.bytes_came(at(0), false, true), Ok(()));
        assert_eq!(pace.bytes_came(at(10), false, true), Ok(()));
        // It ends, and another begins in the same bytes.
        assert_eq!(pace.bytes_came(at(10), true, true), Ok(()));
        assert_eq!(pace.bytes_came(at(20), false, true), Ok(()));
        assert_eq!(pace.bytes_came(at(21), false, true), Err(PaceError::MessageTooSlow));
        let mut pace = Pace::default();
        assert_eq!(pace.bytes_came(at(0), false, true), Ok(()));
        assert_eq!(pace.bytes_came(at(1), true, false), Ok(()));
        // Between messages no time runs.
        assert_eq!(pace.bytes_came(at(60), false, true), Ok(()));
        // Nor does it while the one before is being carried out.
        assert_eq!(pace.bytes_came(at(61), true, true), Ok(()));
        pace.resume();
        assert_eq!(pace.bytes_came(at(99), false, true), Ok(()));
    }
}
