//! Redis refuses a channel only after its members were told that they are in: they are
//! told, whoever comes later is refused at once, and everything heals when the right
//! is given.

use std::time::{Duration, Instant};

use redcast_e2e::{Client, Gateway, GatewayOptions, Incoming, RedisServer, within};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

const CONFIG: &str = r#"
[interest]
linger = "10ms"

[[endpoints]]
path = "/ws"
subscribe = ["*"]

[[endpoints]]
path = "/quiet"
subscribe = ["*"]
notices = false
"#;
/// The gateway's user, as a server's command line wants it: one kind of channel alone.
const USER: [&str; 7] =
    ["--user", "gateway", "on", ">secret", "+@all", "&redcast:canary:*", "&open:*"];
/// What is refused is asked for again each second.
const TOLD_WITHIN: Duration = Duration::from_secs(3);
/// A refusal that had to wait for the next round would take up to a second.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Long enough for several rounds.
const ROUNDS: Duration = Duration::from_secs(3);
const BACK_WITHIN: Duration = Duration::from_millis(1500);

fn options(redis: &RedisServer) -> GatewayOptions {
    let url = format!("redis://gateway:secret@127.0.0.1:{}", redis.port());
    GatewayOptions { redis_url: Some(url), config: CONFIG.to_owned(), ..Default::default() }
}

/// Lets the gateway's user see these channels and no others.
async fn allow(operator: &mut MultiplexedConnection, patterns: &[&str]) {
    let mut set = redis::cmd("ACL");
    set.arg("SETUSER").arg("gateway").arg("resetchannels").arg("&redcast:canary:*").arg(patterns);
    set.query_async::<()>(operator).await.unwrap();
}

/// Tells the event to the one instance that must be listening.
async fn publish(operator: &mut MultiplexedConnection, channel: &str, payload: &str) {
    let mut publish = redis::cmd("PUBLISH");
    let listeners: u64 = publish.arg(channel).arg(payload).query_async(operator).await.unwrap();
    assert_eq!(listeners, 1, "nobody listens to {channel}");
}

async fn joined(client: &mut Client, channel: &str) {
    client.send(&json!({"type": "subscribe", "channel": channel}).to_string()).await;
    client.settled().await;
}

fn assert_refused(message: &Value, channel: &str) {
    assert_eq!((&message["type"], &message["code"]), (&"error".into(), &"forbidden".into()));
    // What Redis said to it is for the log.
    assert_eq!(message["message"], format!("the subscription to {channel} was refused"));
}

/// Waits for the news that Redis refuses the channel after all.
async fn told(client: &mut Client, channel: &str) {
    let news = client.next_within(TOLD_WITHIN).await;
    let Some(Incoming::Text(text)) = news else { panic!("no news of {channel}: {news:?}") };
    let news: Value = serde_json::from_str(&text).unwrap();
    assert_refused(&news, channel);
    assert_eq!(news.get("id"), None, "it answers no command");
}

async fn nothing_more(client: &mut Client, patience: Duration) {
    assert_eq!(client.next_within(patience).await, None);
}

/// A newcomer's subscribe is refused without a wait for the next round.
async fn refused_at_once(gateway: &Gateway, channel: &str) {
    let mut client = gateway.connect_envelope("/ws").await;
    for id in 1..=3 {
        let command = json!({"type": "subscribe", "channel": channel, "id": id});
        let asked = Instant::now();
        client.send(&command.to_string()).await;
        let answer = client.json().await;
        assert_refused(&answer, channel);
        assert_eq!(answer["id"], id);
        assert!(asked.elapsed() < AT_ONCE, "after {:?}", asked.elapsed());
    }
}

async fn until_status(gateway: &Gateway, status: u16, limit: Duration) {
    let what = format!("/readyz is {status}");
    within(limit, &what, async || gateway.ask("/readyz").await.status == status).await;
}

/// The channels that are wanted and those that are confirmed.
async fn channels(gateway: &Gateway) -> (Value, Value) {
    let body: Value = serde_json::from_str(&gateway.ask("/readyz?verbose").await.body).unwrap();
    let checks = &body["checks"];
    (checks["channels_wanted"].clone(), checks["channels_confirmed"].clone())
}

