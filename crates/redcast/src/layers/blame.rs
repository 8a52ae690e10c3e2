//! Where a mistake stands that no layer shows by itself.

use config::{Value, ValueKind};

use super::problem::Problem;
use super::set_by::SetBy;
use crate::settings::Finding;

/// Of all the keys that could mend it, the one that the strongest layer set.
pub(super) fn blamed(finding: &Finding, values: &Value) -> Problem {
    let placed = finding.0.iter().map(|(key, message)| (origin_of(values, key), key, message));
    // The first of equals.
    let strongest = placed.reduce(|one, other| {
        let by = |place: &Option<String>| SetBy::of(place.as_deref());
        if by(&other.0) > by(&one.0) { other } else { one }
    });
    let (source, key, message) = match strongest {
        Some((source, key, message)) => (source, key.clone(), message.clone()),
        None => (None, String::new(), String::new()),
    };
    Problem::at(source.unwrap_or_else(|| "built-in defaults".to_owned()), key, message)
}

/// Where a key such as `endpoints[1].path` was set; where it was not, the table that
/// it would be in.
pub(super) fn origin_of(values: &Value, key: &str) -> Option<String> {
    let (mut value, mut origin) = (values, None);
    for part in key.split(['.', '[']) {
        let index = part.strip_suffix(']').and_then(|digits| digits.parse::<usize>().ok());
        let inner = match (&value.kind, index) {
            (ValueKind::Array(items), Some(index)) => items.get(index),
            (ValueKind::Table(table), _) => table.get(part),
            _ => None,
        };
        let Some(inner) = inner else { break };
        (value, origin) = (inner, inner.origin().or(origin));
    }
    origin.map(str::to_owned)
}
