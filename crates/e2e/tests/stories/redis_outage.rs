//! Redis dies, hangs or is not there yet: no client is disconnected, readiness tells
//! the truth, events flow again by themselves, and each channel gets one honest gap.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::select_all;
use redcast_e2e::{
    Dial, Gateway, GatewayOptions, Message, RawClient, RedisServer, get, unix_ms, within,
};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

const PATH: &str = "/ws/news";
const CHANNELS: [&str; 3] = ["news:a", "news:b", "news:c"];
/// An outage is seen within this time.
const SEEN_WITHIN: Duration = Duration::from_secs(3);
/// After Redis answers again, so do we within this time.
const BACK_WITHIN: Duration = Duration::from_millis(1500);
/// A gap begins with the last proof of life, which the heartbeat gives twice a second.
const HEARTBEAT_MS: u64 = 1500;
const COMMAND_WITHIN: Duration = Duration::from_secs(3);

struct Story {
    redis: RedisServer,
    gateway: Gateway,
    clients: Vec<RawClient>,
    livez: Livez,
}

/// Asks `/livez` all the time.
struct Livez(JoinHandle<()>);

/// A gap as the client read it.
struct Gap {
    from: u64,
    to: u64,
}

fn options(redis: &RedisServer) -> GatewayOptions {
    let config = format!(
        "[[endpoints]]\npath = \"{PATH}\"\nchannels = {CHANNELS:?}\nsubscribe = [\"late:*\"]"
    );
    GatewayOptions { redis_url: Some(redis.url()), config, ..Default::default() }
}

async fn connect(gateway: &Gateway, envelope: bool) -> RawClient {
    let how = Dial { envelope, ..Dial::default() };
    let mut client = RawClient::dial(gateway.public(), PATH, how).await.unwrap();
    if envelope {
        assert_eq!(json(&client.message().await)["type"], "welcome");
    }
    client.settled().await;
    client
}

async fn publish(redis: &RedisServer, channel: &str, text: &str) {
    let mut producer = redis.connection().await;
    let listeners: u64 =
        redis::cmd("PUBLISH").arg(channel).arg(text).query_async(&mut producer).await.unwrap();
    assert_eq!(listeners, 1, "nobody listens to {channel}");
}

fn json(message: &Message) -> Value {
    let Message::Text(text) = message else { panic!("no text: {message:?}") };
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The payload of an event in either mode. All payloads here are JSON strings.
fn payload(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["data"].as_str())
}

/// Reads until every channel has delivered `text`; answers the gaps on the way. A gap
/// must stand before the event, and there is one per channel at most.
async fn read(client: &mut RawClient, channels: &[&str], text: &str) -> HashMap<String, Gap> {
    let mut gaps = HashMap::new();
    let mut missing: Vec<String> = channels.iter().map(|name| format!("{name} {text}")).collect();
    while !missing.is_empty() {
        let value = json(&client.message().await);
        if let Some(payload) = payload(&value) {
            let index = missing.iter().position(|wanted| wanted == payload);
            missing.swap_remove(index.unwrap_or_else(|| panic!("unexpected event: {value}")));
            continue;
        }
        assert_eq!(
            (&value["type"], &value["reason"]),
            (&"gap".into(), &"redis_disconnected".into())
        );
        assert_eq!(value.get("dropped"), None);
        let channel = value["channel"].as_str().unwrap().to_owned();
        assert!(missing.contains(&format!("{channel} {text}")), "a gap behind the event: {value}");
        let gap = Gap { from: value["from"].as_u64().unwrap(), to: value["to"].as_u64().unwrap() };
        assert!(gap.from <= gap.to, "{value}");
        assert!(gaps.insert(channel, gap).is_none(), "a second gap: {value}");
    }
    gaps
}

impl Livez {
    fn watch(gateway: &Gateway) -> Self {
        let admin = gateway.admin().to_owned();
        Self(tokio::spawn(async move {
            loop {
                assert_eq!(get(&admin, "/livez").await.status, 200, "the process is alive");
                sleep(Duration::from_millis(100)).await;
            }
        }))
    }

