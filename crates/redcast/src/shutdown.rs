//! The end of a process, in one place: a signal → not ready → still accept for a
//! while → close with 1012, paced over the window → hard stop → exit code.

use std::io::{IsTerminal, stdin};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Result;
use prometheus::IntGauge;
use redcast_edge::Edge;
use redcast_hub::{Hub, Member};
use redcast_protocol::CloseCode;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::settings::{Parsed, Shutdown};

/// At the end of the window: for the last clients to answer their close frame.
const GOODBYE: Duration = Duration::from_secs(3);
/// How patient a drain is when somebody pressed Ctrl-C.
const AT_A_TERMINAL: Shutdown =
    Shutdown { accept_for: Parsed(Duration::ZERO), window: Parsed(Duration::from_secs(1)) };
/// A second signal while draining: stop at once. 128 + SIGINT, as shells count.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// The signals that end the process.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// What a drain works on.
pub(crate) struct Drain {
    pub(crate) edge: Arc<Edge>,
    pub(crate) hub: Hub,
    pub(crate) sessions: TaskTracker,
    /// Ends the accept loops.
    pub(crate) stop_accepting: CancellationToken,
    pub(crate) draining: IntGauge,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for the first signal; answers how patient the drain may be. Somebody
    /// who pressed Ctrl-C wants the prompt back.
    pub(crate) async fn wait(&mut self, configured: &Shutdown) -> Shutdown {
        tokio::select! {
            _ = self.terminate.recv() => configured.clone(),
            _ = self.interrupt.recv() => {
                if stdin().is_terminal() { AT_A_TERMINAL } else { configured.clone() }
            }
        }
    }

    /// Waits for one more.
    pub(crate) async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Drain {
    /// Gives every connection back; answers how many had to be cut.
    pub(crate) async fn run(&self, patience: &Shutdown) -> usize {
        self.draining.set(1);
        self.edge.begin_drain();
        tracing::info!(accept_for = ?patience.accept_for, window = ?patience.window, "draining");
        sleep(*patience.accept_for).await;
        self.edge.refuse_connections();
        self.stop_accepting.cancel();
        let end = Instant::now() + *patience.window;
        let pace_until = end.checked_sub(GOODBYE.min(*patience.window / 2)).unwrap_or(end);
        self.close_paced(pace_until, *patience.window).await;
        self.sessions.close();
        // What is left after this is dropped with the process.
        let _ = timeout_at(end, self.sessions.wait()).await;
        self.sessions.len()
    }

    async fn close_paced(&self, until: Instant, window: Duration) {
        if self.hub.end_holding().await.is_err() {
            return;
        }
        let Ok(members) = self.hub.members().await else { return };
        let mut members: Vec<Weak<Member>> = members;
        // By chance, so that each endpoint's clients come back spread out.
        fastrand::shuffle(&mut members);
        let start = Instant::now();
        let span = until.saturating_duration_since(start);
        let count = u32::try_from(members.len()).unwrap_or(u32::MAX).max(1);
        for (index, member) in (0..).zip(members) {
            sleep_until(start + span * index / count).await;
            if let Some(member) = member.upgrade() {
                self.give_back(member, window).await;
            }
        }
        // Handshakes that were under way when the list was made.
        for member in self.hub.members().await.unwrap_or_default() {
            if let Some(member) = member.upgrade() {
                self.give_back(member, window).await;
            }
        }
    }

    /// Closes with a hint when to come back, another for each client: what was given back
    /// over a window should not return in one moment.
    async fn give_back(&self, member: Arc<Member>, window: Duration) {
        let spread = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).clamp(1, 10_000);
        let reason = format!("{{\"reconnect_after_ms\":{}}}", fastrand::u64(0..spread));
        // A hub that has ended has ended its connections.
        let _ = self.hub.give_back(member, CloseCode::ServiceRestart, reason).await;
    }
}
