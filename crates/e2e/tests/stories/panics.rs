//! A fault of ours in one connection's task: it ends that connection alone, and it is
//! counted and logged where operators look, without a word of what the client said.

use std::time::Duration;

use futures_util::future::join_all;
use redcast_e2e::{GatewayOptions, Message, RawClient, Siege, within};
use serde_json::Value;

const PANIC: &str = r#"{"type":"fault","kind":"panic"}"#;
const OTHERS: usize = 20;
const PANICS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(20);

async fn siege() -> Siege {
    Siege::with(GatewayOptions { faults: true, ..Default::default() }).await
}

/// Sends the command that panics; the connection must end.
async fn panic(siege: &Siege) {
    let mut client = siege.attacker().await;
    client.say(r#"{"type":"subscribe","channel":"shared"}"#).await;
    client.settled().await;
    client.say(PANIC).await;
    assert_eq!(client.message_whenever().await, Message::End);
}

#[tokio::test]
async fn a_panic_ends_one_connection_and_is_counted() {
    let siege = siege().await;
    let descriptors = siege.gateway.descriptors().await;
    let mut others: Vec<RawClient> = join_all((0..OTHERS).map(|_| siege.attacker())).await;
    for other in &mut others {
        other.say(r#"{"type":"subscribe","channel":"shared"}"#).await;
        other.settled().await;
    }
    for _ in 0..PANICS {
        panic(&siege).await;
    }
    let gateway = &siege.gateway;
    gateway.until_metric("redcast_connection_panics_total", PANICS as f64).await;
    siege.until_closed(1011, PANICS).await;
    gateway.until_metric("redcast_connections", OTHERS as f64 + 1.0).await;
    // The bystander's channel, and the others in theirs.
    gateway.until_metric("redcast_subscriptions", OTHERS as f64 + 1.0).await;
    let mut producer = siege.redis.connection().await;
    let () = redis::cmd("PUBLISH")
        .arg("shared")
        .arg("still here")
        .query_async(&mut producer)
        .await
        .unwrap();
    for other in &mut others {
        assert_eq!(other.message().await, Message::Text("still here".to_owned()));
    }
    drop(others);
    gateway.until_metric("redcast_connections", 1.0).await;
    gateway.until_descriptors(descriptors).await;
    logged_without_a_word_of_the_client(&siege).await;
    siege.end("panics").await;
}

/// Each panic is one entry that says where; what it said may be a client's words.
async fn logged_without_a_word_of_the_client(siege: &Siege) {
    let entries = || -> Vec<Value> {
        let log = siege.gateway.log();
        log.iter().map(|line| serde_json::from_str(line).unwrap_or_default()).collect()
    };
    let panics = || entries().iter().filter(|entry| entry["message"] == "panic").count();
    within(PATIENCE, "each panic is logged", async || panics() == PANICS).await;
    for entry in entries() {
        assert!(entry.is_object(), "a line that is no JSON: {:?}", siege.gateway.log());
        let text = entry.to_string();
        assert!(!text.contains("shared") && !text.contains("a client asked"), "{text}");
        if entry["message"] == "panic" {
            assert!(entry["location"].as_str().unwrap().contains("faults.rs:"), "{text}");
        }
    }
    let closed = entries();
    let closed = closed.iter().filter(|entry| entry["code"] == "1011").count();
    assert_eq!(closed, PANICS, "each connection has the one line of its life");
}
