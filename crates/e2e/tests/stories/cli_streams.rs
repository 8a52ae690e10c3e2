//! `redcast publish` and `redcast subscribe` where the configuration says that a channel is
//! a stream.

use std::process::{Output, Stdio};
use std::time::Duration;

use redcast_e2e::{RedisServer, redcast};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
const RULES: &str = "
[streams]
max_len = 2
[[channels]]
pattern = \"orders:*\"
source = \"stream\"
";

/// Publishes with the rules, or without them.
async fn publish(redis: &RedisServer, flags: &[&str], arguments: &[&str]) -> Output {
    let mut command = redcast();
    command.args(["publish", "--redis-url", &redis.url()]).args(flags).args(arguments);
    command.stdin(Stdio::null());
    timeout(PATIENCE, command.output()).await.expect("it ends").unwrap()
}

#[tokio::test]
async fn a_stream_is_written_and_followed_with_its_cursors() {
    let redis = RedisServer::start();
    let mut connection = redis.connection().await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("redcast.toml");
    std::fs::write(&file, RULES).unwrap();
    let config = ["--config", file.to_str().unwrap()];

    let first = publish(&redis, &config, &["orders:1", "first"]).await;
    assert_eq!(String::from_utf8(first.stdout).unwrap(), "published 1 event to orders:1\n");
    let mut command = redcast();
    command.args(["subscribe", "--redis-url", &redis.url()]).args(config);
    command.args(["orders:1", "--json", "--count", "1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut subscriber = command.kill_on_drop(true).spawn().unwrap();
    let mut says = BufReader::new(subscriber.stderr.take().unwrap()).lines();
    let said = timeout(PATIENCE, says.next_line()).await.expect("it speaks").unwrap();
    assert_eq!(said.as_deref(), Some("redcast: listening to orders:1"));

    assert!(publish(&redis, &config, &["orders:1", "{\"n\":2}"]).await.status.success());
    let printed = timeout(PATIENCE, subscriber.wait_with_output()).await.expect("it ends");
    let line: Value = serde_json::from_slice(&printed.unwrap().stdout).unwrap();
    assert_eq!(line["data"]["n"], 2);
    let mut last = redis::cmd("XREVRANGE");
    last.arg("orders:1").arg("+").arg("-").arg("COUNT").arg(1);
    let entries: Vec<(String, Vec<(String, String)>)> =
        last.query_async(&mut connection).await.unwrap();
    let (id, fields) = &entries[0];
    assert_eq!(fields, &[("data".to_owned(), "{\"n\":2}".to_owned())]);
    assert!(line["id"].as_str().unwrap().starts_with(&format!("{id}.")), "{line}");
}
