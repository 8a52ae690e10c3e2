//! What a request says about the form it wants its answer in, and about the one it has.

use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, IF_NONE_MATCH};

/// Whether a client takes gzip: it names it, and with no weight of 0 or one that is none
/// (RFC 9110 section 12.5.3). Who only says `*` gets the plain form, which suits all.
pub(crate) fn accepts_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(ACCEPT_ENCODING).into_iter().filter_map(|all| all.to_str().ok());
    let mut codings = values.flat_map(|all| all.split(','));
    codings.any(|coding| match coding.split_once(';') {
        None => is_gzip(coding),
        Some((name, weight)) => is_gzip(name) && is_wanted(weight),
    })
}

/// Whether a client has the bytes of this tag already (RFC 9110 section 13.1.2). Caches in
/// front may have made the tag a weak one; that is as good here. The tag holds no comma.
pub(crate) fn has_already(request: &HeaderMap, tag: &str) -> bool {
    let values = request.get_all(IF_NONE_MATCH).into_iter().filter_map(|all| all.to_str().ok());
    let mut known = values.flat_map(|all| all.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn is_gzip(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case("gzip")
}

/// Whether `q=…` is a weight (RFC 9110 section 12.4.2) of more than 0.
fn is_wanted(weight: &str) -> bool {
    let Some((name, value)) = weight.trim().split_once('=') else { return false };
    let is_plain = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = value.parse::<f32>().unwrap_or_default();
    name.eq_ignore_ascii_case("q") && is_plain && value > 0.0 && value <= 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_name_it_with_a_weight() {
        let accepts = |values: &[&str]| {
            let values = values.iter().map(|value| (ACCEPT_ENCODING, value.parse().unwrap()));
            accepts_gzip(&values.collect())
        };
        for values in [
            &["gzip"][..],
            &["br", "gzip"],
            &["br, GZIP ; Q=0.5"],
            &["gzip;q=1"],
            &["gzip;q=0.001, *;q=0"],
        ] {
            assert!(accepts(values), "{values:?}");
        }
        for values in [
            &[][..],
            &[""],
            &["*"],
            &["identity"],
            &["gzip;q=0"],
            &["gzip; q=0.000"],
            &["gzip;q=x"],
            &["gzip;q="],
            &["gzip;q"],
            &["gzip;"],
            &["gzip;q=inf"],
            &["gzip;q=2"],
            &["gzip;q=-1"],
            &["gzip;level=1"],
            &["xgzip"],
        ] {
            assert!(!accepts(values), "{values:?}");
        }
    }

    #[test]
    fn a_tag_is_known_among_others_and_as_a_weak_one() {
        let known = |lists: &[&str]| {
            let lists = lists.iter().map(|list| (IF_NONE_MATCH, list.parse().unwrap()));
            has_already(&lists.collect(), "\"2-a\"")
        };
        for lists in [&["\"2-a\""][..], &["\"1\", \"2-a\""], &["W/\"2-a\""], &["\"1\"", "*"]] {
            assert!(known(lists), "{lists:?}");
        }
        for lists in [
            &[][..],
            &["\"2-b\""],
            &["2-a"],
            &["\"x2-a\""],
            &["W/W/\"2-a\""],
            &["w/\"2-a\""],
            &[""],
        ] {
            assert!(!known(lists), "{lists:?}");
        }
    }
}
