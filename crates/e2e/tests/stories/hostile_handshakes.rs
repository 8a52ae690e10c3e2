//! Requests that are no handshake, or one with a trick in it: each gets its exact
//! status, nothing behind it on the socket is ever looked at, and nobody else notices.

use std::time::Duration;

use redcast_e2e::{RawClient, Response, Siege, request, turn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);
const PATH: &str = Siege::PATH;
const LINE: &str = "GET /attacked HTTP/1.1\r\n";
const UPGRADE: &str = "Upgrade: websocket\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const HOST: &str = "Host: gateway\r\n";
/// What memory may grow by while some hundred requests are refused: the heads that are
/// being read, and what the allocator keeps of them.
const MEMORY: u64 = 4 << 20;

/// Nobody was harmed, nobody got in, and the next honest one does.
async fn conclude(siege: Siege, what: &str) {
    let metrics = siege.gateway.metrics().await;
    assert_eq!(metrics.value("redcast_connections_opened_total"), 1.0, "only the bystander");
    siege.end(what).await;
}

/// A correct handshake.
fn good() -> String {
    [LINE, HOST, UPGRADE, CONNECTION, VERSION, KEY, "\r\n"].concat()
}

/// A correct handshake in which one part is another one.
fn with(part: &str, other: &str) -> String {
    let head = good();
    assert!(head.contains(part), "{part:?} stands in a correct handshake");
    head.replacen(part, other, 1)
}

/// A correct handshake with one more header.
fn and(header: &str) -> String {
    with(KEY, &format!("{KEY}{header}\r\n"))
}

/// What is wrong with an answer; none if it refuses by `status` and ends the connection.
fn fault(status: u16, response: &Response) -> Option<&'static str> {
    let version = response.header("sec-websocket-version");
    let connection = response.header("connection").unwrap_or_default();
    let announced = response.header("content-length").map_or(0, |length| length.parse().unwrap());
    if response.status != status {
        Some("another status")
    } else if version != (status == 426).then_some("13") {
        Some("the version of WebSocket is told with 426 and only there")
    } else if response.body.len() > announced {
        Some("something behind the answer")
    } else if status != 0 && !connection.contains("close") {
        Some("the client may believe that it can use the socket again")
    } else {
        None
    }
}

/// What is wrong, the request, and the status that answers it; 0 is an end without one.
type Trick = (&'static str, String, u16);

/// Headers of a handshake that say something else than they should.
fn headers() -> Vec<Trick> {
    let two = |header: &str| format!("{header}{header}");
    vec![
        ("no host", with(HOST, ""), 400),
        ("two hosts", with(HOST, &two(HOST)), 400),
        ("upgrade to something else besides", with(UPGRADE, "Upgrade: websocketx\r\n"), 426),
        ("an empty upgrade", with(UPGRADE, "Upgrade:\r\n"), 426),
        ("connection names another token", with(CONNECTION, "Connection: Upgrades\r\n"), 400),
        ("connection in quotes", with(CONNECTION, "Connection: \"Upgrade\"\r\n"), 400),
        ("two versions, both right", with(VERSION, &two(VERSION)), 426),
        ("two versions, one right", and("Sec-WebSocket-Version: 8"), 426),
        ("a list of versions", with("Version: 13", "Version: 13, 8"), 426),
        ("a version with a sign", with("Version: 13", "Version: +13"), 426),
        ("a version with a zero", with("Version: 13", "Version: 013"), 426),
        ("an empty version", with("Version: 13", "Version: "), 426),
        ("two keys, the same", with(KEY, &two(KEY)), 400),
        ("two keys, different", and("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="), 400),
        ("a key of 15 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"), 400),
        ("a key of 17 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWE="), 400),
        ("a key that is no base64", with("dGhlIHNhbXBsZSBub25jZQ==", &"!".repeat(24)), 400),
        ("a key for URLs", with("dGhlIHNhbXBsZSBub25jZQ==", "____________________-A=="), 400),
        ("an empty key", with("dGhlIHNhbXBsZSBub25jZQ==", ""), 400),
        ("unknown subprotocols alone", and("Sec-WebSocket-Protocol: mqtt, graphql-ws"), 400),
        ("our subprotocol in capitals", and("Sec-WebSocket-Protocol: REDCAST.V1"), 400),
        ("our subprotocol and more", and("Sec-WebSocket-Protocol: redcast.v1x"), 400),
        ("a body of nothing", and("Content-Length: 0"), 400),
        ("a body", and("Content-Length: 4").replace("\r\n\r\n", "\r\n\r\nbody"), 400),
        ("a chunked body", and("Transfer-Encoding: chunked"), 400),
        ("two lengths", and("Content-Length: 1\r\nContent-Length: 2"), 400),
        ("a length and chunks", and("Content-Length: 1\r\nTransfer-Encoding: chunked"), 400),
        ("a length with a sign", and("Content-Length: +1"), 400),
        ("a length that overflows", and("Content-Length: 99999999999999999999"), 400),
    ]
}

