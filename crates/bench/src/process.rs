//! What a process has used: CPU time and resident memory, from /proc.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// How much CPU time a process had used at one moment.
#[derive(Debug, Clone)]
pub struct CpuSnapshot {
    /// Nanoseconds on a CPU, by thread.
    threads: HashMap<u32, u64>,
    /// User and system time of all threads that ever were, in ticks.
    ticks: u64,
}

/// `USER_HZ`, which is 100 on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

impl CpuSnapshot {
    /// The CPU time of process `pid` until now.
    pub fn take(pid: u32) -> Result<Self> {
        Self::read(pid).with_context(|| format!("can't read the CPU time of process {pid}"))
    }

    fn read(pid: u32) -> Result<Self> {
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let entry = entry?;
            // A thread may end between the listing and the reading.
            let Ok(schedstat) = fs::read_to_string(entry.path().join("schedstat")) else {
                continue;
            };
            let on_cpu = schedstat.split(' ').next().context("schedstat is empty")?.parse()?;
            threads.insert(entry.file_name().to_string_lossy().parse()?, on_cpu);
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(Self { threads, ticks: ticks(&stat).context("stat has no CPU times")? })
    }

    /// The CPU time used since `earlier`.
    ///
    /// The sum over the threads is exact, but knows nothing of those that ended in
    /// between; the process's own sum knows them, but counts in ticks. It is taken
    /// where it says more than its rounding explains.
    pub fn since(&self, earlier: &Self) -> Duration {
        let of_threads: u64 = self
            .threads
            .iter()
            .map(|(thread, now)| now - earlier.threads.get(thread).unwrap_or(&0).min(now))
            .sum();
        let of_process = TICK * u32::try_from(self.ticks - earlier.ticks).unwrap_or(u32::MAX);
        Duration::from_nanos(of_threads).max(of_process.saturating_sub(TICK * 2))
    }
}

/// Fields 14 and 15 of stat; the command's name before them may hold spaces.
fn ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Whether process `pid` has ended, waited for or not.
pub fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state comes after the command's name, which may hold anything.
    stat.rsplit_once(") ").is_none_or(|(_, fields)| fields.starts_with(['Z', 'X']))
}

/// The CPU time that this process has used, over all its threads.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // Neither part is ever negative.
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The resident memory of process `pid`, in KB.
pub fn resident_kb(pid: u32) -> Result<u64> {
    // The counters behind `status` lag by up to 64 pages a thread; the roll-up is exact.
    let (file, label) = (format!("/proc/{pid}/smaps_rollup"), "Rss:");
    let (text, label) = match fs::read_to_string(file) {
        Ok(text) => (text, label),
        Err(_) => (fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:"),
    };
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.context("the process has no resident memory")?.parse().context("not a number of KB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn burn(duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn the_time_of_a_thread_that_ended_is_counted() {
        let pid = std::process::id();
        let before = CpuSnapshot::take(pid).unwrap();
        std::thread::spawn(|| burn(Duration::from_millis(300))).join().unwrap();
        let used = CpuSnapshot::take(pid).unwrap().since(&before);
        // A busy machine gives the thread less than all of the time.
        assert!(used > Duration::from_millis(50), "{used:?}");
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 31 11 0 0";
        assert_eq!(ticks(stat), Some(42));
    }

    #[test]
    fn a_process_has_ended_from_its_end_on_waited_for_or_not() {
        assert!(!has_ended(std::process::id()));
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert!(!has_ended(child.id()));
        child.kill().unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while !has_ended(child.id()) {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait().unwrap();
        assert!(has_ended(child.id()));
    }

    #[test]
    fn memory_that_is_touched_becomes_resident() {
        let before = resident_kb(std::process::id()).unwrap();
        let memory = vec![1_u8; 64 << 20];
        let after = resident_kb(std::process::id()).unwrap();
        assert!(after >= before + 60_000, "{before} KB before, {after} KB with {}", memory.len());
    }
}
