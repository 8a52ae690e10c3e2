//! A whole gateway: the real binary in a process of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::canary::{leaks, with_password};
use crate::client::Client;
use crate::http::{Response, get};
use crate::metrics::Metrics;

/// How long anything that should take milliseconds may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a test sets about its gateway.
#[derive(Default)]
pub struct GatewayOptions {
    /// The Redis to use; none means the memory broker. Without a password, the canary
    /// becomes one.
    pub redis_url: Option<String>,
    /// TOML for the configuration file.
    pub config: String,
    /// More environment variables.
    pub env: Vec<(String, String)>,
    /// More command-line flags.
    pub flags: Vec<String>,
    /// How many descriptors the process may have, soft and hard limit alike; none
    /// means as many as this process.
    pub descriptors: Option<u32>,
    /// Run the build in which a command makes a session or a shard panic, or a shard hang
    /// (feature `faults`).
    pub faults: bool,
}

/// A running gateway. Dropped, it is stopped by pid, and fails the test if it has ever
/// logged the canary.
pub struct Gateway {
    child: Child,
    public: String,
    admin: String,
    log: watch::Receiver<Vec<String>>,
    reading: Option<JoinHandle<()>>,
    _config: tempfile::NamedTempFile,
}

impl Gateway {
    /// Starts a gateway on free ports and waits until it serves.
    pub async fn start(options: GatewayOptions) -> Self {
        let config = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(config.path(), &options.config).expect("the configuration is written");
        let mut command = match options.descriptors {
            None => command(binary(options.faults)),
            Some(limit) => redcast_limited(binary(options.faults), limit),
        };
        command
            .arg("serve")
            .args(&options.flags)
            .env("REDCAST_CONFIG", config.path())
            .env("REDCAST_HTTP__LISTEN", "127.0.0.1:0")
            .env("REDCAST_ADMIN__LISTEN", "127.0.0.1:0")
            .env("REDCAST_LOG__FORMAT", "json")
            .envs(options.redis_url.iter().map(|url| ("REDCAST_REDIS__URL", with_password(url))))
            .envs(options.env)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("the gateway starts");
        let (keep, mut log) = watch::channel(Vec::new());
        let stderr = child.stderr.take().expect("stderr is piped");
        let mut gateway = Self {
            child,
            public: String::new(),
            admin: String::new(),
            log: log.clone(),
            reading: Some(read_log(stderr, keep)),
            _config: config,
        };
        let serving = timeout(PATIENCE, serving(&mut log)).await.expect("it serves");
        let address = |key: &str| serving[key].as_str().expect("an address").to_owned();
        (gateway.public, gateway.admin) = (address("http"), address("admin"));
        gateway
    }

    /// Starts a gateway over a Redis, with the defaults, and waits until it is ready.
    pub async fn over(redis_url: &str) -> Self {
        Self::ready(GatewayOptions { redis_url: Some(redis_url.to_owned()), ..Default::default() })
            .await
    }

    /// Starts a gateway and waits until it is ready.
    pub async fn ready(options: GatewayOptions) -> Self {
        let gateway = Self::start(options).await;
        gateway.until_ready().await;
        gateway
    }

    /// `HOST:PORT` of the public listener.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// `HOST:PORT` of the admin listener.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// `ws://…` of a path on the public listener.
    pub fn ws(&self, path: &str) -> String {
        format!("ws://{}{path}", self.public)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the gateway runs")
    }

    /// Connects a client to a path, in raw mode.
    pub async fn connect(&self, path: &str) -> Client {
        Client::connect(&self.ws(path), None).await
    }

    /// Connects a client to a path, in envelope mode, past its welcome.
    pub async fn connect_envelope(&self, path: &str) -> Client {
        let mut client = Client::connect(&self.ws(path), Some("redcast.v1")).await;
        assert_eq!(client.json().await["type"], "welcome");
        client
    }

    /// Asks the admin listener.
    pub async fn ask(&self, path: &str) -> Response {
        get(&self.admin, path).await
    }

    /// Reads all metrics.
    pub async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.ask("/metrics").await.body)
    }

    /// Waits until `/readyz` answers 200.
    pub async fn until_ready(&self) {
        self.until("/readyz is 200", async || self.ask("/readyz").await.status == 200).await;
    }

    /// Polls `check` until it holds; panics with `what` when it never does.
    pub async fn until(&self, what: &str, check: impl AsyncFn() -> bool) {
        let polling = async {
            while !check().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let outcome = timeout(PATIENCE, polling).await;
        assert!(outcome.is_ok(), "never: {what}");
    }

    /// Waits until a metric (as it stands in the text, labels included) has a value.
    pub async fn until_metric(&self, name: &str, value: f64) {
        let what = format!("{name} is {value}");
        self.until(&what, async || self.metrics().await.get(name) == Some(value)).await;
    }

    /// How many handshakes it has refused for this reason.
    pub async fn rejected(&self, reason: &str) -> f64 {
        let name = format!("redcast_connections_rejected_total{{reason=\"{reason}\"}}");
        self.metrics().await.value(&name)
    }

    /// How many descriptors the process holds.
    pub async fn descriptors(&self) -> f64 {
        self.metrics().await.value("process_open_fds")
    }

    /// Waits until the process holds no more descriptors than `before`. Fewer are no
    /// leak: `before` may have counted a request that had just been answered.
    pub async fn until_descriptors(&self, before: f64) {
        let what = format!("at most {before} descriptors");
        self.until(&what, async || self.descriptors().await <= before).await;
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends any signal, to this pid alone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("the gateway can be signalled");
    }

    /// Waits for the end of the process; then its log is whole, too.
    pub async fn exit(&mut self) -> ExitStatus {
        let patience = PATIENCE + Duration::from_secs(60);
        let ending = async {
            let status = self.child.wait().await.expect("it can be waited for");
            while self.log.changed().await.is_ok() {}
            status
        };
        timeout(patience, ending).await.expect("it ends")
    }

    /// The lines logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }
}

