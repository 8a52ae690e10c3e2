//! The figures, counted in memory. Their meaning is that of record.lua beside the other
//! store, and one suite of tests holds both to it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::batch::Batch;
use crate::salts::Day;

/// A visitor is here for this long after a view.
const PRESENT: u64 = 5 * 60;
/// How many minutes the lists and the row of counts reach back.
const WINDOW_MINUTES: u64 = 30;
/// Visitors kept one by one; whoever comes beyond them is not told from the others.
const MAX_VISITORS: usize = 100_000;
/// New pages, and new referrers, that a minute lets in; a flood of made-up paths would
/// fill the memory.
const NAMES_PER_MINUTE: usize = 1_000;
const TOP: usize = 10;
/// Between two documents that are made because of views.
const DOCUMENT_EVERY: Duration = Duration::from_millis(250);

/// Everything that is counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    total: u64,
    today: Option<Today>,
    /// Unix seconds of each visitor's last view.
    last_seen: HashMap<String, u64>,
    /// Views of each of the last 60 seconds that had any, oldest first.
    seconds: VecDeque<(u64, u64)>,
    /// The minutes of the window that had any view, oldest first.
    minutes: VecDeque<Minute>,
    documented: Option<SystemTime>,
}

#[derive(Debug)]
struct Today {
    day: Day,
    views: u64,
    visitors: HashSet<String>,
}

#[derive(Debug)]
struct Minute {
    number: u64,
    views: u64,
    pages: HashMap<String, u64>,
    referrers: HashMap<String, u64>,
}

impl Tally {
    /// Counts some views.
    pub(super) fn add(&mut self, batch: &Batch<'_>, now: SystemTime) {
        self.forget(now);
        let views = batch.payloads.len() as u64;
        let second = seconds(now);
        self.total += views;
        let today = self.today(now);
        today.views += views;
        for &visitor in &batch.visitors {
            if today.visitors.len() < MAX_VISITORS {
                today.visitors.insert(visitor.to_owned());
            }
        }
        if self.last_seen.len() >= MAX_VISITORS {
            self.forget_visitors(second);
        }
        for &visitor in &batch.visitors {
            if self.last_seen.len() < MAX_VISITORS || self.last_seen.contains_key(visitor) {
                self.last_seen.insert(visitor.to_owned(), second);
            }
        }
        match self.seconds.back_mut() {
            Some((last, counted)) if *last == second => *counted += views,
            _ => self.seconds.push_back((second, views)),
        }
        let minute = self.minute(second / 60);
        minute.views += views;
        for (&path, &views) in &batch.pages {
            count(&mut minute.pages, path, views);
        }
        for (host, &views) in &batch.referrers {
            count(&mut minute.referrers, host, views);
        }
    }

    /// The document, where the last one is not of just now.
    pub(super) fn document_if_due(&mut self, now: SystemTime) -> Option<Vec<(String, String)>> {
        let since = self.documented.map(|then| now.duration_since(then));
        match since {
            Some(Ok(since)) if since < DOCUMENT_EVERY => None,
            _ => Some(self.document(now)),
        }
    }

    /// The fields of the statistics.
    pub(super) fn document(&mut self, now: SystemTime) -> Vec<(String, String)> {
        self.forget(now);
        self.documented = Some(now);
        let second = seconds(now);
        self.forget_visitors(second);
        let minute = second / 60;
        let mut row = [0; WINDOW_MINUTES as usize];
        for counted in &self.minutes {
            let ago = minute.saturating_sub(counted.number);
            if let Some(place) = row.iter_mut().rev().nth(ago as usize) {
                *place += counted.views;
            }
        }
        let top_pages = self.top(|minute| &minute.pages, "path");
        let top_referrers = self.top(|minute| &minute.referrers, "referrer");
        let last_minute: u64 = self.seconds.iter().map(|(_, views)| views).sum();
        let (current, total) = (self.last_seen.len(), self.total);
        let today = self.today(now);
        let fields = [
            ("current_visitors", current.to_string()),
            // Twice: a gateway may say under the first name how many connections it has.
            ("visitors_last_5_minutes", current.to_string()),
            ("unique_today", today.visitors.len().to_string()),
            ("total_events", total.to_string()),
            ("events_today", today.views.to_string()),
            ("views_last_minute", last_minute.to_string()),
            ("last_30_minutes", json!(row).to_string()),
            ("top_pages", top_pages),
            ("top_referrers", top_referrers),
            ("timestamp", second.to_string()),
        ];
        fields.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Looks at every visitor, so it is not for each view.
    fn forget_visitors(&mut self, second: u64) {
        self.last_seen.retain(|_, seen| *seen + PRESENT > second);
    }

    /// Lets go of the minutes and seconds that have left their windows.
    fn forget(&mut self, now: SystemTime) {
        let second = seconds(now);
        while self.seconds.front().is_some_and(|(then, _)| then + 60 <= second) {
            self.seconds.pop_front();
        }
        let gone = |minute: &Minute| minute.number + WINDOW_MINUTES <= second / 60;
        while self.minutes.front().is_some_and(gone) {
            self.minutes.pop_front();
        }
    }

    fn today(&mut self, now: SystemTime) -> &mut Today {
        let day = Day::of(now);
        let today = self.today.take().filter(|today| today.day == day);
        self.today.insert(today.unwrap_or_else(|| Today {
            day,
            views: 0,
            visitors: HashSet::new(),
        }))
    }

    fn minute(&mut self, number: u64) -> &mut Minute {
        let is_new = self.minutes.back().is_none_or(|last| last.number < number);
        if is_new {
            let (pages, referrers) = (HashMap::new(), HashMap::new());
            self.minutes.push_back(Minute { number, views: 0, pages, referrers });
        }
        let last = self.minutes.len() - 1;
        &mut self.minutes[last]
    }

    /// The first names of the window, as a JSON array. Equals stand in the order in which
    /// Redis has them, from the last letter of the alphabet to the first.
    fn top(&self, names: impl Fn(&Minute) -> &HashMap<String, u64>, label: &str) -> String {
        let mut sums: HashMap<&str, u64> = HashMap::new();
        for (name, views) in self.minutes.iter().flat_map(names) {
            *sums.entry(name).or_default() += views;
        }
        let mut sums: Vec<(&str, u64)> = sums.into_iter().collect();
        sums.sort_unstable_by(|a, b| (b.1, b.0).cmp(&(a.1, a.0)));
        let rows = sums.iter().take(TOP);
        let rows: Vec<_> =
            rows.map(|(name, views)| json!({ label: name, "views": views })).collect();
        json!(rows).to_string()
    }
}

fn count(names: &mut HashMap<String, u64>, name: &str, views: u64) {
    if let Some(counted) = names.get_mut(name) {
        *counted += views;
    } else if names.len() < NAMES_PER_MINUTE {
        names.insert(name.to_owned(), views);
    }
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
