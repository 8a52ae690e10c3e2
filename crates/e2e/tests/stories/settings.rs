//! What an operator gets wrong is told in one sentence, with an exit code that says
//! whose fault it is.

use std::io::Write;
use std::net::TcpListener;
use std::process::Output;

use redcast_e2e::{Gateway, GatewayOptions, run};

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
async fn a_wrong_file_is_named_with_the_place_in_it() {
    for (config, part) in [
        ("nonsense", "line 1, column 9"),
        ("[http]\nlisten = \"127.0.0.1:0\nx = 1", "line 2"),
        ("[htp]", "`htp`"),
        ("[http]\nport = 1", "unknown field `port`"),
        ("[http]\nhandshake_timeout = \"soon\"", "http.handshake_timeout"),
        ("[limits]\nmax_connections = -1", "limits.max_connections"),
        ("[log]\nformat = \"xml\"", "log.format"),
        ("[[endpoints]]\nchannels = [\"a\"]", "endpoints[0]path"),
        ("[[endpoints]]\npath = \"/a\"\ncolour = 1", "endpoints[0]"),
        ("[[channels]]\npattern = \"a\"\nslow_consumer = \"wait\"", "slow_consumer"),
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(config.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        check(&serve(&["--config", path], &[]).await, 78, &[path, part]);
    }
    for flags in [&["--config", "/nowhere/redcast.toml"][..], &[]] {
        let env = [("REDCAST_CONFIG", "/nowhere/redcast.toml")];
        check(&serve(flags, &env).await, 78, &["/nowhere/redcast.toml"]);
    }
}

#[tokio::test]
async fn a_value_that_fits_its_type_and_nothing_else_is_named_by_its_key() {
    for (config, part) in [
        ("[limits]\noutbox = 0", "limits.outbox"),
        ("[keepalive]\nping_every = \"0s\"", "keepalive.ping_every"),
        ("[keepalive]\nidle_timeout = \"30s\"", "keepalive.idle_timeout"),
        ("[log]\nlevel = \"loud\"", "log.level"),
        ("[redis]\nurl = \"localhost:6379\"", "redis.url"),
        ("[redis]\nurl = \"memcached://127.0.0.1\"", "redis.url"),
        ("[api]\nkey = \"a\"\nkey_file = \"b\"", "api.key_file"),
        ("[api]\nkey_file = \"/nowhere/key\"", "/nowhere/key"),
        ("[[endpoints]]\npath = \"ws\"", "\"ws\""),
        ("[[endpoints]]\npath = \"/api/publish/a\"", "\"/api/publish/a\""),
        ("[[endpoints]]\npath = \"/a\"\n[[endpoints]]\npath = \"/a\"", "used twice"),
        ("[[endpoints]]\npath = \"/a\"\nchannels = [\"a b\"]", "\"/a\": channels"),
        ("[[endpoints]]\npath = \"/a\"\nsubscribe = [\"a[b]\"]", "\"/a\": subscribe"),
        ("[[channels]]\npattern = \"\"", "pattern"),
    ] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(config.as_bytes()).unwrap();
        let env = [("REDCAST_CONFIG", file.path().to_str().unwrap())];
        check(&serve(&[], &env).await, 78, &[part]);
    }
    let env = [("REDCAST_REDIS__URL", "redis://:hunter2@host:port")];
    let output = serve(&[], &env).await;
    check(&output, 78, &["redis.url"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
}

#[tokio::test]
async fn a_wrong_variable_or_flag_is_named() {
    for variable in [
        ("REDCAST_URL", "redis://127.0.0.1"),
        ("REDCAST_PORT", "8080"),
        ("REDCAST_HTTP__PORT", "8080"),
        ("REDCAST__HTTP__LISTEN", "127.0.0.1:0"),
        ("REDCAST_SHUTDOWN__WINDOW", "later"),
        ("REDCAST_LIMITS__MAX_CONNECTIONS", "many"),
    ] {
        check(&serve(&[], &[variable]).await, 78, &[variable.0]);
    }
    check(&serve(&["--listen", "8080"], &[]).await, 78, &["command line", "http.listen"]);
}

#[tokio::test]
async fn a_port_in_use_is_a_failure_and_a_wrong_flag_is_wrong_usage() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    check(&serve(&["--listen", &address], &[]).await, 1, &["http.listen", &address]);
    check(&serve(&["--admin-listen", &address], &[]).await, 1, &["admin.listen", &address]);
    for flags in [&["--colour"][..], &["--listen"], &["--demo", "now"]] {
        let output = serve(flags, &[]).await;
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(flags[flags.len() - 1]),
            "{flags:?}"
        );
    }
    assert_eq!(run(&["dance"], &[]).await.status.code(), Some(2));
}

#[tokio::test]
async fn flags_win_over_variables_and_variables_over_the_file() {
    let gateway = Gateway::start(GatewayOptions {
        config: "[limits]\nmax_connections = 5\nmax_subscriptions = 6\n[log]\nlevel = \"loud\"\n\
                 [redis]\nurl = \"memcached://file\""
            .to_owned(),
        env: [
            ("REDCAST_LIMITS__MAX_CONNECTIONS", "7"),
            ("REDCAST_LIMITS__OUTBOX", "1048576"),
            ("REDCAST_LOG__LEVEL", "warn,redcast=info"),
            ("REDCAST_REDIS__URL", "memcached://environment"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        flags: ["--redis-url", "redis://127.0.0.1:1"].map(str::to_owned).into(),
        ..Default::default()
    })
    .await;
    assert_eq!(gateway.metrics().await.value("redcast_connections_limit"), 7.0);
    assert!(gateway.ask("/readyz?verbose").await.body.contains("\"broker\":\"redis\""));
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
