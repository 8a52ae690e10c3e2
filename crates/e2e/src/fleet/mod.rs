//! Three whole gateways, a crowd of clients that come back by themselves, and a
//! producer: what a fault is let loose on.
//!
//! ```text
//! producer ── Redis ── (FaultProxy) ── gateways ── crowd
//!     └ ledger ───────────── checker ─────── diaries ┘
//! ```

mod counts;
mod crowd;
mod diary;
mod feed;
mod member;
mod place;
mod producer;
mod said;
mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use tokio::time::sleep;

pub use counts::Counts;
pub use crowd::{Again, Crowd, CrowdOptions, Doors, Order};
pub use diary::{Diary, Live, Page};
pub use feed::{Feed, Payload};
pub use producer::{Load, Producer};
pub use said::Said;
pub use store::{Failure, Links, Store};

use crate::checker::{Ledger, Tally, ToldGap, Truth};
use crate::gateway::{Gateway, GatewayOptions};

const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How much of a gateway's log is worth reading after a miss.
const LOG_LINES: usize = 20;

/// What a fleet is made of.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// How many gateways.
    pub gateways: usize,
    /// By what URL each gateway finds Redis; the last one counts for all that follow.
    pub redis_urls: Vec<String>,
    /// By what way the producer and the judge find it.
    pub store: Store,
    /// More TOML for the gateways.
    pub config: String,
    /// Environment variables for the gateways.
    pub env: Vec<(String, String)>,
    /// The ports that gateways listen on, public and admin; any where there is none.
    pub ports: Vec<(u16, u16)>,
    /// The load balancer that clients connect to, instead of any gateway.
    pub door: Option<String>,
    /// How many gateways clients know of at first.
    pub first_doors: usize,
    /// What flows.
    pub feed: Feed,
    /// How much of it.
    pub load: Load,
    /// Who receives it.
    pub crowd: CrowdOptions,
}

/// All of it at work.
pub struct Fleet {
    /// The gateways; a place is empty while its gateway is gone.
    pub gateways: Vec<Option<Gateway>>,
    /// The clients.
    pub crowd: Crowd,
    /// Who publishes.
    pub producer: Producer,
    /// What flows.
    pub feed: Arc<Feed>,
    /// What the producer knows.
    pub ledger: Arc<Ledger>,
    /// Where clients connect.
    pub doors: Doors,
    options: FleetOptions,
}

impl Fleet {
    /// Starts it and waits until every client hears of every channel of its own.
    pub async fn start(options: FleetOptions) -> Self {
        crate::kernel::raise_descriptor_limit();
        let feed = Arc::new(options.feed.clone());
        let ledger = Arc::new(Ledger::new(feed.len()));
        let starting = (0..options.gateways).map(|number| gateway(&options, number));
        let gateways = futures_util::future::join_all(starting).await;
        let doors = match &options.door {
            Some(door) => vec![Some(door.clone())],
            None => {
                let doors = gateways.iter().enumerate();
                let known = |number| number < options.first_doors;
                doors
                    .map(|(number, gateway)| known(number).then(|| gateway.public().to_owned()))
                    .collect()
            }
        };
        let doors = Arc::new(RwLock::new(doors));
        let crowd = Crowd::start(&feed, &doors, &options.crowd, Order::Read);
        let producer = Producer::start(
            options.store.clone(),
            Arc::clone(&feed),
            Arc::clone(&ledger),
            options.load,
        );
        let gateways = gateways.into_iter().map(Some).collect();
        let mut fleet = Self { gateways, crowd, producer, feed, ledger, doors, options };
        let again = fleet.live_again(fleet.crowd.mark(), Duration::from_secs(60)).await;
        let errors = fleet.crowd.counts().errors();
        assert_eq!(again.deaf, 0, "channels that never came to life; errors: {errors:?}");
        fleet
    }

    /// The gateways that run.
    pub fn running(&self) -> impl Iterator<Item = &Gateway> {
        self.gateways.iter().flatten()
    }

    /// The gateway in a place.
    pub fn gateway(&self, number: usize) -> &Gateway {
        self.gateways[number].as_ref().expect("it runs")
    }

    /// Ends a gateway at once (SIGKILL). Clients go on knocking at its door, as they do
    /// until a load balancer has noticed.
    pub fn kill_gateway(&mut self, number: usize) {
        drop(self.gateways[number].take());
    }

    /// Takes a gateway that is to end by itself out of its place.
    pub fn take_gateway(&mut self, number: usize) -> Gateway {
        self.gateways[number].take().expect("it runs")
    }

    /// Sends no more clients to this gateway, as a load balancer does with one that is not
    /// ready.
    pub fn close_door(&self, number: usize) {
        self.set_door(number, None);
    }

    /// Sends clients to every gateway that runs.
    pub fn open_doors(&self) {
        for (number, gateway) in self.gateways.iter().enumerate() {
            self.set_door(number, gateway.as_ref().map(|gateway| gateway.public().to_owned()));
        }
    }

    fn set_door(&self, number: usize, door: Option<String>) {
        self.doors.write().expect("no panic under the lock")[number] = door;
    }

    /// Starts a gateway in an empty place.
    pub async fn start_gateway(&mut self, number: usize) {
        assert!(self.gateways[number].is_none(), "it runs");
        let gateway = gateway(&self.options, number).await;
        if self.options.door.is_none() {
            self.set_door(number, Some(gateway.public().to_owned()));
        }
        self.gateways[number] = Some(gateway);
    }

