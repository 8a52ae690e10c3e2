//! `make run` with a Redis: scripts/run starts the collector and the gateway, tells the page
//! where to count, and takes both along when it ends.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use redcast_e2e::{
    Client, PseudoTerminal, RedisServer, free_port, get, post_with, redcast, redcast_producer,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);
/// What a drain takes at least with these settings, where nobody waits for the prompt.
const ACCEPT_FOR: Duration = Duration::from_secs(5);
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

/// The script, and what it says. Dropped, it is asked to end what it started.
struct Run {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    said: Vec<String>,
    _programs: TempDir,
}

/// scripts/run with the programs of this build, without anybody's settings.
fn script(env: &[(&str, &str)]) -> (Command, TempDir) {
    let programs = TempDir::new().unwrap();
    for (name, program) in [("redcast", redcast()), ("redcast-producer", redcast_producer())] {
        let path = Path::new(program.as_std().get_program());
        std::os::unix::fs::symlink(path.canonicalize().unwrap(), programs.path().join(name))
            .unwrap();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // Tests that run in the background were started with Ctrl-C ignored, which a shell can
    // not change for itself.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(root.join("scripts/run"));
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"REDCAST_") {
            command.env_remove(name);
        }
    }
    command.env("BIN", programs.path()).env("REDCAST_LOG__FORMAT", "json");
    command.env("REDCAST_PRODUCER_LOG_FORMAT", "json");
    command.env("REDCAST_HTTP__LISTEN", "127.0.0.1:0").env("REDCAST_ADMIN__LISTEN", "127.0.0.1:0");
    command.env("REDCAST_SHUTDOWN__WINDOW", "1s").envs(env.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    (command, programs)
}

impl Run {
    fn start(env: &[(&str, &str)], stdin: Stdio) -> Self {
        let (mut command, programs) = script(env);
        let mut child = command.stdin(stdin).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, log, said: Vec::new(), _programs: programs }
    }

    /// Waits for a line of one of the programs; `message` is what it says.
    async fn until_said(&mut self, message: &str) -> Value {
        let looking = async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                let entry = serde_json::from_str::<Value>(&line).unwrap_or_default();
                self.said.push(line);
                if entry["message"] == message {
                    return Some(entry);
                }
            }
            None
        };
        let found = timeout(PATIENCE, looking).await.ok().flatten();
        found.unwrap_or_else(|| panic!("never said {message:?}: {:#?}", self.said))
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        kill_process(pid.expect("it runs"), signal).unwrap();
    }

    /// Waits until the script has ended, and whatever holds its log too.
    async fn end(&mut self) -> Option<i32> {
        let ending = async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                self.said.push(line);
            }
            self.child.wait().await.unwrap().code()
        };
        timeout(PATIENCE, ending).await.expect("all of it ends")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Killed outright, it would leave two processes behind. A second signal makes the
        // gateway end at once.
        for _ in 0..100 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            self.signal(Signal::TERM);
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[tokio::test]
async fn both_come_up_over_redis_and_a_signal_ends_both() {
    let redis = RedisServer::start();
    let port = free_port();
    let collector = format!("127.0.0.1:{port}");
    let env = [
        ("REDCAST_REDIS__URL", &*redis.url()),
        ("REDCAST_REDIS__PREFIX", "mine:"),
        ("REDCAST_SHUTDOWN__ACCEPT_FOR", "0s"),
        ("COLLECTOR_PORT", &*port.to_string()),
    ];
    let mut run = Run::start(&env, Stdio::null());
    let collecting = run.until_said("collecting").await;
    assert_eq!(collecting["listen"], *collector);
    let serving = run.until_said("serving").await;
    let public = serving["http"].as_str().unwrap();
    let info: Value = serde_json::from_str(&get(public, "/api/info").await.body).unwrap();
    assert_eq!(info["collector"], format!("http://{collector}"));

    let mut client = Client::connect(&format!("ws://{public}/ws/analytics"), None).await;
    // The first of the demo's: from then on every event of the channel comes.
    let listening = async { while client.json().await["type"] != "page_view" {} };
    timeout(PATIENCE, listening).await.expect("there is demo traffic");
    let origin = format!("http://{public}");
    let view = format!(r#"{{"url":"{origin}/of-this-story","referrer":""}}"#);
    let headers = [("Origin", &*origin), ("User-Agent", AGENT)];
    let answer = post_with(&collector, "/collect", &headers, view).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let arriving = async { while client.json().await["data"]["path"] != "/of-this-story" {} };
    timeout(PATIENCE, arriving).await.expect("the view arrives");
    drop(client);

    run.signal(Signal::TERM);
    assert_eq!(run.end().await, Some(0), "{:#?}", run.said);
    for address in [&*collector, public] {
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "{address} lives");
    }
}

