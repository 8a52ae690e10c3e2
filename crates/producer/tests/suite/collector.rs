//! The collector over real sockets: what it takes, what it refuses and in which words.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::LIMIT;
use crate::support::door::{Door, FIREFOX, Hands, PAGE, config, head, reason};
use redcast_e2e::{request, within};
use redcast_producer::StoreError;
use redcast_producer::collect::CollectConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

#[tokio::test]
async fn a_view_is_recorded_as_what_may_be_known_of_it() {
    let hands = Hands::open();
    let door = Door::open(hands.clone(), config()).await;
    let answer = door.page(PAGE).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{}", answer.head);
    assert!(answer.header("set-cookie").is_none());
    let [view] = hands.views().try_into().unwrap();
    assert_eq!(view.path, "/pricing");
    assert_eq!(view.referrer.as_deref(), Some("https://search.example/"));
    assert_eq!((view.device, view.country), ("desktop", None));
    assert_eq!(view.visitor_id.len(), 32);
    assert!(view.at.elapsed().unwrap() < LIMIT);
    // Another page, another site of the same visitor, another browser.
    let from_within = r#"{"url":"https://acme.example/b","referrer":"https://acme.example/"}"#;
    assert_eq!(door.page(from_within).await.status, 204);
    let phone = "User-Agent: Mozilla/5.0 (iPhone) Mobile Safari/604.1";
    assert_eq!(door.collect(&[phone], PAGE).await.status, 204);
    let [_, second, third] = hands.views().try_into().unwrap();
    assert_eq!((&second.visitor_id, second.referrer), (&view.visitor_id, None));
    assert_ne!(third.visitor_id, view.visitor_id);
    assert_eq!(third.device, "mobile");
    assert_eq!(door.outcome("recorded").await, 3.0);
}

