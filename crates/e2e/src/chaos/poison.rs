//! What nobody meant is published: entries that are too large, without the field, or no
//! text.

use std::time::{Duration, Instant};

use redis::Cmd;
use redis::aio::MultiplexedConnection;
use tokio::time::sleep;

use super::findings::Findings;
use super::scene::{DURABLE, Scale, metric, say};
use crate::fleet::{Crowd, CrowdOptions, Fleet, Order};
use crate::patience::within;
use crate::raw_client::Dial;
use crate::redis_server::RedisServer;

pub(super) const BAR: &str = "no panic, no stall, cursor moves on, also of who was away; counted";
const LIVE: Duration = Duration::from_secs(5);
/// How many clients are away while it is published.
const AWAY: usize = 20;
const LARGE: usize = 20 << 20;

pub(super) async fn poison(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let mut fleet = scale.fleet_over(&redis).await;
    let mut link = redis.connection().await;
    let dropped = async |fleet: &Fleet, reason: &str| {
        let name = format!("redcast_events_dropped_total{{reason=\"{reason}\"}}");
        metric(fleet.running(), &name).await
    };
    let away = leave(scale, &fleet).await;
    for (name, payload) in [
        ("NUL", &b"a\0b"[..]),
        ("not UTF-8", &[0xff, 0xfe, 0x00, 0x80]),
        ("empty", b""),
        ("deep JSON", &b"[".repeat(10_000)),
    ] {
        say(name);
        each(&fleet, &mut link, |channel| xadd(channel, "data", payload)).await;
        publish(&fleet, &mut link, payload).await;
        live(scale, findings, &mut fleet, name).await;
    }
    let strangers = fleet.crowd.counts().strangers();
    // Each of the four reaches each client on its four channels.
    let expected = 4 * 4 * scale.clients as u64;
    findings.exactly("delivered, although no event of ours", strangers, expected);
    say("missing field");
    each(&fleet, &mut link, |channel| xadd(channel, "other", b"x")).await;
    live(scale, findings, &mut fleet, "missing field").await;
    let streams = fleet.feed.streams().len() as f64;
    until(scale, async || dropped(&fleet, "no_data").await >= 3.0 * streams).await;
    findings.exactly("missing field: counted", dropped(&fleet, "no_data").await, 3.0 * streams);
    say("20 MB");
    let large = vec![b'x'; LARGE];
    for channel in [fleet.feed.streams().start, fleet.feed.pubsubs().start] {
        let name = fleet.feed.name(channel).to_owned();
        let is_stream = fleet.feed.is_stream(channel);
        let command = if is_stream { xadd(&name, "data", &large) } else { plain(&name, &large) };
        command.exec_async(&mut link).await.expect("Redis takes it");
    }
    live(scale, findings, &mut fleet, "20 MB").await;
    until(scale, async || dropped(&fleet, "too_large").await >= 6.0).await;
    findings.exactly("20 MB: counted", dropped(&fleet, "too_large").await, 6.0);
    come_back(scale, findings, &fleet, away).await;
    let panics = metric(fleet.running(), "redcast_connection_panics_total").await;
    findings.exactly("panics", panics, 0.0);
    let stream = fleet.feed.streams().start;
    let outcome = fleet.finish(true, scale.patience(LIVE)).await;
    findings.stayed(&outcome);
    // Each client of that stream is told of the entry that was too large, once.
    let mut due = 0;
    outcome.crowd.each(|_, channel, _| due += usize::from(channel == stream));
    findings.lossless_but(&outcome, due);
}

/// Waits until gateways have counted something, or not: what they counted is judged.
async fn until(scale: &Scale, mut is_counted: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + scale.patience(LIVE);
    while !is_counted().await && Instant::now() < end {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Some clients come, and leave with their cursors.
async fn leave(scale: &Scale, fleet: &Fleet) -> Crowd {
    let options = CrowdOptions {
        clients: AWAY,
        jitter: Duration::from_millis(100),
        seed: scale.seed ^ 1,
        dial: Dial::default(),
    };
    let crowd = Crowd::start(&fleet.feed, &fleet.doors, &options, Order::Read);
    let (mark, patience) = (crowd.mark(), scale.patience(LIVE));
    within(patience, "they are live", async || crowd.is_live_after(mark)).await;
    crowd.order(Order::StayAway);
    within(patience, "they are gone", async || crowd.counts().open() == 0).await;
    crowd
}

/// They go on where they were, through everything that was published meanwhile.
async fn come_back(scale: &Scale, findings: &mut Findings, fleet: &Fleet, crowd: Crowd) {
    say("clients come back that were away");
    crowd.order(Order::Read);
    let (mark, patience) = (crowd.mark(), scale.patience(LIVE));
    within(patience, "they are live again", async || crowd.is_live_after(mark)).await;
    fleet.producer.be_quiet().await;
    let truths = fleet.truths(true).await;
    until(scale, async || crowd.missing(&truths) == 0).await;
    fleet.producer.resume();
    let streams = crowd.judge(&truths, &fleet.ledger).streams;
    findings.at_least("away meanwhile: S received", streams.received, 1);
    findings.exactly("away meanwhile: S lost", streams.lost, 0);
    findings.exactly("away meanwhile: S duplicated", streams.duplicated, 0);
    findings.exactly("away meanwhile: S reordered", streams.reordered, 0);
    findings.exactly("away meanwhile: resets", streams.resets, 0);
    findings.note("away meanwhile: S gaps", streams.gaps);
    crowd.order(Order::End);
}

fn xadd(channel: &str, field: &str, payload: &[u8]) -> Cmd {
    redis::cmd("XADD").arg(channel).arg("*").arg(field).arg(payload).to_owned()
}

fn plain(channel: &str, payload: &[u8]) -> Cmd {
    redis::cmd("PUBLISH").arg(channel).arg(payload).to_owned()
}

async fn each(fleet: &Fleet, link: &mut MultiplexedConnection, command: impl Fn(&str) -> Cmd) {
    for channel in fleet.feed.streams() {
        let command = command(fleet.feed.name(channel));
        command.exec_async(link).await.expect("Redis takes it");
    }
}

async fn publish(fleet: &Fleet, link: &mut MultiplexedConnection, payload: &[u8]) {
    for channel in fleet.feed.pubsubs() {
        let command = plain(fleet.feed.name(channel), payload);
        command.exec_async(link).await.expect("Redis takes it");
    }
}

async fn live(scale: &Scale, findings: &mut Findings, fleet: &mut Fleet, name: &str) {
    let again = fleet.live_again(fleet.crowd.mark(), scale.patience(LIVE)).await;
    findings.live(&format!("{name}: live"), &again, LIVE);
}
