//! The machine: which CPU does what, how many descriptors there are, and Ctrl-C.

#![allow(unsafe_code, reason = "libc has no safe form of signal() and prctl()")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::limits::SPARE_DESCRIPTORS;
use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which CPU the server has and which the load generator shares with Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpus {
    /// The server's own.
    pub server: usize,
    /// That of the load generator and Redis.
    pub load: usize,
}

impl Cpus {
    /// The first two CPUs this process may use; none if there is only one.
    pub fn pick() -> Result<Option<Self>> {
        let allowed = sched_getaffinity(None).context("can't read the CPU affinity")?;
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        Ok(cpus.next().zip(cpus.next()).map(|(server, load)| Self { server, load }))
    }
}

/// Moves this thread, and the threads and processes it starts from now on, to `cpu`.
pub fn pin(cpu: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Raises the soft limit of open files to the hard one; an error if even that is
/// too low for `connections`.
pub fn reserve_descriptors(connections: usize) -> Result<()> {
    let limit = rlimit::increase_nofile_limit(u64::MAX).context("can't raise the file limit")?;
    let needed = connections as u64 + SPARE_DESCRIPTORS;
    if limit < needed {
        bail!(
            "{connections} connections need {needed} open files per process, but the hard limit is \
             {limit}: raise it (ulimit -Hn {needed}) or leave the scenario out with --only"
        );
    }
    Ok(())
}

/// One line that names the machine.
pub fn describe() -> String {
    let cpu_info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown CPU", |(_, model)| model.trim());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{model}, {count} CPUs, Linux {}", kernel.trim())
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Why a run ended early: Ctrl-C or SIGTERM.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// From now on Ctrl-C and SIGTERM make [`check_interrupt`] fail, so that the run
/// unwinds and its guards stop the child processes.
pub fn catch_interrupts() {
    extern "C" fn note(_signal: libc::c_int) {
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
    let handler = note as *const () as libc::sighandler_t;
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler only stores to an atomic, which a signal handler may do.
        unsafe { libc::signal(signal, handler) };
    }
}

/// [`Interrupted`] once a signal has come.
pub fn check_interrupt() -> Result<(), Interrupted> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}

/// Waits until `done` says so. `Ok(false)` after `limit`.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> Result<bool> {
    let end = Instant::now() + limit;
    while !done() {
        check_interrupt()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
    Ok(true)
}

/// Waits for `duration`.
pub fn wait(duration: Duration) -> Result<()> {
    wait_until(duration, || false).map(|_| ())
}

/// Lets this thread's sleeps end within a microsecond or so of their time; the
/// kernel's default adds 50 µs, a quarter of the shortest interval published at.
pub fn sleep_exactly() {
    // SAFETY: this option takes a number and touches no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}
