//! The process of the server under test: started, pinned, watched, stopped by
//! its pid.

#![allow(unsafe_code, reason = "pre_exec and prctl have no safe form")]

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::admin;
use crate::contender::{Contender, Joining, Launch, Ready};
use crate::dialect::Dialect;
use crate::feed::Feed;
use crate::machine::{Interrupted, pin, wait_until};
use crate::process::end_group;

/// How long after an error the server's end may show: a process that is killed closes
/// its sockets before its parent is told, and has thousands of them.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// A port that was free when it was chosen may be taken when the server listens, by
/// any other program that connects somewhere.
const START_ATTEMPTS: usize = 5;

/// What a server then says, in the words of the C library.
const PORT_TAKEN: &str = "Address already in use";

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Address and port.
    pub address: SocketAddr,
    /// Path and query.
    pub path: String,
    /// How a client says which channel it wants.
    pub joining: Joining,
    /// What is spoken there.
    pub dialect: Dialect,
}

impl Target {
    /// From a `ws://HOST:PORT/PATH` URL.
    pub fn parse(url: &str) -> Result<Self> {
        let rest =
            url.strip_prefix("ws://").with_context(|| format!("{url} is not a ws:// URL"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut addresses = host.to_socket_addrs().with_context(|| format!("bad host in {url}"))?;
        let address = addresses.find(SocketAddr::is_ipv4).context("the URL's host has no IPv4")?;
        let (path, joining, dialect) = (format!("/{path}"), Joining::Given, Dialect::Plain);
        Ok(Self { address, path, joining, dialect })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ws://{}{}", self.address, self.path)
    }
}

/// A running server; killed when dropped.
pub struct Server {
    /// Where its clients connect.
    pub target: Target,
    /// How its events are published.
    pub feed: Feed,
    /// What it is called in messages.
    name: String,
    /// Where a gateway tells its metrics.
    admin: Option<String>,
    child: Child,
    /// Ends with its output; yields its count of short sends.
    output: Option<JoinHandle<u64>>,
    /// What it writes to standard error.
    log: PathBuf,
    _folder: TempDir,
}

impl Server {
    /// Starts `contender` on `cpu` and waits until it is ready.
    pub fn start(contender: &Contender, redis: &str, cpu: Option<usize>) -> Result<Self> {
        for _ in 1..START_ATTEMPTS {
            match Self::start_once(contender, redis, cpu) {
                Err(error) if error.to_string().contains(PORT_TAKEN) => {}
                started => return started,
            }
        }
        Self::start_once(contender, redis, cpu)
    }

    fn start_once(contender: &Contender, redis: &str, cpu: Option<usize>) -> Result<Self> {
        let launch = contender.launch(redis)?;
        let folder = TempDir::new().context("can't make a temporary folder")?;
        let log = folder.path().join("stderr.log");
        for (name, text) in &launch.files {
            std::fs::write(folder.path().join(name), text)?;
        }
        let mut child = command(&launch, cpu)
            .current_dir(folder.path())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("can't start {}", launch.program.display()))?;
        let (urls, output) = follow(child.stdout.take().context("stdout is piped")?)?;
        // A guard from here on: an error below must not leave the child behind.
        let target = Target::parse("ws://127.0.0.1:0")?;
        let admin = match &launch.ready {
            Ready::Readyz { admin, .. } => Some(admin.clone()),
            Ready::UrlPrinted | Ready::Listening { .. } => None,
        };
        let (name, output) = (contender.name.clone(), Some(output));
        let feed = launch.feed;
        let mut server = Self { target, feed, name, admin, child, output, log, _folder: folder };
        let found = server.wait_until_ready(&launch.ready, &urls, contender.patience)?;
        server.target = Target { joining: launch.joining, dialect: launch.dialect, ..found };
        Ok(server)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_ready(
        &mut self,
        ready: &Ready,
        urls: &Receiver<String>,
        patience: Duration,
    ) -> Result<Target> {
        let mut found = None;
        wait_until(patience, || {
            found = match ready {
                Ready::UrlPrinted => urls.try_recv().ok(),
                Ready::Readyz { admin, url } => admin::is_ready(admin).then(|| url.clone()),
                Ready::Listening { addresses, url } => {
                    let listens = |address: &String| TcpStream::connect(address).is_ok();
                    addresses.iter().all(listens).then(|| url.clone())
                }
            };
            found.is_some() || matches!(self.child.try_wait(), Ok(Some(_)))
        })?;
        if let Some(url) = found {
            return Target::parse(&url);
        }
        let (name, last) = (&self.name, self.last_words());
        match self.child.try_wait()? {
            Some(status) => bail!("the {name} ended before it was ready ({status}): {last}"),
            None => bail!("the {name} was not ready after {patience:?}: {last}"),
        }
    }

    /// The value of a gateway's metric `name`.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let admin = self.admin.as_deref();
        admin::metric(admin.with_context(|| format!("the {} tells no metrics", self.name))?, name)
    }

    /// An error once the process has ended.
    pub fn ended(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        bail!("the {} ended in the middle of the run ({status}): {}", self.name, self.last_words())
    }

    /// The last line that it wrote to standard error.
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message").to_owned()
    }

