//! Tests of the handle: seats over shards, room in the queues, and the end.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::broadcast::Form;
use crate::broadcast::SlowConsumer::Disconnect;
use crate::testing::{TestSocket, event, eventually, metrics};

fn hub(config: HubConfig) -> (Hub, Vec<ShardTask>) {
    Hub::new(config, metrics())
}

fn small(shards: usize, queue_events: usize, queue_bytes: usize) -> HubConfig {
    HubConfig { shards, queue_events, queue_bytes, ..HubConfig::default() }
}

fn run(tasks: Vec<ShardTask>) -> JoinSet<()> {
    tasks.into_iter().map(ShardTask::run).collect()
}

async fn is_pending<F: Future>(future: &mut Pin<Box<F>>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

fn room(hub: &Hub) -> Vec<usize> {
    hub.mailboxes.iter().map(|mailbox| mailbox.desk.room.available_permits()).collect()
}

#[tokio::test]
async fn connections_are_spread_evenly_over_the_shards() {
    let (hub, tasks) = hub(small(3, 8, 1000));
    let _tasks = run(tasks);
    assert_eq!(hub.shards(), 3);
    let mut seats = Vec::new();
    for number in 0..9 {
        let seat = hub.enter(TestSocket::open(), Form::Raw.into()).await.unwrap();
        assert_eq!(seat.connection().shard(), number % 3);
        seats.push(seat);
    }
}

#[test]
fn there_is_always_a_shard() {
    assert_eq!(hub(small(0, 0, 0)).0.shards(), 1);
    assert_eq!(hub(small(100_000, 1, 1)).0.shards(), 65_535);
}

#[tokio::test]
async fn events_reach_the_members_of_every_shard_and_the_room_comes_back() {
    let (hub, tasks) = hub(small(2, 8, 1000));
    let _tasks = run(tasks);
    let sockets = [TestSocket::open(), TestSocket::open()];
    let mut seats = Vec::new();
    for socket in &sockets {
        let seat = hub.enter(socket.clone(), Form::Raw.into()).await.unwrap();
        seat.join(ChannelKey(1), None).await.unwrap();
        seats.push(seat);
    }
    for number in 0..100 {
        let places = hub.reserve(400).await.unwrap();
        places.send(&event(1, &number.to_string(), Disconnect), |_| true);
    }
    // What a member asks after the events is answered after them.
    assert_eq!(hub.members().await.unwrap().len(), 2);
    let expected: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    assert!(sockets.iter().all(|socket| socket.texts() == expected));
    hub.members().await.unwrap();
    assert_eq!(room(&hub), [1000, 1000]);
}

#[tokio::test]
async fn a_shard_without_members_gets_nothing_and_keeps_its_room() {
    let (hub, mut tasks) = hub(small(2, 4, 1000));
    let places = hub.reserve(300).await.unwrap();
    assert_eq!(room(&hub), [700, 700]);
    places.send(&event(1, "x", Disconnect), |shard| shard == 1);
    assert_eq!(room(&hub), [1000, 700]);
    let capacity = |shard: usize| hub.mailboxes[shard].messages.capacity();
    assert_eq!((capacity(0), capacity(1)), (4, 3));
    drop(hub.reserve(300).await.unwrap());
    assert_eq!((room(&hub), capacity(1)), (vec![1000, 700], 3));
    let _second = run(vec![tasks.remove(1)]);
    eventually(async || room(&hub) == [1000, 1000]).await;
}

#[tokio::test]
async fn reserving_waits_for_bytes_and_for_places() {
    let (hub, tasks) = hub(small(1, 2, 1000));
    hub.reserve(600).await.unwrap().send(&event(1, "a", Disconnect), |_| true);
    let mut for_bytes = Box::pin(hub.reserve(401));
    assert!(is_pending(&mut for_bytes).await);
    drop(for_bytes);
    hub.reserve(400).await.unwrap().send(&event(1, "b", Disconnect), |_| true);
    let mut for_place = Box::pin(hub.reserve(0));
    assert!(is_pending(&mut for_place).await);
    let _tasks = run(tasks);
    for_place.await.unwrap();
    hub.reserve(1000).await.unwrap();
}

#[tokio::test]
async fn a_message_larger_than_the_queue_passes_alone() {
    let (hub, tasks) = hub(small(1, 8, 1000));
    let places = hub.reserve(usize::MAX).await.unwrap();
    places.send(&event(1, "a", Disconnect), |_| true);
    assert_eq!(room(&hub), [0]);
    let mut next = Box::pin(hub.reserve(1));
    assert!(is_pending(&mut next).await);
    let _tasks = run(tasks);
    drop(next.await.unwrap());
    assert_eq!(room(&hub), [1000], "as much came back as was taken");
}

#[tokio::test]
async fn members_are_those_whose_session_lives() {
    let (hub, tasks) = hub(small(2, 8, 1000));
    let _tasks = run(tasks);
    let mut seats = Vec::new();
    for _ in 0..5 {
        seats.push(hub.enter(TestSocket::open(), Form::Raw.into()).await.unwrap());
    }
    let members = hub.members().await.unwrap();
    assert_eq!(members.len(), 5);
    for seat in &seats {
        let is_this = |member: &Weak<Member>| {
            std::ptr::addr_eq(member.as_ptr(), Arc::as_ptr(seat.connection()))
        };
        assert_eq!(members.iter().filter(|member| is_this(member)).count(), 1);
    }
    seats.truncate(2);
    eventually(async || hub.members().await.unwrap().len() == 2).await;
    let left = members.iter().filter(|member| member.upgrade().is_some()).count();
    assert_eq!(left, 2, "the hub keeps nothing of who went");
}

#[tokio::test]
async fn all_verbs_fail_when_the_shards_have_ended() {
    let (hub, tasks) = hub(small(1, 1, 100));
    let mut tasks = run(tasks);
    let seat = hub.enter(TestSocket::open(), Form::Raw.into()).await.unwrap();
    hub.members().await.unwrap();
    tasks.shutdown().await;
    assert_eq!(seat.join(ChannelKey(1), None).await, Err(HubClosed));
    assert_eq!(seat.leave(ChannelKey(1), None).await, Err(HubClosed));
    assert!(hub.enter(TestSocket::open(), Form::Raw.into()).await.is_err());
    assert!(hub.members().await.is_err());
    assert!(hub.reserve(1).await.is_err());
}

#[tokio::test]
async fn who_waits_for_room_or_for_a_join_learns_that_the_shard_ended() {
    let (hub, tasks) = hub(small(1, 3, 100));
    let seat = hub.enter(TestSocket::open(), Form::Raw.into()).await.unwrap();
    hub.reserve(100).await.unwrap().send(&event(1, "a", Disconnect), |_| true);
    let mut waits = Box::pin(hub.reserve(1));
    assert!(is_pending(&mut waits).await);
    let mut joins = Box::pin(seat.join(ChannelKey(1), None));
    assert!(is_pending(&mut joins).await);
    drop(tasks);
    let told = timeout(Duration::from_secs(5), async { (waits.await.err(), joins.await) }).await;
    assert_eq!(told, Ok((Some(HubClosed), Err(HubClosed))));
}

#[test]
fn the_longest_silence_is_the_slowest_shards() {
    let (hub, _tasks) = hub(small(3, 1, 1));
    assert!(hub.longest_silence() < Duration::from_secs(5));
    let long_ago = Instant::now().checked_sub(Duration::from_secs(20)).unwrap();
    *hub.mailboxes[1].desk.ticked.lock() = long_ago;
    assert!(hub.longest_silence() >= Duration::from_secs(20));
    assert!(hub.longest_silence() < Duration::from_secs(30));
}
