//! A Redis that speaks TLS and wants a certificate: all that a gateway and its commands do
//! goes over it, and what is wrong with a file is told before anything starts.

use redcast_e2e::{
    Certificates, Gateway, GatewayOptions, TlsRedis, config_file, post, run, toml_path,
};
use serde_json::json;

const WORLD: &str = "[[endpoints]]\npath = \"/ws\"\nchannels = [\"news\"]\nsnapshot = \"stats\"\n\
    [[snapshots]]\nname = \"stats\"\nkey = \"stats\"\nmerge = { \"/data/here\" = \"connections\" }\n\
    [api]\nkey = \"key\"\n";

fn files(certificates: &Certificates) -> String {
    let path = |file: &str| toml_path(&certificates.path(file));
    format!(
        "[redis.tls]\nca_file = {}\ncert_file = {}\nkey_file = {}\n",
        path("ca.pem"),
        path("client.pem"),
        path("client.key")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_over_tls() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &["--tls-auth-clients", "yes"]);
    let mut producer = server.redis.connection().await;
    let mut set = redis::cmd("SET");
    set.arg("stats").arg("{\"x\":1}").query_async::<()>(&mut producer).await.unwrap();
    let config = format!("{WORLD}{}", files(&certificates));
    let options = GatewayOptions {
        redis_url: Some(server.url()),
        config: config.clone(),
        ..Default::default()
    };
    let gateway = Gateway::ready(options).await;
    let mut client = gateway.connect("/ws").await;
    let stats = client.json().await;
    assert_eq!(stats["data"], json!({"x": 1, "here": 1}));
    assert_eq!(post(gateway.public(), "/api/publish/news", Some("key"), "1").await.status, 200);
    let until_news = async |client: &mut redcast_e2e::Client, event: serde_json::Value| {
        // Beats come in between.
        while client.json().await != event {}
    };
    until_news(&mut client, json!(1)).await;

    let (_kept, path) = config_file(&config);
    let url = server.url();
    let flags = ["publish", "news", "2", "--config", &path, "--redis-url", &url];
    let output = run(&flags, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    until_news(&mut client, json!(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_counts_over_tls_too() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &["--tls-auth-clients", "yes"]);
    let options = GatewayOptions {
        redis_url: Some(server.url()),
        config: files(&certificates),
        flags: vec!["--demo".to_owned()],
        ..Default::default()
    };
    let gateway = Gateway::ready(options).await;
    // Without anybody who listens, nothing is subscribed to.
    let _client = gateway.connect("/ws/analytics").await;
    gateway
        .until("page views arrive", async || {
            gateway.metrics().await.value("redcast_events_received_total") > 0.0
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_can_t_be_used_is_told_with_its_key() {
    let certificates = Certificates::new();
    let path = |file: &str| toml_path(&certificates.path(file));
    let (ca, client, key) = (path("ca.pem"), path("client.pem"), path("client.key"));
    let url = "[redis]\nurl = \"rediss://localhost\"\n[redis.tls]\n";
    for (tls, told) in [
        ("ca_file = \"/nowhere/ca.pem\"\n".to_owned(), "redis.tls.ca_file: /nowhere/ca.pem: "),
        (format!("ca_file = {key}\n"), "holds no certificate in PEM"),
        (format!("cert_file = {client}\n"), "redis.tls.key_file is missing"),
        (format!("key_file = {key}\n"), "redis.tls.cert_file is missing"),
        (format!("cert_file = {client}\nkey_file = {ca}\n"), "holds no private key"),
        (
            format!("cert_file = {client}\nkey_file = {}\n", path("server.key")),
            "it is not the key of the certificate",
        ),
        ("ca = \"x\"\n".to_owned(), "redis.tls.ca: there is no such key; known here: ca_file"),
    ] {
        let (_kept, file) = config_file(format!("{url}{tls}"));
        let output = run(&["serve", "--config", &file], &[]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{tls}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(&file) && said.contains(told), "{tls}: {said}");
    }

    let variable = ("REDCAST_REDIS__TLS__CA_FILE", "/nowhere/ca.pem");
    let output = run(&["serve"], &[("REDCAST_REDIS__URL", "rediss://localhost"), variable]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("REDCAST_REDIS__TLS__CA_FILE: /nowhere/ca.pem: "), "{said}");

    // It would not be used, and somebody counts on it.
    let ca = certificates.path("ca.pem").display().to_string();
    let variables =
        [("REDCAST_REDIS__URL", "redis://localhost"), ("REDCAST_REDIS__TLS__CA_FILE", &ca)];
    let output = run(&["serve"], &variables).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("no URL of Redis asks for TLS"), "{said}");
}