    /// Waits until all channels of all clients were live after the mark; answers how it
    /// went also when patience ended before.
    pub async fn live_again(&mut self, mark: u64, patience: Duration) -> Again {
        let began = Instant::now();
        while !self.crowd.is_live_after(mark) && began.elapsed() < patience {
            self.crowd.assert_sane();
            sleep(LOOK_EVERY).await;
        }
        self.crowd.live_after(mark)
    }

    /// Prints what each gateway has logged last, for whoever has to find out why.
    pub fn print_logs(&self) {
        for (number, gateway) in self.running().enumerate() {
            let log = gateway.log();
            let last = log.len().saturating_sub(LOG_LINES);
            log[last..].iter().for_each(|line| println!("    gateway {number}: {line}"));
        }
    }

    /// What Redis holds now, by channel; nothing of pub/sub channels.
    pub async fn truths(&self, is_whole: bool) -> Vec<Truth> {
        let mut links = Links::new(self.options.store.clone());
        let mut truths = vec![Truth::default(); self.feed.len()];
        for channel in self.feed.streams() {
            truths[channel] = links.truth(self.feed.name(channel), is_whole).await;
        }
        truths
    }

    /// Ends the load, waits for what is still on its way, and judges. `is_whole`:
    /// nothing was taken away from Redis on purpose.
    pub async fn finish(mut self, is_whole: bool, patience: Duration) -> Outcome {
        let mark = self.crowd.mark();
        let again = self.live_again(mark, patience).await;
        let Self { mut crowd, producer, feed, ledger, gateways, options, .. } = self;
        producer.finish().await;
        let mut links = Links::new(options.store);
        let mut truths = vec![Truth::default(); feed.len()];
        for channel in feed.streams() {
            truths[channel] = links.truth(feed.name(channel), is_whole).await;
        }
        let began = Instant::now();
        while crowd.missing(&truths) > 0 && began.elapsed() < patience {
            crowd.assert_sane();
            sleep(Duration::from_millis(100)).await;
        }
        // Nothing tells when the last event of a pub/sub channel is through.
        sleep(Duration::from_millis(500)).await;
        crowd.assert_sane();
        let tally = crowd.judge(&truths, &ledger);
        let taken = redis_lost(&feed, &ledger, &truths);
        let closes = crowd.counts().closes();
        drop(gateways);
        Outcome { tally, deaf: again.deaf, taken, closes, is_whole, feed, crowd, ledger, truths }
    }
}

/// How it ended.
pub struct Outcome {
    /// All judgements, added up.
    pub tally: Tally,
    /// Channels of clients that got nothing any more.
    pub deaf: usize,
    /// Entries that Redis acknowledged and no longer holds.
    pub taken: usize,
    /// Connections that the other side ended before the end, by close code.
    pub closes: BTreeMap<u16, u64>,
    /// Whether nothing was taken away on purpose.
    pub is_whole: bool,
    /// What flowed.
    pub feed: Arc<Feed>,
    /// The clients, for a closer look.
    pub crowd: Crowd,
    /// What the producer knows.
    pub ledger: Arc<Ledger>,
    /// What Redis held at the end.
    pub truths: Vec<Truth>,
}

impl Outcome {
    /// The first of what went wrong, in words, for whoever has to find out why.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        self.crowd.each(|client, channel, page| match page {
            Page::Stream { record, .. } => {
                let verdict = record.judge(&self.truths[channel]);
                let lossy = verdict.lost + verdict.duplicated + verdict.reordered;
                let is_strange = |gap: &ToldGap| gap.reason != "too_large";
                let gaps = record.gaps().iter().filter(|gap| is_strange(gap)).count();
                if lossy + verdict.forked + verdict.causeless + gaps > 0 {
                    let missing: Vec<u64> = record.missing(&self.truths[channel]).take(5).collect();
                    let (places, resets) = (record.places(), record.resets());
                    complaints.push(format!(
                        "client {client}, stream {channel}: {verdict:?}, missing {missing:?}, \
                         began and reached {places:?}, {resets:?}, {:?}",
                        record.gaps()
                    ));
                }
            }
            Page::PubSub { record, .. } => {
                let mut silent = record.silent(&self.ledger, channel);
                silent.truncate(5);
                let verdict = record.judge(&self.ledger, channel);
                if verdict.silent + verdict.duplicated + verdict.reordered > 0 {
                    let (gaps, away) = (record.gaps(), record.absences());
                    complaints.push(format!(
                        "client {client}, pub/sub {channel}: {verdict:?}, silent {silent:?}, \
                         {gaps:?}, away {away:?}"
                    ));
                }
            }
        });
        complaints.truncate(5);
        complaints
    }
}

fn redis_lost(feed: &Feed, ledger: &Ledger, truths: &[Truth]) -> usize {
    let lost = |channel: usize| {
        let entries = ledger.all(channel).into_iter();
        let is_acknowledged = |entry: &crate::checker::Entry| {
            matches!(entry.fate, crate::checker::Fate::Acknowledged(_))
        };
        entries
            .filter(|(number, entry)| is_acknowledged(entry) && !truths[channel].holds(*number))
            .count()
    };
    feed.streams().map(lost).sum()
}

async fn gateway(options: &FleetOptions, number: usize) -> Gateway {
    let url = options.redis_urls.get(number).or(options.redis_urls.last()).cloned();
    let mut env = options.env.clone();
    if let Some((public, admin)) = options.ports.get(number) {
        let listen = |name: &str, port: &u16| (name.to_owned(), format!("127.0.0.1:{port}"));
        env.push(listen("REDCAST_HTTP__LISTEN", public));
        env.push(listen("REDCAST_ADMIN__LISTEN", admin));
    }
    Gateway::ready(GatewayOptions {
        redis_url: url,
        config: [&options.config, Feed::config().as_str()].concat(),
        env,
        ..GatewayOptions::default()
    })
    .await
}