/// Requests that are no handshake from their first line on, or hardly HTTP.
fn requests() -> Vec<Trick> {
    vec![
        ("HTTP/1.0", with("HTTP/1.1", "HTTP/1.0"), 400),
        ("HTTP/0.9", "GET /attacked\r\n\r\n".to_owned(), 400),
        ("HTTP/1.2", with("HTTP/1.1", "HTTP/1.2"), 400),
        ("HTTP/2 by its name", with("HTTP/1.1", "HTTP/2.0"), 400),
        ("HTTP/2 by its preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".into(), 0),
        ("TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03".to_owned(), 400),
        ("an unknown path", with(PATH, "/attacked/../admin"), 404),
        ("a path with a NUL", with(PATH, "/attacked\0"), 400),
        ("a path in percents", with(PATH, "/%61ttacked"), 404),
        ("a path in double slashes", with(PATH, "//attacked"), 404),
        ("an absolute URI of another host", with(PATH, "http://evil.example/x"), 404),
        ("a path of 15 kB", with(PATH, &format!("/{}", "a".repeat(15_000))), 404),
        ("a path of 100 kB", with(PATH, &format!("/{}", "a".repeat(100_000))), 431),
        ("an asterisk", with(PATH, "*"), 404),
        ("POST", with("GET", "POST"), 405),
        ("HEAD", with("GET", "HEAD"), 405),
        ("OPTIONS", with("GET", "OPTIONS"), 405),
        ("CONNECT", with("GET /attacked", "CONNECT gateway:443"), 404),
        ("TRACE", with("GET", "TRACE"), 405),
        ("a method of our own", with("GET", "GRAB"), 405),
        ("a method in small letters", with("GET", "get"), 405),
        ("a lone CR in a value", and("X: a\rHost: evil"), 400),
        ("a NUL in a value", and("X: a\0b"), 400),
        ("a NUL in a name", and("X\0: a"), 400),
        ("a space before the colon", and("Sec-WebSocket-Protocol : redcast.v1"), 400),
        ("a folded header", and("X: a\r\n b"), 400),
        ("a header without a name", and(": a"), 400),
        ("a header without a colon", and("nothing"), 400),
        ("10,000 headers", with(KEY, &"a:b\r\n".repeat(10_000)), 431),
        ("101 headers", with(KEY, &format!("{KEY}{}", "a:b\r\n".repeat(101))), 431),
        ("a head of 1 MB", and(&format!("X: {}", "x".repeat(1 << 20))), 431),
        ("a name of 17 kB", and(&format!("{}: x", "x".repeat(17 << 10))), 431),
    ]
}

