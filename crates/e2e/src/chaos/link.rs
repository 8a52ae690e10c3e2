//! The network between gateways and Redis breaks without a word: in both directions by a
//! namespace whose link is cut, in one by a proxy.

use std::time::Duration;

use tokio::time::sleep;

use super::findings::Findings;
use super::remote_redis::RemoteRedis;
use super::scene::{DURABLE, Scale, loopback, say, until_readyz};
use crate::fault_proxy::{Fault, FaultProxy, Way};
use crate::fleet::{Fleet, Store};
use crate::namespace::Namespace;
use crate::redis_server::RedisServer;

pub(super) const BAR: &str = "noticed ≤ 5 s; S lost 0; live ≤ 2 s after it is mended";
pub(super) const BAR_ONE_WAY: &str = "noticed ≤ 5 s; S lost 0; live ≤ 3 s after it is mended";
pub(super) const BAR_CUT: &str = "S lost 0, duplicated 0; live ≤ 2 s after";
const NOTICED: Duration = Duration::from_secs(5);
const LIVE: Duration = Duration::from_secs(2);
/// Who dials into the fault waits for an answer that will never come, and tries again.
const LIVE_ONE_WAY: Duration = Duration::from_secs(3);
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
    namespace.cut();
    say(&format!("the link is cut, for {length:?}"));
    let noticed = until_readyz(fleet.running(), 503, scale.patience(NOTICED)).await;
    findings.within("noticed", noticed, NOTICED);
    sleep(length.saturating_sub(noticed)).await;
    namespace.mend();
    mended(scale, findings, &mut fleet, ("both ways", LIVE)).await;
    findings.lossless(&fleet.finish(true, scale.patience(LIVE)).await);
}

/// Only one direction is lost: the other side's bytes still arrive.
pub(super) async fn one_way(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let proxy = FaultProxy::before(loopback(redis.port())).await;
    let store = Store::Single(redis.url());
    let mut fleet = Fleet::start(scale.fleet(vec![proxy.redis_url()], store)).await;
    sleep(WARM_UP).await;
    for (way, name) in [(Way::ToServer, "towards Redis"), (Way::ToClient, "from Redis")] {
        proxy.set(way, Fault::Drop);
        say(&format!("what is sent {name} is lost, for 20 s"));
        let noticed = until_readyz(fleet.running(), 503, scale.patience(NOTICED)).await;
        findings.within(&format!("{name}: noticed"), noticed, NOTICED);
        sleep(Duration::from_secs(20).saturating_sub(noticed)).await;
        proxy.mend();
        mended(scale, findings, &mut fleet, (name, LIVE_ONE_WAY)).await;
    }
    findings.lossless(&fleet.finish(true, scale.patience(LIVE)).await);
}

/// Connections are cut in the middle of a frame, again and again.
pub(super) async fn mid_frame(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let proxy = FaultProxy::before(loopback(redis.port())).await;
    let store = Store::Single(redis.url());
    let mut fleet = Fleet::start(scale.fleet(vec![proxy.redis_url()], store)).await;
    let mut random = fastrand::Rng::with_seed(scale.seed);
    for _ in 0..10 {
        proxy.set(Way::ToClient, Fault::CutAfter(random.u64(1..20_000)));
        sleep(Duration::from_millis(500)).await;
        proxy.mend();
        sleep(Duration::from_millis(500)).await;
    }
    mended(scale, findings, &mut fleet, ("after ten cuts", LIVE)).await;
    findings.lossless(&fleet.finish(true, scale.patience(LIVE)).await);
}

async fn mended(
    scale: &Scale,
    findings: &mut Findings,
    fleet: &mut Fleet,
    (name, bar): (&str, Duration),
) {
    let again = fleet.live_again(fleet.crowd.mark(), scale.patience(bar)).await;
    findings.live(&format!("{name}: live again"), &again, bar);
    until_readyz(fleet.running(), 200, scale.patience(bar)).await;
}
