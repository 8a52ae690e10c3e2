//! The dashboard at `/`, embedded in the binary, plain and compressed.
//!
//! Its files have fixed names and are asked for again at each visit: two instances of
//! different versions may answer one visitor, and neither must serve half a page. What
//! the browser has already costs a 304.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::conditional::{accepts_gzip, has_already};
use crate::config::PageConfig;

/// One file of the page; `gzip` is the same, compressed (RFC 1952).
pub(crate) struct File {
    pub(crate) path: &'static str,
    content_type: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

macro_rules! file {
    ($path:literal, $content_type:literal, $name:literal) => {
        File {
            path: $path,
            content_type: $content_type,
            plain: include_bytes!(concat!("../assets/page/", $name)),
            gzip: include_bytes!(concat!("../assets/page/", $name, ".gz")),
        }
    };
}

/// Every file of the page. `scripts/web` makes them from crates/edge/web.
pub(crate) const FILES: [File; 4] = [
    file!("/", "text/html; charset=utf-8", "index.html"),
    file!("/app.js", "text/javascript; charset=utf-8", "app.js"),
    file!("/app.css", "text/css; charset=utf-8", "app.css"),
    file!("/icon.svg", "image/svg+xml", "icon.svg"),
];

/// Adds the page's files to a router, if they are to be served.
pub(crate) fn routes<S>(mut router: Router<S>, config: &PageConfig) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    if !config.enabled {
        return router;
    }
    let policy = policy(config);
    for file in &FILES {
        let served = Arc::new(Served::new(file, &policy));
        router = router.route(
            file.path,
            get(move |headers: HeaderMap| async move { served.answer(&headers) }),
        );
    }
    router
}

/// What the page may load and whom it may ask: its own files, WebSockets to where it
/// came from, and the collector that counts its visitors.
fn policy(config: &PageConfig) -> HeaderValue {
    let collector = config.collector.as_ref().and_then(|collector| collector.origin());
    let also = collector.map(|origin| format!(" {origin}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'{also}; style-src 'self'; img-src 'self'; \
         connect-src 'self'{also}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    // An origin that was checked has nothing that a header may not hold.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// A file with the headers that do not depend on who asks.
struct Served {
    plain: Body,
    gzip: Body,
    headers: [(HeaderName, HeaderValue); 6],
}

/// One form of a file. Each has a tag of its own, as RFC 9110 section 8.8.3.3 wants it.
struct Body {
    bytes: &'static [u8],
    tag: String,
}

impl Served {
    fn new(file: &'static File, policy: &HeaderValue) -> Self {
        let tag = fingerprint(file.plain);
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static(file.content_type)),
            (CONTENT_SECURITY_POLICY, policy.clone()),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            // The page's origin goes along with its own beacon to a collector elsewhere,
            // which may refuse `Origin: null`; nothing else of the address does. By the
            // Fetch standard ("append a request Origin header") "same-origin" may send that.
            (REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin")),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (VARY, HeaderValue::from_static("accept-encoding")),
        ];
        Self {
            plain: Body { bytes: file.plain, tag: format!("\"{tag:016x}\"") },
            gzip: Body { bytes: file.gzip, tag: format!("\"{tag:016x}-gzip\"") },
            headers,
        }
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let compressed = accepts_gzip(asked);
        let body = if compressed { &self.gzip } else { &self.plain };
        let mut response = if has_already(asked, &body.tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            Bytes::from_static(body.bytes).into_response()
        };
        let headers = response.headers_mut();
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        if compressed {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Ok(tag) = HeaderValue::try_from(&body.tag) {
            headers.insert(ETAG, tag);
        }
        response
    }
}

/// FNV-1a with 64 bits: tells versions of a file of ours apart, which nobody else can
/// choose, so that it need not resist anybody.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
