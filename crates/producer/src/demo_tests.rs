//! The demo publishes what it should, when it should, and stops when told.

use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::timeout;

use super::*;
use crate::{PageView, StoreError};

/// Remembers what was recorded and when; refuses, or keeps the first view waiting, on
/// demand.
#[derive(Default)]
struct List {
    events: Mutex<Vec<(Instant, Value)>>,
    refuse: bool,
    first_takes: Duration,
}

#[async_trait]
impl Store for List {
    async fn record(&self, views: &[PageView]) -> Result<(), StoreError> {
        let [view] = views else { panic!("{} views at once", views.len()) };
        let payload = view.encode().expect("every view is an event");
        let event = serde_json::from_slice(&payload).expect("every event is JSON");
        let before = {
            let mut events = self.events.lock().unwrap();
            events.push((Instant::now(), event));
            events.len() - 1
        };
        if before == 0 {
            tokio::time::sleep(self.first_takes).await;
        }
        if self.refuse { Err(StoreError::Refused("full".to_owned())) } else { Ok(()) }
    }
}

fn seeded(seed: u64) -> DemoConfig {
    DemoConfig { seed: Some(seed), ..DemoConfig::default() }
}

/// What a store got within `length`; the run must end by itself once it is stopped.
async fn run_for(length: Duration, store: List, config: DemoConfig) -> Vec<(Duration, Value)> {
    let store = Arc::new(store);
    let stop = CancellationToken::new();
    let start = Instant::now();
    let stopper = async {
        tokio::time::sleep(length).await;
        stop.cancel();
    };
    tokio::join!(run(store.clone(), config, stop.clone()), stopper);
    assert_eq!(start.elapsed(), length, "it stops at the moment it is told to");
    let events = std::mem::take(&mut *store.events.lock().unwrap());
    events.into_iter().map(|(at, event)| (at - start, event)).collect()
}

#[tokio::test(start_paused = true)]
async fn publishes_page_views_at_about_the_rate_asked_for() {
    let events = run_for(Duration::from_secs(600), List::default(), seeded(1)).await;
    assert!((2_500..3_500).contains(&events.len()), "{} in ten minutes", events.len());
    for (_, event) in &events {
        assert_eq!(event["type"], "page_view");
        let timestamp = event["timestamp"].as_str().unwrap();
        assert_eq!(timestamp.len(), "2024-12-08T18:40:00.007Z".len());
        let at = humantime::parse_rfc3339(timestamp).unwrap();
        assert!(at.elapsed().unwrap() < Duration::from_secs(60));
        let data = &event["data"];
        assert!(data["path"].as_str().unwrap().starts_with('/'));
        assert!(
            data["referrer"].is_null()
                || data["referrer"].as_str().unwrap().starts_with("https://")
        );
        assert_eq!(data["country"].as_str().unwrap().len(), 2);
        assert!(["desktop", "mobile", "tablet"].contains(&data["device"].as_str().unwrap()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_publishes_the_same_views() {
    let mut runs = Vec::new();
    for seed in [9, 9, 10] {
        let mut events = run_for(Duration::from_secs(30), List::default(), seeded(seed)).await;
        for (_, event) in &mut events {
            // The one field that comes from the clock.
            event.as_object_mut().unwrap().remove("timestamp");
        }
        runs.push(events);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(start_paused = true)]
async fn stops_while_the_store_hangs() {
    let store = List { first_takes: Duration::from_secs(3_600), ..List::default() };
    let events = run_for(Duration::from_secs(20), store, seeded(2)).await;
    assert_eq!(events.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_lost_and_the_traffic_goes_on() {
    let store = List { refuse: true, ..List::default() };
    let refused = run_for(Duration::from_secs(30), store, seeded(3)).await;
    let taken = run_for(Duration::from_secs(30), List::default(), seeded(3)).await;
    assert!(taken.len() > 60);
    assert_eq!(refused.len(), taken.len());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stood_still_is_not_flooded() {
    let minute = Duration::from_secs(60);
    let store = List { first_takes: minute, ..List::default() };
    let events = run_for(minute * 2, store, seeded(4)).await;
    let soon_after = minute..minute + Duration::from_secs(5);
    let soon_after = events.iter().filter(|(at, _)| soon_after.contains(at)).count();
    // Some 300 views fell into that minute; 25 are due in five seconds.
    assert!((8..60).contains(&soon_after), "{soon_after} in the five seconds after");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_before_it_begins_publishes_nothing() {
    let store = Arc::new(List::default());
    let stop = CancellationToken::new();
    stop.cancel();
    timeout(Duration::from_secs(1), run(store.clone(), seeded(5), stop)).await.unwrap();
    assert!(store.events.lock().unwrap().is_empty());
}
