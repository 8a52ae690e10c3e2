//! How far a replay is: a bar on a terminal, else a log line now and then.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use redcast_producer::{ReplayProgress, Told};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often the bar is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// How often a line is written where nobody looks.
const TELL_EVERY: Duration = Duration::from_secs(10);

const OF_A_FILE: &str = "{bar:30} {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}  {msg}";
const OF_A_PIPE: &str = "{spinner} {msg}";

/// A task that shows progress.
pub(super) struct Showing {
    end: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Showing {
    /// Begins to show.
    pub(super) fn begin(
        tasks: &TaskTracker,
        bars: MultiProgress,
        progress: Arc<ReplayProgress>,
    ) -> Self {
        let end = CancellationToken::new();
        let task = match stderr().is_terminal() {
            true => tasks.spawn(draw(bars, progress, end.clone())),
            false => tasks.spawn(tell(progress, end.clone())),
        };
        Self { end, task }
    }

    /// Takes the bar away; what was done is told by a summary.
    pub(super) async fn end(self) {
        self.end.cancel();
        // It only shows; if it failed, that was logged.
        let _ = self.task.await;
    }
}

async fn draw(bars: MultiProgress, progress: Arc<ReplayProgress>, end: CancellationToken) {
    let (bar, template) = match progress.told().size {
        Some(size) => (ProgressBar::new(size), OF_A_FILE),
        None => (ProgressBar::no_length(), OF_A_PIPE),
    };
    let bar = bars.add(bar);
    // A template that does not parse would be a bar in the library's own style.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let start = Instant::now();
    let mut ticks = interval_at(start, DRAW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while end.run_until_cancelled(ticks.tick()).await.is_some() {
        let told = progress.told();
        bar.set_message(sentence(&told, start.elapsed()));
        match told.size {
            Some(_) => bar.set_position(told.bytes),
            None => bar.tick(),
        }
    }
    bar.finish_and_clear();
}

async fn tell(progress: Arc<ReplayProgress>, end: CancellationToken) {
    let start = Instant::now();
    let mut ticks = interval_at(start + TELL_EVERY, TELL_EVERY);
    while end.run_until_cancelled(ticks.tick()).await.is_some() {
        let Told { lines, views, unreadable, waiting, size, bytes } = progress.told();
        tracing::info!(lines, views, unreadable, waiting, bytes, size, "replaying");
    }
}

fn sentence(told: &Told, elapsed: Duration) -> String {
    let per_second = told.views as f64 / elapsed.as_secs_f64().max(0.1);
    let mut text = format!("{} lines, {} views, {per_second:.0}/s", told.lines, told.views);
    if told.unreadable > 0 {
        text += &format!(", {} unreadable", told.unreadable);
    }
    if told.waiting {
        text += ", waiting for Redis";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_says_no_more_than_there_is() {
        let told =
            Told { size: None, bytes: 0, lines: 40, views: 30, unreadable: 0, waiting: false };
        let ten = Duration::from_secs(10);
        assert_eq!(sentence(&told, ten), "40 lines, 30 views, 3/s");
        let told = Told { unreadable: 2, waiting: true, ..told };
        assert_eq!(
            sentence(&told, ten),
            "40 lines, 30 views, 3/s, 2 unreadable, waiting for Redis"
        );
    }

    #[test]
    fn both_templates_can_be_drawn() {
        for template in [OF_A_FILE, OF_A_PIPE] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
