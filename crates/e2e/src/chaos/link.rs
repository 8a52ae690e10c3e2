//! The network between gateways and Redis breaks without a word: in both directions by a
//! namespace whose link is cut, in one by a proxy.

use std::time::Duration;

use tokio::time::sleep;

use super::findings::Findings;
use super::remote_redis::RemoteRedis;
use super::scene::{
    DURABLE, LINKS_REBUILT, Scale, kill_connections, loopback, metric, ready_again, say,
    until_readyz,
};
use crate::checker::Window;
use crate::fault_proxy::{Fault, FaultProxy, Way};
use crate::fleet::{Fleet, Store};
use crate::namespace::Namespace;
use crate::patience::{unix_ms, within};
use crate::redis_server::RedisServer;

pub(super) const BAR: &str = "noticed ≤ 5 s; S lost 0; live ≤ 2 s after it is mended";
pub(super) const BAR_ONE_WAY: &str = "noticed ≤ 5 s; S lost 0; live ≤ 3 s after it is mended";
pub(super) const BAR_CUT: &str = "S lost 0, duplicated 0; live ≤ 2 s after";
const NOTICED: Duration = Duration::from_secs(5);
const LIVE: Duration = Duration::from_secs(2);
/// Who dials into the fault waits for an answer that will never come, and tries again.
const LIVE_ONE_WAY: Duration = Duration::from_secs(3);
/// How long one direction is lost.
const ONE_WAY: Duration = Duration::from_secs(20);
/// Between two faults everything is well for longer than it takes to notice one: an
/// earlier outage must not make gateways slower to see the next.
const BETWEEN: Duration = Duration::from_secs(5);
/// How often connections are cut in each of two ways.
const CUTS: usize = 5;
const WARM_UP: Duration = Duration::from_secs(2);

/// All packets between gateways and Redis are lost for a minute, while the producer,
/// which has a socket of its own, goes on.
pub(super) async fn black_hole(scale: &Scale, findings: &mut Findings) {
    let namespace = Namespace::new();
    let redis = RemoteRedis::start(&namespace, &DURABLE).await;
    let store = Store::Single(redis.socket_url());
    let mut fleet = Fleet::start(scale.fleet(vec![redis.url()], store)).await;
    sleep(WARM_UP).await;
    let length = Duration::from_secs(if scale.is_full { 60 } else { 8 });
    let fault = unix_ms();
    namespace.cut();
    say(&format!("the link is cut, for {length:?}"));
    let noticed = until_readyz(fleet.running(), 503, scale.patience(NOTICED)).await;
    findings.within("noticed", noticed, NOTICED);
    sleep(length.saturating_sub(noticed)).await;
    namespace.mend();
    let live = mended(scale, findings, &mut fleet, ("both ways", LIVE)).await;
    let outcome = fleet.finish(true, scale.patience(LIVE)).await;
    findings.outage(&outcome, &[Window { fault, live }]);
}

/// Only one direction is lost, or the end of connections is told to one side alone.
pub(super) async fn one_way(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let proxy = FaultProxy::before(loopback(redis.port())).await;
    let store = Store::Single(redis.url());
    let mut fleet = Fleet::start(scale.fleet(vec![proxy.redis_url()], store)).await;
    sleep(WARM_UP).await;
    let mut windows = Vec::new();
    for (name, to_server, to_client) in [
        ("lost towards Redis", Fault::Drop, Fault::Pass),
        ("lost from Redis", Fault::Pass, Fault::Drop),
        // Gateways give their connections up, and Redis keeps them.
        ("half-open towards Redis", Fault::HalfOpen, Fault::Drop),
    ] {
        let fault = unix_ms();
        proxy.set(Way::ToServer, to_server);
        proxy.set(Way::ToClient, to_client);
        say(&format!("{name}, for {ONE_WAY:?}"));
        let noticed = until_readyz(fleet.running(), 503, scale.patience(NOTICED)).await;
        findings.within(&format!("{name}: noticed"), noticed, NOTICED);
        sleep(ONE_WAY.saturating_sub(noticed)).await;
        proxy.mend();
        let live = mended(scale, findings, &mut fleet, (name, LIVE_ONE_WAY)).await;
        windows.push(Window { fault, live });
        sleep(BETWEEN).await;
    }
    windows.push(abandoned(scale, findings, &mut fleet, &redis, &proxy).await);
    let outcome = fleet.finish(true, scale.patience(LIVE)).await;
    findings.outage(&outcome, &windows);
}

/// Redis ends every connection, and gateways are not told: they find out and heal while
/// the fault goes on, so readiness need not change.
async fn abandoned(
    scale: &Scale,
    findings: &mut Findings,
    fleet: &mut Fleet,
    redis: &RedisServer,
    proxy: &FaultProxy,
) -> Window {
    let name = "half-open from Redis";
    say(name);
    proxy.set(Way::ToClient, Fault::HalfOpen);
    let fault = unix_ms();
    kill_connections(redis, "pubsub").await;
    kill_connections(redis, "normal").await;
    // What Redis had sent before may still arrive.
    let mark = fleet.crowd.mark();
    let again = fleet.live_again(mark, scale.patience(NOTICED)).await;
    findings.live(&format!("{name}: noticed and live"), &again, NOTICED);
    proxy.mend();
    ready_again(scale, findings, fleet, name).await;
    Window { fault, live: mark + again.slowest() }
}

/// Connections are cut in the middle of a frame, again and again: first those that are
/// there, then also those that are built while it goes on.
pub(super) async fn mid_frame(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let proxy = FaultProxy::before(loopback(redis.port())).await;
    let store = Store::Single(redis.url());
    let mut fleet = Fleet::start(scale.fleet(vec![proxy.redis_url()], store)).await;
    let mut random = fastrand::Rng::with_seed(scale.seed);
    let links = async |fleet: &Fleet| metric(fleet.running(), LINKS_REBUILT).await;
    let mut windows = Vec::new();
    for number in 1..=CUTS {
        let (fault, before) = (unix_ms(), links(&fleet).await);
        proxy.set(Way::ToClient, Fault::CutOnce(random.u64(1..20_000)));
        let all = async || links(&fleet).await >= before + 3.0;
        within(scale.patience(NOTICED), "every link is cut", all).await;
        proxy.mend();
        let mark = fleet.crowd.mark();
        let again = fleet.live_again(mark, scale.patience(LIVE)).await;
        findings.live(&format!("cut {number}: live again"), &again, LIVE);
        windows.push(Window { fault, live: mark + again.slowest() });
    }
    findings.gaps(&fleet.crowd, &vec![windows; fleet.feed.len()]);
    for _ in 0..CUTS {
        proxy.set(Way::ToClient, Fault::CutAfter(random.u64(1..20_000)));
        sleep(Duration::from_millis(500)).await;
        proxy.mend();
        sleep(Duration::from_millis(500)).await;
    }
    mended(scale, findings, &mut fleet, ("after more cuts", LIVE)).await;
    let outcome = fleet.finish(true, scale.patience(LIVE)).await;
    findings.stayed(&outcome);
    findings.lossless(&outcome);
}

/// Measures when all is live again, and answers when that was.
async fn mended(
    scale: &Scale,
    findings: &mut Findings,
    fleet: &mut Fleet,
    (name, bar): (&str, Duration),
) -> u64 {
    let mark = fleet.crowd.mark();
    let again = fleet.live_again(mark, scale.patience(bar)).await;
    findings.live(&format!("{name}: live again"), &again, bar);
    ready_again(scale, findings, fleet, name).await;
    mark + again.slowest()
}