    /// Ends the watch; fails if it had ended itself.
    async fn end(self) {
        self.0.abort();
        let ended = self.0.await.expect_err("the watch has no end of its own");
        assert!(ended.is_cancelled(), "/livez failed: {ended}");
    }
}

impl Story {
    async fn begin() -> Self {
        let redis = RedisServer::start();
        let gateway = Gateway::ready(options(&redis)).await;
        let mut clients = Vec::new();
        for number in 0..6 {
            clients.push(connect(&gateway, number % 2 == 1).await);
        }
        let livez = Livez::watch(&gateway);
        let mut story = Self { redis, gateway, clients, livez };
        assert!(story.say_everywhere("before").await.iter().all(HashMap::is_empty));
        story
    }

    /// Publishes to all channels and reads at all clients; answers each one's gaps.
    async fn say_everywhere(&mut self, text: &str) -> Vec<HashMap<String, Gap>> {
        for channel in CHANNELS {
            publish(&self.redis, channel, &format!("\"{channel} {text}\"")).await;
        }
        let mut gaps = Vec::new();
        for client in &mut self.clients {
            gaps.push(read(client, &CHANNELS, text).await);
        }
        gaps
    }

    async fn until_noticed(&self) -> Duration {
        until_status(&self.gateway, 503, SEEN_WITHIN).await
    }

    async fn until_back(&self) -> Duration {
        until_status(&self.gateway, 200, BACK_WITHIN).await
    }

    /// Nobody is told anything, let alone goodbye: clients answer pings and wait.
    async fn silence_until(&mut self, moment: Instant) {
        let waiting = self.clients.iter_mut().map(|client| Box::pin(client.message_whenever()));
        tokio::select! {
            () = sleep_until(moment) => {}
            (message, ..) = select_all(waiting) => panic!("in the outage: {message:?}"),
        }
    }

    /// Commands are answered whatever Redis does.
    async fn clients_are_served(&mut self) {
        for client in &mut self.clients {
            client.settled().await;
        }
    }

    /// What holds after every outage between these moments: all are still there, each
    /// channel had one gap that covers it, and all goes on.
    async fn end(mut self, down_ms: u64, up_ms: u64) {
        for gaps in self.say_everywhere("after").await {
            assert_eq!(gaps.len(), CHANNELS.len(), "one gap per channel: {:?}", gaps.keys());
            for Gap { from, to } in gaps.into_values() {
                assert!(from <= down_ms && down_ms <= from + HEARTBEAT_MS, "{from}, {down_ms}");
                assert!(up_ms <= to && to <= unix_ms(), "{to}, {up_ms}");
            }
        }
        assert!(self.say_everywhere("later").await.iter().all(HashMap::is_empty));
        self.clients_are_served().await;
        let metrics = self.gateway.metrics().await;
        assert_eq!(metrics.value("redcast_connections"), self.clients.len() as f64);
        assert_eq!(metrics.value("redcast_connections_opened_total"), self.clients.len() as f64);
        let gaps = r#"redcast_gaps_total{reason="redis_disconnected"}"#;
        assert_eq!(metrics.value(gaps), CHANNELS.len() as f64);
        assert_eq!(metrics.value("redcast_redis_reconnects_total"), 1.0);
        self.livez.end().await;
    }
}

async fn until_status(gateway: &Gateway, status: u16, limit: Duration) -> Duration {
    let what = format!("/readyz is {status}");
    within(limit, &what, async || gateway.ask("/readyz").await.status == status).await
}

