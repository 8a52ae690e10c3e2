//! Many clients in one process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::checker::{Ledger, Tally, Truth};
use crate::fleet::counts::Counts;
use crate::fleet::diary::{Diary, Page};
use crate::fleet::feed::Feed;
use crate::fleet::member::Member;
use crate::patience::unix_ms;
use crate::raw_client::Dial;

/// What all clients of a crowd should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Be connected and read.
    Read,
    /// Be connected, and never read.
    Ignore,
    /// Leave, and don't come back yet.
    StayAway,
    /// End.
    End,
}

/// How clients are made.
#[derive(Debug, Clone)]
pub struct CrowdOptions {
    /// How many.
    pub clients: usize,
    /// Within what time each comes (back), at random; doubled with each failure.
    pub jitter: Duration,
    /// What decides everything that is random.
    pub seed: u64,
    /// How they connect.
    pub dial: Dial,
}

/// Where clients connect: `HOST:PORT` of each instance, none for one that a load balancer
/// would not send anybody to.
pub type Doors = Arc<RwLock<Vec<Option<String>>>>;

/// Clients at work; gone when dropped.
pub struct Crowd {
    shared: Arc<Shared>,
    order: watch::Sender<Order>,
    members: JoinSet<()>,
}

pub(super) struct Shared {
    pub(super) feed: Arc<Feed>,
    pub(super) jitter: Duration,
    pub(super) dial: Dial,
    pub(super) counts: Counts,
    doors: Doors,
    mark: AtomicU64,
    diaries: Vec<Mutex<Diary>>,
}

/// How long after a mark each client's channels were live again, in milliseconds,
/// sorted; and how many are still deaf.
#[derive(Debug, Clone, Default)]
pub struct Again {
    /// By client and channel.
    pub channels: Vec<u64>,
    /// By client: its last channel counts.
    pub clients: Vec<u64>,
    /// Clients' channels that have got nothing since.
    pub deaf: usize,
}

impl Again {
    /// When the last channel was live again, milliseconds after the mark.
    pub fn slowest(&self) -> u64 {
        self.channels.last().copied().unwrap_or(0)
    }
}

impl Shared {
    pub(super) fn diary(&self, member: usize) -> MutexGuard<'_, Diary> {
        self.diaries[member].lock().expect("no panic under the lock")
    }

    pub(super) fn mark(&self) -> u64 {
        self.mark.load(Ordering::Relaxed)
    }

    /// Any of the instances.
    pub(super) fn door(&self, random: &mut Rng) -> Option<String> {
        let doors = self.doors.read().expect("no panic under the lock");
        let open: Vec<&String> = doors.iter().flatten().collect();
        (!open.is_empty()).then(|| open[random.usize(..open.len())].clone())
    }
}

impl Crowd {
    /// Clients that begin to connect to these doors, which may change.
    pub fn start(feed: &Arc<Feed>, doors: &Doors, options: &CrowdOptions, order: Order) -> Self {
        let order = watch::Sender::new(order);
        let channels: Vec<_> = (0..options.clients).map(|client| feed.of_client(client)).collect();
        let diary = |channels: &Vec<usize>| {
            Mutex::new(Diary::new(channels, |channel| feed.is_stream(channel)))
        };
        let shared = Arc::new(Shared {
            feed: Arc::clone(feed),
            jitter: options.jitter,
            dial: options.dial,
            counts: Counts::default(),
            doors: Arc::clone(doors),
            mark: AtomicU64::new(0),
            diaries: channels.iter().map(diary).collect(),
        });
        let mut members = JoinSet::new();
        for (number, channels) in channels.into_iter().enumerate() {
            let member = Member {
                number,
                shared: Arc::clone(&shared),
                order: order.subscribe(),
                random: Rng::with_seed(options.seed.wrapping_add(number as u64)),
                cursors: std::collections::HashMap::new(),
                channels,
                advice: None,
                cookie: None,
            };
            members.spawn(member.live());
        }
        Self { shared, order, members }
    }

    /// How many clients it has.
    pub fn len(&self) -> usize {
        self.shared.diaries.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.shared.diaries.is_empty()
    }

    /// What its clients counted.
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Tells all clients what to do from now on.
    pub fn order(&self, order: Order) {
        self.order.send_replace(order);
    }

    /// Begins to measure when channels are live again; answers the mark, which is now.
    pub fn mark(&self) -> u64 {
        // Two marks are never the same, or the second would find the answers of the first.
        let now = unix_ms().max(self.shared.mark() + 1);
        self.shared.mark.store(now, Ordering::Relaxed);
        now
    }

    /// When channels were live after the mark.
    pub fn live_after(&self, mark: u64) -> Again {
        let mut again = Again::default();
        for number in 0..self.len() {
            let diary = self.shared.diary(number);
            let live: Vec<_> = diary.pages().map(|(_, page)| page.live_after(mark)).collect();
            again.deaf += live.iter().filter(|live| live.is_none()).count();
            again.channels.extend(live.iter().flatten());
            again.clients.extend(live.into_iter().collect::<Option<Vec<_>>>().map(latest));
        }
        again.channels.sort_unstable();
        again.clients.sort_unstable();
        again
    }

    /// Whether each client is in every channel of its own: it has heard of each since
    /// the mark.
    pub fn is_live_after(&self, mark: u64) -> bool {
        (0..self.len()).all(|number| {
            self.shared.diary(number).pages().all(|(_, page)| page.live_after(mark).is_some())
        })
    }

    /// Looks at the page of each client and channel.
    pub fn each(&self, mut look: impl FnMut(usize, usize, &Page)) {
        for number in 0..self.len() {
            for (channel, page) in self.shared.diary(number).pages() {
                look(number, channel, page);
            }
        }
    }

    /// How many events of streams are still on their way to clients.
    pub fn missing(&self, truths: &[Truth]) -> usize {
        let mut missing = 0;
        self.each(|_, channel, page| {
            if let Page::Stream { record, .. } = page {
                missing += record.missing(&truths[channel]).count();
            }
        });
        missing
    }

    /// Judges all clients.
    pub fn judge(&self, truths: &[Truth], ledger: &Ledger) -> Tally {
        let mut tally = Tally::default();
        self.each(|_, channel, page| match page {
            Page::Stream { record, .. } => tally.add_stream(record.judge(&truths[channel])),
            Page::PubSub { record, .. } => tally.add_pubsub(record.judge(ledger, channel)),
        });
        tally
    }

    /// Panics if a client has met something that the protocol does not have.
    pub fn assert_sane(&mut self) {
        while let Some(ended) = self.members.try_join_next() {
            if let Err(error) = ended {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}

fn latest(live: Vec<u64>) -> u64 {
    live.into_iter().max().unwrap_or(0)
}
