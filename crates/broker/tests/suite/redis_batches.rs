//! Batches: many events in one write keep their order, and a failure says which event
//! was not acknowledged and why.

use std::time::{Duration, Instant};

use bytes::Bytes;
use redcast_broker::{BatchError, PublishError, RedisConfig, RedisPublisher};
use redcast_e2e::{Listener, RedisServer};
use redcast_protocol::Channel;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The gateway's user, as a server's command line wants it: one kind of channel alone.
const USER: [&str; 6] = ["--user", "gateway", "on", ">secret", "+@all", "&open:*"];

fn publisher(url: String) -> RedisPublisher {
    let publish_timeout = Duration::from_secs(2);
    RedisPublisher::new(&RedisConfig {
        url,
        publish_timeout,
        prefix: "open:".to_owned(),
        max_event_size: 8,
        ..Default::default()
    })
    .unwrap()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<Bytes> {
    range.map(|number| Bytes::from(number.to_string())).collect()
}

#[tokio::test]
async fn batches_arrive_in_order_and_byte_for_byte() {
    let redis = RedisServer::start();
    let mut arrived = Listener::subscribe(&redis, "open:a").await;
    let publisher = publisher(redis.url());
    let channel = Channel::parse("a").unwrap();
    let odd = vec![Bytes::new(), Bytes::from_static(b"\xff\0\r\n")];
    let batches = [odd, numbers(0..500), Vec::new(), numbers(500..1000)];
    for batch in &batches {
        publisher.publish_all(&channel, batch).await.unwrap();
    }
    for expected in batches.concat() {
        assert_eq!(arrived.payload().await, expected);
    }
}

#[tokio::test]
async fn an_event_over_the_limit_is_named_and_none_of_its_batch_is_sent() {
    let redis = RedisServer::start();
    let mut arrived = Listener::subscribe(&redis, "open:a").await;
    let publisher = publisher(redis.url());
    let channel = Channel::parse("a").unwrap();
    let batch = [Bytes::from_static(b"12345678"), Bytes::from_static(b"123456789")];
    let error = publisher.publish_all(&channel, &batch).await.unwrap_err();
    let too_large = PublishError::TooLarge { size: 9, limit: 8 };
    assert_eq!(error, BatchError { index: 1, published: 0, error: too_large });
    // What comes first is what was sent after it.
    publisher.publish_all(&channel, &[Bytes::from_static(b"later")]).await.unwrap();
    assert_eq!(arrived.payload().await, b"later");
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_redis() {
    let redis = RedisServer::start_with(&USER);
    let url = format!("redis://gateway:secret@127.0.0.1:{}", redis.port());
    let open = publisher(url.clone());
    let channel = Channel::parse("a").unwrap();
    open.publish_all(&channel, &numbers(0..3)).await.unwrap();
    let closed = RedisPublisher::new(&RedisConfig { url, ..Default::default() }).unwrap();
    let error = closed.publish_all(&channel, &numbers(0..3)).await.unwrap_err();
    assert_eq!((error.index, error.published), (0, 0));
    let told = format!("Redis at 127.0.0.1:{} refused the event: NOPERM ", redis.port());
    assert!(matches!(&error.error, PublishError::Refused(_)), "{error:?}");
    assert!(error.to_string().starts_with(&told), "{error}");

    // A wrong password says nothing about the event.
    let url = format!("redis://gateway:wrong@127.0.0.1:{}", redis.port());
    let error = publisher(url).publish_all(&channel, &numbers(0..1)).await.unwrap_err();
    let told = format!("Redis at 127.0.0.1:{} does not let us in: ", redis.port());
    assert!(matches!(&error.error, PublishError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().starts_with(&told), "{error}");
    assert!(!error.to_string().contains("AuthenticationFailed"), "{error}");
}

#[tokio::test]
async fn a_redis_that_is_away_or_hangs_is_told_within_the_deadline() {
    let mut redis = RedisServer::start();
    let publisher = publisher(redis.url());
    let channel = Channel::parse("a").unwrap();
    publisher.publish_all(&channel, &numbers(0..3)).await.unwrap();
    redis.freeze();
    let begun = Instant::now();
    let error = publisher.publish_all(&channel, &numbers(0..3)).await.unwrap_err();
    assert!(matches!(error.error, PublishError::Unavailable(_)), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    redis.thaw();
    redis.kill();
    let error = publisher.publish_all(&channel, &numbers(0..3)).await.unwrap_err();
    assert!(matches!(error.error, PublishError::Unavailable(_)), "{error}");
    redis.restart();
    publisher.publish_all(&channel, &numbers(0..3)).await.unwrap();
}

#[tokio::test]
async fn what_is_no_redis_is_told_in_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let web = async {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = socket.read(&mut [0; 512]).await;
        }
    };
    let publisher = publisher(format!("redis://u:hunter2@{place}"));
    let channel = Channel::parse("a").unwrap();
    let events = numbers(0..1);
    let error = tokio::select! {
        published = publisher.publish_all(&channel, &events) => published.unwrap_err(),
        never = web => never,
    };
    assert_eq!(error.to_string(), format!("{place} answers, but not as Redis does"));
}
