//! A cluster moves slots, and loses a primary.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::findings::Findings;
use super::scene::{Scale, ready_again, say};
use crate::checker::Window;
use crate::cluster_set::ClusterSet;
use crate::fleet::{Crowd, Fleet, Page, Store};
use crate::patience::unix_ms;

pub(super) const BAR_MOVE: &str =
    "S lost 0; E gap ≤ 1 s, in the moved channel alone; SHARDNUMSUB right ≤ 2 s";
pub(super) const BAR_KILL: &str = "S lost 0 or `reset`; SHARDNUMSUB right ≤ 2 s and E gap ends ≤ 1 s after the promotion; other shards untouched";
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
    let moving: Vec<usize> = streams.chain(fleet.feed.pubsubs().take(count)).collect();
    let mut windows = vec![Vec::new(); fleet.feed.len()];
    let mut slowest = Duration::ZERO;
    for channel in moving {
        let name = fleet.feed.name(channel).to_owned();
        let from = set.primary_of(&name).await;
        let to = (from + 1) % 3;
        let fault = unix_ms();
        set.migrate_slot(&name, to).await;
        let mut took = Duration::ZERO;
        if !fleet.feed.is_stream(channel) {
            took = until_subscribed(scale, &set, to, &name).await;
        }
        windows[channel].push(Window { fault, live: unix_ms() });
        say(&format!(
            "the slot of {name} has moved from {from} to {to}, subscribed {took:.1?} after"
        ));
        slowest = slowest.max(took);
        let again = fleet.live_again(fleet.crowd.mark(), scale.patience(LIVE)).await;
        findings.exactly(&format!("{name}: deaf"), again.deaf, 0);
        if again.deaf > 0 {
            fleet.print_logs();
        }
    }
    findings.within("SHARDNUMSUB right after", slowest, SUBSCRIBED);
    together(scale, findings, &set, &mut fleet, (count, &mut windows)).await;
    ready_again(scale, findings, &fleet, "moved").await;
    let outcome = fleet.finish(true, scale.patience(LIVE)).await;
    findings.within("longest E gap", longest_gap(&outcome.crowd), GAP);
    // A slot that goes takes its own channels, and no others of the same connection.
    findings.gaps(&outcome.crowd, &windows);
    findings.stayed(&outcome);
    findings.lossless(&outcome);
}

/// Some slots move one after the other, while gateways are still after the first.
async fn together(
    scale: &Scale,
    findings: &mut Findings,
    set: &ClusterSet,
    fleet: &mut Fleet,
    (count, windows): (usize, &mut [Vec<Window>]),
) {
    say("slots move in quick succession");
    let moving: Vec<usize> = fleet.feed.pubsubs().take(count).collect();
    let fault = unix_ms();
    for &channel in &moving {
        let name = fleet.feed.name(channel);
        let to = (set.primary_of(name).await + 1) % 3;
        set.migrate_slot(name, to).await;
    }
    let mut slowest = Duration::ZERO;
    for &channel in &moving {
        let name = fleet.feed.name(channel);
        let server = set.primary_of(name).await;
        let took = until_subscribed(scale, set, server, name).await;
        slowest = slowest.max(took);
        if took > SUBSCRIBED {
            say(&format!("{name} is not subscribed at primary {server}"));
        }
        windows[channel].push(Window { fault, live: unix_ms() });
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
    let (fault, began) = (unix_ms(), Instant::now());
    set.kill_primary_of(&name).await;
    let server = set.until_promoted(&name, dead).await;
    let (promoted, took, mark) = (Instant::now(), began.elapsed(), fleet.crowd.mark());
    findings.note("promoted after, s", format!("{:.1}", took.as_secs_f64()));
    // Until then nobody has these slots, which is Redis's own time.
    let window = Window { fault, live: mark };
    for &channel in affected.iter().filter(|channel| !fleet.feed.is_stream(**channel)) {
        until_subscribed(scale, &set, server, fleet.feed.name(channel)).await;
    }
    findings.within("SHARDNUMSUB right after the promotion", promoted.elapsed(), SUBSCRIBED);
    let again = fleet.live_again(mark, scale.patience(LIVE)).await;
    findings.live("live after the promotion", &again, LIVE);
    ready_again(scale, findings, &fleet, "promoted").await;
    let windows = (0..fleet.feed.len())
        .map(|channel| if affected.contains(&channel) { vec![window] } else { Vec::new() });
    let windows: Vec<Vec<Window>> = windows.collect();
    let outcome = fleet.finish(true, scale.patience(LIVE)).await;
    findings.note("longest E gap, s", longest_gap(&outcome.crowd).as_secs_f64());
    findings.gaps(&outcome.crowd, &windows);
    findings.stayed(&outcome);
    findings.lossless(&outcome);
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

/// The longest gap that a client was told of a pub/sub channel.
fn longest_gap(crowd: &Crowd) -> Duration {
    let mut longest = 0;
    crowd.each(|_, _, page| {
        let Page::PubSub { record, .. } = page else { return };
        let lengths = record.gaps().iter().map(|gap| gap.span.to.saturating_sub(gap.span.from));
        longest = lengths.max().unwrap_or(0).max(longest);
    });
    Duration::from_millis(longest)
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
