//! Traffic: a publisher, the clients that receive it, and a window of time over
//! which everything is measured at once.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::checker::Verdict;
use crate::clients::Clients;
use crate::machine::{sleep_exactly, wait_until};
use crate::process::{self, CpuSnapshot, own_cpu};
use crate::publisher::{Beat, Publisher};

/// How long every client may take to get its first probe.
const PROBE_PATIENCE: Duration = Duration::from_secs(15);

/// After the last publish, how long no event may arrive before the rest is lost.
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

/// How long the events still under way may take in all.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// When to measure.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Traffic before the window opens.
    pub lead_in: Duration,
    /// The measured window.
    pub window: Duration,
}

/// What the window showed. Losses are counted over the whole traffic.
#[derive(Debug)]
pub struct Outcome {
    /// The window as it really was.
    pub window: Duration,
    /// The server's CPU time in it.
    pub cpu: Duration,
    /// The CPU time of the load generator and of Redis in it.
    pub load_cpu: Duration,
    /// Bytes that came over the wire in it, summed over the clients.
    pub wire_bytes: u64,
    /// Events that arrived in it, summed over the clients.
    pub delivered: u64,
    /// Events published in it.
    pub published: u64,
    /// Lost, duplicated, reordered.
    pub verdict: Verdict,
}

#[derive(Default)]
struct Shared {
    beat: AtomicU8,
    timing: AtomicBool,
    stop_reading: AtomicBool,
    published: AtomicU64,
    delivered: AtomicU64,
    wire_bytes: AtomicU64,
    probed: AtomicUsize,
    /// No client has a connection any longer.
    deserted: AtomicBool,
}

const PROBE: u8 = 0;
const EVENT: u8 = 1;
const END: u8 = 2;

/// Both threads end when the traffic does, whatever ended it; a scope would wait
/// for them for ever.
struct StopOnDrop<'a>(&'a Shared);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.beat.store(END, Relaxed);
        self.0.stop_reading.store(true, Relaxed);
    }
}

/// Whose CPU time is measured besides this process's own.
#[derive(Debug, Clone, Copy)]
pub struct Processes {
    /// The server's process id.
    pub server: u32,
    /// That of Redis.
    pub redis: u32,
}

/// Runs traffic through the server and measures it.
pub fn run(
    clients: &mut Clients,
    publisher: &mut Publisher,
    processes: Processes,
    timing: Timing,
) -> Result<Outcome> {
    let shared = Shared::default();
    let (count, setup) = (clients.count(), clients.setup());
    let mut outcome = thread::scope(|scope| {
        let stop = StopOnDrop(&shared);
        let reading = scope.spawn(|| read(clients, &shared));
        let publishing = scope.spawn(|| publish(publisher, &shared));
        probe(&shared, count, processes.server, &publishing)?;
        shared.beat.store(EVENT, Relaxed);
        // Without a publisher there is nothing to wait for, and it tells why.
        let over = || publishing.is_finished();
        let wait = |time| wait_while_served(&shared, processes.server, time, over).map(|_| ());
        wait(timing.lead_in)?;
        let outcome = measure(&shared, processes, || wait(timing.window))?;
        shared.beat.store(END, Relaxed);
        let published = join(publishing)?;
        drain(&shared, setup.deliveries(published, count))?;
        drop(stop);
        join(reading)?;
        Ok::<_, anyhow::Error>((outcome, published))
    });
    if let Ok((outcome, published)) = &mut outcome {
        outcome.verdict = clients.verdict(*published);
    }
    outcome.map(|(outcome, _)| outcome)
}

fn publish(publisher: &mut Publisher, shared: &Shared) -> Result<u64> {
    sleep_exactly();
    publisher.run(|published| {
        shared.published.store(published, Relaxed);
        match shared.beat.load(Relaxed) {
            PROBE => Beat::Probe,
            EVENT => Beat::Event,
            _ => Beat::End,
        }
    })
}

fn read(clients: &mut Clients, shared: &Shared) -> Result<()> {
    while !shared.stop_reading.load(Relaxed) {
        clients.tally.timing = shared.timing.load(Relaxed);
        clients.poll(Duration::from_millis(50))?;
        shared.delivered.store(clients.tally.delivered, Relaxed);
        shared.wire_bytes.store(clients.tally.wire_bytes, Relaxed);
        shared.probed.store(clients.tally.probed, Relaxed);
        shared.deserted.store(clients.tally.closed == clients.count(), Relaxed);
    }
    Ok(())
}

/// A client may have its 101 before its subscription is live: probes show when
/// all are, and no event is numbered before.
fn probe<T>(
    shared: &Shared,
    count: usize,
    server: u32,
    publishing: &ScopedJoinHandle<'_, T>,
) -> Result<()> {
    let all = || shared.probed.load(Relaxed) >= count || publishing.is_finished();
    if wait_while_served(shared, server, PROBE_PATIENCE, all)? {
        return Ok(());
    }
    let (seconds, probed) = (PROBE_PATIENCE.as_secs(), shared.probed.load(Relaxed));
    bail!("after {seconds} s of events only {probed} of {count} clients had received one")
}

/// Waits until `done` says so; `Ok(false)` after `limit`. A server that has ended is an
/// error at once.
fn wait_while_served(
    shared: &Shared,
    server: u32,
    limit: Duration,
    done: impl Fn() -> bool,
) -> Result<bool> {
    let mut ended = false;
    let done = wait_until(limit, || {
        // Asked only then, because the kernel's answer costs CPU time.
        ended = shared.deserted.load(Relaxed) && process::has_ended(server);
        ended || done()
    })?;
    ensure!(!ended, "the server ended");
    Ok(done)
}

fn measure(
    shared: &Shared,
    processes: Processes,
    window: impl FnOnce() -> Result<()>,
) -> Result<Outcome> {
    let take = || -> Result<_> {
        let counters = [&shared.delivered, &shared.published, &shared.wire_bytes];
        let counters = counters.map(|counter| counter.load(Relaxed));
        let cpu = (CpuSnapshot::take(processes.server)?, CpuSnapshot::take(processes.redis)?);
        Ok((Instant::now(), cpu, own_cpu(), counters))
    };
    let (start, cpu_before, own_before, before) = take()?;
    shared.timing.store(true, Relaxed);
    window()?;
    shared.timing.store(false, Relaxed);
    let (end, cpu_after, own_after, after) = take()?;
    let [delivered, published, wire_bytes] = [0, 1, 2].map(|index| after[index] - before[index]);
    Ok(Outcome {
        window: end - start,
        cpu: cpu_after.0.since(&cpu_before.0),
        load_cpu: cpu_after.1.since(&cpu_before.1) + own_after.saturating_sub(own_before),
        delivered,
        published,
        wire_bytes,
        verdict: Verdict::default(),
    })
}

/// Waits until all have arrived, or nothing has for a while.
fn drain(shared: &Shared, expected: u64) -> Result<()> {
    let (mut last, mut since) = (0, Instant::now());
    wait_until(DRAIN_LIMIT, || {
        let delivered = shared.delivered.load(Relaxed);
        if delivered > last {
            (last, since) = (delivered, Instant::now());
        }
        delivered >= expected || since.elapsed() > DRAIN_PATIENCE
    })?;
    Ok(())
}

fn join<T>(handle: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().map_err(|_| anyhow!("a thread of the load generator panicked"))?.context("load")
}
