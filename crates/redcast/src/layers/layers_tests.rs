//! The layers together: who wins, what each layer is told, and what doesn't fit.

use super::blame::origin_of;
use super::*;
use crate::banner::Shown;
use crate::settings::BrokerSettings;
use redcast_hub::SlowConsumer;
use redcast_node::ItemPointer;
use std::io::Write;
use std::time::Duration;

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect()
}

pub(super) fn file(
    text: &str,
) -> (tempfile::NamedTempFile, Option<(PathBuf, Option<&'static str>)>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_owned();
    (file, Some((path, None)))
}

#[test]
fn later_layers_win_and_each_value_knows_its_origin() {
    let (kept, path) = file(
        "[http]\nlisten = \"127.0.0.1:1\"\n[admin]\nlisten = \"127.0.0.1:2\"\n[log]\nlevel = \"warn\"",
    );
    let environment = variables(&[
        ("REDCAST_ADMIN__LISTEN", "127.0.0.1:3"),
        ("REDCAST_LOG__LEVEL", "debug"),
        ("REDCAST_LIMITS__MAX_CONNECTIONS", "77"),
        ("REDCAST_HTTP__TRUSTED_PROXIES", "10.0.0.0/8, 192.168.0.1"),
        ("REDCAST_API__KEY", "007"),
    ]);
    let flags = ServeFlags { log_level: Some("trace".to_owned()), ..ServeFlags::default() };
    let loaded = from_layers(&flags, path, &environment).unwrap();
    let settings = &loaded.settings;
    assert_eq!(settings.http.listen.port(), 1);
    assert_eq!(settings.admin.listen.port(), 3);
    assert_eq!(settings.log.level, "trace");
    assert_eq!(settings.node(1000, "").max_connections, 77);
    assert_eq!(settings.edge(false).unwrap().trusted_proxies.len(), 2);
    // A key of digits keeps its zeros.
    assert!(format!("{:?}", loaded.values).contains("\"007\""));
    assert!(matches!(settings.broker(), BrokerSettings::Memory(_)));
    assert_eq!((loaded.variables, loaded.flags), (5, 1));
    let origin = |key| origin_of(&loaded.values, key);
    let place = format!("{}:2:1", kept.path().display());
    assert_eq!(origin("http.listen"), Some(place));
    assert_eq!(origin("admin.listen").as_deref(), Some("REDCAST_ADMIN__LISTEN"));
    assert_eq!(origin("log.level").as_deref(), Some("--log-level"));
    assert_eq!(origin("keepalive.ping_every"), None);
}

#[test]
fn the_defaults_alone_are_a_configuration() {
    let loaded = from_layers(&ServeFlags::default(), None, &Variables::new()).unwrap();
    assert_eq!(loaded.settings.node(1000, "").max_connections, 744);
    let edge = loaded.settings.edge(false).unwrap();
    assert_eq!(edge.endpoints[0].path, "/ws/analytics");
    assert_eq!(edge.endpoints[0].max_message_size, 4096);
    assert_eq!(edge.max_event_size, 1 << 20);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let mut problems = Vec::new();
    judge::judge(&loaded.values, schema(), "", &mut problems);
    assert_eq!(problems, []);
}

/// What is told of a wrong configuration, without the file's name.
#[track_caller]
pub(super) fn refused(text: &str, environment: &[(&str, &str)], flags: &ServeFlags) -> String {
    let (kept, path) = file(text);
    let loaded = from_layers(flags, path, &variables(environment));
    let told = loaded.expect_err(text).to_string();
    told.replace(&kept.path().display().to_string(), "FILE")
}

#[test]
fn variables_and_flags_are_told_by_their_names() {
    for (variable, told) in [
        (
            ("REDCAST_HTTP__LISTN", "1"),
            "there is no such setting; did you mean REDCAST_HTTP__LISTEN?",
        ),
        (("REDCAST_URL", "1"), "there is no such setting; did you mean REDCAST_REDIS__URL?"),
        (
            ("REDCAST_PORT", "80"),
            "there is no such setting; variables are spelled like REDCAST_HTTP__LISTEN, which sets http.listen",
        ),
        (("REDCAST__HTTP__LISTEN", "1"), "did you mean REDCAST_HTTP__LISTEN?"),
        (("REDCAST_http__listen", "1"), "did you mean REDCAST_HTTP__LISTEN?"),
        (
            ("REDCAST_ENDPOINTS__0__PATH", "/a"),
            "no variable can set a list of tables; write [[endpoints]] in a configuration file",
        ),
        (("REDCAST_CHANNELS", "a"), "write [[channels]] in a configuration file"),
        (("REDCAST_SHUTDOWN__WINDOW", "later"), "\"later\" is not a duration such as"),
        (
            ("REDCAST_LIMITS__MAX_CONNECTIONS", "many"),
            "\"many\" is not a whole number from 0 to 4294967295",
        ),
        (("REDCAST_LIMITS__OUTBOX", "0B"), "must be more than 0"),
        (("REDCAST_STREAMS__REPLAY_BYTES", "0B"), "must be more than 0"),
        (("REDCAST_HTTP__TRUSTED_PROXIES", "10.0.0.0/8,x"), "\"x\" is not an address or a network"),
        (("REDCAST_API__KEY_FILE", ""), "the path is empty; leave the key out"),
        (
            ("REDCAST_LISTEN", "127.0.0.1:1"),
            "did you mean REDCAST_ADMIN__LISTEN or REDCAST_HTTP__LISTEN?",
        ),
        (("REDCAST_REDIS__URL", ""), "the value is not a URL such as"),
        (
            ("REDCAST_KEEPALIVE__PING_EVERY", "90s"),
            "must be shorter than keepalive.idle_timeout (1m)",
        ),
    ] {
        let message = refused("", &[variable], &ServeFlags::default());
        let named = format!("{}: ", variable.0);
        assert!(message.starts_with(&named) && message.contains(told), "{variable:?}: {message}");
    }
    let flags = ServeFlags { listen: Some("99".to_owned()), ..ServeFlags::default() };
    assert_eq!(
        refused("", &[], &flags),
        "--listen: \"99\" is not an IP address with a port, such as \"0.0.0.0:8080\" or \
         \"[::1]:8080\": write \"0.0.0.0:99\""
    );
    let flags = ServeFlags { listen: Some("[::]:9464".to_owned()), ..ServeFlags::default() };
    assert!(refused("", &[], &flags).starts_with("--listen: port 9464 is admin.listen's, too"));
}

#[test]
fn two_listeners_share_a_port_only_at_places_that_do_not_meet() {
    for (public, admin, meet) in [
        ("127.0.0.1:1", "127.0.0.1:1", true),
        ("127.0.0.1:1", "127.0.0.2:1", false),
        ("0.0.0.0:1", "127.0.0.1:1", true),
        ("127.0.0.1:1", "0.0.0.0:1", true),
        ("0.0.0.0:1", "[::1]:1", false),
        ("[::1]:1", "0.0.0.0:1", false),
        // It takes IPv4, too.
        ("[::]:1", "127.0.0.1:1", true),
        ("0.0.0.0:1", "[::]:1", true),
        ("[::1]:1", "[::]:1", true),
        ("[::]:1", "[::]:2", false),
        ("[::]:0", "[::]:0", false),
    ] {
        let text = format!("[http]\nlisten = \"{public}\"\n[admin]\nlisten = \"{admin}\"");
        assert_eq!(check_text(&text).is_err(), meet, "{public} {admin}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let flags = ServeFlags { listen: Some("99".to_owned()), ..ServeFlags::default() };
    let environment =
        [("REDCAST_LOG__FORMAT", "xml"), ("REDCAST_HTTP__TRUSTED_PROXIES", "x,10.0.0.1,y")];
    let message = refused("[http]\nport = 1\n[log]\nlevel = \"loud\"", &environment, &flags);
    let begins: Vec<_> = message.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let proxies = "REDCAST_HTTP__TRUSTED_PROXIES";
    assert_eq!(
        begins,
        ["FILE:2:1", "FILE:4:1", proxies, proxies, "REDCAST_LOG__FORMAT", "--listen"]
    );
    assert!(message.contains("\"x\" is not") && message.contains("\"y\" is not"), "{message}");
}

#[test]
fn no_message_tells_a_secret() {
    for (text, environment) in [
        ("[redis]\nurl = \"hunter2://:hunter2@host:port\"", vec![]),
        ("[redis]\nurl = [\"hunter2\"]", vec![]),
        ("[auth]\nforward_url = \"ftp://hunter2\"", vec![]),
        ("[api]\nkeyy = \"hunter2\"", vec![]),
        ("[api]\nkey = {a = \"hunter2\"}", vec![]),
        ("[api]\nkey = \"hunter2", vec![]),
        ("[api]\nkey = hunter2", vec![]),
        ("redis = \"redis://:hunter2@h:1\"", vec![]),
        ("api = \"hunter2key\"", vec![]),
        ("auth = \"http://hunter2/\"", vec![]),
        ("endpoints = \"hunter2\"", vec![]),
        ("endpoints = [\"hunter2\"]", vec![]),
        ("[[endpoints]]\npath = \"/a\"\n[[channels]]\npattern = [\"hunter2\"]", vec![]),
        ("", vec![("REDCAST_REDIS__URL", "redis://:hunter2@host:port")]),
        ("", vec![("REDCAST_API__KEYY", "hunter2")]),
    ] {
        let message = refused(text, &environment, &ServeFlags::default());
        assert!(!message.contains("hunter2"), "{text:?}: {message}");
    }
}

#[test]
fn an_origin_says_what_is_wrong_with_it() {
    for (origin, why) in [
        ("https://a.example/", "leave out the slash at the end: write \"https://a.example\""),
        ("https://a.example/app", "leave out the path: write \"https://a.example\""),
        ("https://*.example", "a wildcard can't be part of it"),
        ("*.example", "list each origin"),
        ("a.example", "the scheme is missing: write \"https://a.example\""),
        ("https://a.example:443", "browsers leave out the usual port: write \"https://a.example\""),
        ("http://a.example:x", "\"x\" is no port"),
        ("https://", "the host is missing"),
        ("https://user@a.example", "an origin has no user"),
        ("https://bücher.example", "xn--"),
        ("https://a b", "no host has ' ' in its name"),
        ("wss://a.example", "a page has its own scheme: write \"https://a.example\""),
        ("WS://a.example", "a page has its own scheme: write \"http://a.example\""),
        ("http://[0:0::1]:81", "browsers write this address \"[::1]\""),
        ("http://[::ffff:1.2.3.4]", "browsers write this address \"[::ffff:102:304]\""),
        ("http://[::x]", "\"::x\" is no IPv6 address"),
        ("null", "can't be told apart"),
        ("", "the scheme is missing"),
    ] {
        let text = format!("[[endpoints]]\npath = \"/a\"\nallowed_origins = [\"{origin}\"]");
        let message = refused(&text, &[], &ServeFlags::default());
        let place = "FILE:3:20: endpoints[0].allowed_origins[0]: ";
        assert!(message.starts_with(place) && message.contains(why), "{origin}: {message}");
    }
    for origin in [
        "https://A.example",
        "http://127.0.0.1:8080",
        "http://[::1]:80",
        "http://[FE80::1]",
        "app://x",
    ] {
        let text = format!("[[endpoints]]\npath = \"/a\"\nallowed_origins = [\"{origin}\"]");
        let expected = origin == "http://[::1]:80";
        assert_eq!(check_text(&text).is_err(), expected, "{origin}: {:?}", check_text(&text));
    }
}

#[test]
fn a_cookie_and_any_page_do_not_go_together() {
    let asks = "[auth]\nforward_url = \"http://127.0.0.1:9/\"\n";
    let pages = "[[endpoints]]\npath = \"/a\"\nallowed_origins = [\"https://a.example\"]\n";
    let open = "[[endpoints]]\npath = \"/b\"\n";
    let headers = "forward_headers = [\"authorization\"]\n";
    let wrong = check_text(asks).unwrap_err().to_string();
    assert!(
        wrong.contains(
            "redcast.toml:2:1: auth.forward_url: the built-in endpoint allows every origin"
        ),
        "{wrong}"
    );
    let wrong = check_text(&format!("{asks}{pages}{open}allowed_origins = [\"*\"]")).unwrap_err();
    assert!(
        wrong.to_string().contains("redcast.toml:8:1: endpoints[1].allowed_origins: \"*\" lets"),
        "{wrong}"
    );
    check_text(&format!("{asks}{headers}{open}")).unwrap();
    check_text(&format!("{asks}{pages}")).unwrap();
    check_text("[auth]\nforward_url_file = \"/nowhere\"").unwrap_err();
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let path = Some((PathBuf::from("/nowhere/redcast.toml"), Some("--config")));
    let error = from_layers(&ServeFlags::default(), path, &Variables::new()).unwrap_err();
    let told = "/nowhere/redcast.toml: this file can't be read: No such file or directory";
    assert!(error.to_string().starts_with(told), "{error}");
    assert!(error.to_string().ends_with("(named by --config)"), "{error}");
}

#[test]
fn a_file_in_place_is_missed_only_where_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redcast.toml");
    assert!(!is_there(&path));
    std::os::unix::fs::symlink("/nowhere/redcast.toml", &path).unwrap();
    assert!(is_there(&path), "a dangling link");
    // A file has no files in it: not the same as that it isn't there.
    let (kept, _) = file("");
    assert!(is_there(&kept.path().join("redcast.toml")), "a folder that can't be looked into");
}

#[test]
fn a_secret_is_read_from_its_file() {
    let (secret, _) = file("redis://:hunter2@127.0.0.1:1\n");
    let text = format!("[redis]\nurl_file = {:?}", secret.path());
    let (_kept, path) = file(&text);
    let loaded = from_layers(&ServeFlags::default(), path, &Variables::new()).unwrap();
    assert!(matches!(loaded.settings.broker(), BrokerSettings::Redis(config)
        if config.url == "redis://:hunter2@127.0.0.1:1"));
    for (content, why) in [
        (Some(""), "this file is empty"),
        (Some(" \n"), "this file is empty"),
        (Some("hunter2"), "what this file holds is not a URL such as"),
        (None, "this is a directory, not a file"),
    ] {
        let (secret, _) = file(content.unwrap_or_default());
        let named = content.map_or_else(|| PathBuf::from("/"), |_| secret.path().to_owned());
        let message =
            refused(&format!("[redis]\nurl_file = {named:?}"), &[], &ServeFlags::default());
        let place = format!("FILE:2:1: redis.url_file: {}: {why}", named.display());
        assert!(message.starts_with(&place) && !message.contains("hunter2"), "{message}");
    }
    // To judge a text is not to open what it names.
    check_text("[api]\nkey_file = \"/nowhere/key\"").unwrap();
}

#[test]
fn a_banner_shows_of_redis_what_helps_and_no_secret() {
    let publish = |text: &str, flags: &ServeFlags| {
        let (settings, _) = check_values(&format!("[redis]\n{text}")).unwrap();
        match settings.shown_broker(flags) {
            Shown::Memory => Some("memory".to_owned()),
            Shown::Redis(publish) => publish,
        }
    };
    for (text, shown) in [
        ("", "memory"),
        ("url = \"redis://127.0.0.1:6379/\"", "redis-cli PUBLISH"),
        ("url = \"redis://host:1/2\"", "redis-cli -u redis://host:1/2 PUBLISH"),
        ("url = \"redis://:hunter2@host\"", "redcast publish"),
        ("url = \"redis://host?db=2\"", "redcast publish"),
        ("url = \"unix:///run/redis.sock\"", "redcast publish"),
        ("url = \"redis://host\"\nprefix = \"a:\"", "redcast publish"),
    ] {
        assert_eq!(publish(text, &ServeFlags::default()).as_deref(), Some(shown), "{text}");
    }
    let secret = "url = \"redis://:hunter2@host\"";
    let with_file = |path: &str| ServeFlags { config: Some(path.into()), ..Default::default() };
    let shown = publish(secret, &with_file("/etc/redcast.toml"));
    assert_eq!(shown.as_deref(), Some("redcast publish --config /etc/redcast.toml"));
    assert_eq!(publish(secret, &with_file("my redcast.toml")), None);
    let flags = ServeFlags { redis_url: Some("hunter2".to_owned()), ..Default::default() };
    assert_eq!(publish(secret, &flags), None);
}

#[test]
fn more_connections_than_descriptors_are_warned_of() {
    let (_kept, path) = file("[limits]\nmax_connections = 4000000000");
    let loaded = from_layers(&ServeFlags::default(), path, &Variables::new()).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].contains("limits.max_connections: 4000000000 connections need"));
}

