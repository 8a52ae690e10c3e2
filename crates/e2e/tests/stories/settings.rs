//! What an operator gets wrong is told in one sentence, with an exit code that says
//! whose fault it is.

use std::net::TcpListener;
use std::process::Output;

use redcast_e2e::{Gateway, GatewayOptions, config_file, run, run_unprivileged};

const LISTEN: [(&str, &str); 2] =
    [("REDCAST_HTTP__LISTEN", "127.0.0.1:0"), ("REDCAST_ADMIN__LISTEN", "127.0.0.1:0")];

/// Runs `serve` to its end; on top of free ports come these.
async fn serve(flags: &[&str], env: &[(&str, &str)]) -> Output {
    let flags = [&["serve"], flags].concat();
    run(&flags, &[&LISTEN, env].concat()).await
}

#[track_caller]
fn check(output: &Output, code: i32, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "one sentence: {text}");
    assert!(text.starts_with("redcast: "), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn a_wrong_file_is_named_with_line_column_and_key() {
    for (config, place, part) in [
        ("nonsense", "1:9", "this is not TOML"),
        ("[http]\nlisten = \"127.0.0.1:0\nx = 1", "2:", "this is not TOML"),
        ("[http]\nlisten = \"a\"\nlisten = \"b\"", "3:1", "duplicate key"),
        ("[htp]", "1:2: htp", "did you mean \"http\"?"),
        ("[http]\nlistn = 1", "2:1: http.listn", "did you mean \"listen\"?"),
        ("[http]\nlisten = 8080", "2:1: http.listen", "such as \"0.0.0.0:8080\""),
        ("[http]\nlisten = \"localhost:1\"", "2:1: http.listen", "names are not looked up"),
        ("[http]\nhandshake_timeout = \"soon\"", "2:1: http.handshake_timeout", "\"30s\""),
        ("[http]\nhandshake_timeout = 5", "2:1: http.handshake_timeout", "in quotes"),
        ("[limits]\noutbox = \"large\"", "2:1: limits.outbox", "\"64KiB\""),
        ("[limits]\noutbox = 0", "2:1: limits.outbox", "in quotes"),
        ("[limits]\noutbox = \"0B\"", "2:1: limits.outbox", "more than 0"),
        ("[limits]\nmax_connections = -1", "2:1: limits.max_connections", "from 0 to"),
        ("[keepalive]\nidle_timeout = \"30s\"", "2:1: keepalive.idle_timeout", "longer than"),
        ("[log]\nformat = \"xml\"", "2:1: log.format", "\"auto\", \"json\", \"pretty\""),
        ("[log]\nlevel = \"loud\"", "2:1: log.level", "off, error, warn"),
        ("[redis]\nurl = \"localhost:6379\"", "2:1: redis.url", "\"redis://127.0.0.1:6379\""),
        ("[redis]\nurl = \"memcached://127.0.0.1\"", "2:1: redis.url", "redis://"),
        ("[api]\nkey = \"a\"\nkey_file = \"b\"", "3:1: api.key_file", "not both"),
        ("[api]\nkey_file = \"/nowhere/key\"", "2:1: api.key_file", "/nowhere/key"),
        ("endpoints = []", "1:1: endpoints", "at least one"),
        ("[[endpoints]]\nchannels = [\"a\"]", "1:1: endpoints[0]", "\"path\" is missing"),
        ("[[endpoints]]\npath = \"ws\"", "2:1: endpoints[0].path", "begins with \"/\""),
        ("[[endpoints]]\npath = \"/api/publish/a\"", "2:1: endpoints[0].path", "/api/"),
        (
            "[[endpoints]]\npath = \"/a\"\n[[endpoints]]\npath = \"/a\"",
            "4:1: endpoints[1].path",
            "endpoints[0]",
        ),
        (
            "[[endpoints]]\npath = \"/a\"\nsubscribe = [\"a[b]\"]",
            "3:14: endpoints[0].subscribe[0]",
            "'['",
        ),
        ("[[channels]]\npattern = \"a b\"", "2:1: channels[0].pattern", "' '"),
    ] {
        let (_kept, path) = config_file(config);
        let place = format!("redcast: {path}:{place}");
        check(&serve(&["--config", &path], &[]).await, 78, &[&place, part]);
    }
}

#[tokio::test]
async fn a_file_that_can_not_be_read_is_named_with_the_reason() {
    for flags in [&["--config", "/nowhere/redcast.toml"][..], &[]] {
        let env = [("REDCAST_CONFIG", "/nowhere/redcast.toml")];
        let output = serve(flags, &env).await;
        check(&output, 78, &["/nowhere/redcast.toml", "No such file", "named by"]);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    check(&serve(&["--config", path], &[]).await, 78, &[path, "a directory, not a file"]);
    let (_kept, path) = config_file(b"[http]\n# caf\xe9\n");
    check(&serve(&["--config", &path], &[]).await, 78, &[&path, "not UTF-8 text (line 2)"]);
    let (kept, path) = config_file("");
    let nobody = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    kept.as_file().set_permissions(nobody).unwrap();
    let output = run_unprivileged(&["serve", "--config", &path], &LISTEN).await;
    check(&output, 78, &[&path, "Permission denied"]);
}

#[tokio::test]
async fn everything_wrong_is_told_at_once_one_line_each() {
    let (_kept, path) = config_file("[http]\nlistn = 1\n[keepalive]\nping_every = 30\n");
    let env = [("REDCAST_LOG__FORMAT", "xml"), ("REDCAST_API__KEYY", "hunter2")];
    let output = serve(&["--config", &path, "--listen", "99"], &env).await;
    assert_eq!(output.status.code(), Some(78));
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.lines().all(|line| line.starts_with("redcast: ")), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_wrong_variable_or_flag_is_named() {
    for (name, value, part) in [
        ("REDCAST_URL", "redis://127.0.0.1", "REDCAST_REDIS__URL"),
        ("REDCAST_PORT", "8080", "REDCAST_HTTP__LISTEN"),
        ("REDCAST_HTTP__LISTN", "8080", "REDCAST_HTTP__LISTEN"),
        ("REDCAST__HTTP__LISTEN", "127.0.0.1:0", "REDCAST_HTTP__LISTEN"),
        ("REDCAST_ENDPOINTS__0__PATH", "/a", "[[endpoints]]"),
        ("REDCAST_SHUTDOWN__WINDOW", "later", "\"30s\""),
        ("REDCAST_LIMITS__MAX_CONNECTIONS", "many", "from 0 to"),
        ("REDCAST_HTTP__TRUSTED_PROXIES", "10.0.0.0/8,x", "\"x\""),
    ] {
        let named = format!("redcast: {name}: ");
        check(&serve(&[], &[(name, value)]).await, 78, &[&named, part]);
    }
    check(&serve(&["--listen", "8080"], &[]).await, 78, &["redcast: --listen: \"8080\""]);
    let env = [("REDCAST_REDIS__URL", "redis://:hunter2@host:port")];
    let output = serve(&[], &env).await;
    check(&output, 78, &["REDCAST_REDIS__URL: the value is not a URL"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
}

#[tokio::test]
async fn a_place_to_listen_at_that_can_not_be_had_is_a_failure() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(&serve(&["--listen", &address], &[]).await, 1, &["http.listen", &address]);
    check(&serve(&["--admin-listen", &address], &[]).await, 1, &["admin.listen", &address]);
    // An address for documents alone (RFC 5737), which no machine has.
    check(&serve(&["--listen", "192.0.2.1:0"], &[]).await, 1, &["http.listen", "192.0.2.1:0"]);
    let output = run_unprivileged(&["serve", "--listen", "127.0.0.1:80"], &LISTEN).await;
    check(&output, 1, &["http.listen", "127.0.0.1:80", "Permission denied"]);
}

#[tokio::test]
async fn a_wrong_flag_is_wrong_usage() {
    for flags in [&["--colour"][..], &["--listen"], &["--demo", "now"]] {
        let output = serve(flags, &[]).await;
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(flags[flags.len() - 1]), "{flags:?}: {text}");
    }
    assert_eq!(run(&["dance"], &[]).await.status.code(), Some(2));
}

#[tokio::test]
async fn flags_win_over_variables_and_variables_over_the_file() {
    let gateway = Gateway::start(GatewayOptions {
        config: "[limits]\nmax_connections = 5\nmax_subscriptions = 6\n[log]\nlevel = \"off\"\n"
            .to_owned(),
        env: [
            ("REDCAST_LIMITS__MAX_CONNECTIONS", "7"),
            ("REDCAST_LIMITS__OUTBOX", "1048576B"),
            ("REDCAST_LOG__LEVEL", "warn,redcast=info"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        // The variable, which all of these gateways have, says 127.0.0.1.
        flags: ["--listen", "127.0.0.2:0"].map(str::to_owned).into(),
        ..Default::default()
    })
    .await;
    assert_eq!(gateway.metrics().await.value("redcast_connections_limit"), 7.0);
    assert!(gateway.public().starts_with("127.0.0.2:"), "{}", gateway.public());
}

#[tokio::test]
async fn kubernetes_service_links_are_ignored_with_a_warning() {
    let links = [
        ("REDCAST_PORT", "tcp://10.0.0.1:8080"),
        ("REDCAST_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("REDCAST_SERVICE_HOST", "10.0.0.1"),
        ("REDCAST_SERVICE_PORT_HTTP", "8080"),
        ("REDCAST_REDIS_SERVICE_HOST", "10.0.0.2"),
        ("REDCAST_REDIS_PORT", "tcp://10.0.0.2:6379"),
    ];
    let gateway = Gateway::ready(GatewayOptions {
        env: links.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Default::default()
    })
    .await;
    for (name, _) in links {
        let warned = |line: &String| line.contains(&format!("{name} is a Kubernetes"));
        assert_eq!(gateway.log().iter().filter(|line| warned(line)).count(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_idle_gateway_stops_with_0_when_asked_to() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut gateway = Gateway::ready(GatewayOptions {
            env: [("REDCAST_SHUTDOWN__ACCEPT_FOR", "200ms"), ("REDCAST_SHUTDOWN__WINDOW", "20s")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Default::default()
        })
        .await;
        gateway.signal(signal);
        // For a while it is not ready and still takes clients.
        gateway.until_metric("redcast_draining", 1.0).await;
        assert_eq!(gateway.ask("/readyz").await.status, 503);
        let started = std::time::Instant::now();
        assert_eq!(gateway.exit().await.code(), Some(0));
        // Nobody was here, so nothing waits for the window.
        assert!(started.elapsed() < std::time::Duration::from_secs(10));
    }
}
