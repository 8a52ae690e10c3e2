//! What the writer makes of a store that fails, and what it forgets.

use std::net::Ipv4Addr;

use redcast_e2e::RedisServer;

use super::*;
use crate::redis_store::{RedisStore, RedisStoreConfig};

fn visitor() -> Visitor {
    let address = Ipv4Addr::LOCALHOST.into();
    Visitor { site: "acme.example".to_owned(), address, agent: "Mozilla/5.0".to_owned() }
}

fn view() -> PageView {
    PageView {
        visitor_id: String::new(),
        at: SystemTime::now(),
        path: "/".into(),
        referrer: None,
        country: None,
        device: "desktop",
    }
}

#[tokio::test]
async fn all_who_wait_for_a_redis_that_hangs_hear_of_it_with_the_first() {
    const WAITING: usize = 8_000;
    let server = RedisServer::start();
    let timeout = Duration::from_secs(1);
    let config = RedisStoreConfig { url: server.url(), timeout, ..RedisStoreConfig::default() };
    let store = Arc::new(RedisStore::connect(config).unwrap());
    let metrics = CollectMetrics::new().unwrap();
    let queue = Arc::new(Queue::start(store, WAITING, metrics.clone()));
    queue.put(visitor(), view()).await.unwrap();
    server.freeze();
    let began = Instant::now();
    let mut pages = JoinSet::new();
    for _ in 0..WAITING {
        let queue = Arc::clone(&queue);
        pages.spawn(async move { queue.put(visitor(), view()).await });
    }
    let answers = pages.join_all().await;
    // One call after the other, each with its second, would take sixteen.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let unknown = |it: &&Result<_, _>| matches!(it, Err(QueueError::Store(StoreError::Unknown(_))));
    assert!(answers.iter().all(Result::is_err));
    assert!(answers.iter().filter(unknown).count() <= MAX_BATCH, "others were never sent");
    server.thaw();
    let text = String::from_utf8(metrics.text().unwrap()).unwrap();
    assert!(text.contains(&format!("{{outcome=\"unavailable\"}} {WAITING}\n")), "{text}");
    assert!(text.contains("{outcome=\"recorded\"} 1\n"), "{text}");
}

/// A store that tells which salt it was asked about.
#[derive(Default)]
struct Asked(parking_lot::Mutex<Vec<Option<Salt>>>);

#[async_trait::async_trait]
impl Store for Asked {
    async fn record(&self, _: &[PageView]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn salt(&self, _: Day, known: Option<&Salt>) -> Result<Salt, StoreError> {
        self.0.lock().push(known.cloned());
        Ok(known.cloned().unwrap_or(Salt::random()?))
    }
}

fn writer(store: Arc<Asked>) -> Writer {
    let metrics = CollectMetrics::new().unwrap();
    Writer { store, metrics, works: Arc::default(), told: None, salt: None }
}

#[tokio::test(start_paused = true)]
async fn the_store_is_offered_the_salt_that_it_may_have_lost() {
    let asked = Arc::new(Asked::default());
    let mut writer = writer(asked.clone());
    let today = Day::of(SystemTime::now());
    let salt = writer.salt_of(today).await.unwrap();
    assert_eq!(writer.salt_of(today).await.unwrap(), salt);
    assert_eq!(*asked.0.lock(), [None]);
    tokio::time::advance(SALT_HOLDS).await;
    assert_eq!(writer.salt_of(today).await.unwrap(), salt);
    assert_eq!(*asked.0.lock(), [None, Some(salt)]);
}

#[tokio::test]
async fn the_salt_of_a_day_that_is_over_is_forgotten_without_a_view() {
    let mut writer = writer(Arc::default());
    let yesterday = Day::of(SystemTime::now() - Duration::from_secs(24 * 60 * 60));
    let old = writer.salt_of(yesterday).await.unwrap();
    writer.forget_yesterday().await;
    let known = writer.salt.unwrap();
    assert!(known.day != yesterday && known.salt != old);
}
