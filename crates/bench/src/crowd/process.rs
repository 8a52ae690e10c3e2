//! One load process, as the bench sees it: started, told what to do, listened to and
//! stopped by its pid.

use std::io::BufReader;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use anyhow::{Context, Result, bail};

use super::words::{Order, Report, Served, listen, say};
use crate::server::{Target, end_with_parent};

/// A running load process; killed when dropped.
pub(super) struct LoadProcess {
    child: Child,
    orders: ChildStdin,
    reports: Receiver<Report>,
    /// What it has said so far.
    pub(super) said: Said,
}

/// What a load process has said so far.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Connections opened.
    pub(super) connected: usize,
    /// Seconds until all were open; none before.
    pub(super) ready: Option<f64>,
    /// Clients that got a probe.
    pub(super) probed: usize,
    /// Numbered events that arrived.
    pub(super) delivered: u64,
    /// The answer to [`Order::Count`].
    pub(super) open: Option<usize>,
    /// The answer to [`Order::Result`].
    pub(super) result: Option<Served>,
}

impl LoadProcess {
    /// Starts it; it opens `count` connections to `target` at once.
    pub(super) fn start(target: &Target, count: usize) -> Result<Self> {
        let program = std::env::current_exe().context("can't find this program's own file")?;
        let mut command = Command::new(program);
        command.arg("crowd-load").args(["--url", &target.to_string()]);
        command.args(["--clients", &count.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        end_with_parent(&mut command, None);
        let mut child = command.spawn().context("can't start a load process")?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (orders, output) = pipes.context("input and output are piped")?;
        let reports = follow(output);
        let mut process = Self { child, orders, reports: sync_channel(0).1, said: Said::default() };
        // A guard from before: an error here must not leave the child behind.
        process.reports = reports?;
        Ok(process)
    }

    /// Tells it what to do.
    pub(super) fn order(&mut self, order: Order) -> Result<()> {
        say(&mut self.orders, &order).context("a load process takes no orders")
    }

    /// Notes what it has said since the last call; an error if it can't go on.
    pub(super) fn refresh(&mut self) -> Result<()> {
        loop {
            match self.reports.try_recv() {
                Ok(report) => self.note(report)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => {
                    bail!("a load process ended in the middle of the run ({})", self.child.wait()?)
                }
            }
        }
    }

    fn note(&mut self, report: Report) -> Result<()> {
        let said = &mut self.said;
        match report {
            Report::Connected(connected) => said.connected = connected,
            Report::Ready(seconds) => said.ready = Some(seconds),
            Report::Probed(probed) => said.probed = probed,
            Report::Delivered(delivered) => said.delivered = delivered,
            Report::Open(open) => said.open = Some(open),
            Report::Result(result) => said.result = Some(result),
            Report::Failed(sentence) => bail!(sentence),
        }
        Ok(())
    }
}

impl Drop for LoadProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(output: ChildStdout) -> Result<Receiver<Report>> {
    let (sender, reports) = sync_channel(64);
    std::thread::Builder::new().name("load-output".to_owned()).spawn(move || {
        for report in listen(BufReader::new(output)) {
            if sender.send(report).is_err() {
                return;
            }
        }
    })?;
    Ok(reports)
}
