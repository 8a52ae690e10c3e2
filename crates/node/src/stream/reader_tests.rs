//! Tests of reads that are shared, over a broker that answers when the test says so.

use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::time::timeout;

use super::*;
use crate::testing::{ScriptedBroker, channel, entry};

const LIMIT: ReadLimit = ReadLimit { events: 10, bytes: 1 << 20 };

fn rig() -> (Arc<ScriptedBroker>, Reader) {
    let broker = ScriptedBroker::new();
    for number in 1..=20 {
        broker.add("s", number, "x");
    }
    let metrics = StreamMetrics::register(&Registry::new()).unwrap();
    (broker.clone(), Reader::new(broker, metrics, 1 << 20))
}

fn after(number: u64) -> What {
    What::After(entry("s", number, "x").cursor.unwrap(), LIMIT)
}

impl Reader {
    fn flights(&self) -> (usize, usize) {
        let flights = self.flights.lock();
        let all: usize = flights.under_way.values().map(|seat| seat.bytes).sum();
        assert_eq!(flights.bytes, all);
        (flights.under_way.len(), all)
    }

    /// Lets some time pass in which the sweeper works.
    async fn rest(&self, time: Duration) {
        assert!(timeout(time, self.sweep()).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_serves_those_who_come_soon_and_is_then_let_go_of() {
    let (broker, reader) = rig();
    let s = channel("s");
    assert_eq!(reader.read(&s, after(3)).await.unwrap().events.len(), 10);
    reader.rest(KEPT_FOR - SWEEP_EVERY).await;
    assert!(reader.read(&s, after(3)).await.is_ok());
    assert_eq!(broker.take_log().len(), 1);
    reader.rest(KEPT_FOR - SWEEP_EVERY).await;
    assert_eq!(reader.flights().0, 1);
    reader.rest(2 * SWEEP_EVERY).await;
    assert_eq!(reader.flights(), (0, 0), "without anybody who reads");
    assert!(reader.read(&s, after(3)).await.is_ok());
    assert_eq!(broker.take_log().len(), 1);
    // Nothing may be something in a moment.
    assert!(reader.read(&s, after(20)).await.unwrap().is_empty());
    assert!(reader.read(&s, after(99)).await.is_err());
    assert_eq!(reader.flights().0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_served_by_one_read_but_the_last_events_are_read_anew() {
    let (broker, reader) = rig();
    let s = channel("s");
    for _ in 0..10 {
        assert!(reader.read(&s, after(3)).await.is_ok());
        assert!(reader.read(&s, What::Last(2)).await.is_ok());
        reader.rest(KEPT_FOR / 2).await;
    }
    let log = broker.take_log();
    assert_eq!(log.len(), 1 + 5, "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_its_readers_have_left_is_forgotten() {
    let (broker, reader) = rig();
    let s = channel("s");
    broker.answer(false);
    assert!(timeout(Duration::from_secs(3), reader.read(&s, after(3))).await.is_err());
    assert_eq!(reader.flights().0, 1);
    reader.rest(2 * SWEEP_EVERY).await;
    assert_eq!(reader.flights(), (0, 0));
    // One that somebody waits for is not.
    let waiting = async { reader.read(&s, after(3)).await.map(|replay| replay.events.len()) };
    let answering = async {
        reader.rest(3 * KEPT_FOR).await;
        assert_eq!(reader.flights().0, 1);
        broker.answer(true);
    };
    assert_eq!(tokio::join!(waiting, answering).0, Ok(10));
}

#[tokio::test(start_paused = true)]
async fn if_who_reads_goes_away_one_of_those_who_wait_reads() {
    let (broker, reader) = rig();
    let s = channel("s");
    broker.answer(false);
    let first = timeout(Duration::from_secs(1), reader.read(&s, after(3)));
    let others = futures_util::future::join_all((0..3).map(|_| reader.read(&s, after(3))));
    let answering = async {
        reader.rest(Duration::from_secs(2)).await;
        assert_eq!(broker.take_log().len(), 2, "the first, and one of the others");
        broker.answer(true);
    };
    let (first, others, ()) = tokio::join!(first, others, answering);
    assert!(first.is_err());
    assert!(others.iter().all(|answer| answer.as_ref().unwrap().events.len() == 10));
    assert!(broker.take_log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_more_is_kept_than_may_be_however_little_time_has_passed() {
    let broker = ScriptedBroker::new();
    let payload = "x".repeat(64 << 10);
    for number in 1..=200 {
        broker.add("s", number, &payload);
    }
    let metrics = StreamMetrics::register(&Registry::new()).unwrap();
    let reader = Reader::new(broker, metrics, 1 << 20);
    let mut most = 0;
    for number in 1..200 {
        let since = entry("s", number, &payload).cursor.unwrap();
        let limit = ReadLimit { events: 1, ..LIMIT };
        let replay = reader.read(&channel("s"), What::After(since, limit)).await.unwrap();
        assert_eq!(replay.events.len(), 1);
        most = most.max(reader.flights().1);
    }
    assert!((KEPT_BYTES / 2..=KEPT_BYTES).contains(&most), "{most}");
}
