//! What a server has used: CPU time and resident memory of its process and of those
//! it started, from /proc.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
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
    /// The CPU time until now of process `pid`, and of its group if it leads one.
    pub fn take(pid: u32) -> Result<Self> {
        let mut sum = Self { threads: HashMap::new(), ticks: 0 };
        for member in group(pid) {
            let added = sum.add(member);
            // Another than the server itself may end between the listing and here.
            if member == pid {
                added.with_context(|| format!("can't read the CPU time of process {pid}"))?;
            }
        }
        Ok(sum)
    }

    fn add(&mut self, pid: u32) -> Result<()> {
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let entry = entry?;
            // A thread may end between the listing and the reading.
            let Ok(schedstat) = fs::read_to_string(entry.path().join("schedstat")) else {
                continue;
            };
            let on_cpu = schedstat.split(' ').next().context("schedstat is empty")?.parse()?;
            self.threads.insert(entry.file_name().to_string_lossy().parse()?, on_cpu);
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        self.ticks += stat_fields(&stat).and_then(ticks).context("stat has no CPU times")?;
        Ok(())
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
        let of_process =
            TICK * u32::try_from(self.ticks.saturating_sub(earlier.ticks)).unwrap_or(u32::MAX);
        Duration::from_nanos(of_threads).max(of_process.saturating_sub(TICK * 2))
    }
}

/// `pid` and the other members of the process group that it leads, if it does. Every
/// server is started as such a leader, and no server's children leave the group.
fn group(pid: u32) -> Vec<u32> {
    let mut members = vec![pid];
    let Ok(entries) = fs::read_dir("/proc") else { return members };
    for entry in entries.flatten() {
        let Ok(other) = entry.file_name().to_string_lossy().parse() else { continue };
        // A process may end between the listing and the reading.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        if other != pid && stat_fields(&stat).and_then(leader) == Some(pid) {
            members.push(other);
        }
    }
    members
}

/// The fields of stat from the third on; the command's name before them may hold spaces.
fn stat_fields(stat: &str) -> Option<std::str::SplitWhitespace<'_>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

/// Field 5, the process group, which has its leader's number.
fn leader(mut fields: std::str::SplitWhitespace<'_>) -> Option<u32> {
    fields.nth(2)?.parse().ok()
}

/// Fields 14 and 15.
fn ticks(fields: std::str::SplitWhitespace<'_>) -> Option<u64> {
    let mut fields = fields.skip(11);
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

/// The resident memory of process `pid` and of its group if it leads one, in KB. What
/// several processes share counts once.
pub fn resident_kb(pid: u32) -> Result<u64> {
    let members = group(pid);
    if members.len() == 1 {
        return memory_kb(pid, "Rss:");
    }
    // A member that ended in between has no memory; the server itself must have some.
    let shares = members.iter().map(|&member| match memory_kb(member, "Pss:") {
        Err(_) if member != pid => Ok(0),
        result => result,
    });
    shares.sum()
}

/// Ends the process group that `pid` leads, by SIGKILL.
pub fn end_group(pid: u32) {
    if let Some(leader) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It fails only if the whole group has ended.
        let _ = kill_process_group(leader, Signal::KILL);
    }
}

/// `label` is a line of the roll-up of all mappings.
fn memory_kb(pid: u32, label: &str) -> Result<u64> {
    // The counters behind `status` lag by up to 64 pages a thread; the roll-up is exact.
    let (file, label) = (format!("/proc/{pid}/smaps_rollup"), label);
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

    /// Until this thread has had that much of a CPU, however long others have it.
    fn burn(duration: Duration) {
        let used = || {
            let time = clock_gettime(ClockId::ThreadCPUTime);
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        };
        let end = used() + duration;
        while used() < end {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn the_time_of_a_thread_that_ended_is_counted() {
        let pid = std::process::id();
        let before = CpuSnapshot::take(pid).unwrap();
        std::thread::spawn(|| burn(Duration::from_millis(100))).join().unwrap();
        let used = CpuSnapshot::take(pid).unwrap().since(&before);
        // The ticks of a thread that ended are rounded, and two are taken off for that.
        assert!(used > Duration::from_millis(50), "{used:?}");
    }

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 31 11 0 0";
        assert_eq!(stat_fields(stat).and_then(ticks), Some(42));
        assert_eq!(stat_fields(stat).and_then(leader), Some(2));
    }

    #[test]
    fn the_processes_that_a_server_started_are_counted_with_it() {
        use std::io::{BufRead, BufReader};
        use std::os::unix::process::CommandExt;
        // A shell that waits, while its child burns CPU and says so.
        let script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo; tail -f /dev/null' & wait";
        let mut server = std::process::Command::new("sh")
            .args(["-c", script])
            .process_group(0)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = server.id();
        let before = CpuSnapshot::take(pid).unwrap();
        let mut output = BufReader::new(server.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        let used = CpuSnapshot::take(pid).unwrap().since(&before);
        let (members, memory, alone) = (group(pid), resident_kb(pid), memory_kb(pid, "Pss:"));
        end_group(pid);
        server.wait().unwrap();

        assert!(members.len() >= 2, "{members:?}");
        assert!(used > Duration::from_millis(20), "{used:?}");
        assert!(memory.unwrap() > alone.unwrap());
        // The pipe ends with the last process that could write to it.
        let (ended, end) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || ended.send(output.read_line(&mut String::new())));
        assert_eq!(end.recv_timeout(Duration::from_secs(20)).unwrap().unwrap(), 0);
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
        // Other tests of this process give back up to 13 MB meanwhile.
        assert!(after >= before + 40_000, "{before} KB before, {after} KB with {}", memory.len());
    }
}
