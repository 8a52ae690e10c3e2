//! Entries are taken away on purpose: a stream is trimmed, deleted, or everything is.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use redis::Cmd;
use tokio::time::sleep;

use super::findings::Findings;
use super::scene::{DURABLE, Scale, ready_again, say};
use crate::checker::ToldReset;
use crate::fleet::{Crowd, CrowdOptions, Fleet, Order, Page};
use crate::patience::{unix_ms, within};
use crate::redis_server::RedisServer;

pub(super) const BAR: &str = "`reset` to every affected client ≤ 2 s";
const TOLD: Duration = Duration::from_secs(2);
/// What flows between two faults.
const FLOW: Duration = Duration::from_secs(1);
/// Large entries, more of them than an instance keeps by itself: else it would still know
/// what Redis has given up, and nobody would have to be told.
const FILLERS: (usize, usize) = (48, 8 << 10);
/// How many clients are away while a stream is trimmed.
const AWAY: usize = 20;

/// What is taken, and what clients are told.
struct Loss {
    what: &'static str,
    reason: &'static str,
    channels: Range<usize>,
    command: fn(&str) -> Cmd,
}

pub(super) async fn taken(scale: &Scale, findings: &mut Findings) {
    let redis = RedisServer::start_with(&DURABLE);
    let mut fleet = scale.fleet_over(&redis).await;
    let all = fleet.feed.streams();
    let quarter = all.len() / 4;
    let losses = [
        Loss {
            what: "XTRIM",
            reason: "trimmed",
            channels: 0..quarter,
            command: |key| redis::cmd("XTRIM").arg(key).arg("MAXLEN").arg(0).to_owned(),
        },
        Loss {
            what: "DEL",
            reason: "unknown",
            channels: quarter..2 * quarter,
            command: |key| redis::cmd("DEL").arg(key).to_owned(),
        },
        // Said once for each stream, which changes nothing.
        Loss {
            what: "FLUSHALL",
            reason: "unknown",
            channels: all,
            command: |_| redis::cmd("FLUSHALL"),
        },
    ];
    for loss in losses {
        take(scale, findings, &mut fleet, &redis, &loss).await;
    }
    away(scale, findings, &fleet, &redis).await;
    ready_again(scale, findings, &fleet, "at the end").await;
    let outcome = fleet.finish(false, scale.patience(TOLD)).await;
    findings.stayed(&outcome);
    findings.lossless(&outcome);
}

/// Takes something from quiet channels, and waits until every client on them knows.
async fn take(
    scale: &Scale,
    findings: &mut Findings,
    fleet: &mut Fleet,
    redis: &RedisServer,
    loss: &Loss,
) {
    let Loss { what, reason, channels, command } = loss;
    let mut admin = redis.connection().await;
    fleet.producer.be_quiet().await;
    let truths = fleet.truths(false).await;
    let delivered = async || fleet.crowd.missing(&truths) == 0;
    within(scale.patience(TOLD), "everything is delivered", delivered).await;
    say(what);
    let (began, patience) = (unix_ms(), Instant::now() + scale.patience(TOLD));
    for channel in channels.clone() {
        let command = command(fleet.feed.name(channel));
        command.exec_async(&mut admin).await.expect("Redis takes it away");
    }
    let told = loop {
        let told = told_since(&fleet.crowd, began, &|channel| channels.contains(&channel));
        if told.untold == 0 || Instant::now() > patience {
            break told;
        }
        sleep(Duration::from_millis(10)).await;
    };
    judge(findings, what, reason, &told, began);
    fleet.producer.resume();
    sleep(FLOW).await;
    let again = fleet.live_again(fleet.crowd.mark(), scale.patience(TOLD)).await;
    findings.exactly(&format!("{what}: deaf afterwards"), again.deaf, 0);
}

/// Streams are trimmed past the cursors of clients that are away.
async fn away(scale: &Scale, findings: &mut Findings, fleet: &Fleet, redis: &RedisServer) {
    let options = CrowdOptions {
        clients: AWAY,
        jitter: Duration::from_millis(100),
        seed: scale.seed,
        dial: crate::raw_client::Dial::default(),
    };
    let crowd = Crowd::start(&fleet.feed, &fleet.doors, &options, Order::Read);
    let mark = crowd.mark();
    let patience = scale.patience(TOLD);
    within(patience, "they are live", async || crowd.is_live_after(mark)).await;
    crowd.order(Order::StayAway);
    within(patience, "they are gone", async || crowd.counts().open() == 0).await;
    sleep(FLOW).await;
    let mut admin = redis.connection().await;
    for channel in fleet.feed.streams() {
        let mut commands = redis::pipe();
        let name = fleet.feed.name(channel);
        for _ in 0..FILLERS.0 {
            commands.cmd("XADD").arg(name).arg("*").arg("data").arg("x".repeat(FILLERS.1));
        }
        commands.cmd("XTRIM").arg(name).arg("MAXLEN").arg(1);
        commands.exec_async(&mut admin).await.expect("Redis trims");
    }
    let began = unix_ms();
    crowd.order(Order::Read);
    let mark = crowd.mark();
    within(patience, "they are live again", async || crowd.is_live_after(mark)).await;
    let told = told_since(&crowd, began, &|_| true);
    judge(findings, "trimmed while away", "trimmed", &told, began);
    crowd.order(Order::End);
}

/// Who has been told what since a moment.
struct Told {
    /// Clients' channels.
    pages: usize,
    /// Of these without a word.
    untold: usize,
    resets: Vec<ToldReset>,
}

fn told_since(crowd: &Crowd, began: u64, is_affected: &dyn Fn(usize) -> bool) -> Told {
    let mut told = Told { pages: 0, untold: 0, resets: Vec::new() };
    crowd.each(|_, channel, page| {
        let Page::Stream { record, .. } = page else { return };
        if !is_affected(channel) {
            return;
        }
        told.pages += 1;
        let since = record.resets().iter().filter(|reset| reset.at >= began);
        let before = told.resets.len();
        told.resets.extend(since.cloned());
        told.untold += usize::from(told.resets.len() == before);
    });
    told
}

fn judge(findings: &mut Findings, what: &str, reason: &str, told: &Told, began: u64) {
    findings.note(&format!("{what}: affected"), told.pages);
    findings.exactly(&format!("{what}: not told"), told.untold, 0);
    findings.exactly(&format!("{what}: told in all"), told.resets.len(), told.pages);
    let slowest = told.resets.iter().map(|reset| reset.at - began).max().unwrap_or(0);
    findings.within(&format!("{what}: slowest"), Duration::from_millis(slowest), TOLD);
    let reasons: BTreeSet<&str> = told.resets.iter().map(|reset| reset.reason.as_str()).collect();
    let reasons: Vec<&str> = reasons.into_iter().collect();
    findings.exactly(&format!("{what}: reason"), reasons.join(", ").as_str(), reason);
}
