//! CPU time of several processes over a stretch, as the kernel counts it.

use std::collections::HashMap;
use std::time::Instant;

use crate::vitals::cpu_seconds;

/// The process's own sum counts in ticks of 10 ms, user and system rounded each.
const ROUNDING: f64 = 0.02;

/// A stretch that has begun.
pub(super) struct Watch {
    began: Instant,
    before: Vec<CpuTime>,
}

/// What the stretch took.
#[derive(Debug, Clone)]
pub(super) struct Spent {
    /// Seconds by the clock.
    pub(super) wall: f64,
    /// Seconds of CPU time by process, in the order of the pids.
    pub(super) cpu: Vec<f64>,
}

impl Watch {
    /// Begins to watch these processes.
    pub(super) fn begin(pids: &[u32]) -> Self {
        Self { began: Instant::now(), before: pids.iter().map(|&pid| CpuTime::of(pid)).collect() }
    }

    /// What was used since the beginning.
    pub(super) fn spent(&self) -> Spent {
        let wall = self.began.elapsed().as_secs_f64();
        Spent { wall, cpu: self.before.iter().map(CpuTime::used_since).collect() }
    }
}

impl Spent {
    /// Seconds of CPU time by process, less what `idle` would have used over the same time.
    pub(super) fn beyond(&self, idle: &Self) -> Vec<f64> {
        let rest = self.wall / idle.wall;
        self.cpu.iter().zip(&idle.cpu).map(|(cpu, idle)| cpu - idle * rest).collect()
    }

    /// The share of one core that each process used, percent.
    pub(super) fn percent(&self) -> Vec<f64> {
        self.cpu.iter().map(|cpu| 100.0 * cpu / self.wall).collect()
    }
}

struct CpuTime {
    pid: u32,
    /// Nanoseconds on a CPU by thread: exact, but nothing of threads that have ended.
    threads: HashMap<String, u64>,
    /// Seconds of all threads that ever were, in ticks.
    seconds: f64,
}

impl CpuTime {
    fn of(pid: u32) -> Self {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
        // A thread may end between the listing and the reading.
        let threads = tasks.flatten().filter_map(|task| {
            let schedstat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            let on_cpu = schedstat.split(' ').next()?.parse().ok()?;
            Some((task.file_name().to_string_lossy().into_owned(), on_cpu))
        });
        Self { pid, threads: threads.collect(), seconds: cpu_seconds(pid) }
    }

    /// Seconds from then to now: by the threads, or in ticks where threads that ended
    /// leave more than rounding explains.
    fn used_since(&self) -> f64 {
        let now = Self::of(self.pid);
        let used = |(thread, on_cpu): (&String, &u64)| {
            on_cpu.saturating_sub(self.threads.get(thread).copied().unwrap_or_default())
        };
        let nanoseconds: u64 = now.threads.iter().map(used).sum();
        (nanoseconds as f64 / 1e9).max(now.seconds - self.seconds - ROUNDING)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn burn(duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn what_a_thread_burned_is_counted_also_when_it_has_ended() {
        let watch = Watch::begin(&[std::process::id()]);
        std::thread::spawn(|| burn(Duration::from_millis(200))).join().unwrap();
        // A busy machine gives a thread only some of the time.
        assert!(watch.spent().cpu[0] > 0.03, "{:?}", watch.spent());
    }

    #[test]
    fn idleness_is_taken_off_for_as_long_as_the_stretch_was() {
        let idle = Spent { wall: 2.0, cpu: vec![0.2, 0.0] };
        let spent = Spent { wall: 4.0, cpu: vec![1.0, 0.5] };
        assert_eq!(spent.beyond(&idle), [0.6, 0.5]);
        assert_eq!(spent.percent(), [25.0, 12.5]);
    }
}
