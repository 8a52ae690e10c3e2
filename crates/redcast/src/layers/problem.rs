//! What is wrong with a configuration, and where it stands.

use std::fmt;

use serde::Serialize;

use super::set_by::SetBy;

/// One thing that is wrong, as one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// `FILE:LINE:COLUMN`, a file, a variable or a flag.
    pub(crate) source: String,
    /// The key, where one is known, such as `endpoints[1].path`.
    pub(crate) key: Option<String>,
    /// What is wrong, and what would be right.
    pub(crate) message: String,
}

/// Everything that is wrong; at least one problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problem {
    pub(crate) fn new(source: impl Into<String>, message: impl Into<String>) -> Self {
        Self { source: source.into(), key: None, message: message.into() }
    }

    pub(crate) fn at(
        source: impl Into<String>,
        key: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { key: Some(key.into()), ..Self::new(source, message) }
    }
}

impl Problems {
    /// Those of a file come first, by line and column; the others keep their order.
    pub(super) fn in_order(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| {
            let place = place_in_file(&problem.source);
            (place.is_none(), place)
        });
        Self(problems)
    }
}

/// The line and the column in `FILE:LINE:COLUMN`.
fn place_in_file(source: &str) -> Option<(u64, u64)> {
    let (rest, column) = source.rsplit_once(':')?;
    let (_, line) = rest.rsplit_once(':')?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A variable or a flag says by its name which key it sets.
        let in_file = SetBy::of(Some(&self.source)) == SetBy::File;
        match self.key.as_ref().filter(|_| in_file) {
            Some(key) => write!(f, "{}: {key}: {}", self.source, self.message),
            None => write!(f, "{}: {}", self.source, self.message),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}
