//! Clients are the fault: some never read, or all come at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::findings::Findings;
use super::scene::{DURABLE, Scale, loopback, metric, ready_again, say};
use crate::fleet::{Crowd, CrowdOptions, Fleet, Load, Order, Store};
use crate::patience::within;
use crate::raw_client::Dial;
use crate::redis_server::RedisServer;
use crate::vitals::Vitals;

pub(super) const BAR_SILENT: &str = "cut as the policy says, resumable; the others complete";
pub(super) const BAR_STORM: &str =
    "Redis sees ≤ 2 reads per channel and cursor; all live ≤ 30 s; S lost 0";
const OUTBOX: usize = 256 << 10;
const UNSENT: usize = 64 << 10;
const STORM: usize = 10_000;
/// How long nobody is there.
const AWAY: Duration = Duration::from_secs(3);
/// Clients come at random within a second; the last of them may wait for a processor.
const STORM_BEGAN: Duration = Duration::from_millis(1500);
const STORM_LIVE: Duration = Duration::from_secs(30);
const LIVE: Duration = Duration::from_secs(3);
/// Until what is too slow was cut, and until it has caught up.
const CUT: Duration = Duration::from_secs(60);

/// A tenth of the clients stops reading.
pub(super) async fn silent(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let mut options = scale.fleet(vec![redis.url()], Store::Single(redis.url()));
    options.config =
        format!("[limits]\noutbox = \"{OUTBOX}B\"\n[http]\nunsent_limit = \"{UNSENT}B\"\n");
    let silent = scale.many / 10;
    options.crowd.clients = scale.many - silent;
    // Large enough to fill an outbox in some seconds.
    options.load.size = 1000;
    let mut fleet = Fleet::start(options).await;
    let quiet = CrowdOptions {
        clients: silent,
        jitter: Duration::from_millis(500),
        seed: scale.seed ^ 1,
        dial: Dial::silent(),
    };
    let crowd = Crowd::start(&fleet.feed, &fleet.doors, &quiet, Order::Read);
    let mark = crowd.mark();
    within(scale.patience(LIVE), "all are live", async || crowd.is_live_after(mark)).await;
    let vitals: Vec<Vitals> = fleet.running().map(Vitals::watch).collect();
    crowd.order(Order::Ignore);
    say(&format!("{silent} of {} clients stop reading", scale.many));
    let slow = "redcast_connections_closed_total{code=\"4409\"}";
    let cut = async || metric(fleet.running(), slow).await;
    within(CUT, "all of them are cut", async || cut().await >= silent as f64).await;
    findings.exactly("closed with 4409", cut().await, silent as f64);
    let grown: u64 = vitals.iter().map(Vitals::peak_growth).sum();
    let room = silent as u64 * (OUTBOX + UNSENT + (64 << 10)) as u64;
    findings.grown("memory of all three", grown, room + (48 << 20));
    crowd.order(Order::Read);
    let mark = crowd.mark();
    within(CUT, "they come back", async || crowd.is_live_after(mark)).await;
    fleet.producer.pause();
    let truths = fleet.truths(true).await;
    within(CUT, "they catch up", async || crowd.missing(&truths) == 0).await;
    fleet.producer.resume();
    let again = fleet.live_again(fleet.crowd.mark(), scale.patience(LIVE)).await;
    findings.exactly("deaf", again.deaf, 0);
    let reached = crowd.judge(&truths, &fleet.ledger).streams;
    findings.exactly("silent clients: S lost", reached.lost, 0);
    findings.exactly("silent clients: S duplicated", reached.duplicated, 0);
    findings.exactly("silent clients: S reordered", reached.reordered, 0);
    findings.exactly("silent clients: resets", reached.resets, 0);
    let others = fleet.crowd.counts().closes();
    findings.exactly("others cut", others.values().sum::<u64>(), 0);
    crowd.order(Order::End);
    findings.lossless(&fleet.finish(true, scale.patience(LIVE)).await);
}

