//! The kernel's limits that many connections on one machine may meet, looked at
//! before the start: a limit that is met in the middle looks like a slow server.

use std::fs::read_to_string;

use anyhow::{Result, bail};

use crate::clients::{MAX_PENDING, PER_SOURCE_ADDRESS};

/// What a crowd asks of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    /// Connections that are open at the same time, over all processes.
    pub connections: usize,
    /// The most that one process holds.
    pub per_process: usize,
}

/// What the kernel grants. [`u64::MAX`] where it has no such limit.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The highest that a process's limit of open files can be set to.
    pub nr_open: u64,
    /// Files that may be opened yet, over all processes.
    pub files: u64,
    /// Ports of one source address to one server.
    pub ports: u64,
    /// Pages that the buffers of all TCP sockets may take.
    pub tcp_pages: u64,
    /// Connections that may wait to be accepted.
    pub somaxconn: u64,
    /// Descriptors that one user may watch by epoll.
    pub epoll_watches: u64,
    /// Connections that the firewall may track yet.
    pub tracked: u64,
    /// Memory that is available, KB.
    pub memory_kb: u64,
}

/// What a process needs besides one descriptor for each connection.
pub const SPARE_DESCRIPTORS: u64 = 300;

/// What one connection takes of the machine's memory, KB: 11 were seen, of which the
/// kernel has nine for both of its sockets.
const KB_PER_CONNECTION: u64 = 16;

/// What the machine needs besides.
const SPARE_MEMORY_KB: u64 = 512 * 1024;

struct Rule {
    name: &'static str,
    found: u64,
    needed: u64,
    remedy: &'static str,
}

impl Limits {
    /// The limits of this machine.
    pub fn read() -> Self {
        let files = numbers("/proc/sys/fs/file-nr");
        let ports = numbers("/proc/sys/net/ipv4/ip_local_port_range");
        let tracked = first("/proc/sys/net/netfilter/nf_conntrack_count");
        let track_limit = first("/proc/sys/net/netfilter/nf_conntrack_max");
        Self {
            nr_open: first("/proc/sys/fs/nr_open").unwrap_or(u64::MAX),
            files: match files[..] {
                [used, _, most] => most.saturating_sub(used),
                _ => u64::MAX,
            },
            ports: match ports[..] {
                [low, high] => (high + 1).saturating_sub(low),
                _ => u64::MAX,
            },
            tcp_pages: numbers("/proc/sys/net/ipv4/tcp_mem").last().copied().unwrap_or(u64::MAX),
            somaxconn: first("/proc/sys/net/core/somaxconn").unwrap_or(u64::MAX),
            epoll_watches: first("/proc/sys/fs/epoll/max_user_watches").unwrap_or(u64::MAX),
            tracked: track_limit.map_or(u64::MAX, |most| most.saturating_sub(tracked.unwrap_or(0))),
            memory_kb: memory_kb().unwrap_or(u64::MAX),
        }
    }

    /// One sentence for the first limit that is too low for `demand`.
    pub fn check(&self, demand: Demand) -> Result<()> {
        let connections = demand.connections;
        for Rule { name, found, needed, remedy } in self.rules(demand) {
            if found < needed {
                bail!(
                    "{connections} connections need {name} of {needed}, but there are {found}: \
                     {remedy} or leave the scenario out with --only"
                );
            }
        }
        Ok(())
    }