async fn killed_for(outage: Duration) {
    let mut story = Story::begin().await;
    story.redis.kill();
    let (down, down_ms) = (Instant::now(), unix_ms());
    let noticed = story.until_noticed().await;
    story.clients_are_served().await;
    story.silence_until(down + outage).await;
    assert_eq!(story.gateway.ask("/readyz").await.status, 503);
    let up_ms = unix_ms();
    // Returns with Redis's own word that it takes connections; a first PONG is later.
    story.redis.restart();
    let back = story.until_back().await;
    println!("killed for {outage:?}: noticed after {noticed:?}, ready {back:?} after its return");
    story.end(down_ms, up_ms).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_back_after_three_seconds() {
    killed_for(Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_back_after_sixty_seconds() {
    killed_for(Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_for_ten_seconds() {
    let mut story = Story::begin().await;
    let (down, down_ms) = (Instant::now(), unix_ms());
    story.redis.freeze();
    let noticed = story.until_noticed().await;
    story.clients_are_served().await;
    story.silence_until(down + Duration::from_secs(10)).await;
    assert_eq!(story.gateway.ask("/readyz").await.status, 503);
    let up_ms = unix_ms();
    story.redis.thaw();
    let back = story.until_back().await;
    println!("frozen for 10 s: noticed after {noticed:?}, ready {back:?} after its return");
    story.end(down_ms, up_ms).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscribe_while_redis_is_away_is_pending_and_comes_true_with_a_gap() {
    let mut story = Story::begin().await;
    story.redis.kill();
    let down_ms = unix_ms();
    story.until_noticed().await;
    let asked_ms = unix_ms();
    let asked = Instant::now();
    let (raw, rest) = story.clients.split_first_mut().unwrap();
    let envelope = &mut rest[0];
    raw.say(r#"{"type":"subscribe","channel":"late:1"}"#).await;
    raw.settled().await;
    envelope.say(r#"{"type":"subscribe","channel":"late:1","id":7}"#).await;
    assert_eq!(json(&envelope.message().await), serde_json::json!({"type":"ack","id":7}));
    assert!(asked.elapsed() < COMMAND_WITHIN, "answered after {:?}", asked.elapsed());
    let answered_ms = unix_ms();
    let up_ms = unix_ms();
    story.redis.restart();
    story.until_back().await;
    publish(&story.redis, "late:1", "\"late:1 first\"").await;
    let mut all = CHANNELS.to_vec();
    all.push("late:1");
    for channel in CHANNELS {
        publish(&story.redis, channel, &format!("\"{channel} first\"")).await;
    }
    for (number, client) in story.clients.iter_mut().enumerate() {
        let channels = if number < 2 { &all[..] } else { &CHANNELS[..] };
        let gaps = read(client, channels, "first").await;
        assert_eq!(gaps.len(), channels.len());
        for (channel, Gap { from, to }) in gaps {
            let begun = if channel == "late:1" { asked_ms..=answered_ms } else { 0..=down_ms };
            assert!(begun.contains(&from), "{channel}: {from} not in {begun:?}");
            assert!(up_ms <= to, "{channel}: {to} before {up_ms}");
        }
        client.settled().await;
    }
    story.livez.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_started_without_redis_serves_and_heals() {
    let mut redis = RedisServer::start();
    redis.kill();
    let gateway = Gateway::start(options(&redis)).await;
    let livez = Livez::watch(&gateway);
    assert_eq!(gateway.ask("/readyz").await.status, 503);
    let asked_ms = unix_ms();
    let mut clients = [connect(&gateway, false).await, connect(&gateway, true).await];
    assert_eq!(gateway.ask("/readyz").await.status, 503);
    redis.restart();
    let back = until_status(&gateway, 200, BACK_WITHIN).await;
    println!("ready {back:?} after Redis was there");
    for channel in CHANNELS {
        publish(&redis, channel, &format!("\"{channel} first\"")).await;
    }
    for client in &mut clients {
        let gaps = read(client, &CHANNELS, "first").await;
        assert_eq!(gaps.len(), CHANNELS.len());
        assert!(gaps.values().all(|gap| gap.from >= asked_ms && gap.to <= unix_ms()));
        client.settled().await;
    }
    assert_eq!(gateway.metrics().await.value("redcast_redis_reconnects_total"), 0.0);
    livez.end().await;
}
