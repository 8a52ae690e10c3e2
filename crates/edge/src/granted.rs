//! What a session keeps of its grant.
//!
//! Boxed and optional as a whole: most connections of most gateways have none, and
//! pay one pointer for it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use redcast_hub::{Connection, Socket};
use redcast_node::Grant;
use redcast_protocol::{CloseCode, Pattern};
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer is set at most this far ahead, and then again: tokio's wheel ends after
/// some two years.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 3600);

/// A grant that says something.
pub(crate) struct Granted {
    /// Who the client is.
    pub(crate) user: Option<Box<str>>,
    /// What the client may join, instead of what the endpoint offers.
    pub(crate) subscribe: Option<Box<[Pattern]>>,
}

/// The moment at which a connection ends. Apart from the rest, because it changes while
/// a command reads that.
pub(crate) struct Expiry {
    at: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Granted {
    /// What is to be kept of a grant, if anything.
    pub(crate) fn keep(grant: Grant) -> Option<Box<Self>> {
        let user = grant.user.map(String::into_boxed_str);
        let subscribe = grant.subscribe.map(Vec::into_boxed_slice);
        let says_something = user.is_some() || subscribe.is_some();
        says_something.then(|| Box::new(Self { user, subscribe }))
    }
}

impl Expiry {
    /// The wall clock is read once: a clock that is set later moves no connection. None
    /// where the clock can't count that far, which is as good as never.
    pub(crate) fn new(at: SystemTime) -> Option<Box<Self>> {
        // A date that has passed meanwhile is now.
        let left = at.duration_since(SystemTime::now()).unwrap_or_default();
        let now = Instant::now();
        let at = now.checked_add(left)?;
        let sleep = Box::pin(sleep_until(at.min(now + LONGEST_SLEEP)));
        Some(Box::new(Self { at, sleep }))
    }

    /// Ends the connection if it is time; else the task is woken when it is.
    pub(crate) fn poll_end<S: Socket>(&mut self, connection: &Connection<S>, cx: &mut Context<'_>) {
        if self.poll(cx).is_ready() {
            connection.close(CloseCode::Unauthenticated, CloseCode::Unauthenticated.reason());
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= self.at {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.at.min(now + LONGEST_SLEEP));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::timeout;

    use super::*;

    #[test]
    fn a_grant_that_says_nothing_is_not_kept() {
        assert!(Granted::keep(Grant::default()).is_none());
        let grant = Grant { subscribe: Some(Vec::new()), ..Grant::default() };
        assert_eq!(Granted::keep(grant).unwrap().subscribe.as_deref(), Some(&[][..]));
    }

    #[tokio::test(start_paused = true)]
    async fn an_expiry_comes_at_its_time_also_after_more_than_one_timer() {
        for left in [Duration::from_secs(2), LONGEST_SLEEP * 3 + Duration::from_secs(5)] {
            let mut expiry = Expiry::new(SystemTime::now() + left).unwrap();
            let begun = Instant::now();
            poll_fn(|cx| expiry.poll(cx)).await;
            // Reading the wall clock took real time, which the paused clock does not see.
            let late = begun.elapsed().abs_diff(left);
            assert!(late < Duration::from_secs(1), "{left:?}: {late:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_date_in_the_past_is_now_and_one_far_away_is_no_trouble() {
        let mut past = Expiry::new(SystemTime::UNIX_EPOCH).unwrap();
        assert!(timeout(Duration::from_millis(10), poll_fn(|cx| past.poll(cx))).await.is_ok());
        let year_9999 = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        let mut far = Expiry::new(year_9999).unwrap();
        let year = Duration::from_secs(365 * 24 * 3600);
        assert!(timeout(5 * year, poll_fn(|cx| far.poll(cx))).await.is_err());
    }
}
