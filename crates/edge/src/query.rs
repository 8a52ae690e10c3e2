//! What the query of a handshake may ask for in raw mode: `since=CHANNEL:CURSOR`,
//! repeatable, to go on after the last event seen.

use redcast_protocol::{Channel, Cursor};

use crate::error::Refusal;

/// Reads the query of a handshake. Parameters we don't know are the application's.
pub(crate) fn resume_points(query: Option<&str>) -> Result<Vec<(Channel, Cursor)>, Refusal> {
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == "since").map(|(_, value)| resume_point(value)).collect()
}

// The channel may hold colons, the cursor can't: split at the last one.
fn resume_point(value: &str) -> Result<(Channel, Cursor), Refusal> {
    let value = value.replace("%3A", ":").replace("%3a", ":").replace("%40", "@");
    let parsed = value
        .rsplit_once(':')
        .and_then(|(channel, cursor)| Some((Channel::parse(channel).ok()?, cursor.parse().ok()?)));
    parsed.ok_or_else(|| Refusal::BadRequest("`since` must be CHANNEL:CURSOR".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_last_colon() {
        let points = resume_points(Some("x=1&since=a:b:5-1.0000000a&since=c%3A6-0.00000001"));
        let points = points.unwrap();
        assert_eq!(points[0].0.as_str(), "a:b");
        assert_eq!(points[0].1.to_string(), "5-1.0000000a");
        assert_eq!(points[1].0.as_str(), "c");
        assert!(resume_points(None).unwrap().is_empty());
        for bad in
            ["since=", "since=a", "since=a:", "since=a b:5-1.0000000a", "since=:5-1.0000000a"]
        {
            assert!(resume_points(Some(bad)).is_err(), "{bad}");
        }
    }
}
