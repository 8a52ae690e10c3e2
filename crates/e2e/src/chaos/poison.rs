//! What nobody meant is published: entries that are too large, without the field, or no
//! text.

use std::time::Duration;

use redis::Cmd;
use redis::aio::MultiplexedConnection;
use tokio::time::sleep;

use super::findings::Findings;
use super::scene::{DURABLE, Scale, metric, say};
use crate::fleet::Fleet;
use crate::redis_server::RedisServer;

pub(super) const BAR: &str = "no panic, no stall, cursor moves on, counted";
const LIVE: Duration = Duration::from_secs(5);
const LARGE: usize = 20 << 20;

pub(super) async fn poison(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let mut fleet = scale.fleet_over(&redis).await;
    let mut link = redis.connection().await;
    let dropped = async |fleet: &Fleet, reason: &str| {
        let name = format!("redcast_events_dropped_total{{reason=\"{reason}\"}}");
        metric(fleet.running(), &name).await
    };
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
    let expected = 4 * 4 * scale.clients as u64;
    findings.exactly("delivered, although no event of ours", strangers, expected);
    say("missing field");
    each(&fleet, &mut link, |channel| xadd(channel, "other", b"x")).await;
    live(scale, findings, &mut fleet, "missing field").await;
    let streams = fleet.feed.streams().len() as f64;
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
    findings.exactly("20 MB: counted", dropped(&fleet, "too_large").await, 6.0);
    let panics = metric(fleet.running(), "redcast_connection_panics_total").await;
    findings.exactly("panics", panics, 0.0);
    findings.lossless(&fleet.finish(true, scale.patience(LIVE)).await);
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
    // Metrics of what was dropped are counted before the events behind it.
    sleep(Duration::from_millis(50)).await;
}
