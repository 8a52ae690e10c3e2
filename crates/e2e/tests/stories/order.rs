//! Order per channel is Redis order: what several producers publish at once arrives
//! at every client as a stock Redis subscriber saw it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use redcast_e2e::{Client, Gateway, GatewayOptions, RedisServer};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const CHANNELS: usize = 50;
const PRODUCERS: usize = 4;
const EVENTS: usize = 20_000;
/// How many PUBLISH commands a producer sends before it reads their answers.
const PIPELINED: usize = 500;
/// How many events may be under way to a client. Half of what fits into the queues of
/// the gateway: a machine too busy to keep up must not make them overflow, which is
/// another story.
const UNDER_WAY: usize = 4_000;

/// Per channel the numbers of its events, in order.
type Seen = HashMap<String, Vec<u64>>;

#[tokio::test(flavor = "multi_thread")]
async fn every_client_gets_each_channel_in_redis_order() {
    let redis = RedisServer::start();
    let gateway = Gateway::ready(GatewayOptions {
        redis_url: Some(redis.url()),
        config: "[[endpoints]]\npath = \"/ws\"\nsubscribe = [\"order:*\"]".to_owned(),
        ..Default::default()
    })
    .await;
    let mut readers = vec![];
    for _ in 0..2 {
        let client = gateway.connect_envelope("/ws").await;
        readers.push(Reader::new(client, true, 0..CHANNELS).await);
    }
    for first in [0, 15, 30] {
        let client = gateway.connect("/ws").await;
        readers.push(Reader::new(client, false, first..first + 20).await);
    }
    let paces: Vec<Pace> = readers.iter().map(|reader| reader.pace.clone()).collect();
    let witness = witness(&redis).await;
    let reading: Vec<_> = readers.into_iter().map(|reader| tokio::spawn(reader.read())).collect();
    join_all((0..PRODUCERS).map(|producer| produce(&redis, producer, &paces))).await;

    let order = witness.await.unwrap();
    assert_eq!(order.len(), CHANNELS);
    assert!(order.values().all(|events| events.len() == EVENTS / CHANNELS));
    assert!(order.values().any(|events| !events.is_sorted()), "the producers took turns");
    for (reader, seen) in join_all(reading).await.into_iter().enumerate() {
        for (channel, events) in seen.unwrap() {
            assert_eq!(events, order[&channel], "client {reader}, channel {channel}");
        }
    }
}

/// Publishes a producer's share, over all channels in turn, as fast as Redis takes it.
async fn produce(redis: &RedisServer, producer: usize, paces: &[Pace]) {
    let mut connection = redis.connection().await;
    let share = EVENTS / PRODUCERS;
    let numbers: Vec<usize> = (producer * share..(producer + 1) * share).collect();
    for chunk in numbers.chunks(PIPELINED) {
        for pace in paces {
            pace.wait(chunk.len()).await;
        }
        let mut pipe = redis::pipe();
        for number in chunk {
            let channel = format!("order:{}", number % CHANNELS);
            let event = json!({"channel": channel, "number": number}).to_string();
            pipe.cmd("PUBLISH").arg(channel).arg(event).ignore();
        }
        let _: () = pipe.query_async(&mut connection).await.unwrap();
    }
}

/// What a stock subscriber sees, from now on: the order that Redis made of it.
async fn witness(redis: &RedisServer) -> JoinHandle<Seen> {
    let client = redis::Client::open(redis.url()).unwrap();
    let mut subscriber = client.get_async_pubsub().await.unwrap();
    subscriber.psubscribe("order:*").await.unwrap();
    tokio::spawn(async move {
        let mut messages = subscriber.on_message();
        let mut seen = Seen::new();
        for _ in 0..EVENTS {
            let message = messages.next().await.expect("the witness stays connected");
            note(&mut seen, &serde_json::from_slice(message.get_payload_bytes()).unwrap());
        }
        seen
    })
}

/// A client on some of the channels.
struct Reader {
    client: Client,
    envelope: bool,
    pace: Pace,
}

/// Keeps the producers from running away from a client.
#[derive(Clone)]
struct Pace {
    channels: usize,
    room: Arc<Semaphore>,
}

impl Pace {
    /// Waits until `events` more, spread evenly over all channels, may be published.
    async fn wait(&self, events: usize) {
        let share = u32::try_from(events * self.channels / CHANNELS).unwrap();
        self.room.acquire_many(share).await.expect("the client still reads").forget();
    }
}

impl Reader {
    async fn new(mut client: Client, envelope: bool, channels: Range<usize>) -> Self {
        let names: Vec<String> = channels.clone().map(|number| format!("order:{number}")).collect();
        client.send(&json!({"type": "subscribe", "channels": names}).to_string()).await;
        client.settled().await;
        let channels = channels.len();
        let room = Arc::new(Semaphore::new(UNDER_WAY * channels / CHANNELS));
        Self { client, envelope, pace: Pace { channels, room } }
    }

    /// Every event of its channels, and nothing after them.
    async fn read(mut self) -> Seen {
        let mut seen = Seen::new();
        for _ in 0..self.pace.channels * EVENTS / CHANNELS {
            let message = self.client.json().await;
            if self.envelope {
                assert_eq!(message["type"], "event", "{message}");
                assert_eq!(message["channel"], message["data"]["channel"]);
                note(&mut seen, &message["data"]);
            } else {
                note(&mut seen, &message);
            }
            self.pace.room.add_permits(1);
        }
        self.client.settled().await;
        seen
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // After a failure nobody waits for this client.
        self.pace.room.close();
    }
}

fn note(seen: &mut Seen, event: &Value) {
    let (Some(channel), Some(number)) = (event["channel"].as_str(), event["number"].as_u64())
    else {
        panic!("not an event: {event}");
    };
    seen.entry(channel.to_owned()).or_default().push(number);
}
