//! Reads the log ahead of what is published, in a thread of its own, because files and
//! pipes make whoever reads them wait.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;

use super::ReplayError;
use super::input::Input;
use super::line::{self, LogLine};
use super::lines::{Line, Position};
use super::rules::{self, Skip, Skipped};
use super::visitor::Salt;
use crate::page_view::PageView;

/// Line numbers of unreadable lines that are told.
pub(super) const TOLD: usize = 3;
/// Of the first line, to be taken for something else than text.
const NO_TEXT: u8 = 0;

/// A page view of the log and when it is due by the log's own clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) view: PageView,
    pub(super) at: SystemTime,
    /// Where the line behind it begins.
    pub(super) after: Position,
}

/// What some lines in a row said.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) views: Vec<Due>,
    pub(super) skipped: Skipped,
    pub(super) unreadable: u64,
    /// Their line numbers, the first few.
    pub(super) unreadable_lines: Vec<u64>,
    /// Where the line behind all of them begins.
    pub(super) after: Position,
    /// Bytes of the file that had been read by then.
    pub(super) read: u64,
}

/// Turns lines into page views.
pub(super) struct Reader {
    pub(super) name: String,
    pub(super) input: Input,
    pub(super) salt: Salt,
    /// Whether every GET is a page view.
    pub(super) all: bool,
    /// Whether a last line without its end is left for the next run: the server may be
    /// about to write the rest, and half a path is a path too.
    pub(super) leaves_cut_line: bool,
    /// What ended the input, told once the lines before it were given out.
    pub(super) failed: Option<ReplayError>,
}

impl Reader {
    /// Hands chunks over until the input ends, or nobody takes them any more.
    pub(super) fn run(mut self, chunks: &mpsc::Sender<Result<Chunk, ReplayError>>) {
        while let Some(chunk) = self.next_chunk().transpose() {
            let is_last = chunk.is_err();
            if chunks.blocking_send(chunk).is_err() || is_last {
                return;
            }
        }
    }

    /// Waits for a line and takes with it those that are there already; none at the end.
    pub(super) fn next_chunk(&mut self) -> Result<Option<Chunk>, ReplayError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let begin = self.input.lines.position();
        let mut chunk = Chunk { after: begin, ..Chunk::default() };
        let mut line = Vec::new();
        let mut is_over = false;
        // Only the first line may be waited for: what is here must not wait for what may
        // never come.
        while !is_over && (self.input.lines.position() == begin || self.input.lines.has_line()) {
            match self.input.lines.next(&mut line) {
                Ok(Some(kind)) => self.take(kind, &line, &mut chunk)?,
                Ok(None) => is_over = true,
                Err(error) => {
                    self.failed = Some(self.input.broken(&self.name, error));
                    is_over = true;
                }
            }
        }
        if self.input.lines.position() == begin {
            return self.failed.take().map_or(Ok(None), Err);
        }
        chunk.read = self.input.read.load(Ordering::Relaxed);
        spread(&mut chunk.views);
        Ok(Some(chunk))
    }

    fn take(&self, kind: Line, text: &[u8], chunk: &mut Chunk) -> Result<(), ReplayError> {
        let position = self.input.lines.position();
        if position.lines == 1 && text.contains(&NO_TEXT) {
            return Err(ReplayError::Binary { name: self.name.clone() });
        }
        let line = if kind == Line::TooLong { None } else { line::parse(text) };
        match line {
            Some(_) if kind == Line::Cut && self.leaves_cut_line => return Ok(()),
            Some(line) => match self.page_view(&line) {
                Ok(view) => chunk.views.push(Due { at: line.time, view, after: position }),
                Err(why) => chunk.skipped.count(why),
            },
            None => {
                chunk.unreadable += 1;
                if chunk.unreadable_lines.len() < TOLD {
                    chunk.unreadable_lines.push(position.lines);
                }
                // The rest of it may yet be written; another run reads it whole.
                if kind == Line::Cut {
                    return Ok(());
                }
            }
        }
        chunk.after = position;
        Ok(())
    }

    fn page_view(&self, line: &LogLine<'_>) -> Result<PageView, Skip> {
        let opened = rules::page_view(line, self.all)?;
        let agent = line.browser.as_ref().map_or("", |browser| &browser.agent);
        Ok(PageView {
            visitor_id: self.salt.visitor(line.address, agent, line.time),
            at: line.time,
            path: opened.path.into(),
            referrer: opened.referrer.map(Into::into),
            country: None,
            device: opened.device,
        })
    }
}

/// Logs know seconds only. What falls into the same one is spread over it, or every
/// second would begin with a jolt.
fn spread(views: &mut [Due]) {
    for second in views.chunk_by_mut(|a, b| a.view.at == b.view.at) {
        let count = u32::try_from(second.len()).unwrap_or(u32::MAX);
        for (place, due) in (0..count).zip(second) {
            due.at += Duration::from_secs(1) * place / count;
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
