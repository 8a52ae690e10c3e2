//! A hook decides who may connect: whom it admits, whom it turns away, what those it
//! admits may do, and until when.

pub(crate) mod hook;
mod trouble;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redcast_e2e::{
    Client, Gateway, GatewayOptions, Incoming, RawClient, Response, request, run, within,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::hook::{Hook, Reply};

const PATH: &str = "/ws/analytics";

/// The built-in endpoint for one page alone: where cookies are passed on, not every
/// page may connect.
const ENDPOINT: &str = "\n[[endpoints]]\npath = \"/ws/analytics\"\nchannels = [\"analytics\"]\n\
    subscribe = [\"analytics:*\"]\nallowed_origins = [\"https://page.example\"]\n";

/// A gateway that asks the hook at `address`, with more configuration.
async fn guarded(address: &str, config: &str) -> Gateway {
    let auth = format!("[auth]\nforward_url = \"http://{address}/auth?v=1\"\n");
    let endpoint = if config.contains("[[endpoints]]") { "" } else { ENDPOINT };
    let config = auth + config + endpoint;
    Gateway::ready(GatewayOptions { config, ..Default::default() }).await
}

fn handshake(gateway: &Gateway, path: &str, headers: &str) -> String {
    let plain = RawClient::handshake(gateway.public(), path);
    plain.replace("\r\n\r\n", &format!("\r\n{headers}\r\n"))
}

/// Shakes hands and is refused.
async fn refused(gateway: &Gateway, path: &str, headers: &str) -> Response {
    let response = request(gateway.public(), &handshake(gateway, path, headers)).await;
    assert!(response.head.contains("\r\nconnection: close\r\n"), "{response:?}");
    let body: Value = serde_json::from_str(&response.body).unwrap();
    assert!(body["error"].is_string(), "{response:?}");
    response
}

/// Shakes hands, whatever comes of it.
async fn knock(gateway: &Gateway, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.public()).await.unwrap();
    stream.write_all(handshake(gateway, path, headers).as_bytes()).await.unwrap();
    stream
}

/// Shakes hands and is admitted.
async fn admitted(gateway: &Gateway, path: &str, headers: &str) -> TcpStream {
    let mut stream = knock(gateway, path, headers).await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0, "an answer has an end");
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    stream
}

