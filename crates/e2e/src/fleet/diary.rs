//! What one client writes down, and when its channels were live again.

use crate::checker::{PubSubRecord, Span, StreamRecord, ToldGap};
use crate::patience::unix_ms;

/// Events in flight to a client when it loses its connection: they were published
/// shortly before the last message it got.
const IN_FLIGHT_MS: u64 = 500;

/// All pages of one client.
#[derive(Debug)]
pub struct Diary {
    pages: Vec<(usize, Page)>,
}

/// One channel's page.
#[derive(Debug)]
pub enum Page {
    /// Of a stream channel.
    Stream {
        /// What it was told.
        record: StreamRecord,
        /// When it was live after the last mark.
        live: Live,
    },
    /// Of a pub/sub channel.
    PubSub {
        /// What it was told.
        record: PubSubRecord,
        /// When it was live after the last mark.
        live: Live,
    },
}

/// How long after a mark the first event arrived that was published behind it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Live {
    mark: u64,
    after_ms: u64,
}

impl Diary {
    /// Empty pages for these channels.
    pub fn new(channels: &[usize], is_stream: impl Fn(usize) -> bool) -> Self {
        let page = |channel: &usize| (*channel, Page::new(is_stream(*channel)));
        Self { pages: channels.iter().map(page).collect() }
    }

    /// The page of a channel that the client is on.
    pub fn page(&mut self, channel: usize) -> &mut Page {
        let mut pages = self.pages.iter_mut();
        let found = pages.find(|(found, _)| *found == channel);
        &mut found.expect("an event of a channel that was never asked for").1
    }

    /// The record of a stream channel.
    pub fn stream(&mut self, channel: usize) -> &mut StreamRecord {
        match self.page(channel) {
            Page::Stream { record, .. } => record,
            Page::PubSub { .. } => panic!("a reset or a cursor of a pub/sub channel"),
        }
    }

    /// The records of all pub/sub channels.
    pub fn pubsubs(&mut self) -> impl Iterator<Item = &mut PubSubRecord> {
        self.pages.iter_mut().filter_map(|(_, page)| match page {
            Page::PubSub { record, .. } => Some(record),
            Page::Stream { .. } => None,
        })
    }

    /// All pages by channel.
    pub fn pages(&self) -> impl Iterator<Item = (usize, &Page)> {
        self.pages.iter().map(|(channel, page)| (*channel, page))
    }

    /// Notes that the connection is gone, that was last heard of at this moment.
    pub fn left(&mut self, heard: u64) {
        let from = heard.saturating_sub(IN_FLIGHT_MS);
        self.pubsubs().for_each(|record| record.left(from));
    }
}

impl Page {
    fn new(is_stream: bool) -> Self {
        let live = Live::default();
        if is_stream {
            Self::Stream { record: StreamRecord::default(), live }
        } else {
            Self::PubSub { record: PubSubRecord::default(), live }
        }
    }

    /// Notes when the channel was live again.
    pub fn arrived(&mut self, published: u64, mark: u64) {
        let (Self::Stream { live, .. } | Self::PubSub { live, .. }) = self;
        if live.mark != mark && published >= mark {
            *live = Live { mark, after_ms: unix_ms().saturating_sub(mark) };
        }
    }

    /// How long after this mark it was live, in milliseconds; none if it was not.
    pub fn live_after(&self, mark: u64) -> Option<u64> {
        let (Self::Stream { live, .. } | Self::PubSub { live, .. }) = self;
        (live.mark == mark).then_some(live.after_ms)
    }

    /// Notes a gap.
    pub fn gap(&mut self, reason: &str, from: u64, to: u64, at: u64) {
        let span = Span { from, to };
        match self {
            Self::PubSub { record, .. } => record.gap(reason, span, at),
            Self::Stream { record, .. } => {
                record.gap(ToldGap { reason: reason.to_owned(), span, at });
            }
        }
    }
}
