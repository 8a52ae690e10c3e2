//! An operator asks before starting: is this configuration right, and what is in effect?

use std::process::Output;

use redcast_e2e::{Gateway, GatewayOptions, config_file, run};
use serde_json::Value;

const FILE: &str = "[http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
    [[endpoints]]\npath = \"/ws/orders\"\nchannels = [\"orders\"]\n\
    allowed_origins = [\"https://shop.example\"]\n\
    [[endpoints]]\npath = \"/ws/all\"\nsubscribe = [\"*\"]\n";

#[track_caller]
fn fine(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert_eq!(errors, "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn a_right_configuration_is_called_fine_and_a_wrong_one_is_explained() {
    let (_kept, path) = config_file(FILE);
    let env = [("REDCAST_LOG__LEVEL", "debug"), ("REDCAST_API__KEY", "0123")];
    let flags = ["check-config", "--config", &path, "--redis-url", "redis://127.0.0.1:1"];
    let told = fine(&run(&flags, &env).await);
    assert_eq!(told, format!("configuration is fine ({path}, 2 variables, 1 flag)\n"));
    let json: Value =
        serde_json::from_str(&fine(&run(&["check-config", "--json"], &[]).await)).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["errors"], serde_json::json!([]));
    assert_eq!(json["warnings"], serde_json::json!([]));
    let link = [("REDCAST_PORT", "tcp://10.0.0.1:8080")];
    let json: Value =
        serde_json::from_str(&fine(&run(&["check-config", "--json"], &link).await)).unwrap();
    assert_eq!(json["ok"], true);
    let warnings = json["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{json}");
    assert!(warnings[0].as_str().unwrap().starts_with("REDCAST_PORT is a Kubernetes"), "{json}");

    let (_kept, path) = config_file("[keepalive]\nping_every = 30\n");
    let output = run(&["check-config", "--config", &path], &[]).await;
    assert_eq!(output.status.code(), Some(78));
    assert!(output.stdout.is_empty());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let place = format!("redcast: {path}:2:1: keepalive.ping_every: 30 is not a duration");
    assert!(told.starts_with(&place) && told.lines().count() == 1, "{told}");

    let output = run(&["check-config", "--json", "--config", &path, "--listen", "99"], &[]).await;
    assert_eq!(output.status.code(), Some(78));
    assert!(output.stderr.is_empty());
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(json["errors"][0]["source"], format!("{path}:2:1"));
    assert_eq!(json["errors"][0]["key"], "keepalive.ping_every");
    assert_eq!(json["errors"][1]["source"], "--listen");
    assert_eq!(json["errors"][1]["key"], "http.listen");
    assert!(json["errors"][1]["message"].as_str().unwrap().starts_with("\"99\" is not"));
}

#[tokio::test]
async fn what_is_in_effect_is_printed_with_its_sources_and_without_secrets() {
    let (_kept, path) = config_file(FILE);
    let (_secret, secret) = config_file("hunter2\n");
    let env = [
        ("REDCAST_CONFIG", path.as_str()),
        ("REDCAST_REDIS__URL", "redis://:hunter2@127.0.0.1:1"),
        ("REDCAST_API__KEY_FILE", &secret),
        ("REDCAST_HTTP__TRUSTED_PROXIES", "10.0.0.0/8,192.168.0.0/16"),
    ];
    let printed = fine(&run(&["print-config", "--log-level", "debug"], &env).await);
    for line in [
        format!("listen = \"127.0.0.1:0\" # {path}:2:1"),
        "trusted_proxies = [\"10.0.0.0/8\", \"192.168.0.0/16\"] # REDCAST_HTTP__TRUSTED_PROXIES"
            .into(),
        "url = \"redis://:***@127.0.0.1:1\" # REDCAST_REDIS__URL".into(),
        format!("key_file = \"{secret}\" # REDCAST_API__KEY_FILE"),
        "level = \"debug\" # --log-level".into(),
        "ping_every = \"30s\" # default".into(),
        "max_message_size = \"4KiB\" # default".into(),
    ] {
        assert!(printed.lines().any(|each| each == line), "{line:?} is not in\n{printed}");
    }
    assert!(!printed.contains("hunter2"), "{printed}");
    let json = fine(&run(&["print-config", "--json"], &env).await);
    assert!(!json.contains("hunter2"), "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["endpoints[1].path"]["value"], "/ws/all");
    assert_eq!(json["redis.url"]["source"], "REDCAST_REDIS__URL");
    assert_eq!(json["limits.outbox"]["source"], "default");
}

#[tokio::test]
async fn what_is_printed_can_be_run() {
    let (_kept, path) = config_file(FILE);
    let printed = fine(&run(&["print-config", "--config", &path], &[]).await);
    let gateway = Gateway::ready(GatewayOptions { config: printed, ..Default::default() }).await;
    let mut client = gateway.connect_envelope("/ws/all").await;
    client.send(r#"{"type":"subscribe","channel":"any","id":1}"#).await;
    assert_eq!(client.json().await["type"], "ack");
    // And so can the defaults.
    let defaults = fine(&run(&["print-config", "--defaults"], &[]).await);
    assert!(defaults.starts_with('#'));
    let gateway = Gateway::ready(GatewayOptions { config: defaults, ..Default::default() }).await;
    gateway.connect("/ws/analytics").await;
}

#[tokio::test]
async fn the_schema_is_printed_as_it_is_committed() {
    let printed = fine(&run(&["config-schema"], &[]).await);
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.schema.json");
    assert!(printed == std::fs::read_to_string(committed).unwrap(), "stale: run `make docs`");
}
