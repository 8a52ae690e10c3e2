//! The documents that describe the API, and the page that shows them: `/openapi.json`,
//! `/asyncapi.json` and `/docs/`.
//!
//! They are made once, when the router is, of the code that they describe and of the
//! endpoints of this gateway. `api.docs = false` leaves all of it out.

mod asyncapi;
mod openapi;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};

use crate::router::Edge;

const OPENAPI: &str = "/openapi.json";
const ASYNCAPI: &str = "/asyncapi.json";
const PAGE: &str = "/docs";

/// Our own files, and requests to where the page came from. `data:` is for the arrows that
/// Swagger UI's stylesheet draws.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// A file of the page.
struct File {
    path: &'static str,
    content_type: &'static str,
    body: &'static [u8],
    gzipped: bool,
}

const FILES: [File; 5] = [
    File {
        path: "/docs/",
        content_type: "text/html; charset=utf-8",
        body: include_bytes!("../../assets/docs/index.html"),
        gzipped: false,
    },
    File {
        path: "/docs/docs.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_bytes!("../../assets/docs/docs.js"),
        gzipped: false,
    },
    File {
        path: "/docs/docs.css",
        content_type: "text/css; charset=utf-8",
        body: include_bytes!("../../assets/docs/docs.css"),
        gzipped: false,
    },
    File {
        path: "/docs/swagger-ui.css",
        content_type: "text/css; charset=utf-8",
        body: include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz")),
        gzipped: true,
    },
    File {
        path: "/docs/swagger-ui-bundle.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz")),
        gzipped: true,
    },
];

/// Whether no endpoint may have this path, because a document has it or may get it.
pub(crate) fn is_reserved(path: &str) -> bool {
    [OPENAPI, ASYNCAPI, PAGE].contains(&path) || path.starts_with("/docs/")
}

/// Adds the documents and the page to a router.
pub(crate) fn routes(mut router: Router<Arc<Edge>>, edge: &Edge) -> Router<Arc<Edge>> {
    let endpoints: Vec<&str> = edge.endpoint_paths().collect();
    let version = edge.identity.version;
    let documents = [
        (OPENAPI, openapi::document(version)),
        (ASYNCAPI, asyncapi::document(version, &endpoints)),
    ];
    for (path, document) in documents {
        let body = Bytes::from(document);
        router = router.route(path, get(move || async move { json(body) }));
    }
    for file in &FILES {
        router = router.route(file.path, get(move || async move { file.response() }));
    }
    // Its files are named relative to it, so that it works behind a path of a proxy's.
    router.route(PAGE, get(|| async { Redirect::permanent("docs/") }))
}

fn json(body: Bytes) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // Another version of the gateway would describe itself otherwise.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, body)
}

impl File {
    fn response(&self) -> Response {
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        let mut more = HeaderMap::new();
        if self.gzipped {
            // There is no other form: whatever shows the page can inflate it.
            more.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            more.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
        } else {
            more.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        (headers, more, self.body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_needs_is_reserved() {
        for path in FILES.iter().map(|file| file.path).chain([OPENAPI, ASYNCAPI, PAGE]) {
            assert!(is_reserved(path), "{path}");
        }
        for path in ["/", "/ws", "/docsis", "/openapi", "/documents"] {
            assert!(!is_reserved(path), "{path}");
        }
    }

    #[test]
    fn the_files_of_swagger_ui_are_gzip_of_their_size() {
        for file in FILES.iter().filter(|file| file.gzipped) {
            let (body, end) = (file.body, file.body.len());
            assert_eq!(body[..3], [0x1f, 0x8b, 8], "{}", file.path);
            let size = u32::from_le_bytes(body[end - 4..].try_into().unwrap());
            assert!(size as usize > body.len(), "{}: {size}", file.path);
        }
    }
}