#[test]
fn nothing_in_a_file_is_wrong_that_need_not_be() {
    for text in ["", "\u{feff}", "\n# nothing\n", "[http]", "[[channels]]\npattern = \"a*\""] {
        check_text(text).unwrap();
    }
}

#[test]
fn a_rule_reaches_the_node_as_it_is_written() {
    let rules = |text: &str| check_values(text).unwrap().0.node(1000, "").rules;
    let full = &rules(
        "[[channels]]\npattern = \"a:*\"\nslow_consumer = \"keep_latest\"\nflush_every = \"60s\"\n\
         latest_by = \"\"",
    )[0];
    assert_eq!(full.slow_consumer, SlowConsumer::KeepLatest);
    assert_eq!(full.flush_every, Some(Duration::from_secs(60)));
    assert_eq!(full.latest_by, Some(ItemPointer::parse("").unwrap()));
    let least = &rules("[[channels]]\npattern = \"a\"\nflush_every = \"1ms\"")[0];
    assert_eq!(least.flush_every, Some(Duration::from_millis(1)));
    assert_eq!((least.slow_consumer, &least.latest_by), (SlowConsumer::Disconnect, &None));
    assert_eq!(rules("[[channels]]\npattern = \"a\"")[0].flush_every, None);
}

#[test]
fn of_a_secret_and_its_file_the_one_of_the_stronger_layer_counts() {
    let text = "[redis]\nurl_file = \"/nowhere\"\n";
    let url = Some("redis://127.0.0.1:1".to_owned());
    let flags = ServeFlags { redis_url: url, ..ServeFlags::default() };
    let (_kept, path) = file(text);
    let loaded = from_layers(&flags, path, &Variables::new()).unwrap();
    assert!(loaded.settings.redis.url.is_some() && loaded.settings.redis.url_file.is_none());

    // The other way round it is the file that is read.
    let variable = [("REDCAST_REDIS__URL_FILE", "/nowhere")];
    let told = refused("[redis]\nurl = \"redis://a\"", &variable, &ServeFlags::default());
    assert!(told.starts_with("REDCAST_REDIS__URL_FILE: /nowhere: "), "{told}");

    let both = [("REDCAST_API__KEY_FILE", "/nowhere"), ("REDCAST_API__KEY", "a")];
    assert_eq!(
        refused("", &both, &ServeFlags::default()),
        "REDCAST_API__KEY_FILE: api.key is set, too (REDCAST_API__KEY); set one, not both"
    );
}

#[test]
fn the_mistakes_of_a_file_come_by_line_and_before_the_others() {
    let text = "[limits]\noutbox = 1\n[http]\nlisen = \"a\"\nunsent_limit = 1\n\
                [[endpoints]]\ncolour = 1\n[log]\nlevl = 1";
    let variable = [("REDCAST_PORT", "80")];
    let told = refused(text, &variable, &ServeFlags::default());
    let places: Vec<_> = told.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let expected =
        ["FILE:2:1", "FILE:4:1", "FILE:5:1", "FILE:6:1", "FILE:7:1", "FILE:9:1", "REDCAST_PORT"];
    assert_eq!(places, expected, "{told}");
}
