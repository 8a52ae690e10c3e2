//! Logs for the tests to replay.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use redcast_e2e::RedisServer;

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
/// Of the addresses in these logs.
pub(crate) const NETWORK: &str = "192.0.2.";

/// A folder for a test's files.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The path of a file in it.
    pub(crate) fn path(&self, name: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    /// Writes a file; answers its path.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }
}

/// A line of the combined format; `second` counts from noon.
pub(crate) fn line(second: usize, number: usize, request: &str) -> String {
    format!(
        "{NETWORK}{} - - [08/Dec/2025:{:02}:{:02}:{:02} +0000] \"{request}\" 200 5 \"https://search.example/?q=secret\" \"{AGENT}\"\n",
        number % 200,
        12 + second / 3_600,
        second / 60 % 60,
        second % 60,
    )
}

/// Views of `/0`, `/1` and so on, this many a second.
pub(crate) fn views(count: usize, per_second: usize) -> String {
    let view = |number| line(number / per_second, number, &format!("GET /{number} HTTP/1.1"));
    (0..count).map(view).collect()
}

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// The number in the path of an event.
pub(crate) fn number(payload: &[u8]) -> usize {
    let event: serde_json::Value = serde_json::from_slice(payload).expect("an event is JSON");
    assert_eq!(event["type"], "page_view");
    let path = event["data"]["path"].as_str().expect("a path");
    path.strip_prefix('/').and_then(|number| number.parse().ok()).expect("a number")
}

/// The statistics, as the gateway would read them.
pub(crate) async fn statistics(redis: &RedisServer, key: &str) -> HashMap<String, String> {
    let mut connection = redis.connection().await;
    redis::cmd("HGETALL").arg(key).query_async(&mut connection).await.unwrap()
}

/// How many views were ever counted.
pub(crate) async fn total(redis: &RedisServer) -> usize {
    let statistics = statistics(redis, "{analytics}:stats").await;
    statistics.get("total_events").map_or(0, |total| total.parse().unwrap())
}
