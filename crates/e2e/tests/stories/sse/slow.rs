//! Streams that nobody reads: the same outbox, the same policies and the same idle
//! time-out as everywhere, although their clients never say anything.

use std::time::Duration;

use redcast_e2e::{Dial, GatewayOptions, SseClient, within};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::stage::Stage;

const PATH: &str = "/sse/feed";
const OUTBOX: usize = 64 << 10;
const EVENT: usize = 1 << 10;
/// Several times what outbox, pipe, HTTP server and kernel hold for a silent client.
const EVENTS: usize = 1500;
const BATCH: usize = 20;
const STANDS_STILL: Duration = Duration::from_secs(12);
const PATIENCE: Duration = Duration::from_secs(60);

async fn stage(policy: &str, more: &str) -> Stage {
    let config = format!(
        "[limits]\noutbox = \"{OUTBOX}B\"\n[http]\nunsent_limit = \"16KiB\"\n{more}\n\
         [[endpoints]]\npath = \"/ws/feed\"\nchannels = [\"feed\"]\n\
         [[channels]]\npattern = \"feed\"\nslow_consumer = \"{policy}\"\n"
    );
    Stage::with(GatewayOptions { config, ..Default::default() }).await
}

async fn silent(stage: &Stage) -> SseClient {
    let client = SseClient::dial(stage.gateway.public(), PATH, &[], Dial::silent()).await;
    client.ok().unwrap()
}

fn event(number: usize) -> String {
    format!("{number:0EVENT$}")
}

fn number(text: &str) -> usize {
    assert_eq!(text.len(), EVENT, "an event of another size: {text:.80}");
    text.parse().unwrap()
}

async fn dropped(stage: &Stage, reason: &str) -> usize {
    let name = format!("redcast_deliveries_dropped_total{{reason=\"{reason}\"}}");
    stage.gateway.metrics().await.value(&name) as usize
}

/// Publishes numbered events, each batch once every reader has got the one before.
async fn publish_all(stage: &mut Stage, readers: &mut [SseClient]) {
    for first in (0..EVENTS).step_by(BATCH) {
        let mut batch = redis::pipe();
        for number in first..first + BATCH {
            batch.cmd("PUBLISH").arg("feed").arg(event(number)).ignore();
        }
        let () = batch.query_async(&mut stage.producer).await.unwrap();
        for reader in &mut *readers {
            for expected in first..first + BATCH {
                assert_eq!(number(&reader.message().await), expected);
            }
        }
    }
}

