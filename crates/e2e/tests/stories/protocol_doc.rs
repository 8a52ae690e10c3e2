//! docs/PROTOCOL.md tells the truth: every transcript in it is played against a real
//! gateway over a real Redis, with the configuration that the page shows.

mod stage;
mod transcript;

use std::collections::BTreeMap;

use redcast_e2e::{Gateway, GatewayOptions, RedisServer};

use self::stage::play;
use self::transcript::{Step, Transcript, read_page};

/// What the page must show, by the titles of its transcripts.
const FEATURES: [&str; 47] = [
    "a refused handshake: path",
    "a refused handshake: origin",
    "a refused handshake: version",
    "a refused handshake: subprotocol",
    "a refused handshake: not an upgrade",
    "raw mode: a text event",
    "raw mode: a binary event",
    "envelope mode: welcome and events",
    "subscribe to one channel",
    "subscribe to many channels",
    "subscribe in raw mode",
    "unsubscribe",
    "ping",
    "unknown fields",
    "error: bad_request",
    "error: forbidden",
    "error: unknown_channel",
    "error: rate_limited by subscriptions",
    "error: rate_limited by commands",
    "error: not_supported",
    "gap: the link to Redis was lost",
    "gap: an event was too large",
    "stream: resume",
    "stream: recent events",
    "stream: raw mode",
    "stream: a reset in answer to a resume",
    "stream: a reset for every member",
    "reset",
    "reset on connect",
    "an endpoint without notices",
    "compression: agreed on",
    "compression: declined",
    "compression: a command",
    "close: the client says goodbye",
    "close: 1002",
    "close: 1003",
    "close: 1007",
    "close: 1008 after too many fragments",
    "close: 1008 after too many pings",
    "close: 1009",
    "close: 1012",
    "close: 4408",
    "snapshot: on connect",
    "snapshot: a hash, and values of the gateway",
    "snapshot: refresh_stats",
    "snapshot: stale",
    "snapshot: every 5 seconds",
];

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/PROTOCOL.md");
    std::fs::read_to_string(path).expect("the page can be read")
}

async fn start(config: &str, redis: &RedisServer) -> Gateway {
    Gateway::ready(GatewayOptions {
        redis_url: Some(redis.url()),
        config: config.to_owned(),
        ..Default::default()
    })
    .await
}

/// Plays all transcripts of a page; answers what did not hold, by title.
async fn play_all(page: &str) -> BTreeMap<String, String> {
    let redis = RedisServer::start();
    let mut producer = redis.connection().await;
    let mut gateways: BTreeMap<String, Gateway> = BTreeMap::new();
    let mut failed = BTreeMap::new();
    for transcript in read_page(page) {
        let Transcript { title, config, steps } = &transcript;
        let ends = steps.iter().any(|(_, step)| *step == Step::Terminate);
        let played = if ends {
            let mut gateway = start(config, &redis).await;
            let played = play(&transcript, &gateway, &mut producer).await;
            assert_eq!(gateway.exit().await.code(), Some(0), "{title}");
            played
        } else {
            if !gateways.contains_key(config) {
                gateways.insert(config.clone(), start(config, &redis).await);
            }
            play(&transcript, &gateways[config], &mut producer).await
        };
        failed.extend(played.err().map(|error| (title.clone(), error)));
    }
    failed
}

#[tokio::test]
async fn every_transcript_happens_as_it_is_told() {
    let failed = play_all(&page()).await;
    assert!(failed.is_empty(), "docs/PROTOCOL.md: {failed:#?}");
}

#[test]
fn every_feature_has_its_transcript() {
    let mut titles: Vec<String> = read_page(&page()).into_iter().map(|each| each.title).collect();
    let mut features = FEATURES.map(str::to_owned);
    titles.sort();
    features.sort();
    assert_eq!(titles, features);
}

/// A player that finds nothing wrong in these would find nothing wrong in anything.
#[tokio::test]
async fn a_transcript_that_is_wrong_is_noticed() {
    const CONFIG: &str = "```toml\n[deflate]\nmin_size = \"1B\"\n\n[[endpoints]]\n\
         path = \"/ws\"\nchannels = [\"a\"]\ndeflate = true\n```\n";
    const OFFER: &str = "connect /ws extensions=permessage-deflate";
    const WRONG: [(&str, &str); 12] = [
        ("another answer", "connect /ws\n> {\"type\":\"ping\"}\n< {\"type\":\"pang\"}"),
        ("another event", "connect /ws\n$ PUBLISH a 1\n< 2"),
        ("text for binary", "connect /ws\n$ PUBLISH a \"\\xff\"\n< …"),
        ("an answer too many", "connect /ws\n> {\"type\":\"ping\"}"),
        ("not so quiet", "connect /ws\n> {\"type\":\"ping\"}\n< (nothing)\n< {\"type\":\"pong\"}"),
        ("another code", "connect /ws\n> close 1000\n< close 1001"),
        ("another reason", "connect /ws\n> frame 82 00\n< close 1003 for another reason"),
        ("another status", "connect /nowhere\n< HTTP 403"),
        ("no refusal", "connect /ws\n> close 1000\n< HTTP 404"),
        ("nothing agreed", "OFFER\n$ PUBLISH a 1\n< 1"),
        ("another agreement", "OFFER\n< agreed permessage-deflate"),
        ("not compressed", "OFFER\n< agreed …\n$ PUBLISH a (99 bytes)\n< (99 bytes)"),
    ];
    let blocks = WRONG.map(|(title, steps)| {
        format!("```transcript\n# {title}\n{}\n```\n", steps.replace("OFFER", OFFER))
    });
    let failed = play_all(&(CONFIG.to_owned() + &blocks.concat())).await;
    let titles = WRONG.map(|(title, _)| title.to_owned());
    let missed: Vec<&String> = titles.iter().filter(|title| !failed.contains_key(*title)).collect();
    assert!(missed.is_empty(), "found nothing wrong in {missed:?}");
}
