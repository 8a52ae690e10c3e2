//! Channels spread over several Redis servers: a plain producer finds the right one, and
//! one that is away takes nothing but its own channels with it.

use std::process::Stdio;

use redcast_e2e::{Gateway, GatewayOptions, RedisServer, canary, redcast, run};
use serde_json::{Value, json};
use tokio::process::Command;

const CHANNELS: usize = 12;

struct Nodes([RedisServer; 2]);

impl Nodes {
    fn start() -> Self {
        Self([RedisServer::start(), RedisServer::start()])
    }

    /// As the settings have them; each with a secret that must not be told.
    fn urls(&self) -> Vec<String> {
        let url =
            |node: &RedisServer| format!("redis://default:{}@127.0.0.1:{}", canary(), node.port());
        self.0.iter().map(url).collect()
    }

    fn config(&self) -> String {
        let urls = self.urls();
        format!(
            "[redis]\nnodes = {urls:?}\nprefix = \"live:\"\n\
             [[endpoints]]\npath = \"/ws/all\"\nsubscribe = [\"*\"]\n\
             [api]\nkey = \"k\"\n"
        )
    }

    /// What `redcast publish --where` says of a channel.
    async fn place(&self, channel: &str) -> String {
        let urls = self.urls().join(",");
        let env = [("REDCAST_REDIS__NODES", urls.as_str()), ("REDCAST_REDIS__PREFIX", "live:")];
        let output = run(&["publish", "--where", channel], &env).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

async fn gateway(nodes: &Nodes) -> Gateway {
    Gateway::ready(GatewayOptions { config: nodes.config(), ..Default::default() }).await
}

fn names() -> Vec<String> {
    (0..CHANNELS).map(|number| format!("orders:{number}")).collect()
}

/// `redis-cli -u PLACE PUBLISH`, as the docs tell a producer; answers who heard it.
async fn redis_cli(place: &str, channel: &str, event: &str) -> u64 {
    let command = Command::new("redis-cli")
        .args(["-u", place, "PUBLISH", &format!("live:{channel}"), event])
        .stdin(Stdio::null())
        .output();
    let output = command.await.expect("redis-cli starts (apt-get install redis-tools)");
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().parse().unwrap_or_else(|_| panic!("no number of listeners: {text}"))
}

async fn joined(gateway: &Gateway, channels: &[String]) -> redcast_e2e::Client {
    let mut client = gateway.connect_envelope("/ws/all").await;
    client.send(&json!({"type":"subscribe","channels":channels,"id":1}).to_string()).await;
    assert_eq!(client.json().await["type"], "ack");
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_producer_finds_the_node_that_is_heard() {
    let nodes = Nodes::start();
    let gateway = gateway(&nodes).await;
    let channels = names();
    let mut client = joined(&gateway, &channels).await;
    let places: Vec<String> = nodes.0.iter().map(RedisServer::url).collect();
    let mut used = [0; 2];
    for channel in &channels {
        let place = nodes.place(channel).await;
        let index = places.iter().position(|known| *known == place);
        let index = index.unwrap_or_else(|| panic!("{place} is none of {places:?}"));
        used[index] += 1;
        assert_eq!(redis_cli(&places[1 - index], channel, "1").await, 0, "the other is deaf");
        assert_eq!(redis_cli(&place, channel, "2").await, 1);
        let event = client.json().await;
        assert_eq!((&event["channel"], &event["data"]), (&json!(channel), &json!(2)));
    }
    assert!(used.iter().all(|count| *count > 0), "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_commands_and_the_api_go_to_the_same_nodes() {
    let nodes = Nodes::start();
    let gateway = gateway(&nodes).await;
    let channels = names();
    let mut client = joined(&gateway, &channels).await;
    let urls = nodes.urls().join(",");
    let env = [("REDCAST_REDIS__NODES", urls.as_str()), ("REDCAST_REDIS__PREFIX", "live:")];

    let mut subscriber = redcast();
    subscriber.arg("subscribe").args(&channels).args(["--json", "--count", "24"]);
    subscriber.envs(env).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let subscriber = subscriber.spawn().unwrap();
    for channel in &channels {
        let producer = match nodes.place(channel).await == nodes.0[0].url() {
            true => nodes.0[0].connection().await,
            false => nodes.0[1].connection().await,
        };
        let name = format!("live:{channel}");
        gateway
            .until("both are subscribed", async || {
                let mut producer = producer.clone();
                let numsub: (String, u64) = redis::cmd("PUBSUB")
                    .arg(&["NUMSUB", &name])
                    .query_async(&mut producer)
                    .await
                    .unwrap();
                numsub.1 == 2
            })
            .await;
        let output = run(&["publish", channel, "\"by hand\""], &env).await;
        assert!(output.status.success(), "{output:?}");
        assert_eq!(client.json().await["data"], "by hand");
        let path = format!("/api/publish/{channel}");
        let key = ("Authorization", "Bearer k");
        let answer = redcast_e2e::post_with(gateway.public(), &path, &[key], "\"by API\"").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(client.json().await["data"], "by API");
    }
    let output = subscriber.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.lines().count(), 24, "{printed}");
    for channel in &channels {
        assert_eq!(printed.matches(&format!("{channel:?}")).count(), 2, "{printed}");
    }

    let output = run(&["publish", "--where", "orders:1", "--json"], &env).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["redis_channel"], "live:orders:1");
    assert!(!output.stdout.windows(8).any(|text| canary().as_bytes().starts_with(text)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_away_is_named_and_the_others_go_on() {
    let mut nodes = Nodes::start();
    let gateway = gateway(&nodes).await;
    let channels = names();
    let mut client = joined(&gateway, &channels).await;
    let mut places = Vec::new();
    for channel in &channels {
        places.push(nodes.place(channel).await);
    }
    let port = nodes.0[1].port();
    let kept: Vec<&String> = channels
        .iter()
        .zip(&places)
        .filter(|(_, place)| **place == nodes.0[0].url())
        .map(|(channel, _)| channel)
        .collect();

    nodes.0[1].kill();
    gateway.until("/readyz is 503", async || gateway.ask("/readyz").await.status == 503).await;
    let told = gateway.ask("/readyz?verbose").await.body;
    assert!(told.contains(&format!("127.0.0.1:{port}")), "{told}");
    assert!(!told.contains(&nodes.0[0].port().to_string()) && !told.contains(canary()), "{told}");
    for channel in &kept {
        assert_eq!(redis_cli(&nodes.0[0].url(), channel, "1").await, 1);
        let event = client.json().await;
        assert_eq!((&event["type"], &event["channel"]), (&json!("event"), &json!(channel)));
    }

    nodes.0[1].restart();
    gateway.until_ready().await;
    let mut gaps = Vec::new();
    for _ in kept.len()..channels.len() {
        let gap = client.json().await;
        assert_eq!(gap["type"], "gap");
        gaps.push(gap["channel"].as_str().unwrap().to_owned());
    }
    assert!(gaps.iter().all(|channel| !kept.contains(&channel)), "{gaps:?}");
    for (channel, place) in channels.iter().zip(&places) {
        assert_eq!(redis_cli(place, channel, "2").await, 1);
        assert_eq!(client.json().await["data"], 2);
    }
}
