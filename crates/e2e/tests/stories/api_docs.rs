//! The documents that a gateway serves about its API tell the truth: whatever it answers
//! over HTTP and says over WebSocket is recorded and judged by their schemas, which must
//! name every member.

mod schemas;

use redcast_e2e::{
    Client, Gateway, GatewayOptions, RedisServer, Response, get, post_with, request, run,
};
use serde_json::{Value, json};

use self::schemas::{AsyncApi, OpenApi};

const CONFIG: &str = "[[endpoints]]\npath = \"/ws/orders\"\nchannels = [\"orders\"]\n\
    subscribe = [\"orders:*\"]\n[[endpoints]]\npath = \"/ws/other\"\n\
    [[endpoints]]\npath = \"/ws/stats\"\nsnapshot = \"stats\"\n\
    [[endpoints]]\npath = \"/ws/list\"\nsnapshot = \"list\"\n\
    [[snapshots]]\nname = \"stats\"\nkey = \"stats\"\nevery = \"100ms\"\n\
    merge = { \"/data/clients\" = \"connections\", \"/timestamp\" = \"now\" }\n\
    [[snapshots]]\nname = \"list\"\nkey = \"list\"\n\
    [limits]\nmax_subscriptions = 2\nmax_event_size = \"1KiB\"\n";

type Header = (&'static str, &'static str);

const KEY: Header = ("Authorization", "Bearer k");
const NDJSON: Header = ("Content-Type", "application/x-ndjson");

async fn gateway(redis: &RedisServer, config: &str) -> Gateway {
    Gateway::ready(GatewayOptions {
        redis_url: Some(redis.url()),
        config: config.to_owned(),
        env: vec![("REDCAST_API__KEY".to_owned(), "k".to_owned())],
        ..Default::default()
    })
    .await
}

async fn document(gateway: &Gateway, path: &str) -> Value {
    let response = get(gateway.public(), path).await;
    assert_eq!(response.header("content-type"), Some("application/json"), "{path}");
    serde_json::from_str(&response.body).expect("a document is JSON")
}

/// Every answer of the publish API that can be had while Redis is there.
async fn publishes(gateway: &Gateway) -> Vec<Response> {
    let once = ("Idempotency-Key", "k");
    let large = "x".repeat(2 << 10);
    let requests: [(&str, &[Header], &str); 9] = [
        ("orders", &[KEY], "1"),
        ("orders", &[KEY, NDJSON], "1\n2\n"),
        ("orders", &[KEY, once], "1"),
        ("orders", &[KEY, once], "1"),
        ("orders", &[KEY, once], "2"),
        ("orders", &[KEY, NDJSON], "1\n{\n"),
        ("or*ders", &[KEY], "1"),
        ("orders", &[], "1"),
        ("orders", &[KEY], &large),
    ];
    let mut answers = Vec::new();
    for (channel, headers, body) in requests {
        let path = format!("/api/publish/{channel}");
        answers.push(post_with(gateway.public(), &path, headers, body).await);
    }
    answers
}

