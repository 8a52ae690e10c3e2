//! Redis turns on its clients: it kills their connections, takes their rights, or finds
//! that they read too slowly.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::findings::Findings;
use super::scene::{
    DURABLE, LINKS_REBUILT, Scale, kill_connections, metric, ready_again, say, until_readyz,
};
use super::witness::{Testimony, Witness};
use crate::fleet::{Feed, Fleet, Page, Store};
use crate::raw_client::{Message, RawClient};
use crate::redis_server::RedisServer;
use crate::vitals::Vitals;

pub(super) const BAR_KILLS: &str =
    "S lost 0; live ≤ 2 s after each kill, by itself; readiness tells the truth";
pub(super) const BAR_RIGHT: &str =
    "readiness tells the truth; live ≤ 2 s after the right is given back; S lost 0";
pub(super) const BAR_OVERFLOW: &str =
    "E: exactly one gap per channel; S lost 0; counted; memory ≤ base + 64 MiB";
const LIVE: Duration = Duration::from_secs(2);
const TOLD: Duration = Duration::from_secs(3);
const MEMORY: u64 = 64 << 20;
/// The events of the burst: as many and as large as make 50 MB.
const BURST: (usize, usize) = (100, 500_000);
/// Redis ends a subscriber with more than this unread.
pub(super) const BUFFER_LIMIT: [&str; 5] =
    ["--client-output-buffer-limit", "pubsub", "1mb", "512kb", "1"];
const BURST_CHANNEL: &str = "e:burst";

/// Every subscribing connection is killed each second.
pub(super) async fn kills(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let mut fleet = scale.fleet_over(&redis).await;
    let witnesses = Witness::of_all(&fleet).await;
    let count = if scale.is_full { 60 } else { 4 };
    say(&format!("CLIENT KILL TYPE pubsub, {count} times"));
    let (mut slowest, mut deaf, mut killed) = (0, 0, 0);
    for _ in 0..count {
        let began = Instant::now();
        killed += kill_connections(&redis, "pubsub").await;
        let again = fleet.live_again(fleet.crowd.mark(), scale.patience(LIVE)).await;
        slowest = slowest.max(again.slowest());
        deaf += again.deaf;
        sleep(Duration::from_secs(1).saturating_sub(began.elapsed())).await;
    }
    findings.at_least("connections killed", killed, 3 * count);
    findings.within("slowest to be live again", Duration::from_millis(slowest), LIVE);
    findings.exactly("deaf", deaf, 0);
    ready_again(scale, findings, &fleet, "after the last").await;
    let testimonies: Vec<Testimony> = witnesses.into_iter().map(Witness::testify).collect();
    let sum = |of: fn(&Testimony) -> usize| testimonies.iter().map(of).sum::<usize>();
    findings.at_least("answers of /readyz", sum(|told| told.answers), 3 * count);
    findings.note("of these ready", sum(|told| told.ready));
    findings.exactly("ready while deaf for more than 5 s", sum(|told| told.lies), 0);
    let outcome = fleet.finish(true, scale.patience(LIVE)).await;
    findings.stayed(&outcome);
    findings.lossless(&outcome);
}

/// The gateways' user loses its right to all channels and keys, and gets it back.
pub(super) async fn right(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    rights(&redis, &["on", ">chaos", "+@all", "~*", "&*"]).await;
    let url = format!("redis://gateway:chaos@127.0.0.1:{}", redis.port());
    let mut fleet = Fleet::start(scale.fleet(vec![url], Store::Single(redis.url()))).await;
    let ready = until_readyz(fleet.running(), 200, scale.patience(TOLD)).await;
    findings.within("ready before", ready, TOLD);
    rights(&redis, &["resetchannels", "resetkeys"]).await;
    say("the right to channels and keys is taken, for 5 s");
    let told = until_readyz(fleet.running(), 503, scale.patience(TOLD)).await;
    findings.within("told by readiness", told, TOLD);
    sleep(Duration::from_secs(5).saturating_sub(told)).await;
    rights(&redis, &["~*", "&*"]).await;
    let again = fleet.live_again(fleet.crowd.mark(), scale.patience(LIVE)).await;
    findings.live("live again", &again, LIVE);
    ready_again(scale, findings, &fleet, "live again").await;
    let outcome = fleet.finish(true, scale.patience(LIVE)).await;
    findings.stayed(&outcome);
    findings.lossless(&outcome);
}

