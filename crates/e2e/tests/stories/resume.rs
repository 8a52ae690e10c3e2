//! A client that comes back to a stream channel goes on exactly where it was, on any
//! instance, or is told that it can't.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use redcast_e2e::{Client, Gateway, GatewayOptions, Incoming, RedisServer, within};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::time::Instant;

const CONFIG: &str = "
[[endpoints]]
path = \"/ws/orders\"
channels = [\"orders\"]
subscribe = [\"orders:*\", \"news\"]

[[channels]]
pattern = \"orders*\"
source = \"stream\"

[streams]
replay_events = 50

[shutdown]
accept_for = \"0s\"
window = \"2s\"
";
const PATH: &str = "/ws/orders";

/// A Redis whose streams survive a restart, and a producer.
struct Stage {
    redis: RedisServer,
    producer: MultiplexedConnection,
}

impl Stage {
    async fn new() -> Self {
        let redis = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
        let producer = redis.connection().await;
        Self { redis, producer }
    }

    async fn gateway(&self) -> Gateway {
        let redis_url = Some(self.redis.url());
        let config = CONFIG.to_owned();
        Gateway::ready(GatewayOptions { redis_url, config, ..Default::default() }).await
    }

    async fn add(&mut self, channel: &str, payloads: impl IntoIterator<Item = u64>) {
        for payload in payloads {
            self.command(&["XADD", channel, "*", "data", &payload.to_string()]).await;
        }
    }

    async fn command(&mut self, words: &[&str]) -> redis::Value {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut self.producer).await.unwrap()
    }

    /// How often a command was called.
    async fn calls(&mut self, name: &str) -> u64 {
        let mut info = redis::cmd("INFO");
        let text: String = info.arg("commandstats").query_async(&mut self.producer).await.unwrap();
        let line =
            text.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }
}

/// A client in envelope mode that notes the last event of each channel.
struct Reader {
    client: Client,
    cursors: HashMap<String, String>,
}

impl Reader {
    async fn connect(gateway: &Gateway) -> Self {
        let mut client = gateway.connect_envelope(PATH).await;
        // Past the joins on connect.
        client.settled().await;
        Self { client, cursors: HashMap::new() }
    }

    /// Sends a subscribe, and answers what came up to its acknowledgement.
    async fn subscribe(&mut self, mut command: Value) -> Vec<String> {
        command["type"] = json!("subscribe");
        command["id"] = json!(1);
        self.client.send(&command.to_string()).await;
        let mut heard = Vec::new();
        loop {
            heard.push(self.next().await);
            if heard.last().unwrap().starts_with("ack")
                || heard.last().unwrap().starts_with("error")
            {
                return heard;
            }
        }
    }

    async fn resume(&mut self, channel: &str, since: &str) -> Vec<String> {
        self.subscribe(json!({"channel": channel, "since": since})).await
    }

    /// The next frame: an event's data, or its type and reason.
    async fn next(&mut self) -> String {
        let frame = self.client.json().await;
        let channel = frame["channel"].as_str().unwrap_or_default().to_owned();
        if let Some(id) = frame["id"].as_str() {
            self.cursors.insert(channel, id.to_owned());
        }
        for (channel, id) in frame["cursors"].as_object().into_iter().flatten() {
            self.cursors.insert(channel.clone(), id.as_str().unwrap().to_owned());
        }
        match (frame["type"].as_str().unwrap(), &frame["reason"], &frame["code"]) {
            ("event", ..) => frame["data"].to_string(),
            (kind, Value::String(word), _) | (kind, _, Value::String(word)) => {
                format!("{kind} {word}")
            }
            (kind, ..) => kind.to_owned(),
        }
    }

    async fn hear(&mut self, count: usize) -> Vec<String> {
        let mut heard = Vec::new();
        for _ in 0..count {
            heard.push(self.next().await);
        }
        heard
    }
}

fn numbers(numbers: impl IntoIterator<Item = u64>, last: &str) -> Vec<String> {
    let numbers = numbers.into_iter().map(|number| number.to_string());
    numbers.chain([last.to_owned()]).collect()
}

#[tokio::test]
async fn a_client_goes_on_where_it_was_on_any_instance() {
    let mut stage = Stage::new().await;
    let (first, second) = (stage.gateway().await, stage.gateway().await);
    let mut reader = Reader::connect(&first).await;
    assert_eq!(reader.subscribe(json!({"channel": "orders:eu"})).await, ["ack"]);
    assert_eq!(reader.cursors["orders:eu"], "0-0.00000000", "the stream is empty");
    stage.add("orders:eu", 1..=3).await;
    assert_eq!(reader.hear(3).await, ["1", "2", "3"]);
    let since = reader.cursors["orders:eu"].clone();
    drop(reader);
    stage.add("orders:eu", 4..=9).await;
    for gateway in [&second, &first, &second] {
        let mut reader = Reader::connect(gateway).await;
        assert_eq!(reader.resume("orders:eu", &since).await, numbers(4..=9, "ack"));
        assert_eq!(reader.resume("orders:eu", &since).await, ["ack"], "it is in it");
    }
    let mut reader = Reader::connect(&second).await;
    assert_eq!(reader.resume("orders:eu", "0-0.00000000").await, numbers(1..=9, "ack"));
    stage.add("orders:eu", [10]).await;
    assert_eq!(reader.next().await, "10");
    // What was acknowledged is a place, too, for a client that has seen nothing.
    let mut newcomer = Reader::connect(&first).await;
    newcomer.subscribe(json!({"channels": ["orders:eu", "orders:us", "news"]})).await;
    let (eu, us) = (newcomer.cursors["orders:eu"].clone(), newcomer.cursors["orders:us"].clone());
    assert_eq!(newcomer.cursors.len(), 2, "{:?}", newcomer.cursors);
    drop(newcomer);
    stage.add("orders:eu", [11]).await;
    stage.add("orders:us", [12]).await;
    let mut late = Reader::connect(&second).await;
    let since = json!({"orders:eu": eu, "orders:us": us});
    let mut heard =
        late.subscribe(json!({"channels": ["orders:us", "orders:eu"], "since": since})).await;
    assert_eq!(heard.pop().unwrap(), "ack");
    heard.sort();
    assert_eq!(heard, ["11", "12"]);
}

#[tokio::test]
async fn recent_events_come_before_the_live_ones() {
    let mut stage = Stage::new().await;
    let gateway = stage.gateway().await;
    stage.add("orders:eu", 1..=9).await;
    for (recent, first) in [(3, 7), (1000, 1)] {
        let mut reader = Reader::connect(&gateway).await;
        let heard = reader.subscribe(json!({"channel": "orders:eu", "recent": recent})).await;
        assert_eq!(heard, numbers(first..=9, "ack"));
    }
    let mut reader = Reader::connect(&gateway).await;
    let none = reader.subscribe(json!({"channel": "orders:us", "recent": 3})).await;
    assert_eq!(none, ["ack"]);
    let refused = reader.subscribe(json!({"channel": "news", "recent": 3})).await;
    assert_eq!(refused, ["error bad_request"]);
    stage.add("orders:us", [10]).await;
    assert_eq!(reader.next().await, "10");
}

#[tokio::test]
async fn a_place_that_is_lost_is_a_reset_with_its_reason() {
    let mut stage = Stage::new().await;
    let gateway = stage.gateway().await;
    let cursors = |count: u64| (1..=count).map(|id| (format!("{id}-0"), id.to_string()));
    for (id, payload) in cursors(100) {
        stage.command(&["XADD", "orders:eu", &id, "data", &payload]).await;
    }
    let mut reader = Reader::connect(&gateway).await;
    reader.subscribe(json!({"channel": "orders:eu", "recent": 40})).await;
    let end = reader.cursors["orders:eu"].clone();
    // More lies behind it than is replayed.
    let mut all = Reader::connect(&gateway).await;
    let heard = all.subscribe(json!({"channel": "orders:eu", "since": "0-0.00000000"})).await;
    let mut expected = numbers(1..=50, "reset trimmed");
    expected.push("ack".to_owned());
    assert_eq!(heard, expected);
    assert_eq!(all.cursors["orders:eu"], end);
    stage.command(&["XTRIM", "orders:eu", "MINID", "30"]).await;
    // Another instance, which has not just read what is trimmed now.
    let second = stage.gateway().await;
    for (since, reason) in [
        ("0-0.00000000", "trimmed"),
        ("29-0.00000000", "trimmed"),
        ("99-0.00000000", "forked"),
        ("101-0.00000000", "forked"),
    ] {
        let mut client = Reader::connect(&second).await;
        let heard = client.resume("orders:eu", since).await;
        assert_eq!(heard, [format!("reset {reason}"), "ack".to_owned()], "{since}");
        assert_eq!(client.cursors["orders:eu"], end, "it goes on from there");
    }
    let mut client = Reader::connect(&gateway).await;
    assert_eq!(client.resume("news", &end).await, ["reset unknown", "ack"]);
    // Whoever is in it hears it, too.
    stage.command(&["DEL", "orders:eu"]).await;
    assert_eq!(reader.next().await, "reset unknown");
    stage.command(&["XADD", "orders:eu", "1-0", "data", "7"]).await;
    assert_eq!(reader.next().await, "7");
    assert_eq!(client.resume("orders:eu", &end).await, ["reset forked", "ack"]);
}

#[tokio::test]
async fn a_raw_client_is_told_how_far_it_has_come() {
    let mut stage = Stage::new().await;
    stage.add("orders", 1..=3).await;
    let (mut first, second) = (stage.gateway().await, stage.gateway().await);
    let mut plain = first.connect(PATH).await;
    let mut client = first.connect(&format!("{PATH}?cursor=1")).await;
    cursor(&client.json().await);
    stage.add("orders", 4..=5).await;
    let told = heard(&mut client, &["4", "5"]).await;
    // The notice about the last event comes a second after the one before, if that came first.
    let at_five = cursor(&client.json().await);
    assert!(told.is_none_or(|told| told != at_five));
    stage.add("orders", 6..=8).await;
    let mut last = heard(&mut client, &["6", "7", "8"]).await.unwrap_or(at_five.clone());
    first.terminate();
    loop {
        match client.next().await {
            Incoming::Text(text) => last = cursor(&serde_json::from_str(&text).unwrap()),
            Incoming::Closed(1012, _) => break,
            other => panic!("{other:?}"),
        }
    }
    for expected in ["4", "5", "6", "7", "8"] {
        assert_eq!(plain.text().await, expected, "and nothing else");
    }
    assert!(matches!(plain.next().await, Incoming::Closed(1012, _)));
    stage.add("orders", 9..=10).await;
    // To the last event before the close, so nothing comes twice.
    let mut resumed = second.connect(&format!("{PATH}?since=orders:{last}")).await;
    assert_eq!((resumed.text().await, resumed.text().await), ("9".to_owned(), "10".to_owned()));
    let mut further = second.connect(&format!("{PATH}?cursor=1&since=orders:{at_five}")).await;
    for number in 6..=10 {
        assert_eq!(further.text().await, number.to_string());
    }
    assert_ne!(cursor(&further.json().await), last);
    assert!(first.exit().await.success());
}

/// Reads these events, and answers what was told last between them.
async fn heard(client: &mut Client, events: &[&str]) -> Option<String> {
    let mut told = None;
    for event in events {
        loop {
            match client.json().await {
                notice @ Value::Object(_) => told = Some(cursor(&notice)),
                other => break assert_eq!(other.to_string(), *event),
            }
        }
    }
    told
}

#[track_caller]
fn cursor(frame: &Value) -> String {
    assert_eq!((&frame["type"], &frame["channel"]), (&json!("cursor"), &json!("orders")));
    frame["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_crowd_that_comes_back_reads_redis_once() {
    const CLIENTS: usize = 300;
    let mut stage = Stage::new().await;
    let first = stage.gateway().await;
    let mut reader = Reader::connect(&first).await;
    reader.subscribe(json!({"channels": ["orders:1", "orders:2"]})).await;
    stage.add("orders:1", 1..=2).await;
    stage.add("orders:2", 3..=4).await;
    reader.hear(4).await;
    let since = reader.cursors.clone();
    stage.add("orders:1", 5..=6).await;
    stage.add("orders:2", 7..=8).await;
    let second = stage.gateway().await;
    let mut crowd = join_all((0..CLIENTS).map(|_| Reader::connect(&second))).await;
    let before = stage.calls("xrange").await;
    let command = json!({"channels": ["orders:1", "orders:2"], "since": since});
    let heard = join_all(crowd.iter_mut().map(|client| client.subscribe(command.clone()))).await;
    for mut heard in heard {
        assert_eq!(heard.pop().unwrap(), "ack");
        heard.sort();
        assert_eq!(heard, ["5", "6", "7", "8"]);
    }
    let calls = stage.calls("xrange").await - before;
    assert!(calls <= 4, "{calls} reads for two channels and cursors");
    let metrics = second.metrics().await;
    let exact = metrics.value("redcast_resumes_total{outcome=\"exact\"}");
    assert_eq!(exact, 2.0 * CLIENTS as f64);
    assert!(metrics.value("redcast_stream_reads_saved_total") > CLIENTS as f64);
}

#[tokio::test]
async fn while_redis_is_away_a_resume_is_unavailable_and_can_be_repeated() {
    let mut stage = Stage::new().await;
    let (first, second) = (stage.gateway().await, stage.gateway().await);
    let mut reader = Reader::connect(&first).await;
    reader.subscribe(json!({"channels": ["orders", "orders:eu"]})).await;
    let begin = reader.cursors["orders"].clone();
    stage.add("orders:eu", 1..=5).await;
    stage.add("orders", [6]).await;
    reader.hear(6).await;
    let cursors = reader.cursors.clone();
    let mut other = Reader::connect(&second).await;
    stage.redis.kill();
    within(Duration::from_secs(10), "it is noticed", async || {
        second.ask("/readyz").await.status == 503
    })
    .await;
    // What the instance has in memory needs no Redis, and a fresh join waits for nothing.
    let begun = Instant::now();
    let mut back = Reader::connect(&first).await;
    assert_eq!(back.resume("orders:eu", &cursors["orders:eu"]).await, ["ack"]);
    let heard = other.resume("orders:eu", &cursors["orders:eu"]).await;
    assert_eq!(heard, ["error unavailable"]);
    assert!(begun.elapsed() >= Duration::from_secs(5), "{:?}", begun.elapsed());
    let mut raw = second.connect(&format!("{PATH}?since=orders:{begin}")).await;
    assert_eq!(raw.json().await["code"], "unavailable");
    assert!(matches!(raw.next().await, Incoming::Closed(1013, _)));
    stage.redis.restart();
    stage.producer = stage.redis.connection().await;
    stage.add("orders:eu", [7]).await;
    assert_eq!(back.next().await, "7", "nothing was missed, so nothing else is said");
    second.until_ready().await;
    assert_eq!(other.resume("orders:eu", &cursors["orders:eu"]).await, ["7", "ack"]);
}
