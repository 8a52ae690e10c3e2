//! Redis dies and comes back, or hangs for a while.

use std::time::Duration;

use tokio::time::sleep;

use super::findings::Findings;
use super::scene::{DURABLE, Scale, first_pong, ready_again, say, until_readyz};
use crate::checker::Window;
use crate::fleet::Fleet;
use crate::patience::unix_ms;
use crate::redis_server::RedisServer;
use crate::vitals::Vitals;

pub(super) const BAR: &str = "S lost 0, duplicated 0; E loses only the outage and says so, once; live ≤ 1.5 s after the first PONG; \
     no deaf channel 120 s later";
pub(super) const BAR_FREEZE: &str = "noticed ≤ 3 s; live ≤ 2 s after; memory flat; S lost 0";
const NOTICED: Duration = Duration::from_secs(3);
const LIVE: Duration = Duration::from_millis(1500);
const LIVE_AFTER_FREEZE: Duration = Duration::from_secs(2);
/// What a gateway may grow by in an outage: some buffers.
const FLAT: u64 = 16 << 20;
const WARM_UP: Duration = Duration::from_secs(2);

pub(super) async fn killed(scale: &Scale, findings: &mut Findings, seconds: u64) {
    let mut redis = RedisServer::start_with(&DURABLE);
    let mut fleet = scale.fleet_over(&redis).await;
    sleep(WARM_UP).await;
    let vitals: Vec<Vitals> = fleet.running().map(Vitals::watch).collect();
    let fault = unix_ms();
    redis.kill();
    say(&format!("Redis is killed, for {seconds} s"));
    let noticed = until_readyz(fleet.running(), 503, scale.patience(NOTICED)).await;
    findings.within("noticed", noticed, NOTICED);
    sleep(Duration::from_secs(seconds).saturating_sub(noticed)).await;
    redis.restart();
    first_pong(&redis).await;
    let live = back(scale, findings, &mut fleet, LIVE).await;
    flat(findings, &vitals);
    let outcome = fleet.finish(true, scale.patience(LIVE)).await;
    findings.outage(&outcome, &[Window { fault, live }]);
}

pub(super) async fn frozen(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let mut fleet = scale.fleet_over(&redis).await;
    sleep(WARM_UP).await;
    let vitals: Vec<Vitals> = fleet.running().map(Vitals::watch).collect();
    let fault = unix_ms();
    redis.freeze();
    say("Redis is frozen, for 10 s");
    let noticed = until_readyz(fleet.running(), 503, scale.patience(NOTICED)).await;
    findings.within("noticed", noticed, NOTICED);
    sleep(Duration::from_secs(10).saturating_sub(noticed)).await;
    redis.thaw();
    first_pong(&redis).await;
    let live = back(scale, findings, &mut fleet, LIVE_AFTER_FREEZE).await;
    flat(findings, &vitals);
    let outcome = fleet.finish(true, scale.patience(LIVE)).await;
    findings.outage(&outcome, &[Window { fault, live }]);
}

fn flat(findings: &mut Findings, vitals: &[Vitals]) {
    let grown = vitals.iter().map(Vitals::peak_growth).max().unwrap_or(0);
    findings.grown("memory", grown, FLAT);
}

/// Measures when all is live again, and looks once more later; answers when that was.
async fn back(scale: &Scale, findings: &mut Findings, fleet: &mut Fleet, bar: Duration) -> u64 {
    let mark = fleet.crowd.mark();
    say("Redis is back");
    let again = fleet.live_again(mark, scale.patience(bar)).await;
    findings.live("live again", &again, bar);
    ready_again(scale, findings, fleet, "live again").await;
    let live = mark + again.slowest();
    sleep(scale.later).await;
    let again = fleet.live_again(fleet.crowd.mark(), scale.patience(bar)).await;
    findings.exactly("deaf later", again.deaf, 0);
    live
}
