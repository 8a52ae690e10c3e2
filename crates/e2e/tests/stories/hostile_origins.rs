//! Pages that may not connect, and the tricks by which they try to look like one that
//! may. What is allowed is compared whole: scheme, host and port.

use redcast_e2e::{Gateway, GatewayOptions, RawClient, Siege, request};

const CONFIG: &str = r#"
[[endpoints]]
path = "/ws"
allowed_origins = ["https://good.example", "http://127.0.0.1:8080"]
"#;

/// What a browser could send for a page of somebody else's, and what none would.
const REFUSED: [&str; 57] = [
    // Another name that begins, ends or goes on like the right one.
    "https://good.example.evil",
    "https://good.example.evil.example",
    "https://evil-good.example",
    "https://evilgood.example",
    "https://evil.good.example",
    "https://www.good.example",
    "https://goodXexample",
    "https://good.exampl",
    "https://ood.example",
    "https://example",
    "https://good.example.",
    "https://.good.example",
    "https://good..example",
    "https://127.0.0.1.evil.example",
    // The right name in the wrong place.
    "https://evil.example/good.example",
    "https://evil.example/https://good.example",
    "https://evil.example?https://good.example",
    "https://evil.example#https://good.example",
    "https://good.example@evil.example",
    "https://good.example:80@evil.example",
    "https://evil.example\\good.example",
    "https://evil.example\\.good.example",
    "https://user@good.example",
    "https://good.example%00.evil.example",
    "https://good.example%2eevil.example",
    // Scheme and port.
    "http://good.example",
    "ws://good.example",
    "wss://good.example",
    "https:/good.example",
    "https:good.example",
    "//good.example",
    "good.example",
    "https://",
    "https://good.example:443",
    "https://good.example:8443",
    "https://good.example:",
    "http://127.0.0.1",
    "http://127.0.0.1:80",
    "http://127.0.0.1:80800",
    "http://127.0.0.1:08080",
    "https://127.0.0.1:8080",
    "http://localhost:8080",
    "http://[::1]:8080",
    "http://2130706433:8080",
    "http://0x7f.1:8080",
    // More than an origin, or less than one.
    "https://good.example/",
    "https://good.example/page",
    "https://good.example, https://evil.example",
    "https://evil.example, https://good.example",
    "https://good.example https://evil.example",
    "https://evil.example https://good.example",
    "https://good.example;",
    "null",
    "file://",
    "*",
    "",
    "undefined",
];

/// Bytes that are no plain text; the HTTP parser refuses what no header may hold.
const BYTES: [(&[u8], u16); 9] = [
    ("https://g\u{f6}\u{f6}d.example".as_bytes(), 403),
    // Cyrillic letters that look like ours, as they are and as a browser sends them.
    ("https://g\u{43e}\u{43e}d.example".as_bytes(), 403),
    (b"https://xn--gd-jmca.example", 403),
    // A full stop of another script, which some software takes for ours.
    ("https://good\u{3002}example".as_bytes(), 403),
    (b"https://good.example\xff", 403),
    (b"https://good.example\tx", 403),
    (b"https://good.example\0", 400),
    (b"https://good.example\x01", 400),
    (b"https://good.example\x7f", 400),
];

const ALLOWED: [&str; 6] = [
    "https://good.example",
    "http://127.0.0.1:8080",
    "HTTPS://good.example",
    "https://GOOD.Example",
    // White space around a header's value is not part of it (RFC 9110 section 5.5).
    "  https://good.example",
    "https://good.example \t ",
];

/// A correct handshake with these lines in it.
fn handshake(gateway: &Gateway, lines: &[u8]) -> Vec<u8> {
    let plain = RawClient::handshake(gateway.public(), "/ws");
    let (head, _) = plain.split_at(plain.len() - 2);
    [head.as_bytes(), lines, b"\r\n"].concat()
}

fn origin(value: &[u8]) -> Vec<u8> {
    [b"Origin: ", value, b"\r\n"].concat()
}

/// The table: origin headers as they are sent, and what answers them.
fn table() -> Vec<(Vec<u8>, u16)> {
    let long = format!("https://good.example{}", "x".repeat(12_000));
    let two =
        |first: &str, second: &str| [origin(first.as_bytes()), origin(second.as_bytes())].concat();
    let mut table: Vec<_> = REFUSED.iter().map(|each| (origin(each.as_bytes()), 403)).collect();
    table.extend(BYTES.iter().map(|(each, status)| (origin(each), *status)));
    table.push((origin(long.as_bytes()), 403));
    table.push((two("https://good.example", "https://evil.example"), 403));
    table.push((two("https://evil.example", "https://good.example"), 403));
    table.push((two("https://good.example", "https://good.example"), 403));
    table.push((two("https://good.example", ""), 403));
    table
}

#[tokio::test]
async fn a_page_that_is_not_on_the_list_gets_403_whatever_it_tries() {
    let siege = Siege::begin(CONFIG).await;
    let gateway = &siege.gateway;
    let series = gateway.metrics().await.len();
    let table = table();
    let mut wrong = Vec::new();
    for (lines, expected) in &table {
        let response = request(gateway.public(), handshake(gateway, lines)).await;
        if response.status != *expected {
            let lines = String::from_utf8_lossy(&lines[..lines.len().min(100)]);
            wrong.push(format!("{lines:?}: {}, not {expected}", response.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let refused = table.iter().filter(|(_, status)| *status == 403).count();
    println!("{} tricks, {refused} of them refused as origins", table.len());
    let metrics = gateway.metrics().await;
    let counted = metrics.value(r#"redcast_connections_rejected_total{reason="origin"}"#);
    assert_eq!(counted, refused as f64);
    assert_eq!(metrics.value("redcast_connections_opened_total"), 1.0, "the bystander alone");
    assert_eq!(metrics.len(), series, "no series named after what a client sent");
    siege.end("origins").await;
}

#[tokio::test]
async fn a_page_on_the_list_and_a_program_get_in() {
    let config = CONFIG.to_owned();
    let gateway = Gateway::ready(GatewayOptions { config, ..Default::default() }).await;
    for allowed in ALLOWED {
        let head = handshake(&gateway, &origin(allowed.as_bytes()));
        assert_eq!(request(gateway.public(), head).await.status, 101, "{allowed:?}");
    }
    let head = handshake(&gateway, b"");
    assert_eq!(request(gateway.public(), head).await.status, 101, "no origin at all");
}
