//! `redcast subscribe`: what it prints of each event, how it lives through an outage of
//! Redis, and every way in which it ends.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use redcast_e2e::{RedisServer, free_port, redcast, unix_ms};
use redis::aio::MultiplexedConnection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running `redcast subscribe`.
struct Subscriber {
    child: Child,
    out: BufReader<ChildStdout>,
    err: BufReader<ChildStderr>,
}

impl Subscriber {
    fn start(url: &str, flags: &[&str]) -> Self {
        let mut command = redcast();
        command.args(["subscribe", "--redis-url", url]).args(flags).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// Starts it and waits until it says that it listens.
    async fn listening(url: &str, flags: &[&str]) -> Self {
        let mut subscriber = Self::start(url, flags);
        let said = subscriber.says().await;
        assert!(said.starts_with("redcast: listening to "), "{said}");
        subscriber
    }

    /// The next line on standard output, without its end.
    async fn prints(&mut self) -> Vec<u8> {
        next_line(&mut self.out).await.expect("another line is printed")
    }

    async fn prints_json(&mut self) -> Value {
        let line = self.prints().await;
        serde_json::from_slice(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The next sentence on standard error.
    async fn says(&mut self) -> String {
        let line = next_line(&mut self.err).await.expect("another sentence");
        String::from_utf8(line).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        kill_process(pid.expect("it runs"), signal).unwrap();
    }

    /// How it ends, having printed and said nothing more.
    async fn ends(mut self) -> ExitStatus {
        assert_eq!(next_line(&mut self.out).await, None);
        assert_eq!(next_line(&mut self.err).await, None);
        self.exits().await
    }

    async fn exits(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap()
    }
}

async fn next_line(from: &mut (impl AsyncRead + AsyncBufReadExt + Unpin)) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let read = timeout(PATIENCE, from.read_until(b'\n', &mut line)).await;
    if read.expect("a line or the end").unwrap() == 0 {
        return None;
    }
    assert_eq!(line.pop(), Some(b'\n'), "a whole line");
    Some(line)
}

async fn publish(producer: &mut MultiplexedConnection, channel: &str, payload: &[u8]) {
    let mut publish = redis::cmd("PUBLISH");
    publish.arg(channel).arg(payload);
    assert_eq!(publish.query_async::<u64>(producer).await.unwrap(), 1, "nobody listens");
}

#[tokio::test]
async fn one_channel_is_printed_byte_for_byte_and_each_event_at_once() {
    let redis = RedisServer::start();
    let mut producer = redis.connection().await;
    let mut subscriber = Subscriber::listening(&redis.url(), &["a", "a"]).await;
    for payload in [&b"{\"n\": 1}"[..], b"", b"\xff\0\x1b[2J\r", "\u{2028}".as_bytes()] {
        publish(&mut producer, "a", payload).await;
        // It is read before the next one is published: nothing is kept back.
        assert_eq!(subscriber.prints().await, payload);
    }
    subscriber.signal(Signal::INT);
    assert_eq!(subscriber.ends().await.code(), Some(0));
}

#[tokio::test]
async fn several_channels_are_told_apart_and_the_count_ends_it() {
    const BURST: usize = 5_000;
    let redis = RedisServer::start();
    let mut producer = redis.connection().await;
    let count = (BURST + 2).to_string();
    let flags = ["orders:1", "chat", "--count", &count];
    let mut subscriber = Subscriber::listening(&redis.url(), &flags).await;
    publish(&mut producer, "orders:1", b"first").await;
    assert_eq!(subscriber.prints().await, b"orders:1\tfirst");
    publish(&mut producer, "chat", b"a\tb").await;
    assert_eq!(subscriber.prints().await, b"chat\ta\tb");
    let mut burst = redis::pipe();
    for number in 0..BURST + 100 {
        burst.cmd("PUBLISH").arg("chat").arg(number).ignore();
    }
    let publishing = burst.query_async::<()>(&mut producer);
    let reading = async {
        for number in 0..BURST {
            assert_eq!(subscriber.prints().await, format!("chat\t{number}").as_bytes());
        }
        assert_eq!(subscriber.ends().await.code(), Some(0));
    };
    let (published, ()) = tokio::join!(publishing, reading);
    published.unwrap();
}

#[tokio::test]
async fn json_has_one_object_per_line_for_any_payload() {
    let redis = RedisServer::start();
    let mut producer = redis.connection().await;
    let mut subscriber = Subscriber::listening(&redis.url(), &["a", "--json"]).await;
    for (payload, data, encoding) in [
        (&b"{\"n\": 1.0}"[..], json!({"n": 1.0}), Value::Null),
        (b"{\r\n \"pretty\": [1,\n 2]\n}\n", json!({"pretty": [1, 2]}), Value::Null),
        (b"two\nlines", json!("two\nlines"), Value::Null),
        (b"", json!(""), Value::Null),
        (b"\xff\0", json!("/wA="), json!("base64")),
    ] {
        let before = unix_ms();
        publish(&mut producer, "a", payload).await;
        let event = subscriber.prints_json().await;
        assert_eq!((&event["type"], &event["channel"]), (&json!("event"), &json!("a")));
        assert_eq!((&event["data"], &event["encoding"]), (&data, &encoding));
        let received = event["received_at"].as_u64().unwrap();
        assert!((before..=unix_ms()).contains(&received), "{event}");
    }
    subscriber.signal(Signal::TERM);
    assert_eq!(subscriber.ends().await.code(), Some(0));
}

#[tokio::test]
async fn it_waits_for_redis_before_the_first_event_and_after_the_last() {
    let mut redis = RedisServer::start();
    redis.kill();
    let mut subscriber = Subscriber::start(&redis.url(), &["a", "--json"]);
    let mut for_people = Subscriber::start(&redis.url(), &["a"]);
    for subscriber in [&mut subscriber, &mut for_people] {
        let said = subscriber.says().await;
        assert!(said.starts_with("redcast: waiting: Redis at 127.0.0.1:"), "{said}");
    }
    redis.restart();
    for subscriber in [&mut subscriber, &mut for_people] {
        assert_eq!(subscriber.says().await, "redcast: listening to a");
    }
    let publish = async |payload: &str| {
        let mut producer = redis.connection().await;
        let mut publish = redis::cmd("PUBLISH");
        publish.arg("a").arg(payload);
        assert_eq!(publish.query_async::<u64>(&mut producer).await.unwrap(), 2);
    };
    publish("before").await;
    // What it has never listened to before is no gap.
    assert_eq!(subscriber.prints_json().await["data"], "before");
    assert_eq!(for_people.prints().await, b"before");

    let cut = unix_ms();
    redis.kill();
    for subscriber in [&mut subscriber, &mut for_people] {
        let said = subscriber.says().await;
        assert!(said.starts_with("redcast: waiting: Redis at 127.0.0.1:"), "{said}");
    }
    redis.restart();
    let gap = subscriber.prints_json().await;
    assert_eq!((&gap["type"], &gap["channel"]), (&json!("gap"), &json!("a")), "{gap}");
    assert_eq!(gap["reason"], "redis_disconnected");
    assert!(gap["from"].as_u64().unwrap() <= cut && gap["to"].as_u64().unwrap() >= cut, "{gap}");
    let mut said = [for_people.says().await, for_people.says().await];
    said.sort();
    assert!(said[0].starts_with("redcast: a: events may be missing"), "{said:?}");
    assert_eq!(said[1], "redcast: listening to a");
    let mut producer = redis.connection().await;
    let mut after = redis::cmd("PUBLISH");
    after.arg("a").arg("after").query_async::<u64>(&mut producer).await.unwrap();
    assert_eq!(subscriber.prints_json().await["data"], "after");
    assert_eq!(for_people.prints().await, b"after");
}

#[tokio::test]
async fn a_channel_that_redis_refuses_is_a_failure_with_its_reason() {
    let redis = RedisServer::start_with(&["--user", "app", "on", ">secret", "+@all", "&open:*"]);
    let url = format!("redis://app:secret@127.0.0.1:{}", redis.port());
    let mut subscriber = Subscriber::start(&url, &["open:a", "closed", "--json"]);
    let error = subscriber.prints_json().await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("forbidden")));
    let said = subscriber.says().await;
    assert!(said.contains("closed") && said.contains("NOPERM"), "{said}");
    assert_eq!(subscriber.ends().await.code(), Some(1));

