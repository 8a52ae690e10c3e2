//! `/readyz` says whether what is published arrives, and why not; `fail_static` keeps an
//! outage that all instances share from making all of them unready; `/livez` never asks.

use std::time::Duration;

use redcast_e2e::{Gateway, GatewayOptions, RedisServer, post, run, within};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const CONFIG: &str = "[[endpoints]]\npath = \"/ws\"\nchannels = [\"news\"]\nsubscribe = [\"*\"]\n\
    [api]\nkey = \"key\"\n";
/// A hang or a loss is seen within this time.
const SEEN_WITHIN: Duration = Duration::from_secs(3);
/// What is whole again is seen within this time.
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// A proof lives for three seconds, and one may have just been made; a busy machine adds.
const UNPROVEN_WITHIN: Duration = Duration::from_secs(9);

fn options(redis_url: String, fail_static: bool) -> GatewayOptions {
    let config = format!("[admin]\nfail_static = {fail_static}\n{CONFIG}");
    GatewayOptions { redis_url: Some(redis_url), config, ..Default::default() }
}

async fn checks(gateway: &Gateway) -> Value {
    let body = gateway.ask("/readyz?verbose").await.body;
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

async fn until_status(gateway: &Gateway, status: u16, limit: Duration) -> Duration {
    let what = format!("/readyz is {status}");
    within(limit, &what, async || gateway.ask("/readyz").await.status == status).await
}

async fn until_proven(gateway: &Gateway, proven: bool, limit: Duration) -> Duration {
    let what = format!("delivery_proven is {proven}");
    let is_so = async || checks(gateway).await["checks"]["delivery_proven"] == proven;
    within(limit, &what, is_so).await
}

async fn acl(operator: &mut MultiplexedConnection, user: &str, rules: &str) {
    let mut set = redis::cmd("ACL");
    set.arg("SETUSER").arg(user).arg(rules.split(' ').collect::<Vec<_>>());
    set.query_async::<()>(operator).await.unwrap();
}

/// The URL for a user of this name, who may do everything.
async fn user(redis: &RedisServer, operator: &mut MultiplexedConnection, name: &str) -> String {
    acl(operator, name, "on >secret ~* +@all &*").await;
    format!("redis://{name}:secret@127.0.0.1:{}", redis.port())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_redis_is_told_by_readiness_and_metrics_and_never_by_livez() {
    let redis = RedisServer::start();
    let gateway = Gateway::ready(options(redis.url(), false)).await;
    let _client = gateway.connect("/ws").await;
    let well = checks(&gateway).await;
    assert_eq!((&well["ready"], well.get("reason")), (&json!(true), None));
    assert!(well["checks"]["last_proof_seconds"].as_f64().unwrap() < 3.0, "{well}");
    assert_eq!(gateway.metrics().await.value("redcast_redis_delivery_ok"), 1.0);

    redis.freeze();
    let seen = until_status(&gateway, 503, SEEN_WITHIN).await;
    let ill = checks(&gateway).await;
    assert!(!ill["reason"].as_str().unwrap().is_empty(), "{ill}");
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.value("redcast_redis_delivery_ok"), 0.0);
    let age = metrics.value("redcast_redis_last_proof_seconds");
    assert!((1.0..20.0).contains(&age), "{age}");
    assert_eq!(gateway.ask("/livez").await.status, 200);

    redis.thaw();
    let back = until_status(&gateway, 200, BACK_WITHIN).await;
    println!("hung: not ready after {seen:?}, ready {back:?} after its return");
    assert_eq!(gateway.ask("/livez").await.status, 200);
    assert_eq!(gateway.metrics().await.value("redcast_events_received_total"), 0.0, "no event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_fail_static_an_outage_that_all_share_empties_nothing() {
    let mut redis = RedisServer::start();
    let gateway = Gateway::ready(options(redis.url(), true)).await;
    let _client = gateway.connect("/ws").await;
    for kill in [false, true] {
        if kill {
            redis.kill();
        } else {
            redis.freeze();
        }
        until_proven(&gateway, false, UNPROVEN_WITHIN).await;
        // Whoever starts meanwhile has never been ready: no client was sent there.
        let late = Gateway::start(options(redis.url(), true)).await;
        let end = Instant::now() + Duration::from_secs(4);
        while Instant::now() < end {
            assert_eq!(gateway.ask("/readyz").await.status, 200);
            assert_eq!(late.ask("/readyz").await.status, 503);
            assert_eq!(gateway.metrics().await.value("redcast_redis_delivery_ok"), 0.0);
            sleep(Duration::from_millis(100)).await;
        }
        let ill = checks(&gateway).await;
        assert_eq!((&ill["ready"], ill.get("reason")), (&json!(true), None), "{ill}");
        assert!(ill["checks"]["complaint"].is_string(), "{ill}");
        if kill {
            redis.restart();
        } else {
            redis.thaw();
        }
        until_proven(&gateway, true, BACK_WITHIN).await;
        until_status(&late, 200, BACK_WITHIN).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_fail_static_what_one_instance_alone_is_refused_still_counts() {
    let redis = RedisServer::start();
    let mut operator = redis.connection().await;
    let mut gateways = Vec::new();
    for name in ["a", "b"] {
        let url = user(&redis, &mut operator, name).await;
        gateways.push(Gateway::ready(options(url, true)).await);
    }
    let [a, b] = &gateways[..] else { panic!("two gateways") };
    let _clients = [a.connect("/ws").await, b.connect("/ws").await];
    for gateway in [a, b] {
        gateway.until_metric("redcast_redis_channels", 1.0).await;
    }

    acl(&mut operator, "a", "resetchannels &redcast:*").await;
    until_status(a, 503, UNPROVEN_WITHIN).await;
    assert_eq!(b.ask("/readyz").await.status, 200);
    // And it stays so when Redis goes away on top of it.
    redis.freeze();
    until_proven(b, false, UNPROVEN_WITHIN).await;
    assert_eq!(a.ask("/readyz").await.status, 503);
    assert_eq!(b.ask("/readyz").await.status, 200);
    redis.thaw();
    until_proven(b, true, BACK_WITHIN).await;

    acl(&mut operator, "a", "&*").await;
    until_status(a, 200, BACK_WITHIN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_taken_is_told_in_a_sentence_and_heals_when_given_back() {
    let redis = RedisServer::start();
    let mut operator = redis.connection().await;
    let url = user(&redis, &mut operator, "gateway").await;
    let gateway = Gateway::ready(options(url, false)).await;
    let mut client = gateway.connect_envelope("/ws").await;
    // One that was never live would be refused to its client, and missed by nobody.
    gateway.until_metric("redcast_redis_channels", 1.0).await;
    for (taken, told) in [
        ("resetchannels &redcast:*", "news"),
        ("resetchannels &news", "redcast:canary:"),
        ("-publish", "refused a PUBLISH"),
    ] {
        acl(&mut operator, "gateway", taken).await;
        until_status(&gateway, 503, UNPROVEN_WITHIN).await;
        let reason = checks(&gateway).await["reason"].to_string();
        assert!(reason.contains("NOPERM") && reason.contains(told), "{taken}: {reason}");
        assert_eq!(gateway.ask("/livez").await.status, 200);
        acl(&mut operator, "gateway", "&* +publish").await;
        let back = until_status(&gateway, 200, BACK_WITHIN).await;
        println!("{taken}: ready {back:?} after it was given back");
    }
    let publish = async || post(gateway.public(), "/api/publish/news", Some("key"), "1").await;
    assert_eq!(publish().await.status, 200);
    while client.json().await["type"] != "event" {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_is_in_a_channel_of_redcast_s_own() {
    let redis = RedisServer::start();
    let gateway = Gateway::ready(options(redis.url(), false)).await;
    let mut client = gateway.connect_envelope("/ws").await;
    client.send(r#"{"type":"subscribe","channel":"redcast:canary:x","id":1}"#).await;
    let answer = client.json().await;
    assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("forbidden")));
    assert!(answer["message"].as_str().unwrap().contains("Redcast's own"), "{answer}");

    let refused = post(gateway.public(), "/api/publish/redcast:canary:x", Some("key"), "1").await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("Redcast's own"), "{}", refused.body);

    let url = redis.url();
    let output = run(&["publish", "redcast:canary:x", "1", "--redis-url", &url], &[]).await;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Redcast's own"), "{said}");

    let config = "[[endpoints]]\npath = \"/ws\"\nchannels = [\"redcast:canary:x\"]\n";
    let (_kept, path) = redcast_e2e::config_file(config);
    let output = run(&["check-config", "--config", &path], &[]).await;
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("endpoints[0].channels[0]") && said.contains("Redcast's own"), "{said}");
}