/// The right came back: a gap over the blind time, then events as ever.
async fn healed(clients: [&mut Client; 2], operator: &mut MultiplexedConnection, channel: &str) {
    let [raw, envelope] = clients;
    for client in [&mut *raw, &mut *envelope] {
        let gap = client.json().await;
        assert_eq!((&gap["type"], &gap["channel"]), (&"gap".into(), &channel.into()));
        assert_eq!(gap["reason"], "redis_disconnected");
    }
    publish(operator, channel, "\"healed\"").await;
    assert_eq!(raw.json().await, "healed");
    assert_eq!(envelope.json().await["data"], "healed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_promised_in_an_outage_and_then_refused_is_told() {
    let mut redis = RedisServer::start_with(&USER);
    redis.kill();
    let gateway = Gateway::start(options(&redis)).await;
    let mut raw = gateway.connect("/ws").await;
    let mut quiet = gateway.connect("/quiet").await;
    let mut envelope = gateway.connect_envelope("/ws").await;
    for client in [&mut raw, &mut quiet] {
        joined(client, "late:1").await;
    }
    envelope.send(r#"{"type":"subscribe","channel":"late:1","id":1}"#).await;
    assert_eq!(envelope.json().await, json!({"type": "ack", "id": 1}));
    joined(&mut raw, "open:1").await;

    redis.restart();
    until_status(&gateway, 200, BACK_WITHIN).await;
    // The two channels' news come in whatever order Redis gave its answers.
    let mut news = [raw.json().await, raw.json().await];
    news.sort_by_key(|message| message["type"] == "gap");
    assert_refused(&news[0], "late:1");
    assert_eq!(news[1]["channel"], "open:1");
    told(&mut envelope, "late:1").await;
    refused_at_once(&gateway, "late:1").await;
    assert_eq!(channels(&gateway).await, (2.into(), 1.into()));
    tokio::join!(
        nothing_more(&mut raw, ROUNDS),
        nothing_more(&mut envelope, ROUNDS),
        nothing_more(&mut quiet, ROUNDS)
    );
    assert_eq!(gateway.ask("/readyz").await.status, 200);

    let mut operator = redis.connection().await;
    allow(&mut operator, &["&open:*", "&late:*"]).await;
    healed([&mut raw, &mut envelope], &mut operator, "late:1").await;
    assert_eq!(quiet.json().await, "healed", "the first that it hears");
    assert_eq!(channels(&gateway).await, (2.into(), 2.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_taken_from_a_live_channel_is_told_and_not_ready() {
    let redis = RedisServer::start_with(&[&USER[..], &["&late:*"]].concat());
    let gateway = Gateway::ready(options(&redis)).await;
    let mut operator = redis.connection().await;
    let mut raw = gateway.connect("/ws").await;
    let mut envelope = gateway.connect_envelope("/ws").await;
    joined(&mut raw, "late:1").await;
    joined(&mut envelope, "late:1").await;

    // Redis cuts the line of a client whose subscriptions it no longer allows.
    allow(&mut operator, &["&open:*"]).await;
    told(&mut raw, "late:1").await;
    told(&mut envelope, "late:1").await;
    until_status(&gateway, 503, TOLD_WITHIN).await;
    refused_at_once(&gateway, "late:1").await;
    nothing_more(&mut raw, ROUNDS).await;
    assert_eq!(gateway.ask("/readyz").await.status, 503, "it was live, and is missed");

    allow(&mut operator, &["&open:*", "&late:*"]).await;
    until_status(&gateway, 200, TOLD_WITHIN).await;
    healed([&mut raw, &mut envelope], &mut operator, "late:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_a_refused_channel_leaves_no_wish_behind() {
    let mut redis = RedisServer::start_with(&USER);
    redis.kill();
    let gateway = Gateway::start(options(&redis)).await;
    let mut member = gateway.connect("/ws").await;
    joined(&mut member, "late:1").await;
    redis.restart();
    told(&mut member, "late:1").await;
    refused_at_once(&gateway, "late:1").await;
    drop(member);
    gateway
        .until("nothing is wanted", async || channels(&gateway).await == (0.into(), 0.into()))
        .await;
}
