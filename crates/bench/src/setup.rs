//! What a run asks of the server and of its clients besides their number: how many
//! channels there are, whether events come compressed, whether one client is silent,
//! whether there is a snapshot.

/// The channel that every contender serves, and what the names of many begin with.
pub const CHANNEL: &str = "analytics";

/// Where producers keep the statistics of [`CHANNEL`], all in one cluster slot.
pub const SNAPSHOT_KEY: &str = "{analytics}:stats";

/// What a run asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// Channels; each client is in one of them, in turn.
    pub channels: usize,
    /// Whether clients and server agree on permessage-deflate.
    pub deflate: bool,
    /// Whether one client more is connected, which never reads.
    pub silent: bool,
    /// How often the endpoint sends its snapshot, seconds; none if it has no snapshot.
    pub snapshot: Option<u32>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { channels: 1, deflate: false, silent: false, snapshot: None }
    }
}

impl Setup {
    /// The name of the channel that client (or event) number `index` belongs to.
    pub fn channel(self, index: usize) -> String {
        match self.channels {
            0 | 1 => CHANNEL.to_owned(),
            channels => format!("{CHANNEL}:{}", index % channels),
        }
    }

    /// How many of the first `published` events went to the channel of client
    /// number `index`, when the channels take turns.
    pub fn share(self, published: u64, index: usize) -> u64 {
        let channels = self.channels.max(1) as u64;
        let channel = index as u64 % channels;
        published / channels + u64::from(channel < published % channels)
    }

    /// How many deliveries `published` events are to `clients` clients.
    pub fn deliveries(self, published: u64, clients: usize) -> u64 {
        (0..clients).map(|index| self.share(published, index)).sum()
    }

    /// The gateway's configuration file; none where its defaults are what is asked
    /// for.
    pub fn gateway_config(self) -> Option<String> {
        let many = self.channels > 1;
        if !many && !self.deflate && self.snapshot.is_none() {
            return None;
        }
        let channels = if many { String::new() } else { format!("{CHANNEL:?}") };
        let subscribe = if many { format!("\"{CHANNEL}:*\"") } else { String::new() };
        let deflate = if self.deflate { "deflate = true\n" } else { "" };
        let (named, snapshot) = self.snapshot.map_or_else(Default::default, snapshot_config);
        Some(format!(
            "[[endpoints]]\npath = \"/ws/{CHANNEL}\"\nchannels = [{channels}]\n\
             subscribe = [{subscribe}]\n{deflate}{named}{snapshot}"
        ))
    }
}

/// The endpoint's key for its snapshot, and the table of it. Each beat carries its time,
/// by which one is told from the next.
fn snapshot_config(seconds: u32) -> (String, String) {
    let named = format!("snapshot = \"{CHANNEL}\"\n");
    let table = format!(
        "\n[[snapshots]]\nname = \"{CHANNEL}\"\nkey = \"{SNAPSHOT_KEY}\"\nevery = \"{seconds}s\"\n\
         merge = {{ \"/data/current_visitors\" = \"connections\", \"/data/now_ms\" = \"now_ms\" }}\n"
    );
    (named, table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_take_turns_and_every_event_has_one() {
        let many = Setup { channels: 3, ..Setup::default() };
        // Events 0, 3 and 6 went to the first channel, 1 and 4 to the second.
        let shares: Vec<u64> = (0..4).map(|client| many.share(7, client)).collect();
        assert_eq!(shares, [3, 2, 2, 3]);
        assert_eq!(many.deliveries(7, 3), 7);
        assert_eq!(many.deliveries(7, 4), 10);
        assert_eq!((many.channel(1), many.channel(4)), (many.channel(4), many.channel(1)));
        assert_ne!(many.channel(1), many.channel(2));
    }

    #[test]
    fn one_channel_gets_everything() {
        let one = Setup::default();
        assert_eq!((one.share(7, 0), one.share(7, 999)), (7, 7));
        assert_eq!((one.channel(0), one.channel(999)), (CHANNEL.into(), CHANNEL.into()));
    }
}
