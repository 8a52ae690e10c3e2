//! What the visitors do: an endless, repeatable sequence of page views.
//!
//! Visitors arrive at random (a Poisson process under a slow tide), read a page,
//! follow a link or leave. No clock runs in here: each view comes with the time,
//! since the beginning, at which it is due. The same seed gives the same views.

use std::f64::consts::TAU;
use std::time::{Duration, SystemTime};

use crate::page_view::PageView;
use crate::site;

/// The chance that a reader opens one page more; a visit has four pages on average.
const STAY: f64 = 0.75;
/// How long a page is read, on average, in seconds.
const READING_SECONDS: f64 = 8.0;
/// How long the tide takes to come, go and come again, in seconds.
const TIDE_SECONDS: f64 = 90.0;
/// How far the tide lifts and lowers the rate of arrivals.
const TIDE_HEIGHT: f64 = 0.4;
/// Nobody more is let in beyond this many readers, whatever rate was asked for.
const MAX_READERS: usize = 10_000;

/// The visitors and what they do next.
pub(crate) struct Traffic {
    random: fastrand::Rng,
    arrivals_per_second: f64,
    next_arrival: f64,
    readers: Vec<Reader>,
}

/// Somebody who has decided to open one page more, and when.
struct Reader {
    due: f64,
    view: PageView,
}

impl Traffic {
    /// A site that already has readers, so that the first seconds look like any
    /// others. `views_per_second` is the long-term average.
    pub(crate) fn new(seed: u64, views_per_second: f64) -> Self {
        let pages_per_visit = 1.0 / (1.0 - STAY);
        let arrivals_per_second = views_per_second / pages_per_visit;
        let mut traffic = Self {
            random: fastrand::Rng::with_seed(seed),
            arrivals_per_second,
            next_arrival: 0.0,
            readers: Vec::new(),
        };
        let already_reading = arrivals_per_second * (pages_per_visit - 1.0) * READING_SECONDS;
        for _ in 0..(already_reading.round() as usize).min(MAX_READERS) {
            let visitor = traffic.visitor();
            traffic.let_read(0.0, visitor);
        }
        traffic
    }

    /// The next view, and when it is due since the beginning; times never go back.
    pub(crate) fn next_view(&mut self) -> (Duration, PageView) {
        let first = self.readers.iter().enumerate().min_by(|a, b| a.1.due.total_cmp(&b.1.due));
        let first = first.map(|(place, reader)| (place, reader.due));
        let (now, view) = match first {
            Some((place, due)) if due <= self.next_arrival => {
                (due, self.readers.swap_remove(place).view)
            }
            _ => (self.arrive(), self.visitor()),
        };
        if self.readers.len() < MAX_READERS && self.random.f64() < STAY {
            let next = self.follow_a_link(&view);
            self.let_read(now, next);
        }
        (Duration::from_secs_f64(now), view)
    }

    /// When the visitor who is due arrives; sets the time of the one after.
    fn arrive(&mut self) -> f64 {
        let now = self.next_arrival;
        let tide = 1.0 + TIDE_HEIGHT * (TAU * now / TIDE_SECONDS).sin();
        self.next_arrival += self.random_wait(1.0 / (self.arrivals_per_second * tide));
        now
    }

    fn let_read(&mut self, now: f64, view: PageView) {
        let due = now + self.random_wait(READING_SECONDS);
        self.readers.push(Reader { due, view });
    }

    /// Somebody new, on the page where the visit begins.
    fn visitor(&mut self) -> PageView {
        PageView {
            visitor_id: self.uuid(),
            // Whoever publishes it knows when.
            at: SystemTime::UNIX_EPOCH,
            path: self.pick(&site::ENTRANCES).into(),
            referrer: self.pick(&site::REFERRERS).map(Into::into),
            country: Some(self.pick(&site::COUNTRIES).into()),
            device: self.pick(&site::DEVICES),
        }
    }

    fn follow_a_link(&mut self, view: &PageView) -> PageView {
        let path = self.random.choice(site::links(&view.path)).copied().unwrap_or("/");
        let referrer = Some(format!("{}{}", site::ORIGIN, view.path).into());
        PageView { path: path.into(), referrer, ..view.clone() }
    }

    /// An exponentially distributed wait, in seconds.
    fn random_wait(&mut self, average: f64) -> f64 {
        // 1 - f64() is never 0, so the logarithm is finite.
        -(1.0 - self.random.f64()).ln() * average
    }

    fn pick<T: Copy>(&mut self, choices: &[(T, u32)]) -> T {
        let total = choices.iter().map(|&(_, weight)| weight).sum();
        let mut left = self.random.u32(0..total);
        for &(choice, weight) in choices {
            if left < weight {
                return choice;
            }
            left -= weight;
        }
        choices[0].0
    }

    /// A version 4 UUID (RFC 9562 section 5.4) from the seeded randomness.
    fn uuid(&mut self) -> String {
        let bits = self.random.u128(..);
        let bits = bits & !(0xf << 76) | 0x4 << 76;
        let bits = bits & !(0x3 << 62) | 0x2 << 62;
        let hex = format!("{bits:032x}");
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }
}

#[cfg(test)]
#[path = "traffic_tests.rs"]
mod tests;
