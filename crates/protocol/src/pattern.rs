//! Globs over channel names: what a client may join, which rule a channel has.
//!
//! `*` stands for any run of characters (also none), `?` for exactly one. The
//! two mean the same to Redis' PSUBSCRIBE, whose other signs are not offered.

use std::fmt;

use crate::channel::{MAX_CHANNEL_LEN, is_channel_char};

/// A checked glob over channel names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(Box<str>);

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is empty.
    #[error("a pattern can't be empty; use \"*\" for every channel")]
    Empty,
    /// The text is longer than any channel it could match.
    #[error("a pattern has at most {MAX_CHANNEL_LEN} bytes, this one has {0}")]
    TooLong(usize),
    /// A character that no channel name can have.
    #[error("{0:?} can't be in a channel name; a pattern is such a name with * and ?")]
    BadCharacter(char),
}

impl Pattern {
    /// Checks `glob` and makes a pattern of it.
    pub fn parse(glob: &str) -> Result<Self, PatternError> {
        if glob.is_empty() {
            return Err(PatternError::Empty);
        }
        if glob.len() > MAX_CHANNEL_LEN {
            return Err(PatternError::TooLong(glob.len()));
        }
        match glob.chars().find(|c| !is_channel_char(*c) && !matches!(c, '*' | '?')) {
            Some(bad) => Err(PatternError::BadCharacter(bad)),
            None => Ok(Self(glob.into())),
        }
    }

    /// Whether `name` fits this pattern.
    ///
    /// Takes time proportional to the product of both lengths at worst: it
    /// falls back to the last `*` alone, never to earlier ones, so no pattern
    /// can make it exponential.
    pub fn matches(&self, name: &str) -> bool {
        let (glob, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut g, mut n) = (0, 0);
        let mut last_star: Option<(usize, usize)> = None;
        while n < name.len() {
            match glob.get(g) {
                Some(b'*') => {
                    last_star = Some((g, n));
                    g += 1;
                }
                Some(&c) if c == b'?' || c == name[n] => {
                    g += 1;
                    n += 1;
                }
                _ => {
                    // Back to the last star, which takes one character more.
                    let Some((star, taken)) = last_star else { return false };
                    g = star;
                    n = taken + 1;
                }
            }
        }
        glob[g..].iter().all(|c| *c == b'*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(glob: &str, name: &str, expected: bool) {
        assert_eq!(Pattern::parse(glob).unwrap().matches(name), expected, "{glob} over {name}");
    }

    #[test]
    fn stars_take_any_run_and_question_marks_take_one() {
        check("orders:*", "orders:1", true);
        check("orders:*", "orders:", true);
        check("orders:*", "orders", false);
        check("orders:*", "xorders:1", false);
        check("orders:?", "orders:1", true);
        check("orders:?", "orders:", false);
        check("orders:?", "orders:12", false);
        check("*", "anything", true);
        check("a*b*c", "a1b2b3c", true);
        check("a*b*c", "a1b2b3", false);
        check("*:end", "a:b:end", true);
        check("exact", "exact", true);
        check("exact", "exactly", false);
        check("a**", "a", true);
        check("*ab", "aab", true);
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let glob = format!("{}b", "a*".repeat(120));
        check(&glob, &"a".repeat(255), false);
    }

    #[test]
    fn refuses_what_could_never_match() {
        assert_eq!(Pattern::parse(""), Err(PatternError::Empty));
        assert_eq!(Pattern::parse(&"a".repeat(256)), Err(PatternError::TooLong(256)));
        assert!(Pattern::parse(&"a".repeat(255)).is_ok());
        assert_eq!(Pattern::parse("a[b]"), Err(PatternError::BadCharacter('[')));
        assert_eq!(Pattern::parse("a b"), Err(PatternError::BadCharacter(' ')));
        assert_eq!(Pattern::parse("a*?").unwrap().to_string(), "a*?");
    }
}
