//! Two keys for one secret: `redis.url` and `redis.url_file`, and their like. Of two
//! layers the stronger one wins, as with any key; one layer may set one of them.

use config::{Value, ValueKind};

use super::blame::origin_of;
use super::problem::Problem;
use super::set_by::SetBy;

/// The section and the key; its twin ends in `_file`.
const SECRETS: [(&str, &str); 3] = [("redis", "url"), ("auth", "forward_url"), ("api", "key")];

/// Takes out the twin that a stronger layer overrides; the answer is what stays unclear.
pub(super) fn settle(values: &mut Value) -> Vec<Problem> {
    SECRETS.into_iter().filter_map(|(section, key)| settle_one(values, section, key)).collect()
}

fn settle_one(values: &mut Value, section: &str, key: &str) -> Option<Problem> {
    let file_key = format!("{key}_file");
    let (path, file_path) = (format!("{section}.{key}"), format!("{section}.{file_key}"));
    let ValueKind::Table(sections) = &mut values.kind else { return None };
    let ValueKind::Table(table) = &mut sections.get_mut(section)?.kind else { return None };
    let (value, file) = (table.get(key)?.origin(), table.get(&file_key)?.origin());
    match SetBy::of(file).cmp(&SetBy::of(value)) {
        std::cmp::Ordering::Greater => table.shift_remove(key),
        std::cmp::Ordering::Less => table.shift_remove(&file_key),
        std::cmp::Ordering::Equal => {
            let (source, other) = (origin_of(values, &file_path)?, origin_of(values, &path)?);
            let message = format!("{path} is set, too ({other}); set one, not both");
            return Some(Problem::at(source, file_path, message));
        }
    };
    None
}
