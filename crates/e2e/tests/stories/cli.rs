//! The commands beside `serve`: what they print, where, and how they end.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use redcast_e2e::{
    Gateway, GatewayOptions, Listener, RedisServer, free_port, get, redcast, run, within,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
/// "Within a few seconds", and what a busy machine adds.
const A_FEW_SECONDS: Duration = Duration::from_secs(8);

/// Runs a command with this standard input.
async fn run_with(flags: &[&str], env: &[(&str, &str)], input: &[u8]) -> Output {
    let mut command = redcast();
    command.args(flags).envs(env.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = async move {
        // A command may end before it has read everything; what it says tells.
        let _ = stdin.write_all(input).await;
    };
    let (_, output) = timeout(PATIENCE, async { tokio::join!(feeding, child.wait_with_output()) })
        .await
        .expect("it ends");
    output.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A failure: nothing on standard output, and one sentence that holds all of `parts`.
#[track_caller]
fn check_failed(output: &Output, code: i32, parts: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert_eq!(text(&output.stdout), "");
}

#[track_caller]
fn check_printed(output: &Output, printed: &str) {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), printed);
    assert_eq!(text(&output.stderr), "");
}

#[tokio::test]
async fn publish_sends_an_argument_or_all_of_its_input_byte_for_byte() {
    let redis = RedisServer::start();
    let mut listener = Listener::subscribe(&redis, "live:orders:1").await;
    let url = redis.url();
    let env = [("REDCAST_REDIS__URL", url.as_str()), ("REDCAST_REDIS__PREFIX", "live:")];
    let output = run_with(&["publish", "orders:1", " {\"a\": 1}\n"], &env, b"").await;
    check_printed(&output, "published 1 event to orders:1\n");
    assert_eq!(listener.payload().await, b" {\"a\": 1}\n");

    let odd = b"\xff\xfe\0 two\r\nlines\n\n";
    let output = run_with(&["publish", "orders:1", "-"], &env, odd).await;
    check_printed(&output, "published 1 event to orders:1\n");
    assert_eq!(listener.payload().await, odd);

    for payload in ["", "-5", "--json"] {
        let output = run_with(&["publish", "orders:1", "--", payload], &env, b"").await;
        check_printed(&output, "published 1 event to orders:1\n");
        assert_eq!(listener.payload().await, payload.as_bytes());
    }
    let output = run_with(&["publish", "orders:1", "-5", "--json"], &env, b"").await;
    check_printed(&output, "{\"bytes\":2,\"channel\":\"orders:1\",\"published\":1}\n");
    assert_eq!(listener.payload().await, b"-5");
}

#[tokio::test]
async fn publish_sends_a_line_each_in_their_order() {
    const LINES: usize = 20_000;
    let redis = RedisServer::start();
    let mut listener = Listener::subscribe(&redis, "a").await;
    let url = redis.url();
    let flags = ["publish", "--redis-url", &url, "a", "--json"];
    let input: String = (0..LINES).map(|number| format!("{number}\n")).collect();
    let output = run_with(&flags, &[], input.as_bytes()).await;
    let bytes = input.len() - LINES;
    check_printed(
        &output,
        &format!("{}\n", json!({"channel":"a","published":LINES,"bytes":bytes})),
    );
    for number in 0..LINES {
        assert_eq!(listener.payload().await, number.to_string().as_bytes());
    }
    let output = run_with(&flags[..4], &[], b" a \r\n\n\xff\0\nlast").await;
    check_printed(&output, "published 4 events to a\n");
    for line in [&b" a \r"[..], b"", b"\xff\0", b"last"] {
        assert_eq!(listener.payload().await, line);
    }
    check_printed(&run_with(&flags[..4], &[], b"").await, "published 0 events to a\n");
}

