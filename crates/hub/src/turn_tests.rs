//! Tests of a turn: one write per member, its own events, in order, at any size.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::broadcast::{ChannelKey, Compressed, Encoding, Form, Frames, SlowConsumer::Disconnect};
use crate::config::HubConfig;
use crate::connection::{Common, Connection, Member};
use crate::metrics::HubMetrics;
use crate::testing::{Call, TestSocket, event, metrics, notice};
use redcast_wire::{Window, text_frame};

struct Rig {
    shard: Shard,
    turn: Turn,
    metrics: HubMetrics,
}

impl Rig {
    fn new() -> Self {
        let metrics = metrics();
        let config = HubConfig::default();
        let common = Common { config, metrics: metrics.clone(), started: Instant::now() };
        Self { shard: Shard::empty(Arc::new(common)), turn: Turn::default(), metrics }
    }

    fn member(&mut self, encoding: impl Into<Encoding>, channels: &[u64]) -> TestSocket {
        let socket = TestSocket::open();
        let common = self.shard.common.clone();
        let connection = Connection::new(common, 0, encoding.into(), socket.clone());
        let member: Arc<Member> = Arc::new(connection);
        self.shard.seat(&member, channels);
        socket
    }

    async fn run(&mut self, events: Vec<Broadcast>) -> Tally {
        for event in events {
            self.turn.add(event);
        }
        let done = self.turn.run(&mut self.shard).await;
        let chains = self.shard.members.iter().map(|(_, seated)| seated.chain);
        assert!(chains.into_iter().all(|chain| chain == END), "chains end with the turn");
        done
    }
}

impl Turn {
    /// What the next run would deliver.
    pub(crate) fn added(&self) -> &[Broadcast] {
        &self.events
    }
}

impl Shard {
    fn empty(common: Arc<Common>) -> Self {
        let (members, channels, cursors) = Default::default();
        Self { common, members, channels, cursors }
    }
}

fn both_forms(channel: u64, text: &str) -> Broadcast {
    let envelope = text_frame(format!("envelope of {text}").as_bytes());
    let frames = Frames::event(Some(text_frame(text.as_bytes())), Some(envelope));
    Broadcast { frames, ..event(channel, text, Disconnect) }
}

#[tokio::test]
async fn a_turn_of_one_channel_is_one_plain_write_for_each_member() {
    let mut rig = Rig::new();
    let raw = rig.member(Form::Raw, &[1]);
    let quiet = rig.member(Form::Quiet, &[1]);
    let envelope = rig.member(Form::Envelope, &[1]);
    let stranger = rig.member(Form::Raw, &[2]);
    rig.run(vec![both_forms(1, "a"), notice(1, "notice"), both_forms(1, "b")]).await;
    assert_eq!(raw.texts(), ["a", "notice", "b"]);
    assert_eq!(quiet.texts(), ["a", "b"]);
    assert_eq!(envelope.texts(), ["envelope of a", "notice", "envelope of b"]);
    for socket in [raw, quiet, envelope] {
        assert_eq!(socket.calls(), [Call::One]);
    }
    assert!(stranger.calls().is_empty());
    assert_eq!(rig.metrics.delivered.get(), 6);
    assert_eq!(rig.metrics.delivery_latency.get_sample_count(), 2, "a notice has no latency");
}

#[tokio::test]
async fn a_single_event_is_written_from_its_own_buffer() {
    let mut rig = Rig::new();
    let (raw, quiet) = (rig.member(Form::Raw, &[1]), rig.member(Form::Quiet, &[1]));
    rig.run(vec![event(1, "one", Disconnect)]).await;
    rig.run(vec![notice(1, "two")]).await;
    assert_eq!(rig.turn.joined.sizes(), [(0, 0); Encoding::COUNT], "nothing was joined for it");
    rig.run(vec![event(1, "three", Disconnect), event(1, "four", Disconnect)]).await;
    assert_eq!(raw.texts(), ["one", "two", "three", "four"]);
    assert_eq!(quiet.texts(), ["one", "three", "four"]);
    assert_eq!(quiet.calls().len(), 2);
}

const WIDE: Encoding = Encoding { form: Form::Raw, window: Some(Window::Wide) };
const NARROW: Encoding = Encoding { form: Form::Raw, window: Some(Window::Narrow) };