#[tokio::test]
async fn each_trick_gets_its_status_and_nobody_else_notices() {
    let _turn = turn().await;
    let siege = Siege::begin("").await;
    let vitals = siege.watch();
    let tricks = [headers(), requests()].concat();
    println!("{} wrong handshakes", tricks.len());
    let mut wrong = Vec::new();
    for (name, head, status) in &tricks {
        let response = request(siege.gateway.public(), head).await;
        let fault = fault(*status, &response);
        wrong.extend(fault.map(|fault| format!("{name}, not {status}: {fault}: {response:?}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    vitals.assert_flat("wrong handshakes", MEMORY, MEMORY).await;
    conclude(siege, "wrong handshakes").await;
}

#[tokio::test]
async fn what_stands_behind_a_refused_handshake_is_never_answered() {
    let siege = Siege::begin("").await;
    let smuggled = "GET /api/info HTTP/1.1\r\nHost: gateway\r\n\r\n";
    for (name, first, status) in [
        ("wrong version", with("Version: 13", "Version: 12"), 426),
        ("no upgrade", with(UPGRADE, ""), 426),
        ("bad key", with(KEY, "Sec-WebSocket-Key: x\r\n"), 400),
        ("a body as long as the second", and(&format!("Content-Length: {}", smuggled.len())), 400),
        ("chunks", and("Transfer-Encoding: chunked"), 400),
        ("unknown path", with(PATH, "/nothing"), 404),
        ("another method", with("GET", "POST"), 405),
        ("no host", with(HOST, ""), 400),
    ] {
        // In one segment, and after the server had time to read the first.
        let response = request(siege.gateway.public(), format!("{first}{smuggled}")).await;
        assert_eq!(fault(status, &response), None, "{name}: {response:?}");
        let later = in_two_pieces(siege.gateway.public(), &first, smuggled).await;
        assert_eq!(later.matches("HTTP/1.1 ").count(), 1, "{name}: {later}");
    }
    conclude(siege, "requests behind a refusal").await;
}

/// What comes back until the end of the socket.
async fn in_two_pieces(address: &str, first: &str, second: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(first.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let count = timeout(PATIENCE, socket.read(&mut answer)).await.unwrap().unwrap();
    answer.truncate(count);
    // The server may have closed by now, which is what is wanted of it.
    let _ = socket.write_all(second.as_bytes()).await;
    let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn an_oversized_head_is_answered_so_that_its_sender_can_read_it() {
    let siege = Siege::begin("").await;
    let vitals = siege.watch();
    let long = and(&format!("X: {}", "x".repeat(20 << 10)));
    let huge = and(&format!("X: {}", "x".repeat(8 << 20)));
    let many = with(KEY, &"a:b\r\n".repeat(10_000));
    for (name, head, piece) in [
        ("20 kB at once", &long, usize::MAX),
        ("20 kB byte by byte", &long, 1),
        ("8 MB at once", &huge, usize::MAX),
        ("8 MB in pieces of 4 kB", &huge, 4 << 10),
        ("10,000 headers", &many, usize::MAX),
        ("10,000 headers, one by one", &many, 5),
    ] {
        let answer = written_whole_then_read(siege.gateway.public(), head, piece).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{name}: {answer:?}");
    }
    vitals.assert_flat("oversized heads", MEMORY, MEMORY).await;
    conclude(siege, "oversized heads").await;
}

/// The answer as a program gets it that sends everything before it reads, where a reset
/// would take the answer away.
async fn written_whole_then_read(address: &str, head: &str, piece: usize) -> String {
    let exchange = async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        for piece in head.as_bytes().chunks(piece.min(head.len())) {
            socket.write_all(piece).await.expect("the server reads on while it refuses");
        }
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.expect("an answer and a clean end");
        String::from_utf8_lossy(&answer).into_owned()
    };
    timeout(PATIENCE, exchange).await.expect("the server answers")
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_a_head_like_another() {
    let siege = Siege::begin("").await;
    let mut socket = TcpStream::connect(siege.gateway.public()).await.unwrap();
    socket.set_nodelay(true).unwrap();
    for byte in RawClient::handshake(siege.gateway.public(), "/nowhere").as_bytes() {
        socket.write_all(&[*byte]).await.unwrap();
        sleep(Duration::from_micros(100)).await;
    }
    let mut answer = String::new();
    timeout(PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    conclude(siege, "a slow head").await;
}
