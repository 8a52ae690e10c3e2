//! Tests of what a shard holds: what ends the holding, and in which order it is told.

use std::time::Duration;

use super::{Guest, Rig, begin};
use crate::broadcast::SlowConsumer::{self, Disconnect};
use crate::broadcast::{Broadcast, ChannelKey};
use crate::config::HubConfig;
use crate::connection::Flush;
use crate::held::Release;
use crate::hub::Hub;
use crate::testing::{Call, TestSocket, event, metrics, notice};
use redcast_wire::text_frame;
use tokio::task::JoinSet;

const MINUTE: Duration = Duration::from_secs(60);

pub(super) fn calm(every: Duration, broadcast: Broadcast) -> Broadcast {
    Broadcast { flush_every: Some(every), ..broadcast }
}

async fn send(hub: &Hub, broadcast: Broadcast) {
    hub.reserve(100).await.unwrap().send(&broadcast, |_| true);
}

impl Rig {
    /// Publishes to a channel that gathers over a minute.
    pub(super) async fn publish_calm(&self, channel: u64, text: &str) {
        send(&self.hub, calm(MINUTE, event(channel, text, Disconnect))).await;
    }

    pub(super) async fn release(&mut self, which: Release) {
        self.task.release(which, &mut self.turn).await;
    }
}

async fn joined(rig: &mut Rig, channels: &[u64]) -> Guest {
    let guest = rig.guest().await;
    for channel in channels {
        rig.join(&guest, *channel).await;
    }
    guest
}

#[tokio::test]
async fn a_channel_that_gathers_delays_no_other() {
    let mut rig = Rig::new();
    let guest = joined(&mut rig, &[1, 2]).await;
    rig.publish_calm(1, "held").await;
    rig.publish(2, "at once").await;
    rig.read().await;
    assert_eq!(guest.1.texts(), ["at once"]);
    rig.release(Release::All).await;
    assert_eq!(guest.1.texts(), ["at once", "held"]);
    assert_eq!(rig.metrics.coalesced.get(), 0, "it was alone");
}

#[tokio::test]
async fn what_is_due_at_one_moment_is_one_write_for_each_member() {
    let mut rig = Rig::new();
    let all: Vec<u64> = (0..10).collect();
    let (of_all, of_two) = (joined(&mut rig, &all).await, joined(&mut rig, &[3, 7]).await);
    for number in 0..3 {
        for channel in &all {
            rig.publish_calm(*channel, &format!("{channel}-{number}")).await;
        }
    }
    rig.read().await;
    assert!(of_all.1.calls().is_empty());
    rig.release(Release::All).await;
    assert_eq!(
        (of_all.1.calls(), of_two.1.calls()),
        (vec![Call::Vectored(30)], vec![Call::Vectored(6)])
    );
    assert_eq!(of_two.1.texts(), ["3-0", "3-1", "3-2", "7-0", "7-1", "7-2"]);
    assert_eq!(rig.metrics.delivered.get(), 36);
    assert_eq!(rig.metrics.coalesced.get(), 29 + 5);
}

#[tokio::test]
async fn a_notice_keeps_its_place_among_held_events() {
    let mut rig = Rig::new();
    let guest = joined(&mut rig, &[1]).await;
    rig.publish_calm(1, "one").await;
    send(&rig.hub, calm(MINUTE, notice(1, "gap"))).await;
    rig.publish_calm(1, "two").await;
    rig.read().await;
    assert!(guest.1.texts().is_empty());
    rig.release(Release::All).await;
    assert_eq!(guest.1.texts(), ["one", "gap", "two"]);
    assert_eq!(rig.metrics.coalesced.get(), 1, "a notice is no delivery");
}

