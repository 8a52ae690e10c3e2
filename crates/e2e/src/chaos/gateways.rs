//! Gateways end: at once, in good order, or one after the other behind a load balancer.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::findings::Findings;
use super::haproxy::HaProxy;
use super::scene::{DURABLE, READY, Scale, ready_again, say, until_readyz};
use crate::fleet::{Fleet, FleetOptions, Store};
use crate::redis_server::{RedisServer, free_port};

pub(super) const BAR_KILL: &str = "S lost 0, duplicated 0 in envelope mode; p99 resume ≤ 3 s";
pub(super) const BAR_DRAIN: &str = "100 % close frames 1012; S lost 0";
pub(super) const BAR_ROLLING: &str = "100 % close frames 1012; S lost 0; failed handshakes ≤ 0.1 %";
const RESUMED: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_secs(2);
/// How long a load balancer needs to see that a gateway is not ready, or gone.
const BALANCED: Duration = Duration::from_millis(500);

fn many(scale: &Scale, redis: &RedisServer) -> FleetOptions {
    let mut options = scale.fleet(vec![redis.url()], Store::Single(redis.url()));
    options.crowd.clients = scale.many;
    options
}

fn draining(mut options: FleetOptions, accept_for: &str, window: &str) -> FleetOptions {
    options.env.push(("REDCAST_SHUTDOWN__ACCEPT_FOR".to_owned(), accept_for.to_owned()));
    options.env.push(("REDCAST_SHUTDOWN__WINDOW".to_owned(), window.to_owned()));
    options
}

/// A gateway is killed; its clients go on elsewhere.
pub(super) async fn killed(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let mut fleet = Fleet::start(many(scale, &redis)).await;
    sleep(WARM_UP).await;
    let before = fleet.crowd.counts().closes().get(&1006).copied().unwrap_or(0);
    say("a gateway is killed");
    fleet.kill_gateway(0);
    let mark = fleet.crowd.mark();
    sleep(BALANCED).await;
    fleet.close_door(0);
    let again = fleet.live_again(mark, scale.patience(RESUMED)).await;
    let lost = fleet.crowd.counts().closes().get(&1006).copied().unwrap_or(0) - before;
    findings.at_least("clients that lost their gateway", lost, scale.many as u64 / 4);
    // Of all clients, so that the others can't hide a slow tail.
    let clients = again.clients.len();
    let worst_lost = usize::try_from(lost).unwrap_or(0) / 100;
    let p99 = again.clients[clients.saturating_sub(worst_lost + 1)];
    findings.within("p99 of those resumed", Duration::from_millis(p99), RESUMED);
    findings.exactly("deaf", again.deaf, 0);
    ready_again(scale, findings, &fleet, "resumed").await;
    findings.lossless(&fleet.finish(true, scale.patience(RESUMED)).await);
}

/// A gateway is told to end, and gives its clients back.
pub(super) async fn drained(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let window = if scale.is_full { "30s" } else { "6s" };
    let mut fleet = Fleet::start(draining(many(scale, &redis), "1s", window)).await;
    sleep(WARM_UP).await;
    say("a gateway is told to end");
    let mut gateway = fleet.take_gateway(0);
    let clients = gateway.metrics().await.value("redcast_connections");
    let began = Instant::now();
    gateway.terminate();
    sleep(BALANCED).await;
    fleet.close_door(0);
    let status = gateway.exit().await;
    findings.exactly("exit code", status.code().unwrap_or(-1), 0);
    findings.note("the end took", format!("{:.1} s", began.elapsed().as_secs_f64()));
    let again = fleet.live_again(fleet.crowd.mark(), scale.patience(RESUMED)).await;
    findings.exactly("deaf", again.deaf, 0);
    ready_again(scale, findings, &fleet, "resumed").await;
    findings.at_least("clients of that gateway", clients, scale.many as f64 / 4.0);
    closes(findings, &fleet, clients as u64);
    findings.lossless(&fleet.finish(true, scale.patience(RESUMED)).await);
}

/// All three are replaced in turn, behind HAProxy with a cookie that leads clients back
/// to where they were.
pub(super) async fn rolling(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let ports: Vec<(u16, u16)> = (0..3).map(|_| (free_port(), free_port())).collect();
    let balancer = HaProxy::before(&ports).await;
    let mut options = draining(many(scale, &redis), "5s", "20s");
    options.ports = ports;
    options.door = Some(balancer.address());
    let mut fleet = Fleet::start(options).await;
    let first = fleet.crowd.counts().failures().values().sum::<u64>();
    findings.exactly("failed handshakes before", first, 0);
    let dials = fleet.crowd.counts().attempts();
    let mut ready = Duration::ZERO;
    for number in 0..3 {
        say(&format!("gateway {number} is replaced"));
        let mut gateway = fleet.take_gateway(number);
        gateway.terminate();
        let status = gateway.exit().await;
        findings.exactly("exit code", status.code().unwrap_or(-1), 0);
        fleet.start_gateway(number).await;
        ready = until_readyz(fleet.running(), 200, scale.patience(READY)).await.max(ready);
        sleep(Duration::from_secs(2)).await;
    }
    let again = fleet.live_again(fleet.crowd.mark(), scale.patience(RESUMED)).await;
    findings.exactly("deaf", again.deaf, 0);
    let counts = fleet.crowd.counts();
    let (failures, attempts) = (counts.failures(), counts.attempts() - dials);
    findings.within("slowest to be ready", ready, READY);
    let failed: u64 = failures.values().sum();
    // Each client loses its gateway once at the least.
    findings.at_least("handshakes", attempts, scale.many as u64);
    findings.note("failed, by reason", format!("{failures:?}"));
    findings.at_most("failed handshakes, per mille", failed as f64 * 1e3 / attempts as f64, 1.0);
    let closed: u64 = counts.closes().values().sum();
    findings.at_least("connections ended", closed, scale.many as u64);
    closes(findings, &fleet, closed);
    findings.lossless(&fleet.finish(true, scale.patience(RESUMED)).await);
}

fn closes(findings: &mut Findings, fleet: &Fleet, expected: u64) {
    let closes = fleet.crowd.counts().closes();
    let in_order = closes.get(&1012).copied().unwrap_or(0);
    findings.note("connections ended, by code", format!("{closes:?}"));
    findings.exactly("close frames 1012", in_order, expected);
    findings.exactly("ended without 1012", closes.values().sum::<u64>() - in_order, 0);
}
