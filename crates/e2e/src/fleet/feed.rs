//! What flows: stream and pub/sub channels, and the payload of an event in them.

use serde::Deserialize;

/// The channels of a run. They are known by their index, streams first.
#[derive(Debug, Clone)]
pub struct Feed {
    streams: usize,
    names: Vec<String>,
}

/// The part of a payload that is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Payload {
    /// The event's number in its channel, from 1.
    pub n: u64,
    /// When it was sent, Unix milliseconds.
    pub t: u64,
}

impl Feed {
    /// So many stream channels `s:0`, `s:1` … and pub/sub channels `e:0`, `e:1` ….
    pub fn new(streams: usize, pubsubs: usize) -> Self {
        let streams_named = (0..streams).map(|number| format!("s:{number}"));
        let pubsubs_named = (0..pubsubs).map(|number| format!("e:{number}"));
        Self { streams, names: streams_named.chain(pubsubs_named).collect() }
    }

    /// How many channels there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// A channel's name.
    pub fn name(&self, channel: usize) -> &str {
        &self.names[channel]
    }

    /// A channel's index.
    pub fn index(&self, name: &str) -> Option<usize> {
        let (kind, number) = name.split_once(':')?;
        let number: usize = number.parse().ok()?;
        let index = if kind == "s" { number } else { self.streams + number };
        (self.names.get(index)? == name).then_some(index)
    }

    /// Whether it is a stream channel.
    pub fn is_stream(&self, channel: usize) -> bool {
        channel < self.streams
    }

    /// The indices of all stream channels.
    pub fn streams(&self) -> std::ops::Range<usize> {
        0..self.streams
    }

    /// The indices of all pub/sub channels.
    pub fn pubsubs(&self) -> std::ops::Range<usize> {
        self.streams..self.names.len()
    }

    /// The channels of a client: two of each kind, evenly spread.
    pub fn of_client(&self, client: usize) -> Vec<usize> {
        let two = |range: std::ops::Range<usize>| {
            if range.len() < 2 {
                return range.collect();
            }
            let first = client % range.len();
            // Pairs differ from round to round, so that no two channels share a fate.
            let step = 1 + client / range.len() % (range.len() - 1);
            vec![range.start + first, range.start + (first + step) % range.len()]
        };
        let (streams, pubsubs): (Vec<usize>, Vec<usize>) =
            (two(self.streams()), two(self.pubsubs()));
        [streams, pubsubs].concat()
    }

    /// The configuration of a gateway that carries them, at one endpoint.
    pub fn config() -> String {
        format!(
            "[[endpoints]]\npath = \"{}\"\nsubscribe = [\"*\"]\n\
             [[channels]]\npattern = \"s:*\"\nsource = \"stream\"\n",
            Self::PATH
        )
    }

    /// The endpoint's path.
    pub const PATH: &str = "/ws";
}

impl Payload {
    /// The payload as published, `size` bytes at the least.
    pub fn encode(&self, channel: &str, size: usize) -> String {
        let head = format!("{{\"c\":\"{channel}\",\"n\":{},\"t\":{},\"p\":\"", self.n, self.t);
        let padding = size.saturating_sub(head.len() + 2);
        format!("{head}{}\"}}", "x".repeat(padding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_have_one_index_each() {
        let feed = Feed::new(3, 2);
        for channel in 0..feed.len() {
            assert_eq!(feed.index(feed.name(channel)), Some(channel));
        }
        for stranger in ["s:3", "e:2", "s:01", "x:0", "s", ""] {
            assert_eq!(feed.index(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn each_client_is_on_two_of_each_and_all_are_used() {
        let feed = Feed::new(20, 20);
        let mut used = vec![0; feed.len()];
        for client in 0..200 {
            let mut channels = feed.of_client(client);
            assert_eq!(channels.iter().filter(|&&channel| feed.is_stream(channel)).count(), 2);
            channels.iter().for_each(|&channel| used[channel] += 1);
            channels.dedup();
            assert_eq!(channels.len(), 4);
        }
        assert!(used.iter().all(|&clients| clients == 20), "{used:?}");
    }

    #[test]
    fn reads_what_it_writes() {
        let payload = Payload { n: 7, t: 1_733_683_200_123 };
        let text = payload.encode("s:1", 200);
        assert_eq!(text.len(), 200);
        assert_eq!(serde_json::from_str::<Payload>(&text).unwrap(), payload);
    }
}
