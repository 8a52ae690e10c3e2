//! How long a reader waits for an answer. Pure: the clock is given.
//!
//! A server that hangs is silent, and so is one that is still sending a very large answer.
//! Whoever gave up asks again and waits twice as long, or it would never get that answer;
//! but not for ever, or the next hang would be seen as much later as outages came before.

use std::time::{Duration, Instant};

/// The longest that an answer may take, however large it is.
const MOST: Duration = Duration::from_secs(60);

/// One reader's patience.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    usual: Duration,
    now: Duration,
    /// Since when every answer has come in the usual time.
    prompt_since: Option<Instant>,
}

impl Patience {
    /// The usual one.
    pub(crate) fn new(usual: Duration) -> Self {
        Self { usual, now: usual, prompt_since: None }
    }

    /// How long an answer may take.
    pub(crate) fn get(&self) -> Duration {
        self.now
    }

    /// The answer to what was asked at `asked` came at `now`. Once all have been prompt for
    /// as long as the usual patience, whatever took longer is over.
    pub(crate) fn answered(&mut self, asked: Instant, now: Instant) {
        if now.saturating_duration_since(asked) > self.usual {
            self.prompt_since = None;
            return;
        }
        let since = *self.prompt_since.get_or_insert(asked);
        if now.saturating_duration_since(since) >= self.usual {
            self.now = self.usual;
        }
    }

    /// A connection has ended, because an answer did not come in time or otherwise.
    pub(crate) fn ended(&mut self, was_late: bool) {
        self.prompt_since = None;
        self.now = if was_late { (self.now * 2).min(MOST) } else { self.usual };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_secs(2);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn what_was_late_gets_twice_as_long_up_to_a_minute() {
        let mut patience = Patience::new(USUAL);
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(patience.get(), Duration::from_secs(seconds));
            patience.ended(true);
        }
        patience.ended(false);
        assert_eq!(patience.get(), USUAL);
    }

    #[test]
    fn an_outage_long_ago_does_not_make_the_next_one_longer() {
        let (start, mut patience) = (Instant::now(), Patience::new(USUAL));
        patience.ended(true);
        for n in 0..10 {
            let asked = start + ms(200) * n;
            assert_eq!(patience.get(), USUAL * 2, "answer {n}");
            patience.answered(asked, asked + ms(200));
        }
        assert_eq!(patience.get(), USUAL);
    }

    #[test]
    fn answers_that_need_it_keep_it() {
        let (start, mut patience) = (Instant::now(), Patience::new(USUAL));
        patience.ended(true);
        let mut asked = start;
        for _ in 0..10 {
            // A small one and a large one in turn.
            patience.answered(asked, asked + ms(10));
            patience.answered(asked + ms(10), asked + ms(3_000));
            asked += ms(3_000);
            assert_eq!(patience.get(), USUAL * 2);
        }
    }
}