/// A gateway with 10,000 clients is killed, and all of them come to the other two within
/// a second.
pub(super) async fn storm(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let mut options = scale.fleet(vec![redis.url()], Store::Single(redis.url()));
    // One event a second and channel is 40,000 deliveries a second.
    options.load = Load { rate: options.feed.len(), size: 200, is_sharded: false };
    options.crowd = CrowdOptions {
        clients: STORM,
        jitter: Duration::from_secs(1),
        seed: scale.seed,
        dial: Dial::default(),
    };
    options.first_doors = 1;
    let mut fleet = Fleet::start(options).await;
    say(&format!("{STORM} clients are on one gateway"));
    let counts = fleet.crowd.counts();
    let (attempts, resumes, fresh) = (counts.attempts(), counts.resumes(), counts.fresh_joins());
    fleet.crowd.order(Order::StayAway);
    within(STORM_LIVE, "all are gone", async || fleet.crowd.counts().open() == 0).await;
    fleet.open_doors();
    fleet.close_door(0);
    fleet.kill_gateway(0);
    // The other two have never heard of these channels, and something happens in each.
    sleep(AWAY).await;
    let reads = Reads::watch(&redis).await;
    say("it is killed, and all come to the others");
    let mark = fleet.crowd.mark();
    fleet.crowd.order(Order::Read);
    let came = async || fleet.crowd.counts().attempts() >= attempts + STORM as u64;
    let began = within(scale.patience(STORM_BEGAN), "all knock", came).await;
    let again = fleet.live_again(mark, scale.patience(STORM_LIVE)).await;
    findings.within("all handshakes begun", began, STORM_BEGAN);
    findings.live("all live", &again, STORM_LIVE);
    let clients = again.clients.len();
    findings.note("half of the clients live after, ms", again.clients[clients / 2]);
    let counts = fleet.crowd.counts();
    findings.note("handshakes", counts.attempts() - attempts);
    findings.at_least("subscribes with a cursor", counts.resumes() - resumes, STORM as u64);
    findings.exactly("subscribes without one", counts.fresh_joins() - fresh, 0);
    ready_again(scale, findings, &fleet, "all live").await;
    let reads = reads.end().await;
    let read: BTreeSet<&String> = reads.keys().map(|(key, _)| key).collect();
    findings.exactly("stream channels that were read", read.len(), fleet.feed.streams().len());
    findings.note("channels and cursors that were read", reads.len());
    findings.note("reads in all", reads.values().sum::<usize>());
    for ((key, from), count) in reads.iter().filter(|(_, count)| **count > 2) {
        say(&format!("{key} was read from {from} {count} times"));
    }
    let most = reads.values().copied().max().unwrap_or(0);
    findings.at_most("XRANGE or XREVRANGE per channel and cursor, most", most, 2);
    findings.lossless(&fleet.finish(true, STORM_LIVE).await);
}

/// What Redis is asked to read of streams, as MONITOR tells it: how often each range
/// that begins at a cursor. A gateway's own checks ask for one entry, which is no range.
struct Reads {
    seen: Arc<Mutex<BTreeMap<(String, String), usize>>>,
    reading: JoinHandle<()>,
}

impl Reads {
    async fn watch(redis: &RedisServer) -> Self {
        let mut socket = TcpStream::connect(loopback(redis.port())).await.expect("Redis accepts");
        socket.write_all(b"MONITOR\r\n").await.expect("the command is sent");
        let mut lines = BufReader::new(socket).lines();
        assert_eq!(lines.next_line().await.expect("an answer").as_deref(), Some("+OK"));
        let seen = Arc::new(Mutex::new(BTreeMap::new()));
        let reads = Arc::clone(&seen);
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(range) = range(&line) {
                    *reads.lock().expect("no panic under the lock").entry(range).or_default() += 1;
                }
            }
        });
        Self { seen, reading }
    }

    async fn end(self) -> BTreeMap<(String, String), usize> {
        // What is on its way still counts.
        sleep(Duration::from_millis(200)).await;
        self.reading.abort();
        self.seen.lock().expect("no panic under the lock").clone()
    }
}

/// The key and the beginning of a range that a line of MONITOR tells.
fn range(line: &str) -> Option<(String, String)> {
    let mut words = line.split('"').skip(1).step_by(2);
    let command = words.next()?;
    if !["XRANGE", "XREVRANGE"].iter().any(|range| command.eq_ignore_ascii_case(range)) {
        return None;
    }
    let (key, from, to) = (words.next()?, words.next()?, words.next()?);
    let is_one = words.next().is_some() && words.next() == Some("1");
    (from != to && !is_one).then(|| (key.to_owned(), from.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn reads_what_monitor_tells() {
        let line = r#"+1.5 [0 127.0.0.1:1] "XRANGE" "s:1" "5-0" "+" "COUNT" "100""#;
        assert_eq!(range(line), Some(("s:1".to_owned(), "5-0".to_owned())));
        let line = r#"+1.5 [0 127.0.0.1:1] "xrevrange" "s:1" "+" "-" "COUNT" "100""#;
        assert_eq!(range(line), Some(("s:1".to_owned(), "+".to_owned())));
        for other in [
            r#"+1.5 [0 127.0.0.1:1] "XREVRANGE" "s:1" "+" "-" "COUNT" "1""#,
            r#"+1.5 [0 127.0.0.1:1] "XRANGE" "s:1" "5-0" "5-0""#,
            r#"+1.5 [0 127.0.0.1:1] "XADD" "s:1" "*" "data" "x""#,
            "+OK",
        ] {
            assert_eq!(range(other), None, "{other}");
        }
    }
}
