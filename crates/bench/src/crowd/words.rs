//! What the bench and its load processes say to each other: JSON, one a line, orders on
//! the standard input and reports on the standard output.

use std::io::{BufRead, Write};

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// From the bench to a load process. The end of the input means: you are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Say how many connections are open at this moment.
    Count,
    /// Say how the clients were served, after so many events.
    Result(u64),
}

/// From a load process to the bench.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// So many connections were opened by now.
    Connected(usize),
    /// All were, and it took so many seconds.
    Ready(f64),
    /// So many clients have received a probe.
    Probed(usize),
    /// So many numbered events have arrived, over all clients.
    Delivered(u64),
    /// So many connections are open at this moment.
    Open(usize),
    /// How the clients were served.
    Result(Served),
    /// It can't go on; one sentence says why.
    Failed(String),
}

/// How the clients of one load process were served.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Served {
    /// Connections that are still open. Beside the instance's `open` in one JSON object,
    /// hence a name of its own.
    pub still_open: usize,
    /// Clients that got each event once and in order.
    pub served: usize,
    /// Events that never arrived, over all clients.
    pub lost: u64,
    /// Events that arrived again.
    pub duplicated: u64,
    /// Events that arrived after a later one.
    pub reordered: u64,
    /// From the publish to the receipt by the last client, the worst of the events, ms.
    pub last_ms: f64,
}

/// Says `words` as one line, at once.
pub fn say(to: &mut impl Write, words: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(words)?;
    line.push(b'\n');
    to.write_all(&line)?;
    Ok(to.flush()?)
}

/// The words of each line until the end; a line that means nothing is passed over.
pub fn listen<W: DeserializeOwned>(from: impl BufRead) -> impl Iterator<Item = W> {
    from.lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok())
}
