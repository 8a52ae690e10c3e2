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
    let moved: Vec<usize> = streams.chain(fleet.feed.pubsubs().take(count)).collect();
    let (mut slowest, mut longest, mut elsewhere) = (Duration::ZERO, Duration::ZERO, 0);
    for channel in moved {
        let name = fleet.feed.name(channel).to_owned();
        let from = set.primary_of(&name).await;
        let to = (from + 1) % 3;
        let of_source = channels_of(&set, &fleet, from).await;
        let before = gaps(&fleet);
        set.migrate_slot(&name, to).await;
        let mut took = Duration::ZERO;
        if !fleet.feed.is_stream(channel) {
            took = until_subscribed(scale, &set, to, &name).await;
        }
        say(&format!(
            "the slot of {name} has moved from {from} to {to}, subscribed {took:.1?} after"
        ));
        slowest = slowest.max(took);
        let again = fleet.live_again(fleet.crowd.mark(), scale.patience(LIVE)).await;
        findings.exactly(&format!("{name}: deaf"), again.deaf, 0);
        if again.deaf > 0 {
            fleet.print_logs();
        }
        // One connection has all channels of a primary, and is built anew when one leaves.
        for (channel, (before, after)) in before.iter().zip(gaps(&fleet)).enumerate() {
            longest = longest.max(Duration::from_millis(after.1));
            if !of_source.contains(&channel) {
                elsewhere += after.0 - before.0;
            }
        }
    }
    together(scale, findings, &set, &mut fleet, count).await;
    findings.within("SHARDNUMSUB right after", slowest, SUBSCRIBED);
    findings.within("longest E gap", longest, GAP);
    findings.exactly("E gaps of other primaries", elsewhere, 0);
    findings.lossless(&fleet.finish(true, scale.patience(LIVE)).await);
}

/// Some slots move one after the other, while gateways are still after the first.
async fn together(
    scale: &Scale,
    findings: &mut Findings,
    set: &ClusterSet,
    fleet: &mut Fleet,
    count: usize,
) {
    say("slots move in quick succession");
    let names: Vec<String> = fleet
        .feed
        .pubsubs()
        .take(count)
        .map(|channel| fleet.feed.name(channel).to_owned())
        .collect();
    for name in &names {
        let to = (set.primary_of(name).await + 1) % 3;
        set.migrate_slot(name, to).await;
    }
    let mut slowest = Duration::ZERO;
    for name in &names {
        let server = set.primary_of(name).await;
        let took = until_subscribed(scale, set, server, name).await;
        slowest = slowest.max(took);
        if took > SUBSCRIBED {
            say(&format!("{name} is not subscribed at primary {server}"));
        }
    }
    findings.within("in quick succession: SHARDNUMSUB right after", slowest, SUBSCRIBED);
    let again = fleet.live_again(fleet.crowd.mark(), scale.patience(LIVE)).await;
    findings.live("in quick succession: live", &again, LIVE);
    if again.deaf > 0 {
        fleet.print_logs();
    }
}

/// A primary is killed; its replica takes over.
pub(super) async fn killed(scale: &Scale, findings: &mut Findings) {
    let mut set = ClusterSet::start().await;
    let mut fleet = fleet(scale, &set).await;
    let name = fleet.feed.name(fleet.feed.streams().start).to_owned();
    let dead = set.primary_of(&name).await;
    let affected = channels_of(&set, &fleet, dead).await;
    say(&format!("primary {dead} is killed, with {} of the channels", affected.len()));
    set.kill_primary_of(&name).await;
    let began = Instant::now();
    set.until_promoted(&name, dead).await;
    let promoted = began.elapsed();
    findings.note("promoted after, s", format!("{:.1}", promoted.as_secs_f64()));
    let again = fleet.live_again(fleet.crowd.mark(), scale.patience(LIVE)).await;
    findings.live("live after the promotion", &again, LIVE);
    let gaps = gaps(&fleet);
    let longest = gaps.iter().map(|(_, longest)| *longest).max().unwrap_or(0);
    findings.note("longest E gap, s", longest as f64 / 1e3);
    let others = gaps.iter().enumerate().filter(|(channel, _)| !affected.contains(channel));
    findings.exactly("E gaps of other primaries", others.map(|(_, (count, _))| count).sum(), 0);
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

/// How many gaps clients were told of each channel, and the longest in milliseconds.
fn gaps(fleet: &Fleet) -> Vec<(usize, u64)> {
    let mut gaps = vec![(0, 0); fleet.feed.len()];
    fleet.crowd.each(|_, channel, page| {
        let Page::PubSub { record, .. } = page else { return };
        let lengths = record.gaps().iter().map(|gap| gap.span.to - gap.span.from);
        let (count, longest) = &mut gaps[channel];
        *count += record.gaps().len();
        *longest = lengths.max().unwrap_or(0).max(*longest);
    });
    gaps
}

/// The channels that a primary has.
async fn channels_of(set: &ClusterSet, fleet: &Fleet, primary: usize) -> BTreeSet<usize> {
    let mut channels = BTreeSet::new();
    for channel in 0..fleet.feed.len() {
        if set.primary_of(fleet.feed.name(channel)).await == primary {
            channels.insert(channel);
        }
    }
    channels
}
