//! Tests of what is refused at start.

use super::*;

fn read(url: &str) -> Result<(), BrokerConfigError> {
    RedisConfig { url: url.to_owned(), ..RedisConfig::default() }.check()
}

#[test]
fn tcp_and_unix_urls_are_read() {
    for url in [
        "redis://127.0.0.1:6379",
        "redis://user:secret@redis.example/3",
        "rediss://user:secret@redis.example:6380/3",
        "unix:///run/redis.sock",
        "redis+unix:///run/redis.sock?user=a&pass=b",
        "redis+sentinel://user:secret@a.example,b.example:26380/orders/3",
        "redis+cluster://user:secret@a.example,b.example:7000",
    ] {
        assert!(read(url).is_ok(), "{url}: {:?}", read(url).err());
    }
}

#[test]
fn other_schemes_are_refused_by_name_and_with_the_node_that_has_them() {
    for scheme in ["redis+tls", "rediss+unix", "http"] {
        let url = format!("{scheme}://host:1");
        let error = read(&url).unwrap_err();
        assert_eq!(error, BrokerConfigError::UnsupportedScheme(scheme.to_owned()));
        let sentence = format!("redis.url: unsupported scheme \"{scheme}\"; use redis://");
        assert!(error.to_string().starts_with(&sentence), "{error}");
        assert!(error.to_string().contains("redis+cluster://"), "{error}");
        let nodes = vec!["redis://host".to_owned(), url];
        let error = RedisConfig { nodes, ..RedisConfig::default() }.check().unwrap_err();
        let sentence = format!("redis.nodes: number 2: unsupported scheme \"{scheme}\"");
        assert!(error.to_string().starts_with(&sentence), "{error}");
    }
}

#[test]
fn tls_is_never_half_on() {
    let error = read("rediss://host/#insecure").unwrap_err();
    assert!(error.to_string().contains("redis.tls.ca_file"), "{error}");
}

#[test]
fn a_broken_url_is_refused_without_telling_its_password() {
    for url in ["localhost:6379", "redis://u:hunter2@host:port", "redis://:hunter2@host/x"] {
        let error = read(url).unwrap_err();
        assert!(matches!(error, BrokerConfigError::InvalidUrl(_)), "{url}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn debug_never_shows_the_password() {
    let url = "redis://user:hunter2@host".to_owned();
    let config = RedisConfig { url, ..RedisConfig::default() };
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn where_a_channel_is_tells_no_password() {
    let channel = Channel::parse("orders:2").unwrap();
    for (url, place) in [
        ("redis://user:hunter2@host:1/2", "redis://host:1/2"),
        ("redis://:hunter2/x@host", "redis://host"),
        ("unix:///run/r.sock?pass=hunter2", "unix:///run/r.sock"),
        ("redis+sentinel://:hunter2@a,b/orders", "redis+sentinel://a,b/orders"),
    ] {
        let config = RedisConfig { url: url.to_owned(), ..RedisConfig::default() };
        assert_eq!(config.place_of(&channel), place);
        let nodes = vec!["redis://other".to_owned(), url.to_owned()];
        let config = RedisConfig { nodes, ..RedisConfig::default() };
        assert_eq!(config.place_of(&channel), place, "the second of two has orders:2");
    }
}

#[test]
fn values_that_could_never_work_are_named() {
    let queue = QueueLimits { events: 10, bytes: 100 };
    let config = RedisConfig { queue, max_event_size: 101, ..RedisConfig::default() };
    let error = config.check().unwrap_err();
    assert_eq!(error.to_string(), "redis.queue.bytes: must hold an event of max_event_size");

    let cluster = || RedisConfig { url: "redis+cluster://a".to_owned(), ..RedisConfig::default() };
    assert!(RedisConfig { sharded: true, ..cluster() }.check().is_ok());
    for (config, sentence) in [
        (
            RedisConfig { sharded: true, ..RedisConfig::default() },
            "redis.sharded: needs a redis+cluster:// URL",
        ),
        (
            RedisConfig { prefix: "a}".to_owned(), ..cluster() },
            "redis.prefix: has a brace, which would choose the slot",
        ),
        (
            RedisConfig { nodes: vec!["redis+cluster://a".to_owned()], ..cluster() },
            "redis.nodes: must be single servers",
        ),
    ] {
        assert_eq!(config.check().unwrap_err().to_string(), sentence);
    }

    let config = RedisConfig { dead_after: Duration::ZERO, ..RedisConfig::default() };
    assert!(config.check().is_err());
}