async fn asked(gateway: &Gateway, outcome: &str) -> f64 {
    let name = format!("redcast_forward_auth_requests_total{{outcome=\"{outcome}\"}}");
    gateway.metrics().await.value(&name)
}

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[tokio::test]
async fn who_is_admitted_gets_in_and_who_is_not_is_told_what_the_hook_said() {
    let hook = Hook::start(|question| match question.header("cookie") {
        Some("session=ada") => Reply::admit(r#"{"user":"ada"}"#),
        Some("session=bob") => Reply::new("204 No Content", &[], ""),
        Some("session=eve") => Reply::new("403 Forbidden", &[("Set-Cookie", "a=b")], "go away"),
        _ => {
            let challenges =
                [("WWW-Authenticate", "Bearer realm=\"a\""), ("WWW-Authenticate", "Basic")];
            Reply::new("401 Unauthorized", &challenges, "<html>who are you</html>")
        }
    })
    .await;
    let gateway = guarded(&hook.address, "").await;
    for user in ["ada", "bob"] {
        admitted(&gateway, PATH, &format!("Cookie: session={user}\r\n")).await;
    }
    let stranger = refused(&gateway, PATH, "").await;
    assert_eq!(stranger.status, 401);
    let challenges = stranger.head.lines().filter_map(|line| line.split_once(": "));
    let challenges: Vec<_> = challenges.filter(|(name, _)| *name == "www-authenticate").collect();
    assert_eq!(challenges.len(), 2, "{stranger:?}");
    assert_eq!(stranger.header("www-authenticate"), Some("Bearer realm=\"a\""));
    let eve = refused(&gateway, PATH, "Cookie: session=eve\r\n").await;
    assert_eq!((eve.status, eve.header("set-cookie")), (403, None));
    for response in [stranger, eve] {
        assert!(!response.body.contains("who are you") && !response.body.contains("go away"));
        assert_eq!(response.header("retry-after"), None);
    }
    for outcome in ["unauthenticated", "forbidden"] {
        assert_eq!(asked(&gateway, outcome).await, 1.0);
        assert_eq!(gateway.rejected(outcome).await, 1.0);
    }
    assert_eq!(asked(&gateway, "admitted").await, 2.0);
    assert_eq!(gateway.metrics().await.value("redcast_forward_auth_seconds_count"), 4.0);
}

#[tokio::test]
async fn without_a_hook_everybody_is_admitted_and_a_page_needs_none() {
    let open = Gateway::ready(GatewayOptions::default()).await;
    admitted(&open, PATH, "").await;
    assert_eq!(open.metrics().await.value("redcast_forward_auth_seconds_count"), 0.0);
    let hook = Hook::start(|_| Reply::new("401 Unauthorized", &[], "")).await;
    let gateway = guarded(&hook.address, "").await;
    assert_eq!(redcast_e2e::get(gateway.public(), "/").await.status, 200);
    assert_eq!(hook.questions().len(), 0);
}

#[tokio::test]
async fn the_hook_sees_who_asks_for_what_and_nothing_more() {
    let hook = Hook::start(|_| Reply::admit("")).await;
    let config = "forward_headers = [\"Authorization\", \"cookie\", \"X-Tenant\", \"origin\"]\n";
    let gateway = guarded(&hook.address, config).await;
    let headers = "Cookie: a=1; b=2\r\nAuthorization: Bearer t\r\nX-Tenant: one\r\n\
        x-tenant: two\r\nOrigin: https://page.example\r\nUser-Agent: curious\r\n\
        X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Uri: /lie\r\nX-Secret: s\r\n";
    admitted(&gateway, "/ws/analytics?token=a%20b&x=é", headers).await;
    admitted(&gateway, PATH, "").await;
    let questions = hook.questions();
    let question = &questions[0];
    assert_eq!(question.line(), "GET /auth?v=1 HTTP/1.1");
    for (name, value) in [
        ("host", hook.address.as_str()),
        ("accept", "application/json"),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-uri", "/ws/analytics?token=a%20b&x=é"),
        ("x-forwarded-host", gateway.public()),
        ("x-forwarded-for", "127.0.0.1"),
        ("cookie", "a=1; b=2"),
        ("authorization", "Bearer t"),
        ("origin", "https://page.example"),
    ] {
        assert_eq!(question.header(name), Some(value), "{name}");
    }
    assert_eq!(question.headers("x-tenant").collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(question.names().len(), 11, "{question:?}");
    let always = ["accept", "host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-method"];
    assert_eq!(questions[1].names(), [&always[..], &["x-forwarded-uri"]].concat());
    assert_eq!(questions[1].header("x-forwarded-uri"), Some(PATH));
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_hook_sees_the_client_and_not_the_proxy() {
    let hook = Hook::start(|_| Reply::admit("")).await;
    let gateway = guarded(&hook.address, "[http]\ntrusted_proxies = [\"127.0.0.1\"]").await;
    admitted(&gateway, PATH, "X-Forwarded-For: 192.0.2.1, 198.51.100.7\r\n").await;
    assert_eq!(hook.questions()[0].header("x-forwarded-for"), Some("198.51.100.7"));
}

#[tokio::test]
async fn at_its_end_a_connection_is_closed_with_4401_and_others_stay() {
    let end = unix_now() + 3.0;
    let hook = Hook::start(move |question| match question.query() {
        "ends" => Reply::admit(&format!("{{\"user\":\"ada\",\"expires_at\":{end}}}")),
        "past" => Reply::admit(r#"{"expires_at":1700000000}"#),
        "written" => Reply::admit(r#"{"expires_at":"2001-01-01T00:00:00+01:00"}"#),
        "far" => Reply::admit(r#"{"expires_at":"9999-12-31T23:59:59Z"}"#),
        _ => Reply::admit(""),
    })
    .await;
    let gateway = guarded(&hook.address, "").await;
    let mut far = gateway.connect("/ws/analytics?far").await;
    let mut stays = gateway.connect(PATH).await;
    let mut ends = gateway.connect("/ws/analytics?ends").await;
    for query in ["past", "written"] {
        assert_eq!(refused(&gateway, &format!("{PATH}?{query}"), "").await.status, 401);
    }
    ends.settled().await;
    let closed = ends.next().await;
    let late = unix_now() - end;
    assert_eq!(closed, Incoming::Closed(4401, "unauthenticated or expired".to_owned()));
    assert!((-0.01..10.0).contains(&late), "{late} s after its end");
    gateway.until_metric("redcast_connections_closed_total{code=\"4401\"}", 1.0).await;
    far.settled().await;
    stays.settled().await;
    let logged = |line: &String| line.contains("connection closed") && line.contains("\"ada\"");
    let log = || gateway.log().iter().any(logged);
    within(Duration::from_secs(20), "the end is logged with the user", async || log()).await;
}

#[tokio::test]
async fn the_globs_of_an_answer_take_the_place_of_the_endpoints() {
    let hook = Hook::start(|question| match question.query() {
        "one" => Reply::admit(r#"{"subscribe":["orders:1","news:*"]}"#),
        "none" => Reply::admit(r#"{"subscribe":[]}"#),
        _ => Reply::admit(r#"{"subscribe":null}"#),
    })
    .await;
    let config = "[[endpoints]]\npath = \"/ws\"\nchannels = [\"lobby\"]\nsubscribe = [\"orders:*\"]\n\
         allowed_origins = []";
    let gateway = guarded(&hook.address, config).await;
    for (query, allowed, forbidden) in [
        ("one", &["orders:1", "news:today", "lobby"][..], &["orders:2", "other"][..]),
        ("none", &["lobby"], &["orders:1", "news:today"]),
        ("default", &["orders:1", "orders:2", "lobby"], &["news:today"]),
    ] {
        let mut client = gateway.connect_envelope(&format!("/ws?{query}")).await;
        for (channels, expected) in [(allowed, "ack"), (forbidden, "error")] {
            for channel in channels {
                let command = json!({"type": "subscribe", "channel": channel, "id": 1});
                client.send(&command.to_string()).await;
                let reply = client.json().await;
                assert_eq!(reply["type"], expected, "{query} {channel}: {reply}");
                let code = if expected == "error" { json!("forbidden") } else { Value::Null };
                assert_eq!(reply["code"], code, "{query} {channel}");
            }
        }
    }
}

#[tokio::test]
async fn connections_to_the_hook_are_kept_and_used_again() {
    let hook = Hook::start(|question| match question.query() {
        "no" => Reply::new("401 Unauthorized", &[], "<html>no</html>"),
        _ => Reply::admit("{}"),
    })
    .await;
    let gateway = guarded(&hook.address, "").await;
    for _ in 0..10 {
        admitted(&gateway, PATH, "").await;
        refused(&gateway, "/ws/analytics?no", "").await;
    }
    assert_eq!(hook.questions().len(), 20);
    // One, and perhaps another where the machine paused for longer than idle ones are kept.
    assert!(hook.accepted() <= 3, "{} connections", hook.accepted());
}

#[tokio::test]
async fn who_is_turned_away_for_another_reason_is_not_asked_about() {
    let hook = Hook::start(|_| Reply::admit("")).await;
    let config = "[limits]\nmax_connections = 1\n[[endpoints]]\npath = \"/ws\"\n\
        allowed_origins = [\"https://good.example\"]";
    let gateway = guarded(&hook.address, config).await;
    assert_eq!(refused(&gateway, "/ws", "Origin: https://bad.example\r\n").await.status, 403);
    assert_eq!(refused(&gateway, "/ws", "Sec-WebSocket-Protocol: mqtt\r\n").await.status, 400);
    assert_eq!(hook.questions().len(), 0);
    let _first = Client::connect(&gateway.ws("/ws"), None).await;
    gateway.until_metric("redcast_connections", 1.0).await;
    assert_eq!(refused(&gateway, "/ws", "").await.status, 503);
    assert_eq!(gateway.rejected("limit").await, 1.0);
    assert_eq!(hook.questions().len(), 1);
}

#[tokio::test]
async fn no_credential_reaches_the_log() {
    let hook = Hook::start(|question| match question.query() {
        query if query.contains("yes") => Reply::admit(r#"{"user":"ada","note":"canary"}"#),
        query if query.contains("no") => Reply::new("403 Forbidden", &[], "canary"),
        _ => Reply::new("500 Oops", &[], "canary"),
    })
    .await;
    let url = format!("http://{}/auth?key=canary", hook.address);
    let config = format!("[auth]\nforward_url = \"{url}\"\n[log]\nlevel = \"trace\"{ENDPOINT}");
    let gateway = Gateway::ready(GatewayOptions { config, ..Default::default() }).await;
    let headers = "Cookie: a=canary\r\nAuthorization: Bearer canary\r\n";
    drop(admitted(&gateway, "/ws/analytics?token=canary&yes", headers).await);
    for query in ["no", "oops"] {
        refused(&gateway, &format!("{PATH}?token=canary&{query}"), headers).await;
    }
    gateway.until_metric("redcast_connections", 0.0).await;
    let ended = || gateway.log().iter().any(|line| line.contains("connection closed"));
    within(Duration::from_secs(20), "the end is logged", async || ended()).await;
    let log = gateway.log().join("\n");
    assert!(log.contains("\"user\":\"ada\"") && log.contains("status 500"), "{log}");
    assert!(!log.contains("canary"), "{log}");
}

#[tokio::test]
async fn a_hook_that_could_not_be_asked_is_refused_at_the_start() {
    for (url, headers, part) in [
        ("https://127.0.0.1/auth", "cookie", "https:// is not offered yet"),
        ("http://ada:canary@127.0.0.1/auth", "cookie", "a user or a password"),
        ("127.0.0.1:9000/auth", "cookie", "not a URL such as \"http://"),
        ("http://127.0.0.1/auth", "Sec-WebSocket-Key", "\"Sec-WebSocket-Key\" is not the name"),
        ("http://127.0.0.1/auth", "Connection", "this one can't be passed on"),
        ("http://127.0.0.1/auth", "a b", "\"a b\" is not the name of a header"),
    ] {
        let config = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "[auth]\nforward_url = \"{url}\"\nforward_headers = [\"{headers}\"]\n{ENDPOINT}"
        );
        std::fs::write(config.path(), text).unwrap();
        let env = [
            ("REDCAST_CONFIG", config.path().to_str().unwrap()),
            ("REDCAST_HTTP__LISTEN", "127.0.0.1:0"),
            ("REDCAST_ADMIN__LISTEN", "127.0.0.1:0"),
        ];
        let output = run(&["serve"], &env).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{url}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains("auth") && told.contains(part), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
}
