//! What the kernel says of sockets and descriptors: the judge of our own counts.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// TCP_ESTABLISHED in the kernel's numbering (include/net/tcp_states.h).
const ESTABLISHED: &str = "01";

/// Established IPv4 sockets of the server that listens on this local port.
pub fn established(port: u16) -> usize {
    rows().filter(|row| row.local == port && row.state == ESTABLISHED).count()
}

/// Bytes that the server's socket on `local` towards the client's port `remote` holds
/// because the client has not acknowledged them.
pub fn unacknowledged(local: u16, remote: u16) -> Option<u64> {
    rows().find(|row| row.local == local && row.remote == remote).map(|row| row.unacknowledged)
}

/// Raises this process's descriptor limit to what it may be: a thousand clients don't
/// fit into the usual 1,024.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).expect("the soft limit can be raised to the hard one");
}

struct Row {
    local: u16,
    remote: u16,
    state: String,
    unacknowledged: u64,
}

// Columns of proc(5): slot, local address, remote address, state, queues.
fn rows() -> impl Iterator<Item = Row> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux shows its sockets");
    let rows: Vec<Row> = table.lines().skip(1).filter_map(row).collect();
    rows.into_iter()
}

fn row(line: &str) -> Option<Row> {
    let mut columns = line.split_whitespace().skip(1);
    let (local, remote) = (port(columns.next()?)?, port(columns.next()?)?);
    let state = columns.next()?.to_owned();
    let (unacknowledged, _) = columns.next()?.split_once(':')?;
    let unacknowledged = u64::from_str_radix(unacknowledged, 16).ok()?;
    Some(Row { local, remote, state, unacknowledged })
}

fn port(address: &str) -> Option<u16> {
    u16::from_str_radix(address.split_once(':')?.1, 16).ok()
}
