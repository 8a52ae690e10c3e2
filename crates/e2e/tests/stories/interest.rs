//! First in, last out: what an instance is subscribed to in Redis follows its members,
//! refusals are rolled back, and a reload of a page costs Redis nothing.

use std::collections::HashMap;

use futures_util::future::join_all;
use redcast_e2e::{Client, Gateway, GatewayOptions, Incoming, RedisServer};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

const CHANNELS: usize = 8;
const CLIENTS: usize = 10;
const ROUNDS: usize = 10;
/// 10 clients × 10 rounds × 10 steps: 1,000 joins and leaves.
const STEPS: usize = 10;

const ANY_CHANNEL: &str = "[[endpoints]]\npath = \"/ws\"\nsubscribe = [\"*\"]";

#[tokio::test]
async fn numsub_follows_local_membership_through_1000_joins_and_leaves() {
    let redis = RedisServer::start();
    let gateway = gateway(&redis.url(), ANY_CHANNEL, "1ms").await;
    let mut asker = redis.connection().await;
    let mut members = vec![];
    for number in 0..CLIENTS {
        members.push(Member::new(&gateway, asker.clone(), number).await);
    }
    for round in 0..ROUNDS {
        join_all(members.iter_mut().map(Member::wander)).await;
        let expected = expected(&members);
        until_numsub(&gateway, &mut asker, &format!("after round {round}"), &expected).await;
    }
    // Half of them say goodbye to each channel, half of them just go.
    for member in members.iter_mut().take(CLIENTS / 2) {
        for channel in 0..CHANNELS {
            if member.joined[channel] {
                member.toggle(channel).await;
            }
        }
    }
    let remaining = expected(&members);
    until_numsub(&gateway, &mut asker, "after the goodbyes", &remaining).await;
    drop(members);
    until_numsub(&gateway, &mut asker, "at the end", &[0; CHANNELS]).await;
    gateway.until_metric("redcast_channels", 0.0).await;
}

#[tokio::test]
async fn a_subscribe_that_redis_refuses_is_rolled_back_and_told() {
    let redis = RedisServer::start();
    let mut asker = redis.connection().await;
    let url = restricted_user(&redis, &mut asker).await;
    let config =
        format!("{ANY_CHANNEL}\n[[endpoints]]\npath = \"/closed\"\nchannels = [\"secret:1\"]");
    let gateway = gateway(&url, &config, "10ms").await;
    let mut neighbour = gateway.connect_envelope("/ws").await;
    joined(&mut neighbour, "allowed:1").await;
    let mut client = gateway.connect_envelope("/ws").await;

    client
        .send(r#"{"type":"subscribe","channels":["allowed:1","allowed:2","secret:1"],"id":7}"#)
        .await;
    let refused = client.json().await;
    assert_eq!(
        (&refused["type"], &refused["code"], &refused["id"]),
        (&json!("error"), &json!("forbidden"), &json!(7)),
        "{refused}"
    );
    assert_eq!(gateway.metrics().await.value("redcast_subscriptions_refused_total"), 1.0);
    // All or none: the two that were allowed are given back.
    let channels = ["allowed:1", "allowed:2", "secret:1"];
    gateway
        .until("the rollback reaches Redis", async || {
            numsub(&mut asker.clone(), &channels).await == [1, 0, 0]
        })
        .await;
    publish(&mut asker, "allowed:1", "1").await;
    assert_eq!(neighbour.json().await["data"], 1);
    client.settled().await;
    // The refusal took nothing from readiness, and is not remembered.
    assert_eq!(gateway.ask("/readyz").await.status, 200);
    acl(&mut asker, &["SETUSER", "gateway", "&secret:*"]).await;
    joined(&mut client, "secret:1").await;
    publish(&mut asker, "secret:1", "2").await;
    assert_eq!(client.json().await["data"], 2);
}

#[tokio::test]
async fn an_endpoint_whose_channel_redis_refuses_closes_with_4403() {
    let redis = RedisServer::start();
    let mut asker = redis.connection().await;
    let url = restricted_user(&redis, &mut asker).await;
    let config = "[[endpoints]]\npath = \"/closed\"\nchannels = [\"allowed:1\", \"secret:1\"]";
    let gateway = gateway(&url, config, "10ms").await;
    let mut client = gateway.connect("/closed").await;
    let refused = client.json().await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("forbidden")));
    assert_eq!(client.next().await, Incoming::Closed(4403, "forbidden".to_owned()));
    gateway
        .until("the rollback reaches Redis", async || {
            numsub(&mut asker.clone(), &["allowed:1", "secret:1"]).await == [0, 0]
        })
        .await;
}

