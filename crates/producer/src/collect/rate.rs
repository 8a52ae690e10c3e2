//! How many views one address may send.
//!
//! Each address has one number, the moment at which its bucket is empty again (the
//! generic cell rate algorithm, ITU-T I.371). The table has two halves: when the younger
//! is full or has lasted as long as a bucket needs to empty, the older is forgotten. An
//! empty bucket tells nothing, so that costs no memory of anybody who still has a debt;
//! and the size has a bound whoever sends: an address that the bound forgets gets at most
//! one more burst.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Addresses that one half of the table holds.
const HALF: usize = 50_000;
/// How many seconds' worth of views may come at once.
const BURST_SECONDS: u32 = 2;
/// After this long without a view every bucket is empty.
const IDLE: Duration = Duration::from_secs(BURST_SECONDS as u64);
/// Between two looks whether the older half can go; so an address is known for at most
/// some six seconds after its last view.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A limit for each address.
pub(super) struct RateLimit {
    /// Between two views, nanoseconds; none without a limit.
    interval: Option<u64>,
    started: Instant,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    young: HashMap<IpAddr, u64>,
    old: HashMap<IpAddr, u64>,
    /// Since when the younger half is filled.
    young_since: Option<Instant>,
}

impl RateLimit {
    /// At most `rate` views a second from each address; 0 is no limit.
    pub(super) fn new(rate: u32) -> Self {
        let interval = 1_000_000_000_u64.checked_div(u64::from(rate));
        Self { interval, started: Instant::now(), table: Mutex::default() }
    }

    /// Forgets those who have been idle for long enough, until it is dropped.
    pub(super) async fn forget_idle_forever(&self) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            self.forget_idle(Instant::now());
        }
    }

    fn forget_idle(&self, now: Instant) {
        let mut table = self.table.lock();
        let since = *table.young_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= IDLE {
            table.turn();
            table.young_since = Some(now);
        }
    }

    /// Takes one view from this address's bucket, or says how long it must wait for one.
    pub(super) fn take(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some(interval) = self.interval else { return Ok(()) };
        let now = now.saturating_duration_since(self.started).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let burst = u64::from(BURST_SECONDS) * 1_000_000_000;
        let address = neighbourhood(address);
        let mut table = self.table.lock();
        let empty_at = table.get(address).max(now);
        if empty_at + interval > now + burst.max(interval) {
            return Err(Duration::from_nanos(empty_at + interval - now - burst));
        }
        table.set(address, empty_at + interval);
        Ok(())
    }
}

impl Table {
    fn get(&self, address: IpAddr) -> u64 {
        let found = self.young.get(&address).or_else(|| self.old.get(&address));
        found.copied().unwrap_or_default()
    }

    fn set(&mut self, address: IpAddr, empty_at: u64) {
        if self.young.len() >= HALF && !self.young.contains_key(&address) {
            self.turn();
        }
        self.young.insert(address, empty_at);
    }

    fn turn(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }
}

/// A household has a whole /64 of IPv6 addresses (RFC 6177), and may use each once.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let limit = RateLimit::new(10);
        let start = limit.started;
        let passed = (0..1_000).filter(|_| limit.take(address(1), start).is_ok()).count();
        assert_eq!(passed, 20);
        assert_eq!(limit.take(address(1), start), Err(Duration::from_millis(100)));
        assert_eq!(limit.take(address(2), start), Ok(()), "another one has its own");
        let later = |ms| start + Duration::from_millis(ms);
        assert_eq!(limit.take(address(1), later(99)), Err(Duration::from_millis(1)));
        assert_eq!(limit.take(address(1), later(100)), Ok(()));
        let in_a_second = (0..1_000).filter(|n| limit.take(address(1), later(100 + n)).is_ok());
        assert_eq!(in_a_second.count(), 9, "and what is refused costs nothing");
        let rested = (0..100).filter(|_| limit.take(address(1), later(60_000)).is_ok());
        assert_eq!(rested.count(), 20);
    }

    #[test]
    fn one_view_a_second_is_a_rate_too_and_none_is_no_limit() {
        let limit = RateLimit::new(1);
        let passed = (0..10).filter(|_| limit.take(address(1), limit.started).is_ok()).count();
        assert_eq!(passed, 2);
        let none = RateLimit::new(0);
        assert!((0..10_000).all(|_| none.take(address(1), none.started).is_ok()));
    }

    #[test]
    fn a_household_is_one_address() {
        let limit = RateLimit::new(1);
        let from = |text: &str| limit.take(text.parse().unwrap(), limit.started).is_ok();
        assert!(from("2001:db8:1:2::1") && from("2001:db8:1:2:ffff::1"));
        assert!(!from("2001:db8:1:2::3"));
        assert!(from("2001:db8:1:3::1"));
    }

    #[test]
    fn who_is_idle_is_forgotten_and_who_has_a_debt_is_not() {
        let limit = RateLimit::new(10);
        let later = |ms| limit.started + Duration::from_millis(ms);
        let known = || {
            let table = limit.table.lock();
            table.young.len() + table.old.len()
        };
        limit.forget_idle(later(0));
        while limit.take(address(1), later(1_999)).is_ok() {}
        limit.forget_idle(later(2_000));
        limit.forget_idle(later(3_000));
        assert_eq!(limit.take(address(1), later(2_000)), Err(Duration::from_millis(99)));
        assert_eq!(known(), 1);
        limit.forget_idle(later(4_000));
        assert_eq!(known(), 0);
    }

    #[test]
    fn the_table_has_a_bound() {
        let limit = RateLimit::new(1);
        for number in 0..4 * HALF as u32 {
            assert!(limit.take(address(number), limit.started).is_ok());
        }
        let table = limit.table.lock();
        assert!(table.young.len() <= HALF && table.old.len() <= HALF);
        drop(table);
        let newest = address(4 * HALF as u32 - 1);
        assert!(limit.take(newest, limit.started).is_ok());
        assert!(limit.take(newest, limit.started).is_err(), "who came lately is known");
    }
}
