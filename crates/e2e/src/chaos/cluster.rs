//! A cluster moves slots, and loses a primary.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::findings::Findings;
use super::scene::{Scale, say};
use crate::cluster_set::ClusterSet;
use crate::fleet::{Fleet, Page, Store};

pub(super) const BAR_MOVE: &str =
    "S lost 0; E gap ≤ 1 s; SHARDNUMSUB right ≤ 2 s; other slots untouched";
pub(super) const BAR_KILL: &str = "S lost 0 or `reset`; other shards untouched; 0 deaf";
const GAP: Duration = Duration::from_secs(1);
const SUBSCRIBED: Duration = Duration::from_secs(2);
const LIVE: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(2);

async fn fleet(scale: &Scale, set: &ClusterSet) -> Fleet {
    let nodes =
        set.url().trim_start_matches("redis+cluster://").split(',').map(str::to_owned).collect();
    let mut options = scale.fleet(vec![set.url()], Store::Cluster(nodes));
    options.config = "[redis]\nsharded = true\n".to_owned();
    options.load.is_sharded = true;
    let fleet = Fleet::start(options).await;
    sleep(WARM_UP).await;
    fleet
}

/// Slots of streams and of shard channels move to another primary, with their keys.
pub(super) async fn moved(scale: &Scale, findings: &mut Findings) {
    let set = ClusterSet::start().await;
    let mut fleet = fleet(scale, &set).await;
    let count = if scale.is_full { 5 } else { 1 };
    let streams = fleet.feed.streams().take(count);
    let moved: BTreeSet<usize> = streams.chain(fleet.feed.pubsubs().take(count)).collect();
    let mut slowest = Duration::ZERO;
    for &channel in &moved {
        let name = fleet.feed.name(channel).to_owned();
        let to = (set.primary_of(&name).await + 1) % 3;
        say(&format!("the slot of {name} moves to primary {to}"));
        set.migrate_slot(&name, to).await;
        if !fleet.feed.is_stream(channel) {
            slowest = slowest.max(until_subscribed(scale, &set, to, &name).await);
        }
    }
    let again = fleet.live_again(fleet.crowd.mark(), scale.patience(LIVE)).await;
    findings.live("live again", &again, LIVE);
    findings.within("SHARDNUMSUB right after", slowest, SUBSCRIBED);
    gaps(findings, &fleet, &|channel| moved.contains(&channel), Some(GAP));
    findings.lossless(&fleet.finish(true, scale.patience(LIVE)).await);
}

/// A primary is killed; its replica takes over.
pub(super) async fn killed(scale: &Scale, findings: &mut Findings) {
    let mut set = ClusterSet::start().await;
    let mut fleet = fleet(scale, &set).await;
    let name = fleet.feed.name(fleet.feed.streams().start).to_owned();
    let dead = set.primary_of(&name).await;
    let mut affected = BTreeSet::new();
    for channel in 0..fleet.feed.len() {
        if set.primary_of(fleet.feed.name(channel)).await == dead {
            affected.insert(channel);
        }
    }
    say(&format!("primary {dead} is killed, with {} of the channels", affected.len()));
    set.kill_primary_of(&name).await;
    let began = Instant::now();
    set.until_promoted(&name, dead).await;
    let promoted = began.elapsed();
    findings.note("promoted after, s", format!("{:.1}", promoted.as_secs_f64()));
    let again = fleet.live_again(fleet.crowd.mark(), scale.patience(LIVE)).await;
    findings.live("live after the promotion", &again, LIVE);
    gaps(findings, &fleet, &|channel| affected.contains(&channel), None);
    findings.lossless(&fleet.finish(true, scale.patience(LIVE)).await);
}

/// Waits until each gateway is subscribed at the new primary, by its own count.
async fn until_subscribed(scale: &Scale, set: &ClusterSet, server: usize, name: &str) -> Duration {
    let began = Instant::now();
    let mut command = redis::cmd("PUBSUB");
    command.arg("SHARDNUMSUB").arg(name);
    loop {
        let (_, count): (String, usize) = set.ask(server, &command).await;
        if count == 3 || began.elapsed() > scale.patience(SUBSCRIBED) {
            return began.elapsed();
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Gaps are where something happened, and nowhere else.
fn gaps(
    findings: &mut Findings,
    fleet: &Fleet,
    is_affected: &dyn Fn(usize) -> bool,
    bar: Option<Duration>,
) {
    let (mut longest, mut elsewhere) = (0, 0);
    fleet.crowd.each(|_, channel, page| {
        let Page::PubSub { record, .. } = page else { return };
        if is_affected(channel) {
            let lengths = record.gaps().iter().map(|gap| gap.span.to - gap.span.from);
            longest = longest.max(lengths.max().unwrap_or(0));
        } else {
            elsewhere += record.gaps().len();
        }
    });
    let longest = Duration::from_millis(longest);
    match bar {
        Some(bar) => findings.within("longest E gap", longest, bar),
        None => findings.note("longest E gap, s", format!("{:.2}", longest.as_secs_f64())),
    }
    findings.exactly("E gaps of other channels", elsewhere, 0);
}