fn statuses(answers: &[Response]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

#[tokio::test]
async fn every_answer_over_http_is_as_described() {
    let mut redis = RedisServer::start();
    let gateway = gateway(&redis, CONFIG).await;
    let api = OpenApi::new(document(&gateway, "/openapi.json").await);
    assert_eq!(api.version(), ("3.1.0", env!("CARGO_PKG_VERSION")));
    let mut client = gateway.connect("/ws/orders").await;
    client.settled().await;
    let answers = publishes(&gateway).await;
    assert_eq!(statuses(&answers), [200, 200, 200, 200, 422, 400, 400, 401, 413]);
    for answer in &answers {
        api.judge("post", "/api/publish/{channel}", answer);
    }
    api.judge("get", "/api/info", &get(gateway.public(), "/api/info").await);
    states(&gateway, &redis, &api).await;
    for (asked, status) in
        [("/sse/orders?channel=a%20b", 400), ("/sse/orders?channel=b", 403), ("/sse/none", 404)]
    {
        let answer = get(gateway.public(), asked).await;
        assert_eq!(answer.status, status, "{asked}");
        api.judge("get", "/sse/{endpoint}", &answer);
    }
    for (path, asked, status) in [
        ("/api/channels", "/api/channels", 200),
        ("/api/channels", "/api/channels?limit=x", 400),
        ("/livez", "/livez", 200),
        ("/readyz", "/readyz", 200),
        ("/readyz", "/readyz?verbose", 200),
        ("/version", "/version", 200),
    ] {
        let answer = gateway.ask(asked).await;
        assert_eq!(answer.status, status, "{asked}");
        api.judge("get", path, &answer);
    }
    redis.kill();
    gateway.until("it is not ready", async || gateway.ask("/readyz").await.status == 503).await;
    api.judge("get", "/readyz", &gateway.ask("/readyz?verbose").await);
    let away = post_with(gateway.public(), "/api/publish/orders", &[KEY], "1").await;
    assert_eq!(away.status, 503);
    api.judge("post", "/api/publish/{channel}", &away);
    api.judge("get", "/api/channels", &gateway.ask("/api/channels").await);
    gateway
        .until("the document is stale", async || {
            let answer = get(gateway.public(), "/api/state/stats").await;
            api.judge("get", "/api/state/{snapshot}", &answer);
            answer.header("redcast-stale") == Some("true")
        })
        .await;
    api.judge("get", "/api/state", &get(gateway.public(), "/api/state").await);
}

/// Every answer about snapshots; before and after one of them is there.
async fn states(gateway: &Gateway, redis: &RedisServer, api: &OpenApi) {
    let (all, one) = ("/api/state", "/api/state/{snapshot}");
    api.judge("get", all, &get(gateway.public(), all).await);
    set(redis, "stats", r#"{"x":1}"#).await;
    set(redis, "list", "[1]").await;
    gateway
        .until("the documents are read", async || {
            let answer = get(gateway.public(), all).await;
            api.judge("get", all, &answer);
            !answer.body.contains("null")
        })
        .await;
    for (name, status) in [("stats", 200), ("list", 200), ("nobody", 404), ("%ff", 400)] {
        let answer = get(gateway.public(), &format!("/api/state/{name}")).await;
        assert_eq!(answer.status, status, "{name}");
        api.judge("get", one, &answer);
    }
    let tag = get(gateway.public(), "/api/state/list").await;
    let tag = tag.header("etag").expect("a tag");
    let head = format!("GET /api/state/list HTTP/1.1\r\nHost: g\r\nIf-None-Match: {tag}\r\n\r\n");
    let unchanged = request(gateway.public(), head).await;
    assert_eq!(unchanged.status, 304);
    api.judge_bodiless("get", one, &unchanged);
}

async fn set(redis: &RedisServer, key: &str, document: &str) {
    let mut set = redis::cmd("SET");
    set.arg(key).arg(document);
    set.query_async::<()>(&mut redis.connection().await).await.unwrap();
}

#[tokio::test]
async fn what_is_closed_answers_as_described() {
    let config = "[auth]\nforward_url = \"http://127.0.0.1:9/\"\nforward_headers = []\n\
        [page]\nenabled = false\n";
    let options = GatewayOptions { config: config.to_owned(), ..Default::default() };
    let closed = Gateway::start(options).await;
    let api = OpenApi::new(document(&closed, "/openapi.json").await);
    let refused = post_with(closed.public(), "/api/publish/orders", &[], "1").await;
    assert_eq!(refused.status, 403);
    api.judge("post", "/api/publish/{channel}", &refused);
    for (path, asked, status) in [
        ("/api/state", "/api/state", 403),
        ("/api/state/{snapshot}", "/api/state/stats", 403),
        ("/api/info", "/api/info", 404),
    ] {
        let answer = get(closed.public(), asked).await;
        assert_eq!(answer.status, status, "{asked}");
        api.judge("get", path, &answer);
    }
}

/// Sends a command that the document describes, and gives back the answer's type.
async fn say(client: &mut Client, api: &AsyncApi, message: &str, command: Value) -> String {
    api.judge(message, &command);
    client.send(&command.to_string()).await;
    hear(client, api).await
}

/// The next frame, judged; its type.
async fn hear(client: &mut Client, api: &AsyncApi) -> String {
    let frame = client.json().await;
    api.judge_reply(&frame);
    frame["type"].as_str().expect("a type").to_owned()
}

#[tokio::test]
async fn every_frame_is_as_described() {
    let redis = RedisServer::start();
    let gateway = gateway(&redis, CONFIG).await;
    let api = AsyncApi::new(document(&gateway, "/asyncapi.json").await);
    let examples = api.examples();
    assert!(examples.len() >= 15, "{examples:?}");
    for (message, payload) in examples {
        api.judge(message, payload);
    }
    let addresses = json!(["/ws/orders", "/ws/other", "/ws/stats", "/ws/list"]);
    assert_eq!(api.parameter("endpoint", "path")["enum"], addresses);
    let mut client = Client::connect(&gateway.ws("/ws/orders"), Some("redcast.v1")).await;
    assert_eq!(hear(&mut client, &api).await, "welcome");
    let since = "1700000000000-0.0123abcd";
    let cases = [
        ("Ping", json!({"type": "ping"}), "pong"),
        ("Subscribe", json!({"type": "subscribe", "channel": "orders:1", "id": 1}), "ack"),
        ("Subscribe", json!({"type": "subscribe", "channel": "secret", "id": "x"}), "error"),
        ("SubscribeMany", json!({"type": "subscribe", "channels": ["orders:2"]}), "error"),
        ("Unsubscribe", json!({"type": "unsubscribe", "channel": "orders:9"}), "error"),
        ("Unsubscribe", json!({"type": "unsubscribe", "channel": "orders:1", "id": 2}), "ack"),
        ("RefreshStats", json!({"type": "refresh_stats", "id": 3}), "error"),
        (
            "SubscribeMany",
            json!({"type": "subscribe", "channels": ["orders:2"], "since": {"orders:2": since}}),
            "reset",
        ),
    ];
    for (message, command, answer) in cases {
        let told = format!("{command}");
        assert_eq!(say(&mut client, &api, message, command).await, answer, "{told}");
    }
    client.send("nonsense").await;
    assert_eq!(hear(&mut client, &api).await, "error");
    let events: [&[u8]; 4] = [b"{\"a\":1}", b"any text", b"\x00\xff", &[b'x'; 2 << 10]];
    for (payload, told) in events.iter().zip(["event", "event", "event", "gap"]) {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg("orders").arg(payload);
        publish.query_async::<u64>(&mut redis.connection().await).await.unwrap();
        assert_eq!(hear(&mut client, &api).await, told);
    }
    // In raw mode what Redcast says has the same form.
    let mut raw = gateway.connect(&format!("/ws/orders?since=orders:{since}")).await;
    assert_eq!(hear(&mut raw, &api).await, "reset");
    assert_eq!(say(&mut raw, &api, "Ping", json!({"type": "ping", "id": 1})).await, "pong");
    assert_eq!(api.heard(), ["ack", "error", "event", "gap", "pong", "reset", "welcome"]);
}

#[tokio::test]
async fn every_frame_about_a_stream_is_as_described() {
    const STREAM: &str = "[[endpoints]]\npath = \"/ws/orders\"\nchannels = [\"orders\"]\n\
        subscribe = [\"orders:*\"]\n[[channels]]\npattern = \"orders*\"\nsource = \"stream\"\n";
    let redis = RedisServer::start();
    let gateway = gateway(&redis, STREAM).await;
    let api = AsyncApi::new(document(&gateway, "/asyncapi.json").await);
    let mut producer = redis.connection().await;
    let mut add = async |channel: &str, id: &str| {
        let mut add = redis::cmd("XADD");
        add.arg(channel).arg(id).arg("data").arg("{}");
        add.query_async::<String>(&mut producer).await.unwrap();
    };
    let mut client = Client::connect(&gateway.ws("/ws/orders"), Some("redcast.v1")).await;
    assert_eq!(hear(&mut client, &api).await, "welcome");
    add("orders:1", "5-0").await;
    let subscribe = json!({"type": "subscribe", "channel": "orders:1", "recent": 1, "id": 1});
    assert_eq!(say(&mut client, &api, "Subscribe", subscribe).await, "event");
    let ack = client.json().await;
    api.judge_reply(&ack);
    let place = ack["cursors"]["orders:1"].as_str().expect("a cursor");
    let lost = format!("4{}", &place[1..]);
    let wanted =
        json!({"type": "subscribe", "channels": ["orders:1"], "since": {"orders:1": lost}});
    let mut other = Client::connect(&gateway.ws("/ws/orders"), Some("redcast.v1")).await;
    assert_eq!(hear(&mut other, &api).await, "welcome");
    assert_eq!(say(&mut other, &api, "SubscribeMany", wanted).await, "reset");
    let mut raw = gateway.connect("/ws/orders?cursor=1").await;
    assert_eq!(hear(&mut raw, &api).await, "cursor");
    add("orders", "6-0").await;
    assert_eq!(raw.json().await, json!({}));
    assert_eq!(hear(&mut raw, &api).await, "cursor");
    assert_eq!(api.heard(), ["ack", "cursor", "event", "reset", "welcome"]);
}

/// Snapshots have whatever `type` an operator gives them, and so one description.
#[tokio::test]
async fn every_frame_of_a_snapshot_is_as_described() {
    let mut redis = RedisServer::start();
    set(&redis, "stats", r#"{"x":1}"#).await;
    set(&redis, "list", "[1]").await;
    let gateway = gateway(&redis, CONFIG).await;
    let api = AsyncApi::new(document(&gateway, "/asyncapi.json").await);
    let mut list = gateway.connect("/ws/list").await;
    let greeting = list.json().await;
    assert_eq!(greeting, json!({"type": "initial_stats", "data": [1]}));
    api.judge("Snapshot", &greeting);
    let mut client = Client::connect(&gateway.ws("/ws/stats"), Some("redcast.v1")).await;
    assert_eq!(hear(&mut client, &api).await, "welcome");
    for kind in ["initial_stats", "heartbeat"] {
        assert_eq!(api.judge_snapshot(client.json().await, &["timestamp"]), kind);
    }
    client.send(r#"{"type":"refresh_stats"}"#).await;
    while api.judge_snapshot(client.json().await, &["timestamp"]) != "initial_stats" {}
    redis.kill();
    loop {
        let frame = client.json().await;
        api.judge_snapshot(frame.clone(), &["timestamp"]);
        if frame["stale"] == true {
            break;
        }
    }
}

/// A judge who finds nothing here would find nothing anywhere.
#[tokio::test]
async fn what_is_not_as_described_is_noticed() {
    let redis = RedisServer::start();
    let gateway = gateway(&redis, CONFIG).await;
    let api = AsyncApi::new(document(&gateway, "/asyncapi.json").await);
    let gap = json!({"type": "gap", "channel": "a", "from": 1, "to": 2, "reason": "overflow"});
    assert_eq!(api.faults("Gap", &gap), Vec::<String>::new());
    for (member, value) in [
        ("reason", json!("boredom")),
        ("type", json!("gab")),
        ("from", json!("1")),
        ("channel", json!("a b")),
        ("unheard_of", json!(1)),
        ("to", Value::Null),
    ] {
        let mut wrong = gap.clone();
        wrong[member] = value;
        assert!(!api.faults("Gap", &wrong).is_empty(), "{wrong}");
    }
    let api = OpenApi::new(document(&gateway, "/openapi.json").await);
    let (path, good) = ("/api/publish/{channel}", json!({"channel": "a", "events": 1, "bytes": 1}));
    assert_eq!(api.faults("post", path, 200, &good), Vec::<String>::new());
    for wrong in [
        json!({"channel": "a", "events": 1}),
        json!({"channel": "a", "events": 0, "bytes": 1}),
        json!({"channel": "a", "events": 1, "bytes": 1, "more": 1}),
    ] {
        assert!(!api.faults("post", path, 200, &wrong).is_empty(), "{wrong}");
    }
    assert!(!api.faults("post", path, 418, &good).is_empty());
}

#[tokio::test]
async fn the_page_is_served_with_all_it_asks_for_and_nothing_else_may_run_in_it() {
    let gateway = Gateway::start(GatewayOptions::default()).await;
    let moved = get(gateway.public(), "/docs").await;
    assert_eq!((moved.status, moved.header("location")), (308, Some("docs/")));
    let page = get(gateway.public(), "/docs/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let files: Vec<&str> = page
        .body
        .split(['"', '\''])
        .zip(page.body.split(['"', '\'']).skip(1))
        .filter(|(before, _)| before.ends_with("src=") || before.ends_with("href="))
        .map(|(_, file)| file)
        .collect();
    assert!(files.len() >= 6, "{files:?}");
    for file in files.iter().chain(&["./"]) {
        let path = match file.strip_prefix("../") {
            Some(file) => format!("/{file}"),
            None => format!("/docs/{}", file.trim_start_matches("./")),
        };
        let response = get(gateway.public(), &path).await;
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{path}");
        if path.starts_with("/docs/") {
            let policy = response.header("content-security-policy").unwrap_or_default();
            assert!(policy.contains("default-src 'none'; script-src 'self'"), "{path}: {policy}");
            assert!(!policy.contains("unsafe"), "{path}: {policy}");
        }
    }
    assert!(!page.body.contains("<script>") && !page.body.contains("<style"));
}

#[tokio::test]
async fn an_operator_can_leave_the_documents_out_and_no_endpoint_takes_their_place() {
    let env = vec![("REDCAST_API__DOCS".to_owned(), "false".to_owned())];
    let gateway = Gateway::start(GatewayOptions { env, ..Default::default() }).await;
    for path in ["/docs", "/docs/", "/docs/docs.js", "/openapi.json", "/asyncapi.json"] {
        assert_eq!(get(gateway.public(), path).await.status, 404, "{path}");
    }
    assert_eq!(get(gateway.public(), "/api/info").await.status, 200);
    for path in ["/docs", "/docs/", "/docs/mine", "/openapi.json", "/asyncapi.json"] {
        let (_file, name) = redcast_e2e::config_file(format!("[[endpoints]]\npath = \"{path}\"\n"));
        let flags = ["check-config", "--config", name.as_str()];
        let output = run(&flags, &[]).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(78), "{path}: {told}");
        assert!(told.contains("Redcast's own"), "{path}: {told}");
    }
}

/// Who fetches the page gets the whole of it on any connection, kept alive or not.
#[tokio::test]
async fn the_page_s_large_file_arrives_whole() {
    let gateway = Gateway::start(GatewayOptions::default()).await;
    let asked = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n";
    let answer = request(gateway.public(), asked).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let length: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert!((300_000..600_000).contains(&length), "{length}");
}
