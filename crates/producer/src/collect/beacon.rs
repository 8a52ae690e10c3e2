//! What a page sends when it is looked at.

use std::borrow::Cow;

use serde::Deserialize;
use url::Url;

/// The longest body of a beacon, bytes.
pub(super) const MAX_BODY: usize = 2 * 1024;
/// The longest path that is kept, bytes; a longer one is cut.
const MAX_PATH: usize = 512;
/// The longest host a name server could know (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(borrow, default)]
    referrer: Option<Cow<'a, str>>,
}

/// A page view as far as the page itself knows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Beacon {
    /// The page's host, in lower case.
    pub(super) host: String,
    /// The page's path. Query and fragment are dropped: they may hold names and tokens.
    pub(super) path: String,
    /// The origin and the host of the page that linked here; its path is nobody's business.
    pub(super) referrer: Option<(String, String)>,
}

impl Beacon {
    /// Reads a body: `{"url":"https://acme.example/a","referrer":"https://…"}`.
    pub(super) fn parse(body: &[u8]) -> Result<Self, String> {
        let body: Body<'_> = serde_json::from_slice(body)
            .map_err(|error| format!("the body is not the JSON of a page view: {error}"))?;
        let url = Url::parse(&body.url).map_err(|error| format!("\"url\" is no URL: {error}"))?;
        let host = web_host(&url).ok_or("\"url\" names no page on the web")?;
        Ok(Self {
            host: host.to_owned(),
            path: cut(url.path()).to_owned(),
            referrer: body.referrer.as_deref().and_then(origin_of),
        })
    }
}

/// What is no page on the web (an app, a mail client) is no referrer, and no error.
fn origin_of(referrer: &str) -> Option<(String, String)> {
    let url = Url::parse(referrer).ok()?;
    let host = web_host(&url)?;
    Some((format!("{}/", url.origin().ascii_serialization()), host.to_owned()))
}

fn web_host(url: &Url) -> Option<&str> {
    let on_the_web = matches!(url.scheme(), "http" | "https");
    url.host_str().filter(|host| on_the_web && !host.is_empty() && host.len() <= MAX_HOST)
}

/// The parser has encoded all but ASCII, so any byte is a place to cut, but not within an
/// escape.
fn cut(path: &str) -> &str {
    let Some(short) = path.get(..MAX_PATH) else { return path };
    let end = short.rfind('%').filter(|&escape| escape + 3 > MAX_PATH);
    &short[..end.unwrap_or(MAX_PATH)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, referrer: &str) -> Result<Beacon, String> {
        Beacon::parse(
            serde_json::json!({ "url": url, "referrer": referrer }).to_string().as_bytes(),
        )
    }

    #[test]
    fn a_page_keeps_its_path_and_its_referrer_s_origin_alone() {
        let beacon = parse(
            "https://Acme.example:8443/pricing?token=secret#top",
            "https://search.example/find?q=name",
        );
        let expected = Beacon {
            host: "acme.example".to_owned(),
            path: "/pricing".to_owned(),
            referrer: Some(("https://search.example/".to_owned(), "search.example".to_owned())),
        };
        assert_eq!(beacon, Ok(expected));
    }

    #[test]
    fn a_referrer_that_is_no_page_is_none() {
        for referrer in ["", "about:client", "android-app://com.example/", "nonsense"] {
            assert_eq!(parse("https://acme.example/", referrer).unwrap().referrer, None);
        }
        for body in [r#"{"url":"http://a/"}"#, r#"{"url":"http://a/","referrer":null,"new":1}"#] {
            assert_eq!(Beacon::parse(body.as_bytes()).unwrap().referrer, None);
        }
    }

    #[test]
    fn a_path_is_cut_at_a_whole_sign() {
        let path = |path: &str| parse(&format!("https://acme.example{path}"), "").unwrap().path;
        assert_eq!(path(""), "/");
        assert_eq!(path("/caf\u{e9}"), "/caf%C3%A9");
        assert_eq!(path(&format!("/{}", "a".repeat(600))).len(), 512);
        assert_eq!(path(&format!("/{}%20b", "a".repeat(509))).len(), 510);
        assert_eq!(path(&format!("/{}%20b", "a".repeat(508))).len(), 512);
    }

    #[test]
    fn what_is_no_page_view_is_refused_with_the_reason() {
        for (body, reason) in [
            ("", "EOF"),
            ("{\"url\":", "EOF"),
            ("[]", "invalid length"),
            ("{}", "missing field `url`"),
            (r#"{"url":7}"#, "expected a string"),
            (r#"{"url":"/relative"}"#, "is no URL"),
            (r#"{"url":"file:///etc/passwd"}"#, "no page on the web"),
            (r#"{"url":"javascript:alert(1)"}"#, "no page on the web"),
        ] {
            let error = Beacon::parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{body}: {error}");
        }
        assert!(Beacon::parse(b"\xff{").is_err());
    }
}
