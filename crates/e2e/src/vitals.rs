//! What a gateway costs over a stretch of a test, as the kernel tells it: memory at
//! its peak, and CPU.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::gateway::Gateway;

/// The unit of CPU time in /proc: USER_HZ, 100 a second on every Linux we run on.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long memory may take to be given back once the cause is gone.
const SETTLE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A stretch of a gateway's life that is being watched.
#[derive(Debug)]
pub struct Vitals {
    pid: u32,
    began: Instant,
    resident: u64,
    cpu: f64,
}

impl Vitals {
    /// Begins to watch. The kernel forgets the peak so far.
    pub fn watch(gateway: &Gateway) -> Self {
        let pid = gateway.pid();
        // proc(5): 5 resets the peak to what is resident now.
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the peak can be reset");
        Self { pid, began: Instant::now(), resident: resident(pid), cpu: cpu_seconds(pid) }
    }

    /// By how many bytes the resident memory has grown at most since the beginning.
    pub fn peak_growth(&self) -> u64 {
        status_bytes(self.pid, "VmHWM:").saturating_sub(self.resident)
    }

    /// By how many bytes the resident memory is larger than at the beginning.
    pub fn growth(&self) -> u64 {
        resident(self.pid).saturating_sub(self.resident)
    }

    /// Resident bytes at the beginning.
    pub fn resident_before(&self) -> u64 {
        self.resident
    }

    /// Seconds of CPU that were used since the beginning, user and system together.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.pid) - self.cpu
    }

    /// Prints what the stretch cost, and panics if memory was ever more than `peak`
    /// bytes over what it was, or does not come back to within `rest` bytes of it.
    pub async fn assert_flat(&self, what: &str, peak: u64, rest: u64) {
        let (cpu, took) = (self.cpu_seconds(), self.began.elapsed());
        let given_back = Instant::now();
        while self.growth() > rest && given_back.elapsed() < SETTLE {
            sleep(LOOK_EVERY).await;
        }
        let (grown, most) = (self.growth(), self.peak_growth());
        let told = format!(
            "{what}: memory {} KiB, at most {} KiB more, {} KiB more at the end; \
             CPU {cpu:.2} s of {took:.1?}",
            self.resident >> 10,
            most >> 10,
            grown >> 10
        );
        println!("{told}");
        assert!(most <= peak && grown <= rest, "{told}; allowed: {peak} and {rest} bytes");
    }
}

/// Bytes of memory that a process has at this moment.
pub(crate) fn resident(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

fn status_bytes(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.expect("a number of kilobytes") << 10
}

/// Seconds of CPU that a process has used, user and system together.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // The second field is the program's name, which may hold spaces; fields 14 and 15
    // are the time in user and in system mode.
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>());
    ticks.map(|ticks| ticks.expect("a number of ticks")).sum::<f64>() / TICKS_PER_SECOND
}
