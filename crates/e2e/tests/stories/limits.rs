//! How many connections an instance takes, from whom, and how fast.

use redcast_e2e::{Client, Dial, Gateway, GatewayOptions, Incoming, RawClient, get, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn gateway(env: &[(&str, &str)]) -> Gateway {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Gateway::ready(GatewayOptions { env: env.collect(), ..Default::default() }).await
}

/// A handshake that says on whose behalf it comes.
fn forwarded(gateway: &Gateway, header: &str) -> String {
    let plain = RawClient::handshake(gateway.public(), "/ws/analytics");
    plain.replace("\r\n\r\n", &format!("\r\nX-Forwarded-For: {header}\r\n\r\n"))
}

/// Shakes hands and stays; answers the head of the answer.
async fn stay(gateway: &Gateway, handshake: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(gateway.public()).await.unwrap();
    stream.write_all(handshake.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0, "an answer has an end");
    }
    (stream, String::from_utf8(head).unwrap())
}

#[tokio::test]
async fn an_instance_that_is_full_says_so_and_takes_again_when_one_left() {
    let gateway = gateway(&[("REDCAST_LIMITS__MAX_CONNECTIONS", "2")]).await;
    let first = gateway.connect("/ws/analytics").await;
    let mut second = gateway.connect("/ws/analytics").await;
    let plain = RawClient::handshake(gateway.public(), "/ws/analytics");
    let refused = request(gateway.public(), &plain).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(gateway.rejected("limit").await, 1.0);
    second.settled().await;
    drop(first);
    gateway.until_metric("redcast_connections", 1.0).await;
    gateway.connect("/ws/analytics").await.settled().await;
}

#[tokio::test]
async fn an_address_at_its_limit_is_told_429_and_others_are_let_in() {
    let config = "[http]\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
        [limits]\nmax_connections_per_address = 2";
    let gateway =
        Gateway::ready(GatewayOptions { config: config.to_owned(), ..Default::default() }).await;
    let crowd = forwarded(&gateway, "203.0.113.9, 198.51.100.7");
    let (mut first, head) = stay(&gateway, &crowd).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let (_second, head) = stay(&gateway, &crowd).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    // What stands further left anybody may write: it changes nothing.
    for claim in ["198.51.100.7", "192.0.2.77, 198.51.100.7", "192.0.2.78, 198.51.100.7, 127.0.0.9"]
    {
        let refused = request(gateway.public(), &forwarded(&gateway, claim)).await;
        assert_eq!(refused.status, 429, "{claim}: {refused:?}");
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
    }
    assert_eq!(gateway.rejected("address_limit").await, 3.0);
    let (_other, head) = stay(&gateway, &forwarded(&gateway, "192.0.2.77")).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    first.shutdown().await.unwrap();
    gateway.until_metric("redcast_connections", 2.0).await;
    let (_again, head) = stay(&gateway, &crowd).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[tokio::test]
async fn without_trusted_proxies_a_claimed_address_is_not_believed() {
    let gateway = gateway(&[("REDCAST_LIMITS__MAX_CONNECTIONS_PER_ADDRESS", "1")]).await;
    let (_first, head) = stay(&gateway, &forwarded(&gateway, "198.51.100.7")).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let refused = request(gateway.public(), &forwarded(&gateway, "192.0.2.77")).await;
    assert_eq!(refused.status, 429, "{refused:?}");
}

#[tokio::test]
async fn handshakes_beyond_the_rate_are_refused_and_the_connected_notice_nothing() {
    let gateway = gateway(&[("REDCAST_LIMITS__HANDSHAKES_PER_SECOND", "5")]).await;
    let mut bystander = gateway.connect("/ws/analytics").await;
    let mut statuses = Vec::new();
    for _ in 0..50 {
        let dialled = RawClient::dial(gateway.public(), "/ws/analytics", Dial::default()).await;
        statuses.push(dialled.map_or_else(|error| error.to_string(), |_| "101".to_owned()));
    }
    let refused = statuses.iter().filter(|status| status.starts_with("HTTP/1.1 503")).count();
    let admitted = statuses.iter().filter(|status| *status == "101").count();
    assert_eq!(refused + admitted, 50, "{statuses:?}");
    let told = statuses.iter().filter(|status| status.contains("\r\nretry-after: ")).count();
    assert_eq!(told, refused, "who is refused is told when to come back: {statuses:?}");
    assert!(refused > 0 && admitted >= 4, "{admitted} admitted");
    assert_eq!(gateway.rejected("handshake_rate").await, refused as f64);
    bystander.settled().await;
    // A request that is no handshake is not counted among them.
    assert_eq!(get(gateway.public(), "/").await.status, 200);
}

#[tokio::test]
async fn sockets_that_never_shake_hands_are_bounded() {
    let gateway = gateway(&[("REDCAST_LIMITS__MAX_HTTP_CONNECTIONS", "3")]).await;
    let mut bystander = gateway.connect("/ws/analytics").await;
    // Its handshake is answered a moment before its socket gives up the place of a plain one.
    gateway.until_metric("redcast_http_connections", 0.0).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(gateway.public()).await.unwrap());
    }
    gateway.until_metric("redcast_http_connections", 3.0).await;
    let refused = get(gateway.public(), "/").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
    assert_eq!(gateway.rejected("sockets").await, 1.0);
    bystander.settled().await;
    drop(silent);
    gateway.until_metric("redcast_http_connections", 0.0).await;
    assert_eq!(get(gateway.public(), "/").await.status, 200);
}

#[tokio::test]
async fn commands_beyond_the_rate_are_refused_and_a_flood_of_them_ends_the_connection() {
    let gateway = gateway(&[("REDCAST_LIMITS__COMMANDS_PER_SECOND", "2")]).await;
    let mut bystander = gateway.connect("/ws/analytics").await;
    let mut client = Client::connect(&gateway.ws("/ws/analytics"), None).await;
    for _ in 0..100 {
        client.send(r#"{"type":"ping","id":7}"#).await;
    }
    let (mut pongs, mut refused) = (0, 0);
    let closed = loop {
        match client.next().await {
            Incoming::Text(text) if text == r#"{"type":"pong"}"# => pongs += 1,
            Incoming::Text(text) => {
                let error: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!((&error["code"], &error["id"]), (&"rate_limited".into(), &7.into()));
                refused += 1;
            }
            other => break other,
        }
    };
    assert_eq!(closed, Incoming::Closed(4429, "too many commands".to_owned()));
    // A burst of four seconds' worth, and as many refusals before the end.
    assert!((8..=12).contains(&pongs) && (8..=16).contains(&refused), "{pongs} {refused}");
    let counted = gateway.metrics().await;
    assert_eq!(
        counted.value("redcast_commands_refused_total{code=\"rate_limited\"}"),
        f64::from(refused)
    );
    bystander.settled().await;
}
