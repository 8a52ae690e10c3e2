//! What holds for WebSocket connections holds for streams: how many, from whom, by whose
//! leave and until when.

use std::time::{SystemTime, UNIX_EPOCH};

use redcast_e2e::{GatewayOptions, SseClient};
use serde_json::{Value, json};

use super::stage::{PATH, Stage};
use crate::forward_auth::hook::{Hook, Reply};

#[tokio::test]
async fn streams_and_sockets_share_the_places_of_an_instance() {
    let stage = Stage::new("[limits]\nmax_connections = 2\n").await;
    let first = stage.joined(PATH, 1).await;
    let _second = stage.gateway.connect("/ws/analytics").await;
    assert_eq!(stage.refused(PATH, &[]).await, 503);
    assert_eq!(stage.gateway.rejected("limit").await, 1.0);
    drop(first);
    stage.gateway.until_metric("redcast_connections", 1.0).await;
    assert!(SseClient::with(stage.gateway.public(), PATH, &[]).await.is_ok());
}

#[tokio::test]
async fn a_stream_takes_no_place_of_plain_http() {
    let stage = Stage::new("[limits]\nmax_http_connections = 2\n").await;
    let mut streams = Vec::new();
    for number in 1..=6 {
        // One after the other: until its answer begins, a request is plain HTTP.
        streams.push(SseClient::connect(stage.gateway.public(), PATH).await);
        stage.gateway.until_metric("redcast_connections", f64::from(number)).await;
    }
    assert_eq!(stage.gateway.metrics().await.value("redcast_http_connections"), 0.0);
    assert_eq!(stage.gateway.rejected("sockets").await, 0.0);
}

#[tokio::test]
async fn an_address_at_its_limit_is_told_429() {
    let config = "[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
        [limits]\nmax_connections_per_address = 1\n";
    let stage = Stage::new(config).await;
    let from = |address: &'static str| [("X-Forwarded-For", address)];
    let first = SseClient::with(stage.gateway.public(), PATH, &from("198.51.100.7")).await;
    let first = first.ok().unwrap();
    assert_eq!(stage.refused(PATH, &from("198.51.100.7")).await, 429);
    assert!(SseClient::with(stage.gateway.public(), PATH, &from("192.0.2.1")).await.is_ok());
    drop(first);
    stage.gateway.until_metric("redcast_connections", 0.0).await;
    assert!(SseClient::with(stage.gateway.public(), PATH, &from("198.51.100.7")).await.is_ok());
}

#[tokio::test]
async fn a_hook_decides_who_gets_which_channels_and_until_when() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let hook = Hook::start(move |question| match question.header("cookie") {
        Some("session=ada") => {
            let grant = json!({"subscribe": ["analytics:eu"], "expires_at": now + 3.0});
            Reply::admit(&grant.to_string())
        }
        _ => Reply::new("401 Unauthorized", &[], ""),
    })
    .await;
    let config = format!(
        "[auth]\nforward_url = \"http://{}/auth\"\n[[endpoints]]\npath = \"/ws/analytics\"\n\
         channels = []\nsubscribe = [\"*\"]\nallowed_origins = [\"https://page.example\"]\n",
        hook.address
    );
    let stage = Stage::with(GatewayOptions { config, ..Default::default() }).await;
    assert_eq!(stage.refused(PATH, &[]).await, 401);
    let ada = [("Cookie", "session=ada"), ("Origin", "https://page.example")];
    let other = format!("{PATH}?channel=analytics:us");
    assert_eq!(stage.refused(&other, &ada).await, 403);
    let path = format!("{PATH}?channel=analytics:eu");
    let client = SseClient::with(stage.gateway.public(), &path, &ada).await;
    let mut client = client.ok().unwrap();
    let asked = hook.questions();
    assert!(asked.last().unwrap().query().starts_with("channel=analytics:eu"), "{asked:?}");
    let closed: Value = serde_json::from_str(&client.of_type("close").await).unwrap();
    assert_eq!(closed["code"], 4401);
    assert!(client.end().await, "the body ends as a whole");
    stage.until_closed(4401, 1.0).await;
    stage.gateway.until_metric("redcast_connections", 0.0).await;
}
