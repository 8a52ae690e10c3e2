//! Where several Redis servers are, from a file of its own and from a variable.

use super::tests::{file, refused};
use super::*;
use crate::settings::BrokerSettings;

#[test]
fn nodes_are_read_from_a_file_a_line_each() {
    let (secret, _) = file("redis://:hunter2@a\n\n  redis+sentinel://:hunter2@b,c/d\n");
    let text = format!("[redis]\nnodes_file = {:?}\nsentinel_password = \"p\"", secret.path());
    let (_kept, path) = file(&text);
    let loaded = from_layers(&ServeFlags::default(), path, &Variables::new()).unwrap();
    let BrokerSettings::Redis(config) = loaded.settings.broker() else { panic!("no Redis") };
    assert_eq!(config.nodes, ["redis://:hunter2@a", "redis+sentinel://:hunter2@b,c/d"]);
    assert_eq!(config.sentinel_password.as_deref(), Some("p"));
    for (content, why) in [
        ("redis://:hunter2@a\nredis://:hunter2@a", "node 1 (counted from 0) stands there twice"),
        ("redis://a\nhunter2", "line 2 is not a URL such as"),
    ] {
        let (secret, _) = file(content);
        let text = format!("[redis]\nnodes_file = {:?}", secret.path());
        let message = refused(&text, &[], &ServeFlags::default());
        let place = format!("FILE:2:1: redis.nodes_file: {}: {why}", secret.path().display());
        assert!(message.starts_with(&place) && !message.contains("hunter2"), "{message}");
    }
}

#[test]
fn nodes_of_a_stronger_layer_win_over_a_url() {
    let text = "[redis]\nurl = \"redis://a\"\n";
    let variables = [("REDCAST_REDIS__NODES", "redis://b, redis://c")];
    let variables: Variables =
        variables.map(|(name, value)| (name.to_owned(), value.into())).into();
    let (_kept, path) = file(text);
    let loaded = from_layers(&ServeFlags::default(), path, &variables).unwrap();
    let BrokerSettings::Redis(config) = loaded.settings.broker() else { panic!("no Redis") };
    assert_eq!(config.nodes, ["redis://b", "redis://c"]);
}