#[tokio::test]
async fn a_quick_leave_and_join_sends_redis_nothing() {
    let redis = RedisServer::start();
    let gateway = gateway(&redis.url(), ANY_CHANNEL, "1h").await;
    let mut asker = redis.connection().await;
    let mut client = gateway.connect_envelope("/ws").await;
    joined(&mut client, "news").await;
    let before = subscription_commands(&mut asker).await;
    for _ in 0..20 {
        left(&mut client, "news").await;
        joined(&mut client, "news").await;
    }
    // A page that is reloaded, and a second member that comes and goes.
    drop(client);
    gateway.until_metric("redcast_connections", 0.0).await;
    let mut client = gateway.connect_envelope("/ws").await;
    joined(&mut client, "news").await;
    let mut second = gateway.connect_envelope("/ws").await;
    joined(&mut second, "news").await;
    drop(second);
    gateway.until_metric("redcast_connections", 1.0).await;
    assert_eq!(subscription_commands(&mut asker).await, before);
    // The subscription that was kept is a working one.
    publish(&mut asker, "news", "1").await;
    assert_eq!(client.json().await["data"], 1);
    joined(&mut client, "other").await;
    assert_eq!(subscription_commands(&mut asker).await, (before.0 + 1, before.1));
}

/// A client that joins and leaves by chance, but the same in every run.
struct Member {
    client: Client,
    asker: MultiplexedConnection,
    joined: [bool; CHANNELS],
    chance: u64,
}

impl Member {
    async fn new(gateway: &Gateway, asker: MultiplexedConnection, number: usize) -> Self {
        let client = gateway.connect_envelope("/ws").await;
        Self { client, asker, joined: [false; CHANNELS], chance: number as u64 + 1 }
    }

    async fn wander(&mut self) {
        for _ in 0..STEPS {
            // Knuth's linear congruential generator; its high bits are the good ones.
            self.chance =
                self.chance.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            self.toggle((self.chance >> 33) as usize % CHANNELS).await;
        }
    }

    async fn toggle(&mut self, channel: usize) {
        let name = name(channel);
        if self.joined[channel] {
            left(&mut self.client, &name).await;
        } else {
            joined(&mut self.client, &name).await;
            // The acknowledgement comes after Redis confirmed, whoever else leaves.
            assert_eq!(numsub(&mut self.asker, &[&name]).await, [1], "{name} after its ack");
        }
        self.joined[channel] ^= true;
    }
}

fn name(channel: usize) -> String {
    format!("interest:{channel}")
}

/// How many instances Redis should see on each channel.
fn expected(members: &[Member]) -> Vec<usize> {
    let anyone = |channel: usize| members.iter().any(|member| member.joined[channel]);
    (0..CHANNELS).map(|channel| usize::from(anyone(channel))).collect()
}

async fn until_numsub(
    gateway: &Gateway,
    asker: &mut MultiplexedConnection,
    moment: &str,
    expected: &[usize],
) {
    let names: Vec<String> = (0..CHANNELS).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let what = format!("PUBSUB NUMSUB is {expected:?} {moment}");
    gateway.until(&what, async || numsub(&mut asker.clone(), &names).await == expected).await;
}

async fn gateway(redis_url: &str, config: &str, linger: &str) -> Gateway {
    Gateway::ready(GatewayOptions {
        redis_url: Some(redis_url.to_owned()),
        config: config.to_owned(),
        env: vec![("REDCAST_INTEREST__LINGER".to_owned(), linger.to_owned())],
        ..Default::default()
    })
    .await
}

/// A Redis user that may do all but listen outside `allowed:`; its URL.
async fn restricted_user(redis: &RedisServer, asker: &mut MultiplexedConnection) -> String {
    let rules = ["SETUSER", "gateway", "on", ">secret", "~*", "+@all", "resetchannels"];
    acl(asker, &rules).await;
    // The second is where the gateway's own messages travel.
    acl(asker, &["SETUSER", "gateway", "&allowed:*", "&redcast:*"]).await;
    format!("redis://gateway:secret@127.0.0.1:{}", redis.port())
}

async fn acl(asker: &mut MultiplexedConnection, rules: &[&str]) {
    let () = redis::cmd("ACL").arg(rules).query_async(asker).await.unwrap();
}

async fn joined(client: &mut Client, channel: &str) {
    acknowledged(client, json!({"type": "subscribe", "channel": channel, "id": channel})).await;
}

async fn left(client: &mut Client, channel: &str) {
    acknowledged(client, json!({"type": "unsubscribe", "channel": channel, "id": channel})).await;
}

async fn acknowledged(client: &mut Client, command: Value) {
    client.send(&command.to_string()).await;
    assert_eq!(client.json().await, json!({"type": "ack", "id": command["id"]}));
}

async fn publish(redis: &mut MultiplexedConnection, channel: &str, event: &str) {
    let () = redis::cmd("PUBLISH").arg(channel).arg(event).query_async(redis).await.unwrap();
}

/// How many subscribers Redis has for each channel.
async fn numsub(redis: &mut MultiplexedConnection, channels: &[&str]) -> Vec<usize> {
    let mut command = redis::cmd("PUBSUB");
    let counts: HashMap<String, usize> =
        command.arg("NUMSUB").arg(channels).query_async(redis).await.unwrap();
    channels.iter().map(|channel| counts[*channel]).collect()
}

/// How often SUBSCRIBE and UNSUBSCRIBE were called.
async fn subscription_commands(redis: &mut MultiplexedConnection) -> (u64, u64) {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await.unwrap();
    let calls = |command: &str| {
        let start = format!("cmdstat_{command}:calls=");
        let line = info.lines().find_map(|line| line.strip_prefix(&start));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    };
    (calls("subscribe"), calls("unsubscribe"))
}
