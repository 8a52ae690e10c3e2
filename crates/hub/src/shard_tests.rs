//! Tests of the members' lists, of pings and time-outs, and of the shard's task.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;

use redcast_wire::text_frame;
use tokio::task::JoinSet;

use super::*;
use crate::broadcast::{Form, SlowConsumer};
use crate::config::HubConfig;
use crate::hub::{Hub, Seat};
use crate::metrics::HubMetrics;
use crate::testing::{Sent, TestSocket, event, eventually, metrics};

#[path = "shard_cursors_tests.rs"]
mod cursors;
#[path = "shard_held_tests.rs"]
mod held;
#[path = "shard_properties.rs"]
mod properties;

/// A hub of one shard whose task the test drives by hand.
struct Rig {
    hub: Hub,
    task: ShardTask,
    metrics: HubMetrics,
    turn: Turn,
}

type Guest = (Seat<TestSocket>, TestSocket);

impl Rig {
    fn new() -> Self {
        Self::with(HubConfig::default().ping_every)
    }

    fn with(ping_every: Duration) -> Self {
        Self::of(HubConfig { ping_every, ..HubConfig::default() })
    }

    fn of(mut config: HubConfig) -> Self {
        let metrics = metrics();
        config.shards = 1;
        let (hub, mut tasks) = Hub::new(config, metrics.clone());
        Self { hub, task: tasks.remove(0), metrics, turn: Turn::default() }
    }

    /// Reads what waits in the queue, and nothing else.
    async fn read(&mut self) {
        let mut taken = Vec::new();
        while let Ok(message) = self.task.waiting.try_recv() {
            taken.push(message);
        }
        self.task.work(&mut taken, &mut self.turn).await;
        self.check_lists();
    }

    /// Runs the shard until `future` is done.
    async fn during<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                biased;
                done = &mut future => return done,
                Some(message) = self.task.waiting.recv() => {
                    self.task.work(&mut vec![message], &mut self.turn).await;
                }
            }
        }
    }

    async fn guest(&mut self) -> Guest {
        self.guest_in(Form::Raw).await
    }

    async fn guest_in(&mut self, form: Form) -> Guest {
        let socket = TestSocket::open();
        let seat = self.hub.enter(socket.clone(), form.into()).await.unwrap();
        self.read().await;
        (seat, socket)
    }

    async fn join(&mut self, guest: &Guest, channel: u64) {
        self.during(guest.0.join(ChannelKey(channel), None)).await.unwrap();
        self.check_lists();
    }

    async fn leave(&mut self, guest: &Guest, channel: u64) {
        self.during(guest.0.leave(ChannelKey(channel), None)).await.unwrap();
        self.check_lists();
    }

    fn sweep(&mut self) {
        self.task.sweep();
        self.check_lists();
    }

    async fn publish(&self, channel: u64, text: &str) {
        let places = self.hub.reserve(100).await.unwrap();
        places.send(&event(channel, text, SlowConsumer::Disconnect), |_| true);
    }

    /// Lists and members name each other, each once, and the gauge is their sum.
    fn check_lists(&self) {
        let shard = &self.task.shard;
        let mut pairs = BTreeSet::new();
        for (channel, slots) in &shard.channels {
            assert!(!slots.is_empty(), "an empty list is forgotten");
            for slot in slots {
                assert!(pairs.insert((*channel, *slot)), "{slot} twice in {channel:?}");
                assert!(shard.members[*slot as usize].channels.contains(channel));
            }
        }
        let of_members: usize = shard.members.iter().map(|(_, s)| s.channels.len()).sum();
        assert_eq!(pairs.len(), of_members);
        assert_eq!(self.metrics.subscriptions.get(), of_members as i64);
        for (slot, seated) in &shard.members {
            assert_eq!(seated.member.slot(), Some(slot));
        }
    }

    fn shape(&self) -> (usize, usize) {
        (self.task.shard.members.len(), self.task.shard.channels.len())
    }
}

/// Lets a future go as far as it gets by itself: its message is in the queue.
pub(crate) async fn begin<F: Future>(future: &mut Pin<Box<F>>) {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
}

impl Shard {
    /// Seats a member in some channels, for tests that have no queue.
    pub(crate) fn seat(&mut self, member: &Arc<Member>, channels: &[u64]) {
        self.enter(member.clone());
        channels.iter().for_each(|channel| self.join(member, ChannelKey(*channel)));
    }
}

