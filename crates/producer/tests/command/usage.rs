//! Flags and variables that can't be meant, each with its exit code and one sentence.

use redcast_e2e::RedisServer;

use crate::log_file::{Folder, total, views};
use crate::producer::{check_failed, printed, producer, run_command, text};

const URL: [&str; 2] = ["--redis-url", "redis://127.0.0.1:1"];

#[tokio::test]
async fn wrong_usage_is_2() {
    for flags in [
        &["replay", "log", "--speed", "fast"][..],
        &["replay", "log", "--speed", "-1"],
        &["replay"],
        &["demo", "--rate", "0"],
        &["collect", "--rate", "many"],
        &["--log-level", "loud", "demo"],
        &["bake"],
        &[],
    ] {
        let output = run_command(producer(flags), b"").await;
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", text(&output.stderr));
    }
}

#[tokio::test]
async fn wrong_configuration_is_78() {
    let check = async |flags: &[&str], env: &[(&str, &str)], part: &str| {
        let mut command = producer(flags);
        command.envs(env.iter().copied());
        check_failed(&run_command(command, b"").await, 78, &[part]);
    };
    check(&["demo"], &[], "no Redis: set --redis-url").await;
    check(&["demo", "--redis-url", "nonsense"], &[], "the Redis URL").await;
    check(&["demo", "--redis-url-file", "/none"], &[], "--redis-url-file /none: No such").await;
    let file = ["--redis-url-file", "/none"];
    check(&["demo", URL[0], URL[1], file[0], file[1]], &[], "both set").await;
    let both =
        [("REDCAST_PRODUCER_REDIS_URL", URL[1]), ("REDCAST_PRODUCER_REDIS_URL_FILE", "/none")];
    check(&["demo"], &both, "both set").await;
    check(&["demo", file[0], file[1]], &both[..1], "--redis-url-file /none: No such").await;
    check(&["replay", "log", URL[0], URL[1], "--site", "https://a"], &[], "is no host").await;
    check(&["demo", URL[0], URL[1], "--channel", "a b"], &[], "the channel \"a b\"").await;
    let misspelt = [("REDCAST_PRODUCER_REDIS", "redis://127.0.0.1:6379")];
    check(&["demo"], &misspelt, "REDCAST_PRODUCER_REDIS: no flag has such a variable").await;
    let collect = ["collect", URL[0], URL[1]];
    let and = |more: &[&'static str]| [&collect[..], more].concat();
    check(&collect, &[], "no site").await;
    check(&and(&["--site", "https://acme.example"]), &[], "is no host").await;
    let all = ["--site", "*"];
    check(&and(&[&all[..], &["--allowed-origin", "acme"]].concat()), &[], "origin").await;
    check(&and(&[&all[..], &["--trusted-proxy", "ten"]].concat()), &[], "is no network").await;
    check(&and(&[&all[..], &["--listen", "8090"]].concat()), &[], "is no address").await;
    check(&and(&[&all[..], &["--admin-listen", "on"]].concat()), &[], "is no address").await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let flags = ["collect", URL[0], URL[1], "--site", "*", "--listen", &address];
    check_failed(&run_command(producer(&flags), b"").await, 1, &["can't listen at", &address]);
}

#[tokio::test]
async fn the_url_may_stand_in_a_file_and_service_links_are_no_flags() {
    let redis = RedisServer::start();
    let folder = Folder::new();
    let log = folder.write("log", views(3, 1));
    let url = folder.write("url", format!("{}\n", redis.url()));
    let mut command = producer(&["replay", &log, "--speed", "max"]);
    command
        .env("REDCAST_PRODUCER_REDIS_URL_FILE", url)
        .env("REDCAST_PRODUCER_PORT", "tcp://10.0.0.1:8090")
        .env("REDCAST_PRODUCER_PORT_8090_TCP_ADDR", "10.0.0.1")
        .env("REDCAST_PRODUCER_SERVICE_HOST", "10.0.0.1");
    printed(&run_command(command, b"").await);
    assert_eq!(total(&redis).await, 3);
}

#[tokio::test]
async fn a_flag_wins_over_the_variable_of_the_flag_that_means_the_same() {
    let redis = RedisServer::start();
    let folder = Folder::new();
    let log = folder.write("log", views(3, 1));
    let (replay, url) = (["replay", &log, "--speed", "max"], redis.url());
    // Before the command as well as behind it.
    for flags in [[&["--redis-url", &url], &replay[..]], [&replay[..], &["--redis-url", &url]]] {
        let mut command = producer(&flags.concat());
        command.env("REDCAST_PRODUCER_REDIS_URL_FILE", "/none");
        printed(&run_command(command, b"").await);
    }
    assert_eq!(total(&redis).await, 6);
}

#[tokio::test]
async fn help_and_version_are_on_standard_output() {
    for command in [&["--help"][..], &["collect", "--help"], &["replay", "-h"], &["demo", "-h"]] {
        let help = printed(&run_command(producer(command), b"").await);
        assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
    }
    let version = printed(&run_command(producer(&["--version"]), b"").await);
    assert_eq!(version, concat!("redcast-producer ", env!("CARGO_PKG_VERSION"), "\n"));
}
