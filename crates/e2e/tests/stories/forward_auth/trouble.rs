//! A hook that is slow, down or wrong: nobody gets in by it, and nobody else is held up.

use std::time::Duration;

use redcast_e2e::{Gateway, free_port, get};
use tokio::io::AsyncReadExt;

use super::hook::{Hook, Question, Reply};
use super::{PATH, admitted, asked, guarded, knock, refused};

#[tokio::test]
async fn a_slow_hook_costs_its_own_clients_a_503_and_others_nothing() {
    let hook = Hook::start(|question| match question.query() {
        "slow" => Reply::Nothing,
        "trickle" => Reply::Say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_owned()),
        _ => Reply::admit(""),
    })
    .await;
    let gateway = guarded(&hook.address, "forward_timeout = \"1s\"").await;
    let slow = async {
        let begun = std::time::Instant::now();
        let response = refused(&gateway, "/ws/analytics?slow", "").await;
        (response, begun.elapsed())
    };
    let others = async {
        hook.until_asked(1).await;
        for _ in 0..5 {
            admitted(&gateway, PATH, "").await;
        }
        // All of them are in while the first still waits.
        asked(&gateway, "timed_out").await
    };
    let ((response, took), timed_out) = tokio::join!(slow, others);
    assert_eq!(timed_out, 0.0);
    assert_eq!((response.status, response.header("retry-after")), (503, Some("5")));
    let in_time = Duration::from_secs(1)..Duration::from_secs(7);
    assert!(in_time.contains(&took), "{took:?}");
    assert_eq!(refused(&gateway, "/ws/analytics?trickle", "").await.status, 503);
    assert_eq!(asked(&gateway, "timed_out").await, 2.0);
    assert_eq!(gateway.rejected("auth_unavailable").await, 2.0);
    // A connection whose answer nobody waits for any more is closed.
    hook.until_open(0).await;
}

#[tokio::test]
async fn a_client_that_leaves_while_the_hook_thinks_leaves_nothing_behind() {
    let hook = Hook::start(|_| Reply::Nothing).await;
    let gateway = guarded(&hook.address, "forward_timeout = \"600s\"").await;
    let client = knock(&gateway, PATH, "").await;
    hook.until_asked(1).await;
    // Nobody is counted as connected before the hook has said so.
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.value("redcast_connections"), 0.0);
    assert_eq!(metrics.value("redcast_http_connections"), 1.0);
    drop(client);
    gateway.until_metric("redcast_http_connections", 0.0).await;
    hook.until_open(0).await;
    assert_eq!(asked(&gateway, "client_left").await, 1.0);
}

