//! What only a person at a terminal sees: a banner, colours, hints, and payloads that
//! can't steer the terminal.

use std::process::Stdio;
use std::time::Duration;

use redcast_e2e::{Listener, PseudoTerminal, RedisServer, get, redcast};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

fn at(terminal: &PseudoTerminal, flags: &[&str]) -> Command {
    let mut command = redcast();
    command.args(flags).env_remove("NO_COLOR").env("TERM", "xterm").kill_on_drop(true);
    command.env("REDCAST_HTTP__LISTEN", "127.0.0.1:0");
    command.env("REDCAST_ADMIN__LISTEN", "127.0.0.1:0");
    command.stdin(terminal.stdio()).stdout(terminal.stdio()).stderr(terminal.stdio());
    command
}

async fn ends(child: &mut Child, signal: Signal) -> Option<i32> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    kill_process(pid.expect("it runs"), signal).unwrap();
    timeout(PATIENCE, child.wait()).await.expect("it ends").unwrap().code()
}

/// What stands behind a word of the banner.
fn told(shown: &str, name: &str) -> String {
    let mut lines = shown.lines().map(str::trim);
    let line = lines.find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{shown}"));
    line[name.len()..].trim().to_owned()
}

#[tokio::test]
async fn a_gateway_at_a_terminal_says_where_it_is() {
    let terminal = PseudoTerminal::open();
    let mut child = at(&terminal, &["serve"]).spawn().unwrap();
    let shown = terminal.until_shown("Ctrl-C").await;
    assert!(shown.contains("Redcast ") && shown.contains("is running"), "{shown}");
    assert!(!shown.contains("/api/publish"), "without a key nobody may publish there: {shown}");
    let page = told(&shown, "page");
    let address = page.strip_prefix("http://").unwrap().trim_end_matches('/');
    assert_eq!(get(address, "/").await.status, 200);
    assert_eq!(told(&shown, "websocket"), format!("ws://{address}/ws/analytics"));
    let metrics = told(&shown, "metrics");
    let admin = metrics.strip_prefix("http://").unwrap().trim_end_matches("/metrics");
    assert_eq!(get(admin, "/livez").await.status, 200);
    assert!(shown.contains("INFO") && !shown.contains("\"level\""), "logs for people: {shown}");
    assert!(shown.contains("\u{1b}["), "in colours: {shown:?}");
    // Somebody who presses Ctrl-C wants the prompt back.
    assert_eq!(ends(&mut child, Signal::INT).await, Some(0));
}

#[tokio::test]
async fn no_color_means_none_in_logs_and_help() {
    let terminal = PseudoTerminal::open();
    let mut serving = at(&terminal, &["serve"]);
    let mut child = serving.env("NO_COLOR", "1").spawn().unwrap();
    terminal.until_shown("Ctrl-C").await;
    terminal.until_shown("serving").await;
    assert_eq!(ends(&mut child, Signal::INT).await, Some(0));
    let mut help = at(&terminal, &["--help"]);
    assert!(help.env("NO_COLOR", "1").status().await.unwrap().success());
    terminal.until_shown("130 a second signal").await;
    assert!(!terminal.shown().contains('\u{1b}'), "{:?}", terminal.shown());
    assert!(at(&terminal, &["--help"]).status().await.unwrap().success());
    terminal.until_shown("\u{1b}[").await;
}

#[tokio::test]
async fn elsewhere_standard_output_stays_clean() {
    let mut command = redcast();
    for (name, value) in [
        ("REDCAST_HTTP__LISTEN", "127.0.0.1:0"),
        ("REDCAST_ADMIN__LISTEN", "127.0.0.1:0"),
        ("REDCAST_SHUTDOWN__ACCEPT_FOR", "0s"),
    ] {
        command.env(name, value);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let serving = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("serving") {
                return line;
            }
        }
        panic!("it ended before it served");
    };
    let line = timeout(PATIENCE, serving).await.expect("it serves");
    assert!(line.starts_with('{'), "json where nobody looks: {line}");
    assert_eq!(ends(&mut child, Signal::TERM).await, Some(0));
    assert_eq!(child.wait_with_output().await.unwrap().stdout, b"");
}

#[tokio::test]
async fn a_banner_that_can_not_be_written_does_not_end_the_gateway() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = redcast();
    command.args(["serve", "--demo"]).env("REDCAST_HTTP__LISTEN", "127.0.0.1:0");
    command.env("REDCAST_ADMIN__LISTEN", "127.0.0.1:0").env("REDCAST_SHUTDOWN__ACCEPT_FOR", "0s");
    command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let serving = async {
        while let Some(line) = log.next_line().await.unwrap() {
            if line.contains("serving") {
                return;
            }
        }
        panic!("it ended before it served");
    };
    timeout(PATIENCE, serving).await.expect("it serves");
    assert_eq!(ends(&mut child, Signal::TERM).await, Some(0));
}

#[tokio::test]
async fn events_are_shown_escaped_and_typed_lines_are_published() {
    let redis = RedisServer::start();
    let mut listener = Listener::subscribe(&redis, "a").await;
    let screen = PseudoTerminal::open();
    let url = redis.url();
    let mut subscriber = at(&screen, &["subscribe", "a", "--redis-url", &url]).spawn().unwrap();
    screen.until_shown("listening to a").await;

    let mut keyboard = PseudoTerminal::open();
    let mut publisher = at(&keyboard, &["publish", "a", "--redis-url", &url]).spawn().unwrap();
    keyboard.until_shown("one per line; Ctrl-D ends").await;
    keyboard.type_text("hello\n");
    assert_eq!(listener.payload().await, b"hello");
    screen.until_shown("hello").await;
    // Ctrl-D at the beginning of a line.
    keyboard.type_text("\u{4}");
    keyboard.until_shown("published 1 event to a").await;
    assert!(timeout(PATIENCE, publisher.wait()).await.unwrap().unwrap().success());

    let mut nasty = redis::cmd("PUBLISH");
    nasty.arg("a").arg("\u{1b}[2Jend");
    nasty.query_async::<u64>(&mut redis.connection().await).await.unwrap();
    let shown = screen.until_shown("end").await;
    assert!(shown.contains("\\u{1b}[2Jend") && !shown.contains('\u{1b}'), "{shown:?}");
    assert_eq!(ends(&mut subscriber, Signal::INT).await, Some(0));
}