    fn rules(&self, demand: Demand) -> [Rule; 8] {
        let all = demand.connections as u64;
        let process = demand.per_process as u64;
        // Both ends of each connection are on this machine.
        let ends = all * 2;
        let rule = |name, found, needed, remedy| Rule { name, found, needed, remedy };
        [
            rule(
                "a highest limit of open files (fs.nr_open)",
                self.nr_open,
                process + SPARE_DESCRIPTORS,
                "raise it with sysctl",
            ),
            rule(
                "free places in the table of open files (fs.file-max)",
                self.files,
                ends + SPARE_DESCRIPTORS,
                "raise it with sysctl",
            ),
            // Twice as many as are used, or the kernel searches long for each.
            rule(
                "ports to connect from (net.ipv4.ip_local_port_range)",
                self.ports,
                process.min(PER_SOURCE_ADDRESS as u64) * 2,
                "widen the range with sysctl",
            ),
            // A fifth of this was seen, because no more than some thousand clients have
            // an event that they have not read.
            rule(
                "pages for TCP (net.ipv4.tcp_mem, the last number)",
                self.tcp_pages,
                all,
                "raise it with sysctl",
            ),
            rule(
                "places in a listener's queue (net.core.somaxconn)",
                self.somaxconn,
                MAX_PENDING as u64,
                "raise it with sysctl",
            ),
            rule(
                "descriptors watched by epoll (fs.epoll.max_user_watches)",
                self.epoll_watches,
                ends + SPARE_DESCRIPTORS,
                "raise it with sysctl",
            ),
            rule(
                "free places in the firewall's table (net.netfilter.nf_conntrack_max)",
                self.tracked,
                all,
                "raise it with sysctl",
            ),
            rule(
                "KB of memory",
                self.memory_kb,
                all * KB_PER_CONNECTION + SPARE_MEMORY_KB,
                "end other programs",
            ),
        ]
    }
}

fn first(path: &str) -> Option<u64> {
    numbers(path).first().copied()
}

/// The numbers in a file of /proc; none if it isn't there.
fn numbers(path: &str) -> Vec<u64> {
    let text = read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn memory_kb() -> Option<u64> {
    let text = read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CROWD: Demand = Demand { connections: 100_000, per_process: 16_667 };

    /// Just enough for [`CROWD`].
    const ENOUGH: Limits = Limits {
        nr_open: 16_967,
        files: 200_300,
        ports: 20_000,
        tcp_pages: 100_000,
        somaxconn: 100,
        epoll_watches: 200_300,
        tracked: 100_000,
        memory_kb: 100_000 * KB_PER_CONNECTION + SPARE_MEMORY_KB,
    };

    #[track_caller]
    fn check(lower: fn(&mut Limits) -> &mut u64, expected: &str) {
        let mut limits = ENOUGH;
        limits.check(CROWD).unwrap();
        *lower(&mut limits) -= 1;
        let sentence = limits.check(CROWD).unwrap_err().to_string();
        assert!(sentence.contains(expected), "{sentence}");
    }

    #[test]
    fn each_limit_that_is_one_too_low_is_named_with_what_is_needed() {
        check(|limits| &mut limits.nr_open, "(fs.nr_open) of 16967, but there are 16966");
        check(|limits| &mut limits.files, "(fs.file-max) of 200300, but there are 200299");
        check(|limits| &mut limits.ports, "ip_local_port_range) of 20000, but there are 19999");
        check(|limits| &mut limits.tcp_pages, "the last number) of 100000, but there are 99999");
        check(|limits| &mut limits.somaxconn, "(net.core.somaxconn) of 100, but there are 99");
        check(|limits| &mut limits.epoll_watches, "max_user_watches) of 200300");
        check(|limits| &mut limits.tracked, "nf_conntrack_max) of 100000, but there are 99999");
        check(|limits| &mut limits.memory_kb, "KB of memory");
    }

    #[test]
    fn this_machine_tells_its_limits() {
        let limits = Limits::read();
        assert!(limits.nr_open > 0 && limits.nr_open < u64::MAX, "{limits:?}");
        assert!(limits.ports > 0 && limits.ports < 65_536, "{limits:?}");
        assert!(limits.files < u64::MAX && limits.memory_kb < u64::MAX, "{limits:?}");
        // A container's own network has no such file.
        let has_tcp_limit = std::path::Path::new("/proc/sys/net/ipv4/tcp_mem").exists();
        assert_eq!(limits.tcp_pages < u64::MAX, has_tcp_limit, "{limits:?}");
        assert!(limits.somaxconn > 0 && limits.somaxconn < u64::MAX, "{limits:?}");
    }
}