#[tokio::test]
async fn nonsense_is_refused_with_status_and_reason() {
    let hands = Hands::open();
    let door = Door::open(hands.clone(), config()).await;
    assert!(reason(&door.page("{\"url\":").await, 400).contains("is not the JSON"));
    assert!(reason(&door.page(r#"{"url":"no"}"#).await, 400).contains("is no URL"));
    let elsewhere = r#"{"url":"https://evil.example/"}"#;
    let words = reason(&door.page(elsewhere).await, 403);
    assert_eq!(words, "page views of evil.example are not taken here");
    for size in [2_049, 1 << 20] {
        let large = format!("{{\"url\":\"{}\"}}", "a".repeat(size));
        assert!(reason(&door.page(&large).await, 413).contains("2048 bytes"));
    }
    let exact = format!("{}{}", PAGE, " ".repeat(2_048 - PAGE.len()));
    assert_eq!(door.page(&exact).await.status, 204);
    assert_eq!(door.send("GET", "/collect", &[], "").await.status, 405);
    assert_eq!(door.send("GET", "/metrics", &[], "").await.status, 404);
    assert_eq!(hands.views().len(), 1);
    for (outcome, count) in [("bad_request", 2.0), ("unknown_site", 1.0), ("too_large", 2.0)] {
        assert_eq!(door.outcome(outcome).await, count, "{outcome}");
    }
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let config = CollectConfig { body_timeout: Duration::from_millis(100), ..config() };
    let door = Door::open(Hands::open(), config).await;
    let answer = request(&door.address, head("POST", "/collect", &[], 100) + "{").await;
    assert_eq!(reason(&answer, 408), "the body did not arrive in time");
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn robots_are_not_counted_and_not_told() {
    let hands = Hands::open();
    let door = Door::open(hands.clone(), config()).await;
    for agent in ["User-Agent: Googlebot/2.1", "User-Agent: curl/8.5.0", "X-Nothing: at all"] {
        assert_eq!(door.collect(&[agent], PAGE).await.status, 204, "{agent}");
    }
    assert!(hands.views().is_empty());
    assert_eq!((door.outcome("bot").await, door.outcome("recorded").await), (3.0, 0.0));
}

#[tokio::test]
async fn a_browser_whose_name_is_not_ascii_is_no_robot() {
    let hands = Hands::open();
    let door = Door::open(hands.clone(), config()).await;
    let agent = format!("User-Agent: {FIREFOX} Vertrieb/M\u{fc}nchen");
    assert_eq!(door.collect(&[&agent], PAGE).await.status, 204);
    assert_eq!(hands.views().len(), 1);
}

#[tokio::test]
async fn a_view_counts_also_where_its_sender_has_left() {
    let hands = Hands::with_permits(0);
    let door = Door::open(hands.clone(), config()).await;
    let text = head("POST", "/collect", &[&format!("User-Agent: {FIREFOX}")], PAGE.len()) + PAGE;
    let mut stream = TcpStream::connect(&door.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    within(LIMIT, "a call", async || hands.calls.load(Ordering::SeqCst) == 1).await;
    stream.shutdown().await.unwrap();
    // The collector ends the connection, and with it the request, unanswered.
    let end = timeout(LIMIT, stream.read(&mut [0])).await.expect("it has seen that");
    assert_eq!(end.unwrap(), 0);
    hands.permits.add_permits(1);
    within(LIMIT, "it is recorded", async || hands.views().len() == 1).await;
    within(LIMIT, "it is counted", async || door.outcome("recorded").await == 1.0).await;
}

#[tokio::test]
async fn pages_of_other_origins_may_not_send_views() {
    let hands = Hands::open();
    let door = Door::open(hands.clone(), config()).await;
    let agent = format!("User-Agent: {FIREFOX}");
    let evil = door.collect(&[&agent, "Origin: https://evil.example"], PAGE).await;
    assert_eq!(reason(&evil, 403), "pages of this origin may not send page views here");
    assert_eq!(evil.header("access-control-allow-origin"), None);
    let own = door.collect(&[&agent, "Origin: https://acme.example"], PAGE).await;
    assert_eq!(own.status, 204);
    assert_eq!(own.header("access-control-allow-origin"), Some("https://acme.example"));
    assert_eq!(own.header("vary"), Some("origin"));
    // A page may also read why it was refused.
    let wrong = door.collect(&[&agent, "Origin: https://acme.example"], "{").await;
    assert_eq!(wrong.header("access-control-allow-origin"), Some("https://acme.example"));
    assert_eq!(hands.views().len(), 1);

    let asks = "Access-Control-Request-Method: POST";
    let preflight =
        async |origin: &str| door.send("OPTIONS", "/collect", &[origin, asks], "").await;
    let answer = preflight("Origin: https://acme.example").await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("content-type"));
    reason(&preflight("Origin: https://evil.example").await, 403);
}

/// Sends `count` views over one connection from `source` and counts the answers by
/// status.
async fn flood(address: &str, source: &str, count: usize) -> (usize, usize) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    let stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let view = format!(
        "POST /collect HTTP/1.1\r\nHost: a\r\nUser-Agent: {FIREFOX}\r\nContent-Length: {}\r\n\r\n{PAGE}",
        PAGE.len()
    );
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for _ in 0..count {
            writer.write_all(view.as_bytes()).await.unwrap();
        }
        // Held open until every answer is there.
        std::future::pending::<()>().await;
    });
    let mut text = String::new();
    let mut buffer = vec![0; 65_536];
    let all = async {
        loop {
            let (taken, limited) =
                (text.matches("HTTP/1.1 204").count(), text.matches("HTTP/1.1 429").count());
            if taken + limited >= count {
                assert_eq!(taken + limited, text.matches("HTTP/1.1 ").count());
                return (taken, limited);
            }
            let read = reader.read(&mut buffer).await.unwrap();
            assert!(read > 0, "closed after {taken} and {limited}");
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    };
    timeout(LIMIT, all).await.expect("every view is answered")
}

#[tokio::test]
async fn a_flood_from_one_address_is_limited_and_honest_ones_pass() {
    let hands = Hands::open();
    let door = Door::open(hands.clone(), config()).await;
    let (evil, honest) = tokio::join!(
        flood(&door.address, "127.0.0.2", 10_000),
        flood(&door.address, "127.0.0.3", 30)
    );
    assert_eq!(honest, (30, 0), "another address has a limit of its own");
    // 40 at once and 20 a second while it lasted.
    assert!((40..500).contains(&evil.0), "{evil:?}");
    assert_eq!(hands.views().len(), evil.0 + 30);
    let agent = format!("User-Agent: {FIREFOX}");
    let refused = {
        let mut text = head("POST", "/collect", &[&agent], PAGE.len()) + PAGE;
        text = text.replace("Connection: close\r\n", "");
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(door.address.parse().unwrap()).await.unwrap();
        let mut answer = String::new();
        for _ in 0..100 {
            stream.write_all(text.as_bytes()).await.unwrap();
        }
        let mut buffer = [0; 4_096];
        while !answer.contains("HTTP/1.1 429") {
            let read = timeout(LIMIT, stream.read(&mut buffer)).await.unwrap().unwrap();
            answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        answer
    };
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
}

#[tokio::test]
async fn forged_addresses_change_nothing_and_a_trusted_proxy_is_believed() {
    let views = async |config: CollectConfig, forwarded: &[&str]| {
        let hands = Hands::open();
        let door = Door::open(hands.clone(), config).await;
        let agent = format!("User-Agent: {FIREFOX}");
        let mut statuses = Vec::new();
        for header in forwarded {
            statuses.push(door.collect(&[&agent, header], PAGE).await.status);
        }
        let mut visitors: Vec<_> = hands.views().into_iter().map(|view| view.visitor_id).collect();
        visitors.sort_unstable();
        visitors.dedup();
        (statuses, visitors.len())
    };
    let forged: Vec<String> =
        (0..100).map(|n| format!("X-Forwarded-For: 198.51.100.{n}")).collect();
    let forged: Vec<&str> = forged.iter().map(String::as_str).collect();
    let tight = CollectConfig { rate: 1, ..config() };
    let (statuses, visitors) = views(tight.clone(), &forged).await;
    assert!(statuses.contains(&429), "a forged address is no other one: {statuses:?}");
    assert_eq!(visitors, 1);
    let behind = CollectConfig { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..tight };
    let (statuses, visitors) = views(behind.clone(), &forged).await;
    assert_eq!((statuses, visitors), (vec![204; 100], 100));
    // What a client forged stands left of what the proxy saw.
    let (_, visitors) = views(
        CollectConfig { rate: 0, ..behind },
        &[
            "X-Forwarded-For: 203.0.113.1, 198.51.100.7",
            "X-Forwarded-For: 203.0.113.2, 198.51.100.7",
        ],
    )
    .await;
    assert_eq!(visitors, 1);
}

#[tokio::test]
async fn a_view_is_answered_once_the_store_has_it_and_what_waits_goes_together() {
    const WAITING: usize = 20;
    let hands = Hands::with_permits(0);
    let door = Door::open(hands.clone(), config()).await;
    let mut pages = JoinSet::new();
    let address = door.address.clone();
    let page = move || {
        let text = head("POST", "/collect", &[&format!("User-Agent: {FIREFOX}")], PAGE.len());
        let address = address.clone();
        async move { request(&address, text + PAGE).await.status }
    };
    pages.spawn(page());
    within(LIMIT, "the first view goes at once", async || hands.calls.load(Ordering::SeqCst) == 1)
        .await;
    for _ in 0..WAITING {
        pages.spawn(page());
    }
    within(LIMIT, "the others wait", async || {
        redcast_e2e::established(port(&door.address)) > WAITING
    })
    .await;
    assert!(pages.try_join_next().is_none(), "nothing is answered before it is recorded");
    hands.permits.add_permits(WAITING + 1);
    assert_eq!(pages.join_all().await, vec![204; WAITING + 1]);
    assert_eq!(hands.views().len(), WAITING + 1);
    let calls = hands.calls.load(Ordering::SeqCst);
    assert!(calls < WAITING, "{calls} calls for {WAITING} that waited");
}

fn port(address: &str) -> u16 {
    address.parse::<SocketAddr>().unwrap().port()
}

#[tokio::test]
async fn a_full_queue_and_a_store_that_fails_are_503() {
    let hands = Hands::with_permits(0);
    let door = Door::open(hands.clone(), CollectConfig { queue: 1, rate: 0, ..config() }).await;
    let mut held = Vec::new();
    let text = head("POST", "/collect", &[&format!("User-Agent: {FIREFOX}")], PAGE.len()) + PAGE;
    for calls in [1, 1] {
        let mut stream = TcpStream::connect(&door.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        held.push(stream);
        within(LIMIT, "a call", async || hands.calls.load(Ordering::SeqCst) == calls).await;
    }
    // One is with the store, one waits; no more fit, though nobody knows when the second
    // has arrived.
    within(LIMIT, "full", async || {
        let answer = timeout(Duration::from_millis(200), door.page(PAGE)).await;
        answer.is_ok_and(|answer| {
            assert!(reason(&answer, 503).contains("too many page views wait"));
            answer.header("retry-after") == Some("5")
        })
    })
    .await;
    *hands.refuses.lock().unwrap() = Some(StoreError::Refused("NOPERM at 10.0.0.7".to_owned()));
    hands.permits.add_permits(1_000);
    let refused = async || {
        let words = reason(&door.page(PAGE).await, 503);
        assert!(!words.contains("10.0.0.7"), "{words}");
        words == "page views can't be counted just now"
    };
    within(LIMIT, "the store's refusal", refused).await;
    assert!(hands.views().is_empty());
    assert_eq!(redcast_e2e::get(&door.admin, "/readyz").await.status, 503);
    *hands.refuses.lock().unwrap() = None;
    assert_eq!(door.page(PAGE).await.status, 204);
    assert_eq!(redcast_e2e::get(&door.admin, "/readyz").await.status, 200);
    assert_eq!(redcast_e2e::get(&door.admin, "/healthz").await.status, 200);
}

#[tokio::test]
async fn the_script_is_served_to_every_site() {
    let door = Door::open(Hands::open(), config()).await;
    let script = door.send("GET", "/r.js", &[], "").await;
    assert_eq!(script.status, 200);
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(script.header("access-control-allow-origin"), Some("*"));
    assert!(script.body.contains("sendBeacon"));
    let tag = format!("If-None-Match: {}", script.header("etag").unwrap());
    assert_eq!(door.send("GET", "/r.js", &[&tag], "").await.status, 304);
    let head = door.send("HEAD", "/r.js", &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}