/// An event whose compressed frame can be told from the plain one.
fn with_wide(channel: u64, text: &str) -> Broadcast {
    let mut compressed = Compressed::default();
    let frame = text_frame(format!("{text}, compressed").as_bytes());
    compressed.insert(Form::Raw, Window::Wide, frame);
    let plain = event(channel, text, Disconnect);
    Broadcast { frames: plain.frames.compressed(compressed), ..plain }
}

#[tokio::test]
async fn each_member_gets_the_frames_of_its_encoding() {
    let events = || vec![with_wide(1, "a"), notice(1, "b"), event(1, "c", Disconnect)];
    for (other, call) in [(1, Call::One), (2, Call::Vectored(3))] {
        let mut rig = Rig::new();
        let plain = rig.member(Form::Raw, &[1]);
        let wide = rig.member(WIDE, &[1]);
        let narrow = rig.member(NARROW, &[1]);
        let quiet = rig.member(Encoding { form: Form::Quiet, ..WIDE }, &[1]);
        rig.run([events(), vec![event(other, "d", Disconnect)]].concat()).await;
        let last: &[&str] = if other == 1 { &["d"] } else { &[] };
        assert_eq!(plain.texts(), [&["a", "b", "c"], last].concat());
        assert_eq!(narrow.texts(), plain.texts());
        assert_eq!(wide.texts(), [&["a, compressed", "b", "c"], last].concat());
        assert_eq!(quiet.texts(), [&["a, compressed", "c"], last].concat());
        assert_eq!(wide.calls(), [call]);
    }
}

