//! The dashboard as it is served: compressed, not twice, with its collector, or not at
//! all.

use redcast_e2e::{Gateway, GatewayOptions, Response, get, request};
use serde_json::{Value, json};

async fn gateway(config: &str) -> Gateway {
    Gateway::ready(GatewayOptions { config: config.to_owned(), ..Default::default() }).await
}

async fn ask(gateway: &Gateway, path: &str, headers: &str) -> Response {
    let head = format!("GET {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n");
    request(gateway.public(), format!("{head}{headers}\r\n")).await
}

async fn info(gateway: &Gateway) -> Value {
    let answer = get(gateway.public(), "/api/info").await;
    serde_json::from_str(&answer.body).expect("the info is JSON")
}

#[tokio::test]
async fn the_page_travels_compressed_and_only_when_it_has_changed() {
    let gateway = gateway("").await;
    let plain = ask(&gateway, "/app.js", "").await;
    let gzip = ask(&gateway, "/app.js", "Accept-Encoding: gzip, deflate\r\n").await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let size = |answer: &Response| answer.header("content-length").unwrap().parse::<usize>();
    let (plain_size, size) = (size(&plain).unwrap(), size(&gzip).unwrap());
    assert!(size * 2 < plain_size && size < 60_000, "{size} of {plain_size}");
    let tag = gzip.header("etag").unwrap();
    let again = format!("Accept-Encoding: gzip\r\nIf-None-Match: {tag}\r\n");
    let again = ask(&gateway, "/app.js", &again).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(again.header("etag"), Some(tag));
    // Its tag is that of the compressed form alone.
    let other = ask(&gateway, "/app.js", &format!("If-None-Match: {tag}\r\n")).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn the_page_learns_what_to_show_and_where_to_count() {
    let gateway = gateway("[page]\ncollector = \"http://collect.example:8090\"").await;
    let info = info(&gateway).await;
    let dashboard = json!({"endpoint": "/ws/analytics", "channel": "analytics", "snapshot": null});
    assert_eq!(info["dashboard"], dashboard);
    assert_eq!(info["collector"], "http://collect.example:8090");
    let policy = get(gateway.public(), "/").await;
    let policy = policy.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self' http://collect.example:8090;"), "{policy}");
    assert!(policy.contains("connect-src 'self' http://collect.example:8090;"), "{policy}");
}

#[tokio::test]
async fn a_collector_at_the_same_address_needs_no_leave() {
    let gateway = gateway("[page]\ncollector = \"/\"").await;
    assert_eq!(info(&gateway).await["collector"], "/");
    let page = get(gateway.public(), "/").await;
    assert!(page.header("content-security-policy").unwrap().contains("script-src 'self';"));
}

#[tokio::test]
async fn a_page_that_is_off_leaves_its_paths_to_others() {
    let config = "[page]\nenabled = false\n[[endpoints]]\npath = \"/\"\nchannels = [\"a\"]";
    let gateway = gateway(config).await;
    for path in ["/app.js", "/app.css", "/icon.svg", "/api/info"] {
        assert_eq!(get(gateway.public(), path).await.status, 404, "{path}");
    }
    assert_eq!(get(gateway.public(), "/").await.status, 426);
    gateway.connect("/").await;
}
