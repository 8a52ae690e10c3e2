//! Sentinels replace the primary: the gateway follows, clients stay, and what may have been
//! missed is told.

use std::process::Stdio;
use std::time::Duration;

use redcast_e2e::{
    Client, Gateway, GatewayOptions, SentinelOptions, SentinelSet, post_with, redcast, unix_ms,
    within,
};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::{Instant, sleep};

/// The bar is down-after and 3 s; stories have three times that.
const LIVE_WITHIN: Duration = Duration::from_secs(3 * (1 + 3));
/// The first number that is added when all else is done.
const AFTER: u64 = 1_000_000;
/// A publish over the API is answered within this time, whatever happens.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

async fn gateway(set: &SentinelSet) -> Gateway {
    let config = "[[endpoints]]\npath = \"/ws/news\"\nchannels = [\"news\"]\n\
                  [[endpoints]]\npath = \"/ws/log\"\nchannels = [\"log\"]\n\
                  [[channels]]\npattern = \"log\"\nsource = \"stream\"\n[api]\nkey = \"k\"\n";
    Gateway::ready(GatewayOptions {
        redis_url: Some(set.url()),
        config: config.to_owned(),
        ..Default::default()
    })
    .await
}

async fn publish(producer: &mut MultiplexedConnection, event: &str) -> redis::RedisResult<u64> {
    redis::cmd("PUBLISH").arg(&["news", event]).query_async(producer).await
}

/// Publishes to the primary until somebody listens; answers when nobody did, for the first
/// time.
async fn until_heard(set: &mut SentinelSet, event: &str) -> Option<u64> {
    let mut producer = set.connection().await;
    let mut unheard = None;
    within(LIVE_WITHIN, "the new primary is listened to", async || {
        let listeners = publish(&mut producer, event).await.unwrap();
        if listeners == 0 {
            unheard.get_or_insert_with(unix_ms);
        }
        listeners > 0
    })
    .await;
    unheard
}