/// Runs the binary to its end; for commands and for configurations that are wrong.
pub async fn run(flags: &[&str], env: &[(&str, &str)]) -> std::process::Output {
    let mut command = redcast();
    command.args(flags).envs(env.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    timeout(PATIENCE, command.output()).await.expect("it ends").expect("it starts")
}

/// [`run`] where root has no more power over files and ports than anybody: in a
/// network of its own, so that no setting of this machine opens the low ports.
pub async fn run_unprivileged(flags: &[&str], env: &[(&str, &str)]) -> std::process::Output {
    let mut command = Command::new("unshare");
    command.args(["--net", "setpriv"]);
    command.arg("--bounding-set=-dac_override,-dac_read_search,-net_bind_service");
    // Nothing but what is given here, and where Debian keeps these programs.
    command.arg(binary(false)).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.args(flags).envs(env.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    timeout(PATIENCE, command.output()).await.expect("it ends").expect("it starts")
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.start_kill();
        if let Some(reading) = self.reading.take() {
            // To the last line, which is why a thread reads: it needs nobody's runtime.
            let _ = reading.join();
        }
        let log = self.log.borrow();
        let leaked = leaks(&log);
        assert!(thread::panicking() || leaked.is_empty(), "logged the canary: {leaked:#?}");
    }
}

/// Keeps each line that is logged, to the end of the process.
fn read_log(stderr: ChildStderr, keep: watch::Sender<Vec<String>>) -> JoinHandle<()> {
    let stderr = File::from(stderr.into_owned_fd().expect("stderr can be read by a thread"));
    thread::spawn(move || {
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            keep.send_modify(|lines| lines.push(line));
        }
    })
}

/// Waits for the line that says where it listens.
async fn serving(log: &mut watch::Receiver<Vec<String>>) -> Value {
    loop {
        let entry = log.borrow_and_update().iter().find_map(|line| parse(line));
        if let Some(entry) = entry {
            return entry;
        }
        let ended = log.changed().await.is_err();
        assert!(!ended, "the gateway ended before it served:\n{}", log.borrow().join("\n"));
    }
}

/// The line "serving", as JSON or as pretty text.
fn parse(line: &str) -> Option<Value> {
    if let Ok(entry) = serde_json::from_str::<Value>(line) {
        return (entry["message"] == "serving").then_some(entry);
    }
    let (_, fields) = line.split_once(": serving ")?;
    let fields = fields.split(' ').filter_map(|field| field.split_once('='));
    Some(fields.map(|(key, value)| (key.to_owned(), Value::from(value))).collect())
}

/// The binary, for a test that runs it itself.
pub fn redcast() -> Command {
    command(binary(false))
}

/// The producer's binary, for a test that runs it itself: `$PRODUCER_BIN`, else built
/// now, in this test's profile.
pub fn redcast_producer() -> Command {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    command(BINARY.get_or_init(|| {
        named("PRODUCER_BIN").unwrap_or_else(|| {
            build("redcast-producer", &[]);
            target_folder().join("debug/redcast-producer")
        })
    }))
}

/// A program, without the settings of whoever runs the tests.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"REDCAST_") {
            command.env_remove(name);
        }
    }
    command
}

/// The same under a limit of descriptors: a shell sets it and becomes the gateway,
/// because setting it between fork and exec ourselves would take unsafe code.
fn redcast_limited(program: &Path, descriptors: u32) -> Command {
    let mut command = command(Path::new("sh"));
    command.arg("-c").arg(format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")).arg(program);
    command
}

/// The binary under test: `$GATEWAY_BIN`, or `$GATEWAY_FAULTS_BIN` for the build with
/// the feature `faults`; else built now, in this test's profile.
fn binary(faults: bool) -> &'static Path {
    static PLAIN: OnceLock<PathBuf> = OnceLock::new();
    static FAULTS: OnceLock<PathBuf> = OnceLock::new();
    if faults {
        // In a folder of its own: the other stories run the binary without it.
        let more = ["--features", "faults", "--target-dir"];
        FAULTS.get_or_init(|| {
            named("GATEWAY_FAULTS_BIN").unwrap_or_else(|| {
                let folder = target_folder().join("faults");
                let folder_text = folder.to_str().expect("a path that is text");
                build("redcast", &[&more[..], &[folder_text]].concat());
                folder.join("debug/redcast")
            })
        })
    } else {
        PLAIN.get_or_init(|| {
            named("GATEWAY_BIN").unwrap_or_else(|| {
                build("redcast", &[]);
                target_folder().join("debug/redcast")
            })
        })
    }
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

fn build(package: &str, more: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = std::process::Command::new(cargo)
        .args(["build", "--locked", "--quiet", "--package", package])
        .args(more)
        .status()
        .expect("cargo runs");
    assert!(built.success(), "{package} does not build");
}

/// Where cargo builds: this test is target/debug/deps/NAME.
fn target_folder() -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    test.ancestors().nth(3).expect("tests live in target/debug/deps").to_owned()
}