#[tokio::test]
async fn who_joins_gets_nothing_older_than_its_ack_and_who_leaves_nothing_newer() {
    let mut rig = Rig::new();
    let (old, new) = (joined(&mut rig, &[1, 2]).await, rig.guest().await);
    rig.publish_calm(1, "before").await;
    rig.publish_calm(2, "other").await;
    let ack = Some(text_frame(b"joined"));
    let mut join = Box::pin(new.0.join(ChannelKey(1), ack));
    begin(&mut join).await;
    rig.publish_calm(1, "between").await;
    let ack = Some(text_frame(b"left"));
    let mut leave = Box::pin(old.0.leave(ChannelKey(1), ack));
    begin(&mut leave).await;
    rig.publish_calm(1, "after").await;
    rig.read().await;
    join.await.unwrap();
    leave.await.unwrap();
    assert_eq!(old.1.texts(), ["before", "between", "left"]);
    assert_eq!(new.1.texts(), ["joined", "between"]);
    rig.release(Release::All).await;
    assert_eq!(old.1.texts(), ["before", "between", "left", "other"]);
    assert_eq!(new.1.texts(), ["joined", "between", "after"]);
}

#[tokio::test]
async fn held_messages_have_given_their_room_in_the_queue_back() {
    let mut rig = Rig::new();
    let _guest = joined(&mut rig, &[1]).await;
    let room = |rig: &Rig| rig.task.desk.room.available_permits();
    let before = room(&rig);
    for _ in 0..10 {
        rig.publish_calm(1, "held").await;
    }
    assert_eq!(room(&rig), before - 1000);
    rig.read().await;
    assert!(rig.task.held.has(Release::Channel(ChannelKey(1))));
    assert_eq!(room(&rig), before);
}

#[tokio::test]
async fn a_bound_ends_the_holding_and_keeps_the_order() {
    let mut rig = Rig::new();
    let (guest, other) = (joined(&mut rig, &[1]).await, joined(&mut rig, &[2]).await);
    let large = "x".repeat(100_000);
    rig.publish_calm(2, "other").await;
    for number in 0..4 {
        rig.publish_calm(1, &format!("{number}{large}")).await;
    }
    rig.read().await;
    let numbers =
        |guest: &Guest| guest.1.texts().iter().map(|t| t.as_bytes()[0]).collect::<Vec<_>>();
    assert_eq!(numbers(&guest), b"012", "three are more than a turn");
    assert!(other.1.texts().is_empty(), "the other channel is not over its bound");
    rig.release(Release::All).await;
    assert_eq!((numbers(&guest), numbers(&other)), (b"0123".to_vec(), b"o".to_vec()));
}

/// Publishes to many channels of one guest, whose socket takes some of each write and
/// the rest before the next message comes.
async fn prompt_client_of_many_channels(policy: SlowConsumer) -> (Rig, Guest) {
    const TAKES: usize = 16 << 10;
    let mut rig = Rig::of(HubConfig { outbox_limit: 128 << 10, ..HubConfig::default() });
    let channels: Vec<u64> = (0..100).collect();
    let guest = joined(&mut rig, &channels).await;
    let text = "x".repeat(1000);
    for channel in channels.iter().cycle().take(500) {
        guest.1.set_room(TAKES);
        send(&rig.hub, calm(MINUTE, event(*channel, &text, policy))).await;
        rig.read().await;
        guest.1.set_room(usize::MAX);
        while guest.0.connection().flush() == Flush::More {}
    }
    guest.1.set_room(TAKES);
    rig.release(Release::All).await;
    guest.1.set_room(usize::MAX);
    while guest.0.connection().flush() == Flush::More {}
    (rig, guest)
}

#[tokio::test]
async fn holding_alone_makes_no_client_slow() {
    for policy in [Disconnect, SlowConsumer::DropOldest] {
        let (rig, guest) = prompt_client_of_many_channels(policy).await;
        assert_eq!(guest.0.connection().closing(), None, "{policy:?}");
        assert_eq!(rig.metrics.dropped_oldest.get(), 0);
        assert_eq!(guest.1.texts().len(), 500);
        let writes = guest.1.calls().len();
        assert!(writes < 100, "{writes} writes: it is held all the same");
    }
}

#[tokio::test]
async fn what_would_have_been_written_together_anyway_is_not_counted() {
    let mut rig = Rig::new();
    let guest = joined(&mut rig, &[1, 2, 3]).await;
    for text in ["a", "b"] {
        rig.publish(2, text).await;
    }
    for _ in 0..3 {
        rig.publish_calm(1, &"x".repeat(100_000)).await;
    }
    rig.publish(3, "c").await;
    rig.read().await;
    assert_eq!(guest.1.texts().len(), 6);
    assert_eq!(rig.metrics.coalesced.get(), 2, "three large ones shared a write");
}

