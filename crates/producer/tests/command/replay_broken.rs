//! Bad input is named, and what could be read of it is published.

use redcast_e2e::RedisServer;

use crate::log_file::{Folder, gzip, total, views};
use crate::producer::{check_failed, run, text};

#[tokio::test]
async fn a_cut_gzip_file_gives_what_it_has_and_says_where_it_ends() {
    let redis = RedisServer::start();
    let folder = Folder::new();
    let whole = gzip(views(2_000, 50).as_bytes());
    let cut = folder.write("cut.gz", &whole[..whole.len() / 2]);
    let output = run(&redis, &["replay", &cut, "--speed", "max"], b"").await;
    let at = format!("at byte {}", whole.len() / 2);
    check_failed(&output, 1, &["cut.gz is cut off", &at, "behind line ", "with --resume"]);
    let published = total(&redis).await;
    assert!((500..2_000).contains(&published), "{published}");
    let summary = format!(": {published} page views in {published} lines\n");
    assert!(text(&output.stdout).ends_with(&summary), "{}", text(&output.stdout));
}

#[tokio::test]
async fn what_is_no_log_is_named() {
    let redis = RedisServer::start();
    let folder = Folder::new();
    let damaged = {
        let mut bytes = gzip(views(2_000, 50).as_bytes());
        let middle = bytes.len() / 2;
        bytes[middle..middle + 40].fill(0xff);
        bytes
    };
    for (path, says) in [
        (folder.path("none"), "none can't be opened: No such file"),
        (folder.path("."), "is a directory"),
        (folder.write("binary", b"\x7fELF\x02\x01\0\0\0\0\n\0\n"), "is binary, no access log"),
        (folder.write("poem", "roses\nare\nred\n"), "none of its 3 lines could be read"),
        (folder.write("log.zst", b"\x28\xb5\x2f\xfd\0\0\0\0"), "compressed with zstd"),
        (folder.write("damaged.gz", damaged), "damaged.gz is damaged: its gzip data"),
    ] {
        let output = run(&redis, &["replay", &path, "--speed", "max"], b"").await;
        check_failed(&output, 1, &[says]);
    }
}

#[tokio::test]
async fn a_state_file_that_does_not_fit_is_named_and_nothing_published() {
    let redis = RedisServer::start();
    let folder = Folder::new();
    let log = folder.write("log", views(10, 1));
    let other = folder.write("other", format!("first\n{}", views(10, 1)));
    let state = folder.path("state");
    let flags = ["replay", &log, "--speed", "max", "--resume", &state];
    assert!(run(&redis, &flags, b"").await.status.success());
    let foreign = run(&redis, &["replay", &other, "--speed", "max", "--resume", &state], b"").await;
    check_failed(&foreign, 1, &["belongs to another log", "other has another first line"]);
    let again = run(&redis, &flags, b"").await;
    assert!(text(&again.stdout).contains(": 0 page views in 0 lines, behind the 10"));
    for (bytes, says) in [
        (&b"\0\0\0"[..], "is no state file of replay"),
        (b"{\"version\":1", "is no state file of replay"),
        (b"", "is no state file of replay"),
    ] {
        folder.write("state", bytes);
        check_failed(&run(&redis, &flags, b"").await, 1, &[says]);
    }
    let nowhere = folder.path("none/state");
    let output = run(&redis, &["replay", &log, "--speed", "max", "--resume", &nowhere], b"").await;
    check_failed(&output, 1, &["can't be written"]);
    assert_eq!(total(&redis).await, 10);
}

#[tokio::test]
async fn a_redis_that_refuses_ends_the_run_with_its_words() {
    let user = ["--user", "app", "on", ">secret", "+@all", "~*", "&other"];
    let redis = RedisServer::start_with(&user);
    let folder = Folder::new();
    let log = folder.write("log", views(10, 1));
    let url = format!("redis://app:secret@127.0.0.1:{}", redis.port());
    let output = run(&redis, &["replay", &log, "--speed", "max", "--redis-url", &url], b"").await;
    check_failed(&output, 1, &["line 1: ", "can't publish to the channel"]);
    assert!(!text(&output.stderr).contains("secret"), "{}", text(&output.stderr));
    let wrong = format!("redis://app:wrong@127.0.0.1:{}", redis.port());
    let output = run(&redis, &["replay", &log, "--speed", "max", "--redis-url", &wrong], b"").await;
    check_failed(&output, 1, &["Password authentication failed"]);
    assert!(!text(&output.stderr).contains("wrong@"), "{}", text(&output.stderr));
}
