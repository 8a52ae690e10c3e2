//! An access log, published as page views.
//!
//! Flow: `input.rs` opens the log and `lines.rs` cuts it → `line.rs` and `log_time.rs` read
//! a line → `rules.rs` says whether it is a page view and
//! `visitor.rs` whose → `reader.rs` does all of that ahead, in a thread → `pace.rs` says
//! when a view is due → `publish.rs` gives it to the store and `state.rs` keeps how far
//! that went.

mod error;
mod input;
mod line;
mod lines;
mod log_time;
mod pace;
mod progress;
mod publish;
mod reader;
mod rules;
mod state;
mod visitor;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use error::ReplayError;
pub use input::ReplayInput;
pub use pace::{Speed, SpeedError};
pub use progress::{ReplayProgress, Told};
pub use rules::Skipped;

use self::input::Input;
use self::publish::Publisher;
use self::reader::Reader;
use self::state::State;
use self::visitor::Salt;
use crate::store::Store;

/// Chunks that are read ahead of what is published.
const AHEAD: usize = 2;

/// What is replayed, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayConfig {
    /// The log.
    pub input: ReplayInput,
    /// How fast. Default: as it was written.
    pub speed: Speed,
    /// Whether every GET is a page view, also of bots and of assets. Default: no.
    pub all: bool,
    /// Whether an event has the time of its line and not of its publishing. Default: no.
    pub keep_time: bool,
    /// Where to keep how far it went, and go on. Default: nowhere.
    pub resume: Option<PathBuf>,
    /// How long the store may be away before the run gives up. Default: 30 seconds.
    pub patience: Duration,
}

impl ReplayConfig {
    /// The log at its own pace.
    pub fn new(input: ReplayInput) -> Self {
        Self {
            input,
            speed: Speed::Times(1.0),
            all: false,
            keep_time: false,
            resume: None,
            patience: Duration::from_secs(30),
        }
    }
}

/// What one run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Page views that the store has acknowledged.
    pub views: u64,
    /// Page views of which it is not known whether the store counted them.
    pub unknown: u64,
    /// Lines, of whatever kind, that this run is done with.
    pub lines: u64,
    /// Lines that were no page views.
    pub skipped: Skipped,
    /// Lines that are of no known format.
    pub unreadable: u64,
    /// The numbers of the first three of these, from 1.
    pub unreadable_lines: Vec<u64>,
    /// Lines that a run before was done with.
    pub resumed_behind: u64,
}

/// How a run ended.
#[derive(Debug)]
pub struct Replayed {
    /// What it did.
    pub summary: Summary,
    /// Whether that was all of the log; false where it was stopped.
    pub end: Result<bool, ReplayError>,
}

/// A log that was opened and is to be replayed.
pub struct Replay {
    config: ReplayConfig,
    reader: Reader,
    state: Option<State>,
    progress: Arc<ReplayProgress>,
}

impl Replay {
    /// Opens the log and goes to where the state file says. It waits for the first bytes
    /// of standard input.
    pub fn open(config: ReplayConfig) -> Result<Self, ReplayError> {
        let name = config.input.to_string();
        let mut input = Input::open(&config.input)?;
        let (state, salt) = match &config.resume {
            Some(path) => {
                State::open(path, &name, &mut input).map(|(state, salt)| (Some(state), salt))?
            }
            None => (None, Salt::random().map_err(|error| ReplayError::Salt(error.to_string()))?),
        };
        let progress =
            Arc::new(ReplayProgress::new(input.size, state.as_ref().map(State::position)));
        // What a pipe or a compressed file ends with is all there will ever be.
        let leaves_cut_line = state.is_some() && input.file.is_some() && !input.is_gzip;
        let reader = Reader { name, input, salt, all: config.all, leaves_cut_line, failed: None };
        Ok(Self { config, reader, state, progress })
    }

    /// Figures that can be looked at while it runs.
    pub fn progress(&self) -> Arc<ReplayProgress> {
        self.progress.clone()
    }

    /// Publishes the log until it ends or `stop` is cancelled; what the store was given by
    /// then is waited for.
    pub async fn run(self, store: Arc<dyn Store>, stop: CancellationToken) -> Replayed {
        let (sender, chunks) = mpsc::channel(AHEAD);
        let (name, is_plain) = (self.reader.name.clone(), !self.reader.input.is_gzip);
        let reader = self.reader;
        // It ends when the receiver is dropped, or with the process where it waits for a
        // pipe; nothing is lost by that.
        let reading = tokio::task::spawn_blocking(move || reader.run(&sender));
        let mut publisher =
            Publisher::new(store, &self.config, self.state, self.progress, is_plain);
        let mut end = publisher.publish(chunks, &stop).await;
        if matches!(end, Ok(true)) && reading.await.is_err() {
            end = Err(ReplayError::Reader { name: name.clone() });
        }
        publisher.finish(&name, end)
    }
}
