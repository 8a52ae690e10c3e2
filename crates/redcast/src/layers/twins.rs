//! Several keys for one thing: `redis.url` and `redis.url_file`, and their like. Of two
//! layers the stronger one wins, as with any key; one layer may set one of them.

use config::{Value, ValueKind};

use super::blame::origin_of;
use super::problem::Problem;
use super::set_by::SetBy;

/// A section, and the keys in it of which one may be set.
const TWINS: [(&str, &[&str]); 4] = [
    ("redis", &["url", "url_file", "nodes", "nodes_file"]),
    ("redis", &["sentinel_password", "sentinel_password_file"]),
    ("auth", &["forward_url", "forward_url_file"]),
    ("api", &["key", "key_file"]),
];

/// Takes out the twins that a stronger layer overrides; the answer is what stays unclear.
pub(super) fn settle(values: &mut Value) -> Vec<Problem> {
    TWINS.into_iter().filter_map(|(section, keys)| settle_one(values, section, keys)).collect()
}

fn settle_one(values: &mut Value, section: &str, keys: &[&str]) -> Option<Problem> {
    let ValueKind::Table(sections) = &mut values.kind else { return None };
    let ValueKind::Table(table) = &mut sections.get_mut(section)?.kind else { return None };
    let set_by = |value: &Value| SetBy::of(value.origin());
    let set: Vec<_> =
        keys.iter().filter_map(|key| Some((*key, set_by(table.get(*key)?)))).collect();
    let strongest = set.iter().map(|(_, layer)| *layer).max()?;
    for (key, _) in set.iter().filter(|(_, layer)| *layer < strongest) {
        table.shift_remove(*key);
    }
    let mut left = set.iter().filter(|(_, layer)| *layer == strongest).map(|(key, _)| *key);
    let (first, last) = (left.next()?, left.next_back()?);
    let (path, other) = (format!("{section}.{last}"), format!("{section}.{first}"));
    let (source, place) = (origin_of(values, &path)?, origin_of(values, &other)?);
    let message = format!("{other} is set, too ({place}); set one, not both");
    Some(Problem::at(source, path, message))
}