#[tokio::test]
async fn a_hook_that_never_answers_is_asked_by_a_bounded_crowd() {
    let hook = Hook::start(|_| Reply::Nothing).await;
    let gateway = guarded(&hook.address, "forward_timeout = \"5s\"").await;
    let mut crowd = Vec::new();
    for _ in 0..160 {
        crowd.push(knock(&gateway, PATH, "").await);
    }
    hook.until_asked(64).await;
    gateway.until_metric("redcast_http_connections", 160.0).await;
    for _ in 0..5 {
        assert_eq!(get(gateway.public(), "/").await.status, 200);
    }
    assert_eq!((hook.questions().len(), hook.most_open()), (64, 64));
    for mut client in crowd {
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    gateway.until_metric("redcast_http_connections", 0.0).await;
    hook.until_open(0).await;
    // Who had no turn, or only what was left of the time, is not the hook's fault.
    assert_eq!(asked(&gateway, "timed_out").await, 64.0);
    assert_eq!(asked(&gateway, "crowded").await, 96.0);
    let log = gateway.log().join("\n");
    assert!(log.contains("too many ask at once"), "{log}");
}

/// How often the log says that the hook gives no answer.
fn told(gateway: &Gateway) -> usize {
    gateway.log().iter().filter(|line| line.contains("forward auth got no answer")).count()
}

/// The log is read by a thread of its own, so a line may come after the answer.
async fn until_told(gateway: &Gateway, count: usize) {
    gateway.until("the log tells of the hook", async || told(gateway) >= count).await;
}

#[tokio::test]
async fn while_the_hook_is_down_nobody_gets_in_and_when_it_is_back_everybody_does() {
    let address = format!("127.0.0.1:{}", free_port());
    let gateway = guarded(&address, "").await;
    for _ in 0..3 {
        let response = refused(&gateway, PATH, "").await;
        assert_eq!((response.status, response.header("retry-after")), (503, Some("5")));
    }
    assert_eq!(asked(&gateway, "failed").await, 3.0);
    // Told once, not for each.
    until_told(&gateway, 1).await;
    assert_eq!(told(&gateway), 1, "{:?}", gateway.log());
    let hook = Hook::at(&address, |_| Reply::admit("")).await;
    admitted(&gateway, PATH, "").await;
    // It restarts: the connection that was kept alive is dead, and nobody notices.
    hook.stop().await;
    let _hook = Hook::at(&address, |_| Reply::admit("")).await;
    admitted(&gateway, PATH, "").await;
    assert_eq!(asked(&gateway, "failed").await, 3.0);
}

/// Everything a hook could say that is no answer; each with a word that no log and no
/// client may get to see.
fn nonsense(question: &Question) -> Reply {
    let chunked = |bytes: usize| {
        let body = format!("{{\"user\":\"{}", "canary".repeat(bytes / 6));
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n")
    };
    let canary = |status: &str| Reply::new(status, &[("X-Canary", "canary")], "canary");
    match question.query() {
        "500" => canary("500 Internal Server Error"),
        "404" => canary("404 Not Found"),
        "429" => canary("429 Too Many Requests"),
        "407" => canary("407 Proxy Authentication Required"),
        "302" => Reply::new("302 Found", &[("Location", "/auth?yes")], ""),
        "304" => Reply::new("304 Not Modified", &[], ""),
        "101" => Reply::new("101 Switching Protocols", &[("Upgrade", "websocket")], ""),
        "html" => canary("200 OK"),
        "types" => Reply::admit(r#"{"user":"canary","subscribe":"canary"}"#),
        "never" => Reply::admit(r#"{"expires_at":"canary"}"#),
        "huge" => Reply::admit(&format!("{{\"user\":null}}{}", " ".repeat(64 << 10))),
        "endless" => Reply::Say(chunked(100_000)),
        "cut" => Reply::SayAndClose("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_owned()),
        "empty" => Reply::SayAndClose(String::new()),
        "noise" => Reply::SayAndClose("canary canary canary\r\n\r\n".to_owned()),
        "head" => Reply::SayAndClose(format!("HTTP/1.1 200 OK\r\nA: {}\r\n", "b".repeat(99_999))),
        "largest" => Reply::admit(&format!("{{\"user\":null}}{}", " ".repeat((64 << 10) - 13))),
        query => panic!("{query:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_is_neither_yes_nor_no_admits_nobody() {
    let hook = Hook::start(nonsense).await;
    let gateway = guarded(&hook.address, "").await;
    let cases = [
        ("bad_status", &["500", "404", "429", "407", "302", "304", "101"][..]),
        ("bad_body", &["html", "types", "never", "huge", "endless"]),
        ("failed", &["cut", "empty", "noise", "head"]),
    ];
    for (outcome, queries) in cases {
        for query in queries {
            let response = refused(&gateway, &format!("{PATH}?{query}"), "").await;
            assert_eq!((response.status, response.header("retry-after")), (503, Some("5")));
            assert!(!response.head.contains("canary") && !response.body.contains("canary"));
        }
        assert_eq!(asked(&gateway, outcome).await, queries.len() as f64, "{outcome}");
    }
    assert_eq!(gateway.rejected("auth_unavailable").await, 16.0);
    assert_eq!(asked(&gateway, "timed_out").await, 0.0);
    assert!(hook.questions().iter().all(|question| question.line().contains("/auth?v=1 ")));
    admitted(&gateway, "/ws/analytics?largest", "").await;
    until_told(&gateway, cases.len()).await;
    let log = gateway.log();
    // A kind of trouble is told once in a while, not with each handshake.
    let told = told(&gateway);
    assert!((cases.len()..=2 * cases.len()).contains(&told), "{told}: {log:?}");
    let log = log.join("\n");
    assert!(log.contains("\"level\":\"ERROR\"") && log.contains("status 500"), "{log}");
    assert!(log.contains("neither empty nor a JSON object"), "{log}");
    assert!(!log.contains("canary"), "{log}");
}