/// Changes the rights of the gateways' user.
pub(super) async fn rights(redis: &RedisServer, rules: &[&str]) {
    let mut command = redis::cmd("ACL");
    command.arg("SETUSER").arg("gateway").arg(rules);
    let mut admin = redis.connection().await;
    command.exec_async(&mut admin).await.expect("Redis sets a user's rights");
}

/// One script publishes 50 MB: Redis writes nothing while it runs, so its buffers for
/// subscribers grow past every limit, and it kills them.
pub(super) async fn overflow(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&[&DURABLE[..], &BUFFER_LIMIT].concat());
    let mut fleet = scale.fleet_over(&redis).await;
    let listeners = listeners(&fleet).await;
    let reconnects = async |fleet: &Fleet| metric(fleet.running(), LINKS_REBUILT).await;
    let before = reconnects(&fleet).await;
    let vitals: Vec<Vitals> = fleet.running().map(Vitals::watch).collect();
    say("a burst of 50 MB");
    burst(&redis, BURST_CHANNEL).await;
    let again = fleet.live_again(fleet.crowd.mark(), scale.patience(LIVE)).await;
    findings.live("live again", &again, LIVE);
    ready_again(scale, findings, &fleet, "live again").await;
    let grown = vitals.iter().map(Vitals::peak_growth).max().unwrap_or(0);
    findings.grown("memory", grown, MEMORY);
    findings.exactly("links rebuilt", reconnects(&fleet).await - before, 3.0);
    let (mut fewest, mut most) = (usize::MAX, 0);
    fleet.crowd.each(|_, _, page| {
        if let Page::PubSub { record, .. } = page {
            fewest = fewest.min(record.gaps().len());
            most = most.max(record.gaps().len());
        }
    });
    findings.exactly("gaps per client and E channel, fewest", fewest, 1);
    findings.exactly("gaps per client and E channel, most", most, 1);
    let counted = "redcast_gaps_total{reason=\"redis_disconnected\"}";
    // Each gateway has all E channels and the one of the burst.
    let channels = fleet.feed.pubsubs().len() + 1;
    findings.exactly("gaps counted", metric(fleet.running(), counted).await, 3.0 * channels as f64);
    listeners.iter().for_each(tokio::task::JoinHandle::abort);
    let outcome = fleet.finish(true, scale.patience(LIVE)).await;
    findings.stayed(&outcome);
    findings.lossless(&outcome);
}

/// A client on each gateway that makes it subscribe to the burst's channel.
async fn listeners(fleet: &Fleet) -> Vec<tokio::task::JoinHandle<()>> {
    let mut listeners = Vec::new();
    for gateway in fleet.running() {
        let mut client = RawClient::connect(gateway.public(), Feed::PATH).await;
        client.say(&format!(r#"{{"type":"subscribe","channel":"{BURST_CHANNEL}"}}"#)).await;
        client.settled().await;
        listeners.push(tokio::spawn(async move {
            while client.message_whenever().await != Message::End {}
        }));
    }
    listeners
}

/// Publishes 50 MB in one go.
pub(super) async fn burst(redis: &RedisServer, channel: &str) {
    let script = "local event = string.rep('x', ARGV[2]) \
                  for _ = 1, ARGV[1] do redis.call('PUBLISH', KEYS[1], event) end";
    let mut command = redis::cmd("EVAL");
    command.arg(script).arg(1).arg(channel).arg(BURST.0).arg(BURST.1);
    command.query_async::<()>(&mut redis.connection().await).await.expect("the script runs");
}