#[tokio::test]
async fn joining_and_leaving_twice_is_the_same_as_once() {
    let mut rig = Rig::new();
    let (a, b) = (rig.guest().await, rig.guest().await);
    for channel in [1, 2, 1] {
        rig.join(&a, channel).await;
    }
    rig.join(&b, 1).await;
    assert_eq!((rig.shape(), rig.metrics.subscriptions.get()), ((2, 2), 3));
    rig.leave(&b, 2).await;
    rig.leave(&a, 1).await;
    rig.leave(&a, 1).await;
    rig.publish(1, "one").await;
    rig.publish(2, "two").await;
    rig.read().await;
    assert_eq!((a.1.texts(), b.1.texts()), (vec!["two".to_owned()], vec!["one".to_owned()]));
    rig.leave(&b, 1).await;
    rig.leave(&a, 2).await;
    assert_eq!((rig.shape(), rig.metrics.subscriptions.get()), ((2, 0), 0));
    drop((a, b));
    rig.sweep();
    assert_eq!(rig.shape(), (0, 0));
}

#[tokio::test]
async fn what_follows_a_join_comes_between_the_events_before_and_after() {
    let mut rig = Rig::new();
    let guest = rig.guest().await;
    let ack = Some(text_frame(b"ack"));
    rig.publish(1, "before").await;
    let mut join = pin!(guest.0.join(ChannelKey(1), ack.clone()));
    let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(join.as_mut().poll(cx)));
    assert!(waits.await.is_pending(), "it returns when the join is applied");
    rig.publish(1, "after").await;
    rig.read().await;
    assert_eq!(guest.1.texts(), ["ack", "after"]);
    join.await.unwrap();
    // Of a channel it is in already, the answer comes all the same.
    rig.during(guest.0.join(ChannelKey(1), ack)).await.unwrap();
    assert_eq!(guest.1.texts().len(), 3);
}

#[tokio::test]
async fn a_leave_takes_effect_between_the_events_before_and_after() {
    let mut rig = Rig::new();
    let guest = rig.guest().await;
    rig.join(&guest, 1).await;
    rig.publish(1, "before").await;
    let ack = Some(text_frame(b"ack"));
    let mut leave = Box::pin(guest.0.leave(ChannelKey(1), ack));
    begin(&mut leave).await;
    rig.publish(1, "after").await;
    assert!(guest.1.texts().is_empty(), "nothing is said before it is done");
    rig.read().await;
    leave.await.unwrap();
    assert_eq!(guest.1.texts(), ["before", "ack"]);
}

#[tokio::test]
async fn a_session_that_ended_before_its_entry_was_read_leaves_nothing() {
    for sweep_first in [false, true] {
        let mut rig = Rig::new();
        let socket = TestSocket::open();
        let seat = rig.hub.enter(socket.clone(), Form::Raw.into()).await.unwrap();
        let mut join = Box::pin(seat.join(ChannelKey(1), None));
        begin(&mut join).await;
        drop(join);
        drop(seat);
        if sweep_first {
            rig.sweep();
        }
        rig.publish(1, "nobody").await;
        rig.read().await;
        rig.sweep();
        assert_eq!(rig.shape(), (0, 0));
        assert!(socket.written().is_empty());
    }
}

#[tokio::test]
async fn messages_of_a_member_that_was_swept_find_nobody() {
    let mut rig = Rig::new();
    let (guest, other) = (rig.guest().await, rig.guest().await);
    rig.join(&guest, 1).await;
    rig.join(&other, 1).await;
    let mut leave = Box::pin(guest.0.leave(ChannelKey(1), None));
    begin(&mut leave).await;
    drop(leave);
    drop(guest);
    rig.sweep();
    // Its slot goes to the next one, whom the old one's message must not hit.
    let next = rig.guest().await;
    rig.join(&next, 1).await;
    rig.publish(1, "news").await;
    rig.read().await;
    assert_eq!((next.1.texts().len(), other.1.texts().len()), (1, 1));
    assert_eq!(rig.shape(), (2, 1));
}

#[tokio::test]
async fn ten_thousand_who_leave_at_once_cost_one_pass() {
    let mut rig = Rig::new();
    let mut guests = Vec::new();
    for number in 0..10_000 {
        let socket = TestSocket::open();
        let seat = rig.hub.enter(socket, Form::Raw.into()).await.unwrap();
        let mut taken = vec![rig.task.waiting.try_recv().unwrap()];
        rig.task.work(&mut taken, &mut rig.turn).await;
        rig.task.shard.join(&seat_member(&rig, number), ChannelKey(1));
        guests.push(seat);
    }
    let stays = guests.pop().unwrap();
    drop(guests);
    let start = Instant::now();
    rig.sweep();
    // Some milliseconds; ten thousand passes would take many seconds.
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!((rig.shape(), rig.metrics.subscriptions.get()), ((1, 1), 1));
    drop(stays);
    rig.sweep();
    assert_eq!((rig.shape(), rig.metrics.subscriptions.get()), ((0, 0), 0));
}

fn seat_member(rig: &Rig, slot: usize) -> Arc<Member> {
    rig.task.shard.members[slot].member.clone()
}