#[tokio::test]
async fn publish_sends_a_line_when_it_comes_and_not_when_the_next_does() {
    let redis = RedisServer::start();
    let mut listener = Listener::subscribe(&redis, "a").await;
    let mut command = redcast();
    command.args(["publish", "a", "--redis-url", &redis.url()]).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for line in ["1", "2", "3"] {
        stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        assert_eq!(listener.payload().await, line.as_bytes());
    }
    drop(stdin);
    assert!(timeout(PATIENCE, child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn publish_says_which_event_failed_and_why() {
    let redis = RedisServer::start_with(&["--user", "app", "on", ">secret", "+@all", "&open:*"]);
    let url = format!("redis://app:secret@127.0.0.1:{}", redis.port());
    let env = [("REDCAST_REDIS__URL", url.as_str()), ("REDCAST_LIMITS__MAX_EVENT_SIZE", "8B")];
    for name in ["a b", "", "a*", &"a".repeat(256)] {
        let output = run_with(&["publish", name, "x"], &env, b"").await;
        assert_eq!(output.status.code(), Some(2), "{name:?}");
        assert!(text(&output.stderr).contains("channel name"), "{}", text(&output.stderr));
    }
    let publish = async |payload: &[&str], input: &[u8]| {
        run_with(&[&["publish", "open:a"], payload].concat(), &env, input).await
    };
    let limit = ["at most 8 bytes"];
    check_failed(&publish(&["123456789"], b"").await, 1, &[limit[0], "this one has 9"]);
    check_failed(&publish(&["-"], b"123456789").await, 1, &limit);
    let lines = b"1\n2\n123456789\n4\n";
    check_failed(&publish(&[], lines).await, 1, &["line 3: ", limit[0], "published so far: 2"]);
    let output = publish(&["--json"], lines).await;
    assert_eq!(output.status.code(), Some(1));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&printed["channel"], &printed["published"]), (&json!("open:a"), &json!(2)));
    assert!(printed["error"].as_str().unwrap().starts_with("line 3: "), "{printed}");

    let refused = run_with(&["publish", "closed", "x"], &env, b"").await;
    check_failed(&refused, 1, &["NOPERM"]);
    let refused = run_with(&["publish", "closed"], &env, b"1\n2\n").await;
    check_failed(&refused, 1, &["line 1: ", "NOPERM", "published so far: 0"]);
}

#[tokio::test]
async fn publish_without_a_redis_is_wrong_configuration_and_with_one_that_is_away_a_failure() {
    for command in ["publish", "subscribe"] {
        let output = run_with(&[command, "a"], &[], b"").await;
        check_failed(&output, 78, &[command, "--redis-url", "REDCAST_REDIS__URL", "file"]);
        let wrong = run_with(&[command, "a", "--redis-url", "localhost:6379"], &[], b"").await;
        check_failed(&wrong, 78, &["--redis-url"]);
        let missing = run_with(&[command, "a", "--config", "/nowhere/x.toml"], &[], b"").await;
        check_failed(&missing, 78, &["/nowhere/x.toml"]);
    }
    let away = format!("redis://127.0.0.1:{}", free_port());
    let begun = Instant::now();
    let output = run_with(&["publish", "a", "x", "--redis-url", &away], &[], b"").await;
    let server = away.trim_start_matches("redis://");
    check_failed(&output, 1, &[&format!("Redis at {server} is not available: ")]);
    assert!(begun.elapsed() < A_FEW_SECONDS, "{:?}", begun.elapsed());

    let redis = RedisServer::start();
    redis.freeze();
    let begun = Instant::now();
    let output = run_with(&["publish", "a", "--redis-url", &redis.url()], &[], b"x\n").await;
    check_failed(&output, 1, &["line 1: ", "not available", "published so far: 0"]);
    assert!(begun.elapsed() < A_FEW_SECONDS, "{:?}", begun.elapsed());
    redis.thaw();
}

#[tokio::test]
async fn healthcheck_tells_alive_and_ready_from_not() {
    let mut redis = RedisServer::start();
    let mut gateway = Gateway::ready(GatewayOptions {
        redis_url: Some(redis.url()),
        // Every address: it is asked on the loopback.
        env: vec![("REDCAST_ADMIN__LISTEN".to_owned(), "0.0.0.0:0".to_owned())],
        ..Default::default()
    })
    .await;
    let admin = gateway.admin().to_owned();
    let by_variable = [("REDCAST_ADMIN__LISTEN", admin.as_str())];
    let output = run(&["healthcheck"], &by_variable).await;
    let reached = admin.replace("0.0.0.0", "127.0.0.1");
    check_printed(&output, &format!("alive: http://{reached}/livez answered 200\n"));
    let output = run(&["healthcheck", "--ready", "--admin-listen", &admin], &[]).await;
    check_printed(&output, &format!("ready: http://{reached}/readyz?verbose answered 200\n"));

    redis.kill();
    within(PATIENCE, "not ready", async || get(&reached, "/readyz").await.status == 503).await;
    let output = run(&["healthcheck", "--ready"], &by_variable).await;
    check_failed(&output, 1, &["not ready", "503", "\"reason\":\"Redis at "]);
    assert_eq!(run(&["healthcheck"], &by_variable).await.status.code(), Some(0));

    gateway.signal(Signal::STOP);
    let begun = Instant::now();
    let output = run(&["healthcheck"], &by_variable).await;
    check_failed(&output, 1, &["no answer within 2s"]);
    assert!(begun.elapsed() < A_FEW_SECONDS, "{:?}", begun.elapsed());
    gateway.signal(Signal::KILL);
    gateway.exit().await;
    check_failed(&run(&["healthcheck"], &by_variable).await, 1, &["no answer", "refused"]);
    let wrong = run(&["healthcheck", "--admin-listen", "9464"], &[]).await;
    check_failed(&wrong, 78, &["--admin-listen"]);
}

#[tokio::test]
async fn healthcheck_repeats_little_of_what_a_stranger_answers() {
    let stranger = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = stranger.local_addr().unwrap().to_string();
    let answering = async {
        let (mut socket, _) = stranger.accept().await.unwrap();
        // All of the request, or closing would reset what is not read yet.
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(socket.read_buf(&mut request).await.unwrap(), 0);
        }
        let page = format!("<html>\u{1b}[2J{}\n<p>second</p>\n", "x".repeat(4000));
        let answer = format!("HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n{page}");
        socket.write_all(answer.as_bytes()).await.unwrap();
    };
    let flags = ["healthcheck", "--admin-listen", &address];
    let (output, ()) = tokio::join!(run(&flags, &[]), answering);
    check_failed(&output, 1, &["not alive", "404", "<html>\\u{1b}[2Jxxx", "…"]);
    let said = text(&output.stderr);
    assert!(said.len() < 400 && !said.contains("second"), "{said}");
}