#[tokio::test]
async fn who_presses_ctrl_c_has_the_prompt_back_at_once() {
    let redis = RedisServer::start();
    let file = redis.dir().join("url");
    std::fs::write(&file, redis.url()).unwrap();
    let port = free_port().to_string();
    let env = [("REDCAST_REDIS__URL_FILE", file.to_str().unwrap()), ("COLLECTOR_PORT", &*port)];
    let terminal = PseudoTerminal::open();
    let mut run = Run::start(&env, terminal.stdio());
    run.until_said("serving").await;
    let pressed = Instant::now();
    run.signal(Signal::INT);
    assert_eq!(run.end().await, Some(0), "{:#?}", run.said);
    let took = pressed.elapsed();
    assert!(took < ACCEPT_FOR, "the gateway did not know of the terminal: {took:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_nothing_is_started() {
    let redis = RedisServer::start();
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = stranger.local_addr().unwrap().port().to_string();
    let env = [("REDCAST_REDIS__URL", &*redis.url()), ("COLLECTOR_PORT", &*port)];
    let mut run = Run::start(&env, Stdio::null());
    assert_eq!(run.end().await, Some(1), "{:#?}", run.said);
    let [line] = &run.said[..] else { panic!("{:#?}", run.said) };
    assert!(line.contains(&format!("127.0.0.1:{port}")) && line.contains("is taken"), "{line}");
}

#[tokio::test]
async fn a_redis_that_can_not_be_meant_is_told_by_the_collector() {
    let port = free_port().to_string();
    let env = [("REDCAST_REDIS__URL", "http://127.0.0.1"), ("COLLECTOR_PORT", &*port)];
    let mut run = Run::start(&env, Stdio::null());
    assert_eq!(run.end().await, Some(1), "{:#?}", run.said);
    let last = run.said.last().unwrap();
    assert!(last.contains("the collector did not start"), "{:#?}", run.said);
}

#[tokio::test]
async fn with_a_file_of_ones_own_the_gateway_does_all_of_it_where_the_file_says() {
    let redis = RedisServer::start();
    let file = redis.dir().join("redcast.toml");
    let text = format!("[redis]\nurl = {:?}\nprefix = \"mine:\"\n", redis.url());
    std::fs::write(&file, text).unwrap();
    let env = [
        ("REDCAST_CONFIG", file.to_str().unwrap()),
        ("REDCAST_REDIS__URL", &*redis.url()),
        ("REDCAST_SHUTDOWN__ACCEPT_FOR", "0s"),
    ];
    let mut run = Run::start(&env, Stdio::null());
    let serving = run.until_said("serving").await;
    assert_eq!(serving["broker"], "redis");
    let public = serving["http"].as_str().unwrap();
    let info: Value = serde_json::from_str(&get(public, "/api/info").await.body).unwrap();
    assert_eq!(info["collector"], "/");
    assert_eq!(get(public, "/r.js").await.status, 200);
    run.signal(Signal::TERM);
    assert_eq!(run.end().await, Some(0), "{:#?}", run.said);
}