/// Reads to the event; answers the one gap before it.
async fn gap_before(client: &mut Client, event: &str) -> Value {
    let mut gap = None;
    loop {
        let said = client.json().await;
        match said["type"].as_str() {
            Some("gap") => assert!(gap.replace(said).is_none(), "a second gap"),
            Some("event") if said["data"] == event => return gap.expect("a gap before the event"),
            // Published while the primary was being replaced, and heard.
            Some("event") => {}
            _ => panic!("unexpected: {said}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_costs_one_gap_that_covers_what_was_lost() {
    let mut set = SentinelSet::start().await;
    let gateway = gateway(&set).await;
    let mut client = gateway.connect_envelope("/ws/news").await;
    client.settled().await;
    for round in 0..3 {
        let event = format!("after {round}");
        set.failover().await;
        let begun = Instant::now();
        let unheard = until_heard(&mut set, &json!(event).to_string()).await;
        println!("round {round}: heard {:?} after the new primary was named", begun.elapsed());
        let gap = gap_before(&mut client, &event).await;
        let (from, to) = (gap["from"].as_u64().unwrap(), gap["to"].as_u64().unwrap());
        assert!(from <= to && unheard.is_none_or(|at| from <= at), "{gap}, {unheard:?}");
        gateway.until_ready().await;
        // The former primary has to be a replica again before the next one.
        set.until_complete().await;
    }
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.value("redcast_connections_opened_total"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_replaced_under_traffic_and_no_publish_hangs() {
    let mut set = SentinelSet::start().await;
    let gateway = gateway(&set).await;
    let mut client = gateway.connect_envelope("/ws/news").await;
    client.settled().await;
    let old = set.kill_primary().await;
    let (killed, key) = (Instant::now(), ("Authorization", "Bearer k"));
    let (mut refused, mut published) = (0, 0);
    while published < 5 {
        let asked = Instant::now();
        let answer = post_with(gateway.public(), "/api/publish/news", &[key], "\"x\"").await;
        assert!(asked.elapsed() < ANSWERED_WITHIN, "answered after {:?}", asked.elapsed());
        match answer.status {
            200 => published += 1,
            503 => refused += 1,
            _ => panic!("{answer:?}"),
        }
        assert!(killed.elapsed() < LIVE_WITHIN, "no publish after {:?}", killed.elapsed());
    }
    assert!(refused > 0, "it was away");
    println!("{refused} refused, published again {:?} after the kill", killed.elapsed());
    let new = set.until_replaced(old).await;
    assert_ne!(old, new);
    until_heard(&mut set, "\"after\"").await;
    println!("heard again {:?} after the kill", killed.elapsed());
    gap_before(&mut client, "after").await;
    gateway.until_ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_primary_that_goes_on_alone_is_left() {
    let mut set = SentinelSet::start().await;
    let gateway = gateway(&set).await;
    let mut client = gateway.connect_envelope("/ws/news").await;
    client.settled().await;
    let (old, new) = set.split_brain().await;
    let mut at_old = set.server_at(old).connection().await;
    let left = within(LIVE_WITHIN, "the old primary is left", async || {
        publish(&mut at_old, "\"lost\"").await.unwrap() == 0
    })
    .await;
    println!("the old primary is left {left:?} after its successor was named");
    until_heard(&mut set, "\"after\"").await;
    gap_before(&mut client, "after").await;
    let key = ("Authorization", "Bearer k");
    let answer = post_with(gateway.public(), "/api/publish/news", &[key], "\"ours\"").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(client.json().await["data"], "ours", "published to {new}");
    // The old one is made a replica, and nobody goes back to it.
    set.reconnect(old).await;
    until_heard(&mut set, "\"last\"").await;
    assert_eq!(client.json().await["data"], "last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_primary_that_refuses_the_first_dials_is_dialled_on() {
    // Long, because the sentinels are refused as well and must not elect another one.
    let options = SentinelOptions { down_after: Duration::from_secs(60), ..Default::default() };
    let mut set = SentinelSet::start_with(options).await;
    let gateway = gateway(&set).await;
    let mut client = gateway.connect_envelope("/ws/news").await;
    client.settled().await;
    set.shut_replicas().await;
    set.failover().await;
    gateway.until("/readyz is 503", async || gateway.ask("/readyz").await.status == 503).await;
    // How many dials are refused is what is tested.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(gateway.ask("/readyz").await.status, 503);
    set.open_replicas().await;
    let back = within(LIVE_WITHIN, "it is ready again", async || {
        gateway.ask("/readyz").await.status == 200
    })
    .await;
    println!("ready {back:?} after dials are taken");
    until_heard(&mut set, "\"after\"").await;
    gap_before(&mut client, "after").await;
}

/// The numbers that the primary holds of the stream channel.
async fn kept(set: &mut SentinelSet) -> Vec<u64> {
    let mut range = redis::cmd("XRANGE");
    range.arg(&["log", "-", "+"]);
    let entries: Vec<(String, Vec<(String, u64)>)> =
        range.query_async(&mut set.connection().await).await.unwrap();
    entries.into_iter().map(|(_, fields)| fields[0].1).collect()
}

/// Adds [`AFTER`] and what follows to the stream of the primary, as long as it is polled: the
/// gateway may still be with the one of before, and be reset past the first of them.
async fn add_after(mut primary: MultiplexedConnection) {
    for number in AFTER.. {
        let mut add = redis::cmd("XADD");
        add.arg(&["log", "*", "data"]).arg(number);
        add.exec_async(&mut primary).await.unwrap();
        sleep(Duration::from_millis(50)).await;
    }
}

/// Reads to the first event that was added after all; answers the numbers since the last
/// reset, and whether there was one.
async fn numbers(client: &mut Client) -> (Vec<u64>, bool) {
    let (mut numbers, mut was_reset) = (Vec::new(), false);
    while numbers.last().is_none_or(|last| *last < AFTER) {
        let said = client.json().await;
        match said["type"].as_str() {
            Some("event") => numbers.push(said["data"].as_u64().unwrap()),
            Some("reset") => {
                numbers.clear();
                was_reset = true;
            }
            _ => panic!("unexpected: {said}"),
        }
    }
    (numbers, was_reset)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_channel_survives_a_kill_and_a_failover_under_traffic() {
    let mut set = SentinelSet::start().await;
    let gateway = gateway(&set).await;
    let mut client = gateway.connect_envelope("/ws/log").await;
    client.settled().await;
    let key = ("Authorization", "Bearer k");
    let (mut number, mut acknowledged) = (0, Vec::new());
    for phase in 0..3 {
        match phase {
            0 => {}
            1 => {
                set.kill_primary().await;
            }
            _ => {
                let dead = set.until_replaced(0).await;
                set.failover().await;
                println!("from {dead} to {}", set.primary_port().await);
            }
        }
        let enough = acknowledged.len() + 100;
        let begun = Instant::now();
        while acknowledged.len() < enough {
            let body = number.to_string();
            let answer = post_with(gateway.public(), "/api/publish/log", &[key], &body).await;
            match answer.status {
                200 => acknowledged.push(number),
                503 => sleep(Duration::from_millis(10)).await,
                _ => panic!("{answer:?}"),
            }
            number += 1;
            assert!(begun.elapsed() < 2 * LIVE_WITHIN, "nothing is acknowledged any more");
        }
    }
    // A primary that was replaced takes writes until it hears of it, so only what the new one
    // brings says that all resets were told.
    let primary = set.connection().await;
    let (told, was_reset) = tokio::select! {
        told = numbers(&mut client) => told,
        () = add_after(primary) => unreachable!("numbers do not end"),
    };
    let mut kept = kept(&mut set).await;
    kept.retain(|number| number <= told.last().unwrap());
    println!("reset: {was_reset}; {} acknowledged, {} kept", acknowledged.len(), kept.len());
    match was_reset {
        true => assert!(kept.ends_with(&told), "kept {kept:?}, told {told:?}"),
        false => {
            assert_eq!(told, kept, "all of it, in order, once");
            let is_kept = |number: &u64| kept.binary_search(number).is_ok();
            assert!(acknowledged.iter().all(is_kept), "what was acknowledged is lost");
        }
    }
    assert_eq!(gateway.metrics().await.value("redcast_connections_opened_total"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_commands_follow_the_primary() {
    let mut set = SentinelSet::start().await;
    let url = set.url();
    let command = |name: &str, last: &[&str]| {
        let mut command = redcast();
        command.args([name, "news"]).args(last).env("REDCAST_REDIS__URL", &url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command.spawn().unwrap()
    };
    let mut subscriber = command("subscribe", &["--count", "4"]);
    let mut publisher = command("publish", &[]);
    let mut lines = publisher.stdin.take().unwrap();
    let mut printed = BufReader::new(subscriber.stdout.take().unwrap()).lines();
    for round in 0..2 {
        // The one whose word comes first is the one that listens.
        until_heard(&mut set, "\"anybody\"").await;
        assert_eq!(printed.next_line().await.unwrap().unwrap(), "\"anybody\"");
        let line = format!("\"line {round}\"");
        lines.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        assert_eq!(printed.next_line().await.unwrap().unwrap(), line);
        if round == 0 {
            set.failover().await;
        }
    }
    drop(lines);
    assert!(publisher.wait().await.unwrap().success());
    assert!(subscriber.wait().await.unwrap().success());
}