#[tokio::test]
async fn each_member_is_pinged_once_in_an_interval_and_not_all_at_a_time() {
    for (ping_every, phases) in [(30_000, 30), (1000, 16), (100, 10), (5, 1)] {
        let config =
            HubConfig { ping_every: Duration::from_millis(ping_every), ..HubConfig::default() };
        assert!(config.tick() * phases >= config.ping_every);
        assert!(config.tick() * phases < config.ping_every + config.tick());
        let mut rig = Rig::with(config.ping_every);
        let mut guests = Vec::new();
        for _ in 0..100 {
            guests.push(rig.guest().await);
        }
        let pings = |guest: &Guest| guest.1.sent().iter().filter(|f| **f == Sent::Ping).count();
        for interval in 1..=2 {
            for _ in 0..phases {
                let before: usize = guests.iter().map(pings).sum();
                rig.task.tick();
                let at_once = guests.iter().map(pings).sum::<usize>() - before;
                assert!(at_once <= 100_usize.div_ceil(phases as usize));
            }
            assert!(guests.iter().all(|guest| pings(guest) == interval), "{ping_every} ms");
        }
    }
}

#[tokio::test]
async fn the_first_members_are_not_pinged_as_soon_as_they_have_come() {
    let mut rig = Rig::new();
    let guests = [rig.guest().await, rig.guest().await, rig.guest().await];
    let phases = rig.task.shard.common.config.ping_phases();
    for _ in 1..phases / 2 {
        rig.task.tick();
    }
    assert!(guests.iter().all(|guest| guest.1.sent().is_empty()));
    rig.task.tick();
    let pinged = guests.map(|guest| guest.1.sent());
    assert_eq!(pinged, [vec![Sent::Ping], vec![], vec![]]);
}

#[tokio::test]
async fn who_was_silent_for_too_long_is_closed_and_not_pinged() {
    let mut rig = Rig::new();
    let (silent, alive) = (rig.guest().await, rig.guest().await);
    silent.0.connection().pretend_silence(Duration::from_secs(61));
    alive.0.connection().pretend_silence(Duration::from_secs(55));
    for _ in 0..30 {
        rig.task.tick();
    }
    let closing = silent.0.connection().closing();
    assert_eq!(closing.map(|closing| closing.code), Some(CloseCode::PongTimeout));
    silent.0.connection().flush();
    let reason = CloseCode::PongTimeout.reason().to_owned();
    assert_eq!(silent.1.sent(), [Sent::Close(4408, reason)]);
    assert_eq!(alive.0.connection().closing(), None);
    assert_eq!(alive.1.sent(), [Sent::Ping]);
}

#[tokio::test]
async fn a_tick_is_a_sign_of_life_of_the_shard() {
    let mut rig = Rig::new();
    let long_ago = Instant::now().checked_sub(Duration::from_secs(20)).unwrap();
    *rig.task.desk.ticked.lock() = long_ago;
    assert!(rig.hub.longest_silence() >= Duration::from_secs(20));
    rig.task.tick();
    assert!(rig.hub.longest_silence() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn the_task_ticks_sweeps_and_ends_with_the_hub() {
    let rig = Rig::new();
    let Rig { hub, task, metrics, .. } = rig;
    let mut tasks = JoinSet::new();
    tasks.spawn(task.run());
    let socket = TestSocket::open();
    let seat = hub.enter(socket.clone(), Form::Raw.into()).await.unwrap();
    seat.join(ChannelKey(1), None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(socket.sent(), [Sent::Ping]);
    let other = hub.enter(TestSocket::open(), Form::Raw.into()).await.unwrap();
    other.join(ChannelKey(1), None).await.unwrap();
    drop(other);
    eventually(async || hub.members().await.unwrap().len() == 1).await;
    assert_eq!(metrics.subscriptions.get(), 1);
    drop((hub, seat));
    tasks.join_next().await.unwrap().unwrap();
    assert_eq!(metrics.subscriptions.get(), 0, "the last departures are swept too");
}

#[tokio::test]
async fn between_two_turns_who_left_is_swept_and_a_late_timer_is_made_up_for() {
    let mut rig = Rig::new();
    let began = rig.task.phase;
    let guest = rig.guest().await;
    rig.join(&guest, 1).await;
    let silent_for = |rig: &Rig, millis| {
        let then = Instant::now().checked_sub(Duration::from_millis(millis));
        *rig.task.desk.ticked.lock() = then.unwrap();
    };
    silent_for(&rig, 1000);
    rig.publish(1, "one").await;
    rig.read().await;
    assert_eq!(rig.task.phase, began, "up to two ticks of a second may be late");
    silent_for(&rig, 2500);
    drop(guest);
    rig.publish(1, "two").await;
    rig.read().await;
    assert_eq!((rig.task.phase, rig.shape()), (began + 1, (0, 0)));
}
