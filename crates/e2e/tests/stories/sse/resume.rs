//! A stream of stream channels goes on where it ended, on any instance, from the one id
//! that a browser keeps for it: nothing is missing and nothing comes twice.

use redcast_e2e::{Gateway, GatewayOptions, RedisServer, SseClient};
use redis::aio::MultiplexedConnection;
use serde_json::Value;

const PATH: &str = "/sse/orders?channel=orders:eu&channel=news";
const CONFIG: &str = r#"
[[channels]]
pattern = "orders*"
source = "stream"
[[endpoints]]
path = "/ws/orders"
channels = ["orders"]
subscribe = ["orders:*", "news"]
"#;

async fn gateway(redis: &RedisServer) -> Gateway {
    let redis_url = Some(redis.url());
    Gateway::ready(GatewayOptions { redis_url, config: CONFIG.to_owned(), ..Default::default() })
        .await
}

async fn add(producer: &mut MultiplexedConnection, channel: &str, payload: &str) {
    let mut add = redis::cmd("XADD");
    add.arg(channel).arg("*").arg("data").arg(payload);
    let _: String = add.query_async(producer).await.unwrap();
}

async fn add_all(producer: &mut MultiplexedConnection, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let channel = if number % 3 == 0 { "orders:eu" } else { "orders" };
        add(producer, channel, &number.to_string()).await;
    }
}

/// Connects again with what a browser has kept.
async fn resumed(gateway: &Gateway, id: &str) -> SseClient {
    let client = SseClient::with(gateway.public(), PATH, &[("Last-Event-ID", id)]).await;
    client.expect("the stream begins")
}

/// Reads these numbers: in their order within each channel, each once.
async fn expect(client: &mut SseClient, numbers: std::ops::Range<usize>) {
    let mut lanes: [Vec<usize>; 2] = Default::default();
    for _ in numbers.clone() {
        let number: usize = client.message().await.parse().unwrap();
        lanes[usize::from(number.is_multiple_of(3))].push(number);
    }
    assert!(lanes.iter().all(|lane| lane.is_sorted()), "out of order: {lanes:?}");
    let mut all = lanes.concat();
    all.sort_unstable();
    assert!(all.iter().copied().eq(numbers), "{all:?}");
}

/// Waits until the joins are told: the id names both stream channels, and no other.
async fn placed(client: &mut SseClient) {
    while client.last_event_id().is_empty() {
        client.block().await.unwrap();
    }
    let id = client.last_event_id();
    let mut names: Vec<_> = id.split(',').map(|part| part.rsplit_once(':').unwrap().0).collect();
    names.sort_unstable();
    assert_eq!(names, ["orders", "orders:eu"], "{id}");
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_on_another_instance() {
    let redis = RedisServer::start();
    let mut producer = redis.connection().await;
    let (first, second) = (gateway(&redis).await, gateway(&redis).await);
    let mut client = SseClient::connect(first.public(), PATH).await;
    placed(&mut client).await;
    // It can be resumed before it has seen an event.
    let before_any = client.last_event_id().to_owned();
    add_all(&mut producer, 0..60).await;
    expect(&mut client, 0..60).await;
    let seen = client.last_event_id().to_owned();
    // As it happens when a network breaks.
    client.reset();
    add_all(&mut producer, 60..90).await;
    for gateway in [&first, &second] {
        let mut again = resumed(gateway, &seen).await;
        expect(&mut again, 60..90).await;
        let mut from_the_start = resumed(gateway, &before_any).await;
        expect(&mut from_the_start, 0..90).await;
    }
    let mut last = resumed(&second, &seen).await;
    expect(&mut last, 60..90).await;
    add_all(&mut producer, 90..120).await;
    expect(&mut last, 90..120).await;
}

#[tokio::test]
async fn an_instance_that_dies_costs_a_stream_nothing() {
    let redis = RedisServer::start();
    let mut producer = redis.connection().await;
    let dying = gateway(&redis).await;
    let mut client = SseClient::connect(dying.public(), PATH).await;
    placed(&mut client).await;
    add_all(&mut producer, 0..30).await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        seen.push(client.message().await);
    }
    dying.signal(rustix::process::Signal::KILL);
    // What was on its way arrives, or comes again from the other instance.
    while let Some(block) = client.block().await {
        seen.extend(block.data.filter(|_| block.event.is_none()));
    }
    add_all(&mut producer, 30..40).await;
    let next = gateway(&redis).await;
    let mut client = resumed(&next, client.last_event_id()).await;
    while seen.len() < 40 {
        seen.push(client.message().await);
    }
    let mut seen: Vec<usize> = seen.iter().map(|number| number.parse().unwrap()).collect();
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..40), "lost or twice: {seen:?}");
}

#[tokio::test]
async fn what_can_not_be_resumed_is_told_and_goes_on_from_its_new_place() {
    let redis = RedisServer::start();
    let mut producer = redis.connection().await;
    let gateway = gateway(&redis).await;
    let mut client = SseClient::connect(gateway.public(), PATH).await;
    placed(&mut client).await;
    add_all(&mut producer, 0..6).await;
    expect(&mut client, 0..6).await;
    let seen = client.last_event_id().to_owned();
    drop(client);
    // An instance that was in the channel would still have it all.
    drop(gateway);
    add_all(&mut producer, 6..12).await;
    let mut trim = redis::cmd("XTRIM");
    trim.arg("orders").arg("MAXLEN").arg(1);
    let _: u64 = trim.query_async(&mut producer).await.unwrap();
    let gateway = self::gateway(&redis).await;
    let mut client = resumed(&gateway, &seen).await;
    let reset: Value = serde_json::from_str(&client.of_type("reset").await).unwrap();
    assert_eq!((&reset["channel"], &reset["reason"]), (&"orders".into(), &"trimmed".into()));
    // The id has moved with it: whoever resumes from there is told nothing again.
    let moved = client.last_event_id().to_owned();
    assert_ne!(moved, seen);
    drop(client);
    let mut client = resumed(&gateway, &moved).await;
    add(&mut producer, "orders", "last").await;
    loop {
        let block = client.event().await;
        assert_ne!(block.event.as_deref(), Some("reset"), "{block:?}");
        if block.data.as_deref() == Some("last") {
            break;
        }
    }
}