#[tokio::test]
async fn disconnect_gives_every_event_or_a_close_and_the_others_everything() {
    let mut stage = stage("disconnect", "").await;
    let (mut late, _never) = (silent(&stage).await, silent(&stage).await);
    let mut readers = Vec::new();
    for _ in 0..18 {
        readers.push(SseClient::connect(stage.gateway.public(), PATH).await);
    }
    stage.gateway.until_metric("redcast_subscriptions", 20.0).await;
    publish_all(&mut stage, &mut readers).await;
    // Both were too slow; one of them begins to read before it is given up.
    let mut numbers = Vec::new();
    let closed = loop {
        let Some(block) = late.block().await else { break None };
        match (block.event.as_deref(), block.data) {
            (None, Some(text)) => numbers.push(number(&text)),
            (Some("close"), data) => break data,
            _ => {}
        }
    };
    if let Some(closed) = closed {
        assert_eq!(closed, r#"{"code":4409,"reason":"slow consumer"}"#);
        assert!(late.end().await, "the body ends as a whole");
    }
    assert!(numbers.iter().copied().eq(0..numbers.len()), "a hole: {numbers:?}");
    assert!(numbers.len() < EVENTS);
    stage.until_closed(4409, 2.0).await;
    stage.gateway.until_metric("redcast_connections", 18.0).await;
    stage.gateway.until_metric("redcast_outbox_bytes", 0.0).await;
}

#[tokio::test]
async fn drop_oldest_says_how_many_are_missing() {
    let mut stage = stage("drop_oldest", "").await;
    let mut silent = silent(&stage).await;
    let reader = SseClient::connect(stage.gateway.public(), PATH).await;
    stage.gateway.until_metric("redcast_subscriptions", 2.0).await;
    publish_all(&mut stage, &mut [reader]).await;
    let missing = dropped(&stage, "drop_oldest").await;
    assert!(missing > 0);
    let waiting = stage.gateway.metrics().await.value("redcast_outbox_bytes") as usize;
    assert!((OUTBOX / 2..=OUTBOX).contains(&waiting), "{waiting} bytes wait");
    // A page that stands still for a while keeps its stream; an HTTP answer would be given
    // up by now.
    sleep(STANDS_STILL).await;
    let mut told = 0;
    let mut numbers = Vec::new();
    while numbers.len() + told < EVENTS {
        let block = silent.event().await;
        match (block.event.as_deref(), block.data.unwrap()) {
            (None, text) => numbers.push(number(&text)),
            (Some("gap"), text) => {
                let gap: Value = serde_json::from_str(&text).unwrap();
                assert_eq!((&gap["channel"], &gap["reason"]), (&"feed".into(), &"overflow".into()));
                told += gap["dropped"].as_u64().unwrap() as usize;
            }
            (Some("welcome"), _) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((numbers.len(), told), (EVENTS - missing, missing));
    assert!(numbers.is_sorted() && numbers.last() == Some(&(EVENTS - 1)), "{numbers:?}");
}

#[tokio::test]
async fn silent_streams_grow_the_process_by_no_more_than_their_buffers() {
    const CLIENTS: usize = 32;
    /// What stands between a stream's outbox and its socket: the pipe, and a piece of it
    /// that the HTTP server is writing.
    const BETWEEN: usize = 256 << 10;
    const SLACK: usize = 16 << 20;
    let mut stage = stage("drop_oldest", "").await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(silent(&stage).await);
    }
    let reader = SseClient::connect(stage.gateway.public(), PATH).await;
    stage.gateway.until_metric("redcast_subscriptions", CLIENTS as f64 + 1.0).await;
    let resident =
        async |stage: &Stage| stage.gateway.metrics().await.value("process_resident_memory_bytes");
    let before = resident(&stage).await;
    publish_all(&mut stage, &mut [reader]).await;
    let grown = (resident(&stage).await - before) as usize;
    println!("{CLIENTS} silent streams: the process grew by {grown} bytes");
    assert!(dropped(&stage, "drop_oldest").await > 0);
    assert!(grown <= CLIENTS * (OUTBOX + BETWEEN) + SLACK, "the process grew by {grown} bytes");
}

const KEEPALIVE: &str = "[keepalive]\nping_every = \"500ms\"\nidle_timeout = \"2s\"\n";

#[tokio::test]
async fn one_that_takes_nothing_is_cut_and_a_quiet_one_lives_on() {
    let mut stage = stage("drop_oldest", KEEPALIVE).await;
    let mut quiet = SseClient::connect(stage.gateway.public(), PATH).await;
    let silent = silent(&stage).await;
    stage.gateway.until_metric("redcast_subscriptions", 2.0).await;
    let begun = Instant::now();
    let reading = tokio::spawn(async move {
        let mut pings = 0;
        while begun.elapsed() < Duration::from_secs(6) {
            let block = quiet.block().await.expect("a quiet stream lives on");
            pings += usize::from(block.comments == ["ping"]);
        }
        (quiet, pings)
    });
    let fill = "x".repeat(64 << 10);
    for _ in 0..20 {
        stage.publish("feed", fill.as_bytes()).await;
    }
    let filled = Instant::now();
    within(PATIENCE, "the silent one is cut", async || stage.closed(4408).await == 1.0).await;
    let took = filled.elapsed();
    println!("a stream that takes nothing was cut after {took:?}");
    assert!(took >= Duration::from_millis(500), "cut after {took:?}: not by the time-out");
    drop(silent);
    let (_quiet, pings) = reading.await.unwrap();
    assert!(pings >= 6, "{pings} pings in 6 s");
    stage.gateway.until_metric("redcast_connections", 1.0).await;
    assert_eq!(stage.closed(4408).await, 1.0);
}