    // One that is refused later is no better.
    let mut subscriber = Subscriber::listening(&url, &["open:a"]).await;
    let mut operator = redis.connection().await;
    let mut revoke = redis::cmd("ACL");
    revoke.arg("SETUSER").arg("app").arg("resetchannels");
    revoke.query_async::<()>(&mut operator).await.unwrap();
    let said = loop {
        let said = subscriber.says().await;
        if !said.starts_with("redcast: waiting") && !said.starts_with("redcast: listening") {
            break said;
        }
    };
    assert!(said.contains("open:a") && said.contains("NOPERM"), "{said}");
    assert_eq!(subscriber.ends().await.code(), Some(1));
}

#[tokio::test]
async fn a_reader_that_has_had_enough_ends_it_quietly() {
    let redis = RedisServer::start();
    let mut producer = redis.connection().await;
    // With more to print, and on a channel that has gone quiet.
    for more in [1_000, 0] {
        let mut subscriber = Subscriber::listening(&redis.url(), &["a"]).await;
        publish(&mut producer, "a", b"first").await;
        assert_eq!(subscriber.prints().await, b"first");
        let Subscriber { mut child, out, mut err } = subscriber;
        drop(out);
        let mut rest = redis::pipe();
        rest.cmd("PING").ignore();
        for _ in 0..more {
            rest.cmd("PUBLISH").arg("a").arg("more").ignore();
        }
        rest.query_async::<()>(&mut producer).await.unwrap();
        let status = timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap();
        assert_eq!(status.code(), Some(0), "{more} more");
        assert_eq!(next_line(&mut err).await, None, "{more} more");
    }
}

#[tokio::test]
async fn wrong_usage_is_told_at_once() {
    let url = format!("redis://127.0.0.1:{}", free_port());
    for flags in [&[][..], &["a b"], &["a", "--count", "0"], &["a", "--count", "many"]] {
        let mut subscriber = Subscriber::start(&url, flags);
        let said = subscriber.says().await;
        assert!(said.starts_with("error: "), "{said}");
        assert_eq!(subscriber.exits().await.code(), Some(2), "{flags:?}");
    }
    let mut subscriber = Subscriber::start(&url, &["a"]);
    assert!(subscriber.says().await.contains("waiting: "));
    subscriber.signal(Signal::INT);
    assert_eq!(subscriber.ends().await.code(), Some(0), "Ctrl-C ends a wait, too");
}