#[tokio::test(start_paused = true)]
async fn a_busy_queue_keeps_no_moment_waiting() {
    let mut rig = Rig::new();
    let guest = joined(&mut rig, &[1, 2]).await;
    rig.publish_calm(1, "held").await;
    rig.publish(2, "at once").await;
    rig.read().await;
    assert_eq!(guest.1.texts(), ["at once"]);
    // The task finds messages in its queue when it looks for them after the moment.
    tokio::time::advance(MINUTE).await;
    rig.publish(2, "busy").await;
    rig.read().await;
    assert_eq!(guest.1.texts(), ["at once", "busy", "held"]);
    assert_eq!(rig.task.held.next_moment(), None);
}

#[tokio::test]
async fn the_bound_of_all_channels_ends_the_holding_of_all() {
    let mut rig = Rig::new();
    let channels: Vec<u64> = (0..10).collect();
    let guest = joined(&mut rig, &channels).await;
    let large = "x".repeat(100_000);
    for channel in &channels[..5] {
        rig.publish_calm(*channel, &large).await;
    }
    rig.read().await;
    assert!(guest.1.calls().is_empty(), "they are less than half an outbox");
    for channel in &channels[5..] {
        rig.publish_calm(*channel, &channel.to_string().repeat(30_000)).await;
    }
    rig.read().await;
    let firsts: Vec<u8> = guest.1.texts().iter().map(|text| text.as_bytes()[0]).collect();
    assert_eq!(firsts, b"xxxxx5", "the sixth is the first beyond, and the others begin anew");
    assert_eq!(guest.1.calls(), [Call::Vectored(6)]);
    assert_eq!(rig.metrics.coalesced.get(), 5);
}

#[tokio::test]
async fn from_the_end_of_the_holding_on_events_go_at_once() {
    let mut rig = Rig::new();
    let guest = joined(&mut rig, &[1]).await;
    rig.publish_calm(1, "held").await;
    rig.hub.end_holding().await.unwrap();
    rig.publish_calm(1, "at once").await;
    rig.read().await;
    assert_eq!(guest.1.texts(), ["held", "at once"]);
}

/// A hub whose one shard runs, with a member of some channels.
async fn running(channels: &[u64]) -> (Hub, crate::hub::Seat<TestSocket>, TestSocket, JoinSet<()>) {
    // No ping is among the writes that are counted.
    let ping_every = 100 * MINUTE;
    let config = HubConfig { shards: 1, ping_every, ..HubConfig::default() };
    let (hub, mut tasks) = Hub::new(config, metrics());
    let mut running = JoinSet::new();
    running.spawn(tasks.remove(0).run());
    let socket = TestSocket::open();
    let seat = hub.enter(socket.clone(), crate::broadcast::Form::Raw.into()).await.unwrap();
    for channel in channels {
        seat.join(ChannelKey(*channel), None).await.unwrap();
    }
    (hub, seat, socket, running)
}

#[tokio::test(start_paused = true)]
async fn the_task_releases_at_the_moment_and_not_before() {
    let (hub, _seat, socket, _running) = running(&[1]).await;
    let every = Duration::from_secs(10);
    tokio::time::sleep(Duration::from_secs(13)).await;
    for round in 0..3 {
        for number in 0..5 {
            let text = format!("{round}-{number}");
            send(&hub, calm(every, event(1, &text, Disconnect))).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // It began at 13, 23, 33 seconds, so the moment is at 20, 30, 40.
        assert_eq!(socket.texts().len(), 5 * round);
        tokio::time::sleep(Duration::from_millis(1990)).await;
        assert_eq!(socket.texts().len(), 5 * round, "a hundredth of a second too early");
        tokio::time::sleep(Duration::from_millis(3010)).await;
        assert_eq!(socket.texts().len(), 5 * (round + 1));
        assert_eq!(socket.calls().len(), round + 1);
    }
}
