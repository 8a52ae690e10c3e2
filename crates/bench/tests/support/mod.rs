//! The program under test, its children and its last words.

use std::fs::read_to_string;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_redcast-bench");

const PATIENCE: Duration = Duration::from_secs(60);

/// The program with `arguments`, and without the settings of whoever runs the tests.
pub(crate) fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_remove("GATEWAY_BIN");
    command
}

/// An executable of that name and content.
pub(crate) fn script(folder: &Path, name: &str, lines: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

/// It failed, and its last line is one sentence that contains `expected`.
#[track_caller]
pub(crate) fn check_fails(output: &Output, expected: &str) {
    check_failed(output.status.code(), &String::from_utf8_lossy(&output.stderr), expected);
}

#[track_caller]
fn check_failed(code: Option<i32>, stderr: &str, expected: &str) {
    let last = stderr.lines().last().unwrap_or_default();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(last.starts_with("redcast-bench: ") && last.contains(expected), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// The program in the middle of a run, in a process group of its own.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    said: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        use std::os::unix::process::CommandExt;
        command.stderr(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, said: String::new() }
    }

    /// Waits until its progress says `text`.
    #[track_caller]
    pub(crate) fn until_it_says(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).unwrap();
            self.said.push_str(&line);
            assert!(read > 0, "it never said {text:?}, but: {}", self.said);
            if line.contains(text) {
                return;
            }
        }
    }

    /// Waits until it publishes numbered events, which begin once each client had a
    /// probe.
    pub(crate) fn until_it_publishes(&self) {
        let children = self.children(2);
        let (_, redis) = children.iter().find(|(_, line)| line.contains("redis-server")).unwrap();
        // It shows where it listens: `redis-server 127.0.0.1:PORT`.
        let address = redis.split_whitespace().last().unwrap();
        let mut subscriber = TcpStream::connect(address).unwrap();
        subscriber.set_read_timeout(Some(PATIENCE)).unwrap();
        subscriber.write_all(b"SUBSCRIBE analytics\r\n").unwrap();
        let lines = BufReader::new(subscriber).lines().map_while(Result::ok);
        assert!(lines.into_iter().any(|line| line.contains(r#""kind":"event""#)));
    }

    /// The process ids and the command lines of its children, once there are `count`.
    pub(crate) fn children(&self, count: usize) -> Vec<(u32, String)> {
        let pid = self.child.id();
        let list = || read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        await_true(|| list().split_whitespace().count() >= count, "children");
        let pids = list();
        let pids = pids.split_whitespace().map(|pid| pid.parse::<u32>().unwrap());
        let line = |pid| read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        pids.map(|pid| (pid, line(pid).replace('\0', " "))).collect()
    }

    /// Ends the first child whose command line contains `text`, as a crash would.
    pub(crate) fn kill_child(&self, text: &str) {
        let children = self.children(1);
        let (pid, _) = children.iter().find(|(_, line)| line.contains(text)).unwrap();
        kill_process(pid_of(*pid), Signal::KILL).unwrap();
    }

    /// Ctrl-C on a terminal: the signal goes to the whole process group.
    pub(crate) fn press_ctrl_c(&self) {
        kill_process_group(pid_of(self.child.id()), Signal::INT).unwrap();
    }

    /// It ends within a time that no window of a run is part of, and fails with one
    /// sentence.
    #[track_caller]
    pub(crate) fn check_fails(mut self, expected: &str) {
        let code = self.end();
        check_failed(code, &self.said, expected);
    }

    /// Its exit code, once it has ended.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it still runs after {PATIENCE:?}: {}", self.said);
            std::thread::sleep(Duration::from_millis(10));
        };
        while self.stderr.read_line(&mut self.said).unwrap() > 0 {}
        status.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After a failed assertion it may still run; Redis is in its group.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(pid_of(self.child.id()), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Whether a process with this id exists.
pub(crate) fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[track_caller]
fn await_true(mut is_true: impl FnMut() -> bool, what: &str) {
    let end = Instant::now() + PATIENCE;
    while !is_true() {
        assert!(Instant::now() < end, "too few {what} after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}