#[tokio::test]
async fn frames_are_joined_only_for_encodings_that_have_members() {
    let mut rig = Rig::new();
    let _members = [rig.member(Form::Raw, &[1]), rig.member(WIDE, &[1])];
    rig.run(vec![with_wide(1, "a"), with_wide(1, "b")]).await;
    let sizes = rig.turn.joined.sizes();
    let used = sizes.iter().enumerate().filter(|(_, (_, capacity))| *capacity > 0);
    let expected = [Encoding::from(Form::Raw).index(), WIDE.index()];
    assert_eq!(used.map(|(index, _)| index).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_turn_of_many_channels_is_one_vectored_write_of_each_ones_own() {
    let mut rig = Rig::new();
    let both = rig.member(Form::Raw, &[2, 1]);
    let first = rig.member(Form::Raw, &[1]);
    let second = rig.member(Form::Envelope, &[2]);
    let events = [(1, "a"), (2, "b"), (3, "nobody"), (1, "c"), (2, "d")];
    rig.run(events.map(|(channel, text)| both_forms(channel, text)).to_vec()).await;
    assert_eq!(both.texts(), ["a", "b", "c", "d"]);
    assert_eq!(both.calls(), [Call::Vectored(4)]);
    assert_eq!(first.texts(), ["a", "c"]);
    assert_eq!(first.calls(), [Call::Vectored(2)]);
    assert_eq!(second.texts(), ["envelope of b", "envelope of d"]);
    assert_eq!(second.calls(), [Call::Vectored(2)]);
    assert_eq!(rig.metrics.delivered.get(), 8);
    let bytes: usize = [&both, &first, &second].map(|socket| socket.written().len()).iter().sum();
    assert_eq!(rig.metrics.bytes_out.get(), bytes as u64);
    assert_eq!(rig.metrics.delivery_latency.get_sample_count(), 5);
}

#[tokio::test]
async fn a_turn_is_forgotten_when_it_has_run() {
    let mut rig = Rig::new();
    let socket = rig.member(Form::Raw, &[1, 2]);
    rig.run(vec![event(1, "a", Disconnect), event(2, "b", Disconnect)]).await;
    rig.run(Vec::new()).await;
    rig.run(vec![event(9, "nobody", Disconnect)]).await;
    rig.run(vec![event(2, "c", Disconnect), event(1, "d", Disconnect)]).await;
    assert_eq!(socket.texts(), ["a", "b", "c", "d"]);
    assert_eq!((rig.turn.bytes, rig.metrics.delivered.get()), (0, 4));
}

#[tokio::test]
async fn a_turn_is_full_when_its_bytes_are() {
    let mut rig = Rig::new();
    let socket = rig.member(Form::Raw, &[1]);
    // A frame of 1,024 bytes; the raw form serves quiet members too and counts once.
    let text = "x".repeat(1020);
    for _ in 0..255 {
        assert!(!rig.turn.add(event(1, &text, Disconnect)));
    }
    assert!(rig.turn.add(event(1, &text, Disconnect)));
    rig.turn.run(&mut rig.shard).await;
    assert!(!rig.turn.add(event(1, &text, Disconnect)), "it counts from zero again");
    assert_eq!(socket.texts().len(), 256);
}

#[tokio::test]
async fn a_buffer_that_grew_for_a_large_turn_is_given_back() {
    let mut rig = Rig::new();
    let socket = rig.member(Form::Raw, &[1]);
    let large = "x".repeat(TURN_BYTES);
    rig.run(vec![event(1, &large, Disconnect), event(1, &large, Disconnect)]).await;
    rig.run(vec![event(1, "a", Disconnect), event(1, "b", Disconnect)]).await;
    let sizes = rig.turn.joined.sizes();
    assert!(sizes.iter().all(|(len, capacity)| *len == 0 && *capacity <= TURN_BYTES), "{sizes:?}");
    assert_eq!(socket.texts()[2..], ["a", "b"]);
}

#[tokio::test]
async fn more_links_than_a_turn_holds_are_delivered_in_parts_and_in_order() {
    let mut rig = Rig::new();
    let sockets: Vec<_> = (0..1000).map(|_| rig.member(Form::Raw, &[1, 2])).collect();
    let events: Vec<_> =
        (0..300_u64).map(|n| event(1 + n % 2, &n.to_string(), Disconnect)).collect();
    rig.run(events).await;
    let expected: Vec<_> = (0..300).map(|n| n.to_string()).collect();
    for socket in &sockets {
        assert_eq!(socket.texts(), expected);
        // 263 events are the first part: 64 slices a call; 37 are the second.
        assert_eq!(socket.calls().len(), 5 + 1);
    }
    assert_eq!(rig.metrics.delivered.get(), 300_000);
    assert!(rig.turn.links.is_empty() && rig.turn.touched.is_empty());
}

#[tokio::test]
async fn the_thread_is_given_back_every_128_writes() {
    for channels in [[1, 1], [1, 2]] {
        let mut rig = Rig::new();
        let _sockets: Vec<_> = (0..300).map(|_| rig.member(Form::Raw, &[1, 2])).collect();
        for channel in channels {
            rig.turn.add(event(channel, "x", Disconnect));
        }
        let mut run = std::pin::pin!(rig.turn.run(&mut rig.shard));
        let mut yields = 0;
        std::future::poll_fn(|cx| match run.as_mut().poll(cx) {
            std::task::Poll::Ready(_) => std::task::Poll::Ready(()),
            std::task::Poll::Pending => {
                yields += 1;
                std::task::Poll::Pending
            }
        })
        .await;
        assert_eq!(yields, 2);
    }
}

#[tokio::test]
async fn latency_is_measured_from_the_reading_of_the_event() {
    let mut rig = Rig::new();
    let received = Instant::now().checked_sub(Duration::from_secs(3));
    rig.run(vec![Broadcast { received, ..event(1, "old", Disconnect) }]).await;
    assert!((3.0..10.0).contains(&rig.metrics.delivery_latency.get_sample_sum()));
    assert_eq!(ChannelKey(1), event(1, "x", Disconnect).channel);
}

#[tokio::test]
async fn a_turn_tells_deliveries_bytes_and_how_many_shares_they_were() {
    let mut rig = Rig::new();
    let (raw, quiet) = (rig.member(Form::Raw, &[1, 2]), rig.member(Form::Quiet, &[1]));
    let done = rig.run(vec![both_forms(1, "a"), both_forms(1, "b"), notice(1, "n")]).await;
    assert_eq!((done.events, done.shares), (4, 2));
    assert_eq!(done.bytes as usize, raw.written().len() + quiet.written().len());
    let done = rig.run(vec![both_forms(1, "a"), notice(2, "n")]).await;
    assert_eq!((done.events, done.shares), (2, 2));
    let done = rig.run(vec![notice(2, "n")]).await;
    assert_eq!((done.events, done.shares), (0, 0), "a notice is no delivery");
    assert_eq!(rig.run(Vec::new()).await, Tally::default());
}

#[tokio::test]
async fn room_for_a_great_many_events_is_given_back() {
    let mut rig = Rig::new();
    let socket = rig.member(Form::Raw, &[1]);
    rig.run((0..TURN_EVENTS * 2).map(|_| event(1, "", Disconnect)).collect()).await;
    assert_eq!(socket.texts().len(), TURN_EVENTS * 2);
    assert!(rig.turn.events.capacity() <= TURN_EVENTS);
}
