//! What is measured, and the bars of the performance budget.

use crate::content::Content;
use crate::figure::Figure;
use crate::publisher::Pace;
use crate::setup::Setup;

/// One row of the benchmark.
#[derive(Debug)]
pub struct Scenario {
    /// Its short name, for `--only`.
    pub key: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// Connections.
    pub clients: usize,
    /// What is published to them; none if they are only connected.
    pub traffic: Option<Traffic>,
    /// With whom the gateway is compared.
    pub pair: Option<Pair>,
    /// What the budget asks of the gateway.
    pub bars: &'static [Bar],
}

/// What is published.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    /// How fast, over all channels.
    pub pace: Pace,
    /// How many channels the events take turns in; each client is in one of them.
    pub channels: usize,
    /// What the payloads hold.
    pub content: Content,
}

/// The gateway is compared with itself, as it is by default and set up otherwise. The
/// floor and peers take no part: they have no such thing.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// What the two are called in the table.
    pub names: [&'static str; 2],
    /// How the second one is set up.
    pub changed: Setup,
}

/// A bar: which figure it is about, and where it lies. The baseline is the floor, or
/// the first of a pair.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    /// The figure.
    pub figure: Figure,
    /// Where the bar lies.
    pub limit: Limit,
}

/// Where a bar lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// At most so many times the baseline's.
    Times(f64),
    /// At most the baseline's and so much more.
    Above(f64),
    /// At most so many times the baseline's, or so much more, whichever is higher.
    TimesOrAbove(f64, f64),
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// No bar: the figure and its ratio are only shown.
    Shown,
}

const fn bar(figure: Figure, limit: Limit) -> Bar {
    Bar { figure, limit }
}

const NOTHING_LOST: Bar = bar(Figure::Lost, Limit::AtMost(0.0));
const NOTHING_TWICE: Bar = bar(Figure::Duplicated, Limit::AtMost(0.0));

/// Events of 200 bytes in one channel.
const fn small(rate: u32, burst: u32) -> Option<Traffic> {
    filler(rate, burst, 200)
}

/// Events of `size` bytes in one channel.
const fn filler(rate: u32, burst: u32, size: usize) -> Option<Traffic> {
    let (pace, content) = (Pace { rate, burst }, Content::Filler(size));
    Some(Traffic { pace, channels: 1, content })
}

const NORMAL: Setup = Setup { channels: 1, deflate: false, silent: false, snapshot: None };

/// All scenarios, in the order they run.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        key: "a",
        title: "paced: 1,000 clients x 50 events/s",
        clients: 1_000,
        traffic: small(50, 1),
        pair: None,
        bars: &[
            bar(Figure::CpuPerDelivery, Limit::Times(1.2)),
            bar(Figure::P50, Limit::Above(0.5)),
            bar(Figure::P99, Limit::Above(5.0)),
            NOTHING_LOST,
        ],
    },
    Scenario {
        key: "b1",
        title: "bursts: 200 clients x 5,000 events/s, 50 each 10 ms",
        clients: 200,
        traffic: small(5_000, 50),
        pair: None,
        bars: &[bar(Figure::CpuPerDelivery, Limit::Times(1.5)), NOTHING_LOST, NOTHING_TWICE],
    },
    Scenario {
        key: "b2",
        title: "even: 200 clients x 5,000 events/s",
        clients: 200,
        traffic: small(5_000, 1),
        pair: None,
        bars: &[
            bar(Figure::Published, Limit::AtLeast(4_900.0)),
            bar(Figure::Deliveries, Limit::AtLeast(980_000.0)),
            bar(Figure::P99, Limit::AtMost(20.0)),
            NOTHING_LOST,
            NOTHING_TWICE,
        ],
    },
    Scenario {
        key: "c",
        title: "wide: 19,000 clients x 3 events/s",
        clients: 19_000,
        traffic: small(3, 1),
        pair: None,
        bars: &[bar(Figure::CpuPerDelivery, Limit::Times(1.3)), NOTHING_LOST],
    },
    Scenario {
        key: "d",
        title: "many channels: 10,000 clients, 2 in each of 5,000 channels x 4 events/s, 20 each ms",
        clients: 10_000,
        // Each client's share is as even as in (a); the writes of the publisher are few
        // enough to leave its CPU to Redis.
        traffic: Some(Traffic {
            pace: Pace { rate: 20_000, burst: 20 },
            channels: 5_000,
            content: Content::Filler(200),
        }),
        pair: None,
        bars: &[bar(Figure::CpuPerDelivery, Limit::Times(1.8)), NOTHING_LOST, NOTHING_TWICE],
    },
    Scenario {
        key: "e",
        title: "idle: 10,000 clients",
        clients: 10_000,
        traffic: None,
        pair: None,
        bars: &[
            bar(Figure::MemoryPerConnection, Limit::AtMost(1.5)),
            bar(Figure::FreshMemory, Limit::AtMost(20.0)),
        ],
    },
    Scenario {
        key: "e19",
        title: "idle: 19,000 clients",
        clients: 19_000,
        traffic: None,
        pair: None,
        bars: &[bar(Figure::MemoryPerConnection, Limit::Shown)],
    },
    Scenario {
        key: "f",
        title: "connecting: 5,000 clients, 100 at a time",
        clients: 5_000,
        traffic: None,
        pair: None,
        bars: &[
            bar(Figure::CpuPerHandshake, Limit::Times(3.0)),
            bar(Figure::Connects, Limit::Shown),
        ],
    },
    Scenario {
        key: "g1",
        title: "1 KiB events: 1,000 clients x 20 events/s",
        clients: 1_000,
        traffic: filler(20, 1, 1 << 10),
        pair: None,
        bars: &[bar(Figure::CpuPerDelivery, Limit::Shown), NOTHING_LOST],
    },
    Scenario {
        key: "g16",
        title: "16 KiB events: 200 clients x 20 events/s",
        clients: 200,
        traffic: filler(20, 1, 16 << 10),
        pair: None,
        bars: &[bar(Figure::CpuPerDelivery, Limit::Shown), NOTHING_LOST],
    },
    Scenario {
        key: "deflate",
        title: "permessage-deflate: 1,000 clients x 50 page-view batches/s of 1 KiB",
        clients: 1_000,
        traffic: Some(Traffic {
            pace: Pace { rate: 50, burst: 1 },
            channels: 1,
            content: Content::PageViews,
        }),
        pair: Some(Pair { names: ["off", "on"], changed: Setup { deflate: true, ..NORMAL } }),
        bars: &[
            bar(Figure::CpuPerDelivery, Limit::Times(1.3)),
            bar(Figure::WireBytes, Limit::Times(0.4)),
            NOTHING_LOST,
        ],
    },
    Scenario {
        key: "slow",
        title: "a client that never reads, beside 1,000 x 50 events/s of 3 KiB",
        clients: 1_000,
        // Of (a)'s 200 bytes the kernel alone would hold six seconds for the silent
        // client. These are 150 KB a second: the kernel's share is full before the window
        // opens, and an outbox of 1 MiB near the end of it.
        traffic: filler(50, 1, 3 << 10),
        pair: Some(Pair { names: ["without", "with"], changed: Setup { silent: true, ..NORMAL } }),
        bars: &[bar(Figure::P99, Limit::TimesOrAbove(1.2, 1.0)), NOTHING_LOST],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_normal_is_the_default() {
        let keys: std::collections::HashSet<_> =
            SCENARIOS.iter().map(|scenario| scenario.key).collect();
        assert_eq!(keys.len(), SCENARIOS.len());
        assert_eq!(NORMAL, Setup::default());
    }
}
