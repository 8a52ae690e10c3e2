//! `serve --demo`: a gateway with visitors and a collector of its own.

use std::collections::HashMap;
use std::time::Duration;

use redcast_e2e::{Client, Gateway, GatewayOptions, config_file, post, request, run};
use serde_json::json;
use tokio::time::timeout;

async fn demo(config: &str) -> Gateway {
    let flags = vec!["--demo".to_owned()];
    Gateway::ready(GatewayOptions { config: config.to_owned(), flags, ..Default::default() }).await
}

#[tokio::test]
async fn the_demo_needs_no_redis_and_no_key() {
    let gateway = demo("").await;
    let mut viewer = gateway.connect_envelope("/ws/analytics").await;
    assert_eq!(viewer.json().await["type"], "initial_stats");
    let heard = async {
        while viewer.json().await["type"] != "event" {}
        let response = post(gateway.public(), "/api/publish/analytics", None, "[1]").await;
        assert_eq!(response.status, 200);
        let event = json!({"type": "event", "channel": "analytics", "data": [1]});
        // Among the demo's own, and the beats of its snapshot.
        while viewer.json().await != event {}
    };
    timeout(Duration::from_secs(20), heard).await.expect("the event comes among the others");
}

/// Sends a view of `path` as a browser behind a proxy would that names `address`.
async fn look(gateway: &Gateway, path: &str, address: &str) {
    let body = json!({ "url": format!("http://site.example{path}") }).to_string();
    let head = format!(
        "POST /collect HTTP/1.1\r\nHost: gateway\r\nUser-Agent: Mozilla/5.0 Firefox/140.0\r\n\
         X-Forwarded-For: {address}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(request(gateway.public(), &head).await.status, 204);
}

/// The visitors of these paths, as the demo tells its clients.
async fn visitors(viewer: &mut Client, paths: &[&str]) -> HashMap<String, String> {
    let mut seen = HashMap::new();
    let telling = async {
        while seen.len() < paths.len() {
            let event = viewer.json().await;
            let text = |pointer| event.pointer(pointer).and_then(|text| text.as_str());
            if let (Some(path), Some(visitor)) = (text("/data/path"), text("/visitor_id"))
                && paths.contains(&path)
            {
                seen.insert(path.to_owned(), visitor.to_owned());
            }
        }
    };
    timeout(Duration::from_secs(20), telling).await.expect("each view is told");
    seen
}

#[tokio::test]
async fn its_collector_believes_the_proxies_that_the_gateway_believes() {
    for (config, are_told_apart) in
        [("[http]\ntrusted_proxies = [\"127.0.0.0/8\"]", true), ("", false)]
    {
        let gateway = demo(config).await;
        let mut viewer = gateway.connect("/ws/analytics").await;
        viewer.send(r#"{"type":"ping"}"#).await;
        while viewer.json().await["type"] != "pong" {}
        look(&gateway, "/one", "198.51.100.1").await;
        look(&gateway, "/two", "198.51.100.2").await;
        let seen = visitors(&mut viewer, &["/one", "/two"]).await;
        assert_eq!(seen["/one"] != seen["/two"], are_told_apart, "{config:?}: {seen:?}");
    }
}

#[tokio::test]
async fn an_endpoint_at_a_path_of_the_demo_is_refused() {
    for path in ["/collect", "/r.js"] {
        let (_file, name) = config_file(format!("[[endpoints]]\npath = \"{path}\""));
        let listen =
            [("REDCAST_HTTP__LISTEN", "127.0.0.1:0"), ("REDCAST_ADMIN__LISTEN", "127.0.0.1:0")];
        let output = run(&["serve", "--demo", "--config", &name], &listen).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{told}");
        assert!(told.contains(&format!("--demo serves {path} itself")), "{told}");
    }
}
