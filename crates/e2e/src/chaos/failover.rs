//! Sentinels replace the primary: when it dies, when they are told to, and behind its
//! back.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::findings::Findings;
use super::scene::{DURABLE, READY, Scale, ready_again, say, until_readyz};
use crate::fleet::{Fleet, Page, Store};
use crate::sentinel_set::{SentinelOptions, SentinelSet};

pub(super) const BAR: &str = "S lost 0 or `reset`; live ≤ down-after + 3 s; 0 stuck";
pub(super) const BAR_SPLIT: &str =
    "S: 0 silent holes, forked clients get `reset`; E: a `gap` on every channel";
const DOWN_AFTER: Duration = Duration::from_secs(1);
const LIVE: Duration = Duration::from_secs(4);
/// How long a new primary refuses everybody who dials.
const REFUSING: Duration = Duration::from_millis(500);
/// How long an old primary goes on to take writes beside the new one.
const SPLIT: Duration = Duration::from_secs(3);
/// Sentinels make a replica of an old primary in their own time.
const DEMOTED: Duration = Duration::from_secs(30);

async fn sentinels() -> SentinelSet {
    let options = SentinelOptions { server: &DURABLE, down_after: DOWN_AFTER };
    SentinelSet::start_with(options).await
}

async fn fleet(scale: &Scale, set: &SentinelSet, producer: Store) -> Fleet {
    Fleet::start(scale.fleet(vec![set.url()], producer)).await
}

/// Failovers in a row, every second one because the primary is killed; each new primary
/// refuses the first dials.
pub(super) async fn failovers(scale: &Scale, findings: &mut Findings) {
    let mut set = sentinels().await;
    // One that stays with the old primary publishes to nobody, until that is told of the new.
    let mut fleet = fleet(scale, &set, Store::Sentinel(set.url())).await;
    let count = if scale.is_full { 20 } else { 1 };
    let (mut slowest, mut ready, mut stuck) = (Duration::ZERO, Duration::ZERO, 0);
    for number in 0..count {
        set.until_complete().await;
        // Once shut, they can't tell it any more.
        set.until_replicas_follow().await;
        set.shut_replicas().await;
        let is_killed = number % 2 == 0;
        say(&format!(
            "failover {} of {count}{}",
            number + 1,
            if is_killed { ", killed" } else { "" }
        ));
        let began = Instant::now();
        let old = match is_killed {
            true => set.kill_primary().await,
            false => set.begin_failover().await,
        };
        // Not for longer: sentinels that can't reach it either would choose another one.
        set.until_promoted(old).await;
        sleep(REFUSING).await;
        set.open_replicas().await;
        set.until_replaced(old).await;
        // What was published before this moment may have come from the old primary.
        let (replaced, mark) = (began.elapsed(), fleet.crowd.mark());
        let again = fleet.live_again(mark, scale.patience(LIVE)).await;
        let live = replaced + Duration::from_millis(again.slowest());
        say(&format!("replaced after {replaced:.1?}, live after {live:.1?}"));
        slowest = slowest.max(live);
        stuck += again.deaf;
        ready = until_readyz(fleet.running(), 200, scale.patience(READY)).await.max(ready);
        if is_killed {
            set.server_at(old).restart();
        }
    }
    findings.note("failovers", count);
    findings.within("slowest to be live again", slowest, LIVE);
    findings.exactly("stuck", stuck, 0);
    findings.within("slowest to be ready, once live", ready, READY);
    let outcome = fleet.finish(true, scale.patience(LIVE)).await;
    findings.stayed(&outcome);
    findings.lossless(&outcome);
}

/// The old primary is cut off from sentinels and replicas, but not from the producer,
/// which goes on there, nor from gateways.
pub(super) async fn split_brain(scale: &Scale, findings: &mut Findings) {
    let mut set = sentinels().await;
    let mut fleet = fleet(scale, &set, Store::SentinelOnce(set.url())).await;
    sleep(Duration::from_secs(1)).await;
    say("the primary is cut off from its sentinels");
    let (old, _) = set.split_brain().await;
    say("there are two primaries");
    sleep(SPLIT).await;
    set.reconnect(old).await;
    let began = Instant::now();
    let again = fleet.live_again(fleet.crowd.mark(), DEMOTED).await;
    findings.note("the producer has found the new one after, s", began.elapsed().as_secs());
    findings.exactly("stuck", again.deaf, 0);
    ready_again(scale, findings, &fleet, "reconnected").await;
    let outcome = fleet.finish(true, scale.patience(LIVE)).await;
    findings.at_least("acknowledged by the old primary and lost", outcome.taken, 1);
    findings.at_least("resets", outcome.tally.streams.resets, 1);
    findings.stayed(&outcome);
    findings.streams(&outcome);
    let pubsubs = &outcome.tally.pubsubs;
    let mut fewest = usize::MAX;
    outcome.crowd.each(|_, _, page| {
        if let Page::PubSub { record, .. } = page {
            fewest = fewest.min(record.gaps().len());
        }
    });
    findings.at_least("gaps per client and E channel, fewest", fewest, 1);
    findings.exactly("E duplicated", pubsubs.duplicated, 0);
    findings.exactly("E reordered", pubsubs.reordered, 0);
    // What is published where no gateway looks, nobody can know of.
    findings.note("E published at the old primary alone", pubsubs.silent);
    findings.exactly("deaf at the end", outcome.deaf, 0);
}
