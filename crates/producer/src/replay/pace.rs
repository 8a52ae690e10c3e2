//! When a view of the log is due.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Views that are later than this are not made up for, or a store that was away would
/// be greeted by a flood.
const MAX_LATE: Duration = Duration::from_secs(1);
/// Lines that go back further than this begin another log. Servers write lines when
/// answers end, some with the time at which they began.
const MAX_BACK: Duration = Duration::from_secs(3_600);

/// How fast a log is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// This many times as fast as it was written, from 0.001 to 1,000,000.
    Times(f64),
    /// As fast as the store takes it.
    Max,
}

/// Not a speed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a speed is a number from 0.001 to 1000000, or max")]
pub struct SpeedError;

/// `max` and `0` are [`Speed::Max`].
impl FromStr for Speed {
    type Err = SpeedError;

    fn from_str(text: &str) -> Result<Self, SpeedError> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse() {
            Ok(0.0) => Ok(Self::Max),
            Ok(times) if (0.001..=1e6).contains(&times) => Ok(Self::Times(times)),
            _ => Err(SpeedError),
        }
    }
}

/// The log's clock, mapped to ours.
pub(super) struct Pace {
    times: f64,
    /// A moment here, and the log's at that moment.
    start: Option<(Instant, SystemTime)>,
    /// The newest line.
    newest: SystemTime,
}

impl Pace {
    /// A clock that begins with the first line it is asked about.
    pub(super) fn new(times: f64) -> Self {
        Self { times, start: None, newest: SystemTime::UNIX_EPOCH }
    }

    /// When a view that the log has at `logged` is due; not before `now`.
    pub(super) fn due(&mut self, logged: SystemTime, now: Instant) -> Instant {
        if self.newest.duration_since(logged).is_ok_and(|back| back > MAX_BACK) {
            self.start = None;
            self.newest = logged;
        }
        self.newest = self.newest.max(logged);
        let (start, first) = *self.start.get_or_insert((now, logged));
        let since = self.newest.duration_since(first).unwrap_or_default().as_secs_f64();
        let since = Duration::try_from_secs_f64(since / self.times).unwrap_or(Duration::MAX);
        // A wait that no clock can tell is as good as one for ever.
        let due = start.checked_add(since).unwrap_or(now + Duration::from_secs(86_400 * 365));
        let late = now.saturating_duration_since(due);
        if late > MAX_LATE {
            self.start = Some((start + late, first));
        }
        due.max(now)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep_until};

    use super::*;

    fn log(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_765_000_000 + seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn views_are_due_as_far_apart_as_in_the_log_divided_by_the_speed() {
        let start = Instant::now();
        let mut pace = Pace::new(10.0);
        let due = [100, 101, 130, 90, 140].map(|at| pace.due(log(at), Instant::now()) - start);
        // The one that goes back is due with the one before it.
        assert_eq!(due.map(|due| due.as_millis()), [0, 100, 3_000, 3_000, 4_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_missed_is_not_made_up_for() {
        let mut pace = Pace::new(1.0);
        sleep_until(pace.due(log(0), Instant::now())).await;
        advance(Duration::from_secs(60)).await;
        let start = Instant::now();
        let due = [1, 2, 3].map(|at| pace.due(log(at), Instant::now()) - start);
        assert_eq!(due.map(|due| due.as_secs()), [0, 1, 2]);
        advance(Duration::from_millis(3_900)).await;
        // Less than a second late is made up for.
        let due = [4, 5].map(|at| pace.due(log(at), Instant::now()) - start);
        assert_eq!(due.map(|due| due.as_millis()), [3_900, 4_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_behind_a_log_has_its_own_beginning() {
        let mut pace = Pace::new(1.0);
        let start = Instant::now();
        let day = 86_400;
        let due = [day, day + 5, 0, 7].map(|at| pace.due(log(at), Instant::now()) - start);
        assert_eq!(due.map(|due| due.as_secs()), [0, 5, 0, 7]);
    }

    #[test]
    fn speeds_are_numbers_or_max() {
        assert_eq!("10".parse(), Ok(Speed::Times(10.0)));
        assert_eq!("0.5".parse(), Ok(Speed::Times(0.5)));
        assert_eq!(("max".parse(), "0".parse()), (Ok(Speed::Max), Ok(Speed::Max)));
        for text in ["", "-1", "NaN", "inf", "1e-9", "1e9", "fast"] {
            assert_eq!(text.parse::<Speed>(), Err(SpeedError), "{text}");
        }
    }
}
