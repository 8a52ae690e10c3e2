//! What clients may say and what they hear, in raw mode and in envelope mode: every
//! command, every reply, every way to be refused.

use std::time::Duration;

use redcast_e2e::{Client, Gateway, GatewayOptions, Incoming, Metrics, RedisServer};
use redis::ToRedisArgs;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

const ENDPOINTS: &str = r#"
[[endpoints]]
path = "/ws"
channels = ["chat"]
subscribe = ["chat:*"]
[[endpoints]]
path = "/quiet"
channels = ["chat"]
notices = false
[[endpoints]]
path = "/many"
subscribe = ["*"]
"#;

/// Refused by both modes: what is sent, the error's code, and the `id` it carries.
const REFUSED: [(&str, &str, Option<&str>); 19] = [
    ("", "bad_request", None),
    ("hello", "bad_request", None),
    ("[]", "bad_request", None),
    (r#"{"channel":"chat:1"}"#, "bad_request", None),
    (r#"{"type":7}"#, "bad_request", None),
    (r#"{"type":"dance","id":"a"}"#, "bad_request", Some("\"a\"")),
    (r#"{"type":"ping","id":["a"]}"#, "bad_request", None),
    (r#"{"type":"subscribe","id":1}"#, "bad_request", Some("1")),
    (r#"{"type":"subscribe","channel":"chat:*","id":2}"#, "bad_request", Some("2")),
    (r#"{"type":"subscribe","channel":7,"id":3}"#, "bad_request", Some("3")),
    (r#"{"type":"subscribe","channels":[],"id":4}"#, "bad_request", Some("4")),
    (
        r#"{"type":"subscribe","channel":"chat:1","channels":["chat:2"],"id":5}"#,
        "bad_request",
        Some("5"),
    ),
    (r#"{"type":"subscribe","channel":"chat:1","since":"x","id":6}"#, "bad_request", Some("6")),
    (r#"{"type":"subscribe","channel":"secret","id":7}"#, "forbidden", Some("7")),
    (r#"{"type":"subscribe","channels":["chat:1","secret"],"id":8}"#, "forbidden", Some("8")),
    (r#"{"type":"unsubscribe","id":9}"#, "bad_request", Some("9")),
    (r#"{"type":"unsubscribe","channel":"chat:1","id":10}"#, "unknown_channel", Some("10")),
    (r#"{"type":"refresh_stats","id":11}"#, "not_supported", Some("11")),
    (r#"{"type":"publish","channel":"chat","data":1,"id":12}"#, "not_supported", Some("12")),
];

/// A Redis, a gateway over it, and a producer.
struct Stage {
    gateway: Gateway,
    producer: MultiplexedConnection,
    _redis: RedisServer,
}

impl Stage {
    async fn set() -> Self {
        let redis = RedisServer::start();
        let gateway = Gateway::ready(GatewayOptions {
            redis_url: Some(redis.url()),
            config: ENDPOINTS.to_owned(),
            ..Default::default()
        })
        .await;
        Self { gateway, producer: redis.connection().await, _redis: redis }
    }

    /// A raw and an envelope client, each past its start.
    async fn both(&self, path: &str) -> [Client; 2] {
        let mut clients =
            [self.gateway.connect(path).await, self.gateway.connect_envelope(path).await];
        for client in &mut clients {
            client.settled().await;
        }
        clients
    }

    async fn publish(&mut self, channel: &str, event: impl ToRedisArgs) {
        let mut command = redis::cmd("PUBLISH");
        let () = command.arg(channel).arg(event).query_async(&mut self.producer).await.unwrap();
    }
}

async fn ask(client: &mut Client, command: &str) -> Value {
    client.send(command).await;
    client.json().await
}

#[tokio::test]
async fn an_envelope_connection_is_welcomed_and_each_command_acknowledged() {
    let stage = Stage::set().await;
    let version: Value = serde_json::from_str(&stage.gateway.ask("/version").await.body).unwrap();
    let mut client = Client::connect(&stage.gateway.ws("/ws"), Some("redcast.v1")).await;
    let expected = json!({
        "type": "welcome", "instance": version["instance"], "version": version["version"]
    });
    assert_eq!(client.json().await, expected);
    for id in ["\"a b\"", "7", "-1.5", "\"é\""] {
        for command in [r#""subscribe","channel":"chat:1""#, r#""unsubscribe","channel":"chat:1""#]
        {
            let ack = ask(&mut client, &format!(r#"{{"type":{command},"id":{id}}}"#)).await;
            assert_eq!(ack.to_string(), format!(r#"{{"id":{id},"type":"ack"}}"#));
        }
    }
    let pong = ask(&mut client, r#"{"type":"ping","id":"p"}"#).await;
    assert_eq!(pong, json!({"type": "pong"}));
    assert_eq!(client.json().await, json!({"type": "ack", "id": "p"}));
    // Without an id there is nothing to acknowledge.
    client.send(r#"{"type":"subscribe","channel":"chat:2"}"#).await;
    client.settled().await;
}

#[tokio::test]
async fn envelope_events_carry_json_text_or_base64() {
    let mut stage = Stage::set().await;
    let mut client = stage.gateway.connect_envelope("/ws").await;
    client.settled().await;
    // As it stands in the frame: JSON data keeps every byte of the payload.
    let expected: [(&[u8], &str); 6] = [
        (
            br#"{"n": 1.000000000000000000001, "s":"\u00e9"}"#,
            r#"{"n": 1.000000000000000000001, "s":"\u00e9"}"#,
        ),
        (b"null", "null"),
        (b"say \"hi\"\n", r#""say \"hi\"\n""#),
        ("four bytes: 😀".as_bytes(), r#""four bytes: 😀""#),
        (b"", r#""""#),
        (&[0xff, 0x00], r#""/wA=","encoding":"base64""#),
    ];
    for (payload, data) in expected {
        stage.publish("chat", payload).await;
        let event = client.text().await;
        assert_eq!(event, format!(r#"{{"type":"event","channel":"chat","data":{data}}}"#));
    }
}

#[tokio::test]
async fn raw_events_are_the_payload_and_nothing_is_acknowledged() {
    let mut stage = Stage::set().await;
    let mut client = stage.gateway.connect("/ws").await;
    client.send(r#"{"type":"subscribe","channel":"chat:1","id":1}"#).await;
    client.settled().await;
    let payloads: [&[u8]; 4] = [br#"{"type":"ack"} "#, b"", b"text\n", &[0xff, 0xfe]];
    for payload in payloads {
        stage.publish("chat:1", payload).await;
        let expected = match std::str::from_utf8(payload) {
            Ok(text) => Incoming::Text(text.to_owned()),
            Err(_) => Incoming::Binary(payload.to_vec()),
        };
        assert_eq!(client.next().await, expected);
    }
    assert_eq!(ask(&mut client, r#"{"type":"ping","id":2}"#).await, json!({"type": "pong"}));
    client.settled().await;
}

#[tokio::test]
async fn unsubscribe_stops_the_events_of_that_channel_alone() {
    let mut stage = Stage::set().await;
    // Others who stay, so that the events still come as far as they can.
    let mut staying = vec![];
    for _ in 0..4 {
        staying.extend(stage.both("/ws").await);
    }
    let mut clients = stage.both("/ws").await;
    for client in staying.iter_mut().chain(&mut clients) {
        client.send(r#"{"type":"subscribe","channels":["chat:1","chat:2","chat:1"]}"#).await;
        client.settled().await;
    }
    for client in &mut clients {
        client.send(r#"{"type":"unsubscribe","channel":"chat:1"}"#).await;
        // What came on connect can be left too.
        client.send(r#"{"type":"unsubscribe","channel":"chat"}"#).await;
        client.settled().await;
    }
    for channel in ["chat", "chat:1", "chat:2"] {
        stage.publish(channel, channel).await;
    }
    for client in &mut clients {
        assert!(client.text().await.contains("chat:2"));
        client.settled().await;
        let again = ask(client, r#"{"type":"unsubscribe","channel":"chat:1"}"#).await;
        assert_eq!(again["code"], "unknown_channel");
    }
    for client in &mut staying {
        for channel in ["chat", "chat:1", "chat:2"] {
            assert!(client.text().await.contains(channel));
        }
        client.settled().await;
    }
}

#[tokio::test]
async fn a_wrong_command_is_told_and_the_connection_goes_on() {
    let stage = Stage::set().await;
    for mut client in stage.both("/ws").await {
        for (command, code, id) in REFUSED {
            let refused = ask(&mut client, command).await;
            assert_eq!(refused["type"], "error", "{command}: {refused}");
            assert_eq!(refused["code"], code, "{command}: {refused}");
            assert!(refused["message"].as_str().is_some_and(|text| text.len() > 10), "{refused}");
            let shown = refused.get("id").map(Value::to_string);
            assert_eq!(shown.as_deref(), id, "{command}");
        }
        client.settled().await;
    }
    let sent = 2.0 * REFUSED.len() as f64 + 4.0;
    assert_eq!(stage.gateway.metrics().await.value("redcast_commands_total"), sent);
}

#[tokio::test]
async fn unknown_fields_are_ignored_and_counted() {
    let mut stage = Stage::set().await;
    for mut client in stage.both("/ws").await {
        client.send(r#"{"type":"subscribe","channel":"chat:1","filter":"x","later":{}}"#).await;
        client.send(r#"{"type":"ping","channel":"chat:1"}"#).await;
        assert_eq!(client.json().await, json!({"type": "pong"}));
        stage.publish("chat:1", "1").await;
        client.text().await;
    }
    let metrics = stage.gateway.metrics().await;
    assert_eq!(metrics.value("redcast_command_unknown_fields_total"), 6.0);
}

#[tokio::test]
async fn a_place_in_a_pubsub_channel_can_only_be_reset() {
    const CURSOR: &str = "1700000000000-0.0123abcd";
    let stage = Stage::set().await;
    let reset = |channel: &str| json!({"type":"reset","channel":channel,"reason":"unknown"});
    let one = format!(r#"{{"type":"subscribe","channel":"chat:1","since":"{CURSOR}","id":1}}"#);
    let many = format!(
        r#"{{"type":"subscribe","channels":["chat:2","chat:3"],"since":{{"chat:3":"{CURSOR}"}},"id":2}}"#
    );
    for (mut client, envelope) in stage.both("/ws").await.into_iter().zip([false, true]) {
        for (command, channel, id) in [(&one, "chat:1", 1), (&many, "chat:3", 2)] {
            client.send(command).await;
            assert_eq!(client.json().await, reset(channel));
            if envelope {
                assert_eq!(client.json().await, json!({"type": "ack", "id": id}));
            }
        }
        client.settled().await;
    }
    for path in [format!("/ws?since=chat:{CURSOR}"), format!("/ws?x=1&since=chat%3A{CURSOR}")] {
        let mut client = stage.gateway.connect(&path).await;
        assert_eq!(client.json().await, reset("chat"));
        client.settled().await;
    }
    assert_eq!(refused_with(&stage.gateway, "/ws?since=chat", None).await, 400);
}

#[tokio::test]
async fn binary_and_oversized_messages_end_the_connection() {
    let stage = Stage::set().await;
    for mut client in stage.both("/ws").await {
        client.send_message(Message::binary(vec![1])).await.unwrap();
        let Incoming::Closed(code, _) = client.next().await else { panic!("not closed") };
        assert_eq!(code, 1003);
    }
    for mut client in stage.both("/ws").await {
        let fits = format!(r#"{{"type":"ping","pad":"{}"}}"#, "x".repeat(4096 - 24));
        assert_eq!(fits.len(), 4096);
        assert_eq!(ask(&mut client, &fits).await, json!({"type": "pong"}));
        client.send(&format!("{fits} ")).await;
        let Incoming::Closed(code, _) = client.next().await else { panic!("not closed") };
        assert_eq!(code, 1009);
    }
}

#[tokio::test]
async fn an_endpoint_without_notices_sends_events_alone() {
    let mut stage = Stage::set().await;
    let path = "/quiet?since=chat:1700000000000-0.0123abcd";
    let mut client = stage.gateway.connect(path).await;
    for (command, ..) in REFUSED {
        client.send(command).await;
    }
    // No reset, no error: what was asked for is the only answer.
    client.settled().await;
    stage.publish("chat", "an event").await;
    assert_eq!(client.next().await, Incoming::Text("an event".to_owned()));
    assert_eq!(client.next_within(Duration::from_millis(50)).await, None);
}

#[tokio::test]
async fn many_channels_are_joined_all_or_none_up_to_the_limit() {
    let mut stage = Stage::set().await;
    let mut client = stage.gateway.connect_envelope("/many").await;
    let subscribe = |from: usize, to: usize| {
        let names: Vec<String> = (from..to).map(|number| format!("many:{number}")).collect();
        json!({"type": "subscribe", "channels": names, "id": to}).to_string()
    };
    let refused = ask(&mut client, &subscribe(0, 129)).await;
    assert_eq!((&refused["code"], &refused["id"]), (&json!("rate_limited"), &json!(129)));
    stage.publish("many:0", "0").await;
    client.settled().await;
    assert_eq!(ask(&mut client, &subscribe(0, 128)).await["type"], "ack");
    assert_eq!(ask(&mut client, &subscribe(128, 129)).await["code"], "rate_limited");
    // Those it is in already count once.
    assert_eq!(ask(&mut client, &subscribe(100, 128)).await["type"], "ack");
    let left = r#"{"type":"unsubscribe","channel":"many:5","id":0}"#;
    assert_eq!(ask(&mut client, left).await["type"], "ack");
    assert_eq!(ask(&mut client, &subscribe(127, 129)).await["type"], "ack");
    for channel in ["many:5", "many:0", "many:128"] {
        stage.publish(channel, "1").await;
    }
    assert_eq!(client.json().await["channel"], "many:0");
    assert_eq!(client.json().await["channel"], "many:128");
}

#[tokio::test]
async fn a_goodbye_is_answered_with_its_own_code_and_counted() {
    let stage = Stage::set().await;
    // Codes of applications are none of ours: they are answered with a plain goodbye.
    for (said, heard, label) in
        [(1000, 1000, "1000"), (1001, 1001, "1001"), (4000, 1000, "other"), (0, 1005, "1005")]
    {
        for mut client in stage.both("/ws").await {
            let frame =
                (said > 0).then(|| CloseFrame { code: said.into(), reason: "see you".into() });
            client.send_message(Message::Close(frame)).await.unwrap();
            assert_eq!(client.next().await, Incoming::Closed(heard, String::new()), "{said}");
        }
        let series = format!("redcast_connections_closed_total{{code=\"{label}\"}}");
        stage.gateway.until_metric(&series, 2.0).await;
    }
    // A socket that just ends is counted as what it is.
    drop(stage.both("/ws").await);
    let count = |metrics: &Metrics, code: &str| {
        metrics.value(&format!("redcast_connections_closed_total{{code=\"{code}\"}}"))
    };
    stage.gateway.until_metric("redcast_connections_closed_total{code=\"1006\"}", 2.0).await;
    let metrics = stage.gateway.metrics().await;
    assert_eq!((count(&metrics, "1000"), count(&metrics, "1011")), (2.0, 0.0));
    assert_eq!(metrics.value("redcast_connections"), 0.0);
}

#[tokio::test]
async fn only_unknown_subprotocols_are_refused() {
    let stage = Stage::set().await;
    assert_eq!(refused_with(&stage.gateway, "/ws", Some("chat, redcast.v2")).await, 400);
    // The client library itself insists on an answer that names one of its offers.
    let mut client =
        Client::connect(&stage.gateway.ws("/ws"), Some("redcast.v2, redcast.v1")).await;
    assert_eq!(client.json().await["type"], "welcome");
}

async fn refused_with(gateway: &Gateway, path: &str, subprotocol: Option<&'static str>) -> u16 {
    match Client::try_connect(&gateway.ws(path), subprotocol).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("no HTTP answer: {error}"),
        Ok(_) => panic!("{path} was accepted"),
    }
}