    /// Ends it at once and tells how many short sends it reported.
    pub fn stop(mut self) -> Result<u64> {
        self.kill();
        let output = self.output.take().context("a server is stopped once")?;
        output.join().map_err(|_| anyhow::anyhow!("the reader of the server's output panicked"))
    }

    /// By SIGKILL, with all that it started: all is measured, and a paced goodbye would
    /// only take time.
    fn kill(&mut self) {
        end_group(self.child.id());
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `error`, unless one of `servers` has ended: then that, as the reason of it.
pub fn explain(servers: &mut [Server], error: anyhow::Error) -> anyhow::Error {
    if error.is::<Interrupted>() {
        return error;
    }
    let mut reason = None;
    let ended = wait_until(END_PATIENCE, || {
        reason = servers.iter_mut().find_map(|server| server.ended().err());
        reason.is_some()
    });
    ended.err().or(reason).unwrap_or(error)
}

fn command(launch: &Launch, cpu: Option<usize>) -> Command {
    let mut command = Command::new(&launch.program);
    command.args(&launch.arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    // Settings from the user's shell would be measured too, or refused.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REDCAST_") {
            command.env_remove(name);
        }
    }
    command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
    end_with_parent(&mut command, cpu);
    command
}

/// The process of `command` runs on `cpu`, if that is given, and ends with this one
/// even if this is killed. It leads a group of its own: what it starts is measured and
/// ended with it, and Ctrl-C is for this process alone, which then ends its children in
/// order.
pub fn end_with_parent(command: &mut Command, cpu: Option<usize>) {
    let prepare = move || {
        // SAFETY: this option takes a number and touches no memory of ours.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) };
        cpu.map_or(Ok(()), pin)
    };
    // SAFETY: `prepare` makes two system calls and neither allocates nor locks, so
    // it may run between fork and exec.
    unsafe { command.process_group(0).pre_exec(prepare) };
}

/// Reads the output to its end, so that a full pipe never stops the server. URLs
/// come through the channel, the last `short_sends=N` when the thread ends.
fn follow(stdout: ChildStdout) -> Result<(Receiver<String>, JoinHandle<u64>)> {
    let (urls, found) = sync_channel(1);
    let thread = std::thread::Builder::new().name("server-output".to_owned()).spawn(move || {
        let mut short_sends = 0;
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(count) = line.strip_prefix("short_sends=") {
                let batch: u64 = count.parse().unwrap_or(0);
                short_sends += batch;
            } else if let Some(url) = line.split_whitespace().find(|word| word.starts_with("ws://"))
            {
                // Only the first is waited for.
                let _ = urls.try_send(url.to_owned());
            }
        }
        short_sends
    })?;
    Ok((found, thread))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse("ws://127.0.0.1:8080/ws/analytics?x=1").unwrap();
        assert_eq!(target.address, ([127, 0, 0, 1], 8080).into());
        assert_eq!(target.path, "/ws/analytics?x=1");
        assert_eq!(target.to_string(), "ws://127.0.0.1:8080/ws/analytics?x=1");
        assert_eq!(Target::parse("ws://127.0.0.1:80").unwrap().path, "/");
        assert!(Target::parse("http://127.0.0.1:80/").is_err());
    }
}
