//! The list of rows, in the order of the table.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::findings::Findings;
use super::kill;
use super::scene::Scale;

/// What a row does; it writes down what it finds.
pub type Run = for<'a> fn(&'a Scale, &'a mut Findings) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Row {
    /// The name to choose it by.
    pub name: &'static str,
    /// What is broken.
    pub fault: &'static str,
    /// What must hold all the same, in words.
    pub bar: &'static str,
    /// How long it may take at full size, at most.
    pub limit: Duration,
    /// How to do it.
    pub run: Run,
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// All rows.
pub const ROWS: &[Row] = &[
    Row {
        name: "kill-3s",
        fault: "Redis SIGKILL, back after 3 s",
        bar: kill::BAR,
        limit: minutes(3),
        run: |scale, findings| Box::pin(kill::killed(scale, findings, 3)),
    },
    Row {
        name: "kill-30s",
        fault: "Redis SIGKILL, back after 30 s",
        bar: kill::BAR,
        limit: minutes(4),
        run: |scale, findings| Box::pin(kill::killed(scale, findings, 30)),
    },
    Row {
        name: "kill-120s",
        fault: "Redis SIGKILL, back after 120 s",
        bar: kill::BAR,
        limit: minutes(8),
        run: |scale, findings| Box::pin(kill::killed(scale, findings, 120)),
    },
    Row {
        name: "freeze",
        fault: "Redis SIGSTOP for 10 s",
        bar: "noticed ≤ 3 s; live ≤ 2 s after; memory flat",
        limit: minutes(3),
        run: |scale, findings| Box::pin(kill::frozen(scale, findings)),
    },
];

/// The row with this name.
pub fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}
