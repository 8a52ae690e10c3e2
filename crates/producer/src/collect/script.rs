//! The tracker script, as it is served: without its comments and indentation, and
//! compressed once.

use std::io::Write;

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE,
    ETAG, IF_NONE_MATCH, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

const SOURCE: &str = include_str!("tracker.js");
/// An hour: long enough that most pages of a visit don't ask, short enough that a new
/// version is everywhere by the next morning.
const CACHE: &str = "public, max-age=3600";
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// The script in both its forms.
#[derive(Debug, Clone)]
pub(super) struct Script {
    plain: Form,
    gzip: Option<Form>,
}

/// One form of it. Each has a tag of its own, as the bytes differ (RFC 9110 section
/// 8.8.3.3).
#[derive(Debug, Clone)]
struct Form {
    body: Bytes,
    tag: String,
}

impl Script {
    pub(super) fn new() -> Self {
        let plain = without_comments(SOURCE);
        let gzip = compress(plain.as_bytes()).ok();
        Self { plain: Form::new(plain.into()), gzip: gzip.map(Form::new) }
    }

    /// The answer to whoever asks for it.
    pub(super) fn answer(&self, request: &HeaderMap) -> Response {
        let gzip = self.gzip.as_ref().filter(|_| takes_gzip(request));
        let form = gzip.unwrap_or(&self.plain);
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        let text = |text: &'static str| HeaderValue::from_static(text);
        headers.insert(CONTENT_TYPE, text("text/javascript; charset=utf-8"));
        headers.insert(CACHE_CONTROL, text(CACHE));
        headers.insert(VARY, text("accept-encoding"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, text("nosniff"));
        // Other sites embed it, also those that shut out what does not say they may.
        headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, text("cross-origin"));
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, text("*"));
        if let Ok(tag) = HeaderValue::from_str(&form.tag) {
            headers.insert(ETAG, tag);
        }
        if gzip.is_some() {
            headers.insert(CONTENT_ENCODING, text("gzip"));
        }
        if is_known(request, &form.tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            *response.body_mut() = Body::from(form.body.clone());
        }
        response
    }
}

impl Form {
    fn new(body: Vec<u8>) -> Self {
        let digest = Sha256::digest(&body);
        Self { tag: format!("\"{}\"", HEXLOWER.encode(&digest[..8])), body: body.into() }
    }
}

/// The source keeps its comments on lines of their own, so this takes no parser.
fn without_comments(source: &str) -> String {
    let lines = source.lines().map(str::trim);
    let code = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    code.fold(String::new(), |script, line| script + line + "\n")
}

fn compress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn takes_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(ACCEPT_ENCODING).into_iter();
    let codings = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    codings.map(str::trim).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = match weight.trim() {
            "" => 1.0,
            // What is no weight is no wish for it.
            weight => weight.strip_prefix("q=").and_then(|q| q.parse().ok()).unwrap_or(0.0),
        };
        name.trim().eq_ignore_ascii_case("gzip") && weight > 0.0
    })
}

/// Weak comparison, which is the rule for If-None-Match (RFC 9110 section 13.1.2).
fn is_known(request: &HeaderMap, tag: &str) -> bool {
    let values = request.get_all(IF_NONE_MATCH).into_iter();
    let tags = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    tags.map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::body::to_bytes;
    use flate2::read::GzDecoder;

    use super::*;

    fn ask(headers: &[(HeaderName, &str)]) -> Response {
        let pairs = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        Script::new().answer(&pairs.collect())
    }

    #[test]
    fn it_has_at_most_a_kibibyte_compressed() {
        let size = Script::new().gzip.unwrap().body.len();
        assert!((300..=1_024).contains(&size), "{size} bytes");
    }

    #[test]
    fn it_respects_those_who_do_not_want_to_be_counted_and_keeps_nothing() {
        let script = without_comments(SOURCE);
        for word in ["navigator.doNotTrack", "navigator.globalPrivacyControl", "sendBeacon"] {
            assert!(script.contains(word), "{word}");
        }
        for word in ["cookie", "localStorage", "sessionStorage", "indexedDB", "//"] {
            assert!(!script.contains(word), "{word}");
        }
    }

    #[tokio::test]
    async fn it_is_compressed_for_those_who_take_that() {
        let response = ask(&[(ACCEPT_ENCODING, "br, gzip;q=0.8")]);
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        let zipped = to_bytes(response.into_body(), 2_000).await.unwrap();
        let mut text = String::new();
        GzDecoder::new(&zipped[..]).read_to_string(&mut text).unwrap();
        for encodings in ["br", "gzip;q=0", "identity"] {
            let response = ask(&[(ACCEPT_ENCODING, encodings)]);
            assert!(!response.headers().contains_key(CONTENT_ENCODING), "{encodings}");
            assert_eq!(response.headers()[VARY], "accept-encoding");
            assert_eq!(to_bytes(response.into_body(), 4_000).await.unwrap(), text);
        }
    }

    #[tokio::test]
    async fn whoever_has_it_is_told_so() {
        let plain = ask(&[]).headers()[ETAG].clone();
        let zipped = ask(&[(ACCEPT_ENCODING, "gzip")]).headers()[ETAG].clone();
        assert_ne!(plain, zipped);
        let [plain, zipped] = [&plain, &zipped].map(|tag| tag.to_str().unwrap());
        for tags in [plain, "*", &format!("W/{plain}"), &format!("\"x\", {plain}")] {
            let response = ask(&[(IF_NONE_MATCH, tags)]);
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{tags}");
            assert_eq!(response.headers()[CACHE_CONTROL], CACHE);
            assert!(to_bytes(response.into_body(), 10).await.unwrap().is_empty());
        }
        for tags in [zipped, "\"x\""] {
            assert_eq!(ask(&[(IF_NONE_MATCH, tags)]).status(), StatusCode::OK, "{tags}");
        }
    }
}
