//! Runs the binary.

use std::process::{Output, Stdio};
use std::time::Duration;

use redcast_e2e::RedisServer;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binary, without the settings of whoever runs the tests.
pub(crate) fn producer(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redcast-producer"));
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"REDCAST_") {
            command.env_remove(name);
        }
    }
    command.args(flags).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs it to its end over a Redis, with this for standard input.
pub(crate) async fn run(redis: &RedisServer, flags: &[&str], input: &[u8]) -> Output {
    let mut command = producer(flags);
    command.env("REDCAST_PRODUCER_REDIS_URL", redis.url());
    run_command(command, input).await
}

/// Runs a command to its end.
pub(crate) async fn run_command(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let feeding = async move {
        // A program may end before it has read everything; what it says tells.
        let _ = stdin.write_all(input).await;
    };
    let output = async { tokio::join!(feeding, child.wait_with_output()).1 };
    timeout(PATIENCE, output).await.expect("it ends").expect("it can be waited for")
}

/// Ends it as an operator would, by its pid alone.
pub(crate) fn terminate(child: &Child) {
    signal(child, "-TERM");
}

/// Sends a signal to one process.
pub(crate) fn signal(child: &Child, signal: &str) {
    let pid = child.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill").args([signal, &pid]).status();
    assert!(sent.expect("kill runs").success());
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it prints text")
}

/// A success; answers what it printed.
#[track_caller]
pub(crate) fn printed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// A failure: one sentence on standard error that holds all of `parts`.
#[track_caller]
pub(crate) fn check_failed(output: &Output, code: i32, parts: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    let sentences: Vec<_> =
        said.lines().filter(|line| line.starts_with("redcast-producer: ")).collect();
    assert_eq!(sentences.len(), 1, "{said}");
    for part in parts {
        assert!(sentences[0].contains(part), "{part:?} is not in {said}");
    }
}

/// A program that goes on, and what it logs.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) log: tokio::io::Lines<BufReader<ChildStderr>>,
}

impl Running {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stderr(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let log = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        Self { child, log }
    }

    /// Waits for a log line with this message; answers it.
    pub(crate) async fn until_logged(&mut self, message: &str) -> serde_json::Value {
        loop {
            let line = timeout(PATIENCE, self.log.next_line()).await.expect("a line is logged");
            let line = line.unwrap().unwrap_or_else(|| panic!("it ended before {message:?}"));
            let line: serde_json::Value = serde_json::from_str(&line).expect(&line);
            if line["message"] == message {
                return line;
            }
        }
    }

    /// Waits for its end; answers the exit code and what it printed.
    pub(crate) async fn ended(self) -> (Option<i32>, String) {
        let ended = timeout(PATIENCE, self.child.wait_with_output()).await;
        let output = ended.expect("it ends").expect("it can be waited for");
        (output.status.code(), text(&output.stdout))
    }
}
