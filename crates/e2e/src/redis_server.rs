//! A real redis-server of the test's own.

use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A running redis-server on a free loopback port, stopped by pid when dropped.
pub struct RedisServer {
    port: u16,
    extra: Vec<String>,
    dir: TempDir,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts a server that keeps nothing on disk.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more command-line options, e.g. `["--appendonly", "yes"]`.
    pub fn start_with(extra: &[&str]) -> Self {
        Self::try_start(extra).expect("redis-server starts (apt-get install redis-server)")
    }

    /// The same for a program that tells its users why there is none; the error's text
    /// goes on after "redis-server ".
    pub fn try_start(extra: &[&str]) -> io::Result<Self> {
        let extra: Vec<String> = extra.iter().map(|&option| option.to_owned()).collect();
        let dir = TempDir::new()?;
        let mut ended = None;
        // Another process may take the port between the look and the bind.
        for _ in 0..10 {
            let port = free_port();
            match spawn(port, &extra, &dir)? {
                Ok(child) => return Ok(Self { port, extra, dir, child: Some(child) }),
                Err(status) => ended = Some(status),
            }
        }
        let ended = ended.map(|status| status.to_string()).unwrap_or_default();
        Err(io::Error::other(format!("did not start on any of ten free ports ({ended})")))
    }

    /// The port it listens on; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT`, with the password that was set by `--requirepass`.
    pub fn url(&self) -> String {
        let mut options = self.extra.iter().skip_while(|option| *option != "--requirepass");
        let user = options.nth(1).map(|password| format!(":{password}@")).unwrap_or_default();
        format!("redis://{user}127.0.0.1:{}", self.port)
    }

    /// Its working folder, gone with it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A client of it, which connects when it is asked to.
    pub fn client(&self) -> redis::Client {
        let info =
            redis::IntoConnectionInfo::into_connection_info(self.url()).expect("a Redis URL");
        // A Redis before 7.2 does not know how to be told the library's name, and counts
        // the attempt as an error, where a test counts the gateway's.
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        redis::Client::open(info.set_redis_settings(settings)).expect("a Redis URL")
    }

    /// A connection for publishing and for looking at the server.
    pub async fn connection(&self) -> redis::aio::MultiplexedConnection {
        let client = self.client();
        // The library's own time-outs are too short for a test with a thousand clients
        // on a busy machine.
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connection = client.get_multiplexed_async_connection_with_config(&patient).await;
        connection.expect("redis-server answers")
    }

    /// Whether it has been started and not been killed.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("redis-server runs").id()
    }

    /// Ends the server at once (SIGKILL), as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("redis-server can be killed");
            child.wait().expect("redis-server can be waited for");
        }
    }

    /// Starts it again on the same port, after [`Self::kill`].
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "redis-server still runs");
        let started = spawn(self.port, &self.extra, &self.dir).expect("redis-server starts");
        self.child = Some(started.unwrap_or_else(|status| {
            panic!("redis-server did not come back on port {}: {status}", self.port)
        }));
    }

    /// Stops its execution (SIGSTOP): the sockets stay open, nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("redis-server can be signalled");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A loopback port that nothing listens on at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("a bound address").port()
}

/// The process once it is ready, or how it ended before.
fn spawn(port: u16, extra: &[String], dir: &TempDir) -> io::Result<Result<Child, ExitStatus>> {
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .arg("--dir")
        .arg(dir.path())
        .args(extra)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut log = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let mut line = String::new();
    while log.read_line(&mut line)? > 0 {
        if line.contains("Ready to accept connections") {
            // Nobody reads the rest; a full pipe would stop the server.
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return Ok(Ok(child));
        }
        line.clear();
    }
    Ok(Err(child.wait()?))
}