#[tokio::test]
async fn help_has_examples_and_no_colours_in_a_pipe() {
    for command in [&[][..], &["serve"], &["publish"], &["subscribe"], &["healthcheck"]] {
        let output = run(&[command, &["--help"]].concat(), &[]).await;
        assert!(output.status.success());
        let help = text(&output.stdout);
        assert!(help.contains("Examples:\n") && help.contains("redcast"), "{help}");
        assert!(!help.contains('\u{1b}'), "{help:?}");
    }
    let wrong = run(&["publish"], &[]).await;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(!text(&wrong.stderr).contains('\u{1b}'));
}

/// In a checkout it is a commit of it; the newest, unless somebody else built the binary.
#[track_caller]
fn check_commit(commit: &str) {
    let hash_of = |name: &str| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let mut git = std::process::Command::new("git");
        git.args(["-C", root, "rev-parse", "--verify", "--quiet"]);
        let output = git.arg(format!("{name}^{{commit}}")).output().ok()?;
        output.status.success().then(|| text(&output.stdout).trim().to_owned())
    };
    let Some(head) = hash_of("HEAD") else { return assert_eq!(commit, "unknown") };
    let named = hash_of(commit).unwrap_or_else(|| panic!("{commit} is no commit of this checkout"));
    if std::env::var_os("GATEWAY_BIN").is_none() {
        assert_eq!(named, head);
    }
}

#[tokio::test]
async fn the_version_names_the_commit_everywhere_alike() {
    let output = run(&["--version"], &[]).await;
    let line = text(&output.stdout).trim_end();
    let (version, build) = line.strip_suffix(')').unwrap().split_once(" (").unwrap();
    let version = version.strip_prefix("redcast ").unwrap();
    let commit = build.split(' ').next().unwrap();
    check_commit(commit);
    let gateway = Gateway::start(GatewayOptions::default()).await;
    let told: Value = serde_json::from_str(&gateway.ask("/version").await.body).unwrap();
    assert_eq!((&told["version"], &told["commit"]), (&json!(version), &json!(commit)));
    let series = format!("redcast_build_info{{commit=\"{commit}\",version=\"{version}\"}}");
    assert_eq!(gateway.metrics().await.get(&series), Some(1.0));
}

#[tokio::test]
async fn completions_complete() {
    for (shell, part) in [
        ("bash", "complete -F _redcast"),
        ("zsh", "#compdef redcast"),
        ("fish", "complete -c redcast"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let output = run(&["completions", shell], &[]).await;
        assert!(output.status.success());
        assert!(text(&output.stdout).contains(part), "{shell}");
        for command in ["serve", "publish", "subscribe", "healthcheck", "completions"] {
            assert!(text(&output.stdout).contains(command), "{shell}: {command}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"], &[]).await.status.code(), Some(2));
    // What bash makes of it.
    let script = run(&["completions", "bash"], &[]).await.stdout;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let ask = r#"source "$1"; COMP_WORDS=(redcast pu); COMP_CWORD=1; _redcast redcast pu redcast
        echo "${COMPREPLY[@]}""#;
    let mut bash = tokio::process::Command::new("bash");
    bash.args(["--norc", "-c", ask, "bash"]).arg(file.path());
    let output = timeout(PATIENCE, bash.output()).await.unwrap().unwrap();
    assert_eq!(text(&output.stdout), "publish\n", "{}", text(&output.stderr));
}
