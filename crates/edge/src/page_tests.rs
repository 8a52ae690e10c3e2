//! What the page's files are served with.

use axum::body::{Body, to_bytes};
use http::Request;
use tower::ServiceExt;

use super::*;
use crate::config::Collector;

fn page(collector: Option<Collector>) -> Router {
    routes(Router::new(), &PageConfig { enabled: true, collector })
}

async fn ask(router: &Router, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn body(response: Response) -> Bytes {
    to_bytes(response.into_body(), 1 << 20).await.unwrap()
}

#[tokio::test]
async fn each_file_comes_plain_or_compressed_under_a_tag_of_its_own() {
    let router = page(None);
    for file in &FILES {
        let plain = ask(&router, file.path, &[]).await;
        assert_eq!(header(&plain, "content-encoding"), "");
        let gzip = ask(&router, file.path, &[("accept-encoding", "br, GZIP;q=0.5")]).await;
        assert_eq!(header(&gzip, "content-encoding"), "gzip");
        assert_eq!(header(&gzip, "content-type"), file.content_type);
        assert_ne!(header(&plain, "etag"), header(&gzip, "etag"));
        assert_eq!(header(&gzip, "vary"), "accept-encoding");
        let (plain, gzip) = (body(plain).await, body(gzip).await);
        assert_eq!(gzip[..2], [0x1f, 0x8b], "{} is gzip (RFC 1952)", file.path);
        // The last four bytes of a gzip file say how long it is unpacked.
        let length = gzip.last_chunk::<4>().unwrap();
        assert_eq!(u32::from_le_bytes(*length) as usize, plain.len(), "{}", file.path);
        assert!(gzip.len() < plain.len(), "{}", file.path);
    }
}

#[tokio::test]
async fn who_refuses_gzip_gets_none() {
    let router = page(None);
    for refusal in ["identity", "gzip;q=0", "gzip; q=0.0", "gzip;q=x", ""] {
        let answer = ask(&router, "/", &[("accept-encoding", refusal)]).await;
        assert_eq!(header(&answer, "content-encoding"), "", "{refusal:?}");
    }
}

#[tokio::test]
async fn who_has_the_file_gets_a_304() {
    let router = page(None);
    let tag = header(&ask(&router, "/app.js", &[]).await, "etag").to_owned();
    for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let answer = ask(&router, "/app.js", &[("if-none-match", &known)]).await;
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(header(&answer, "etag"), tag);
        assert!(body(answer).await.is_empty());
    }
    for other in ["\"x\"", "", tag.trim_matches('"')] {
        let answer = ask(&router, "/app.js", &[("if-none-match", other)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{other}");
    }
    // The compressed form is another one.
    let asked = [("if-none-match", tag.as_str()), ("accept-encoding", "gzip")];
    assert_eq!(ask(&router, "/app.js", &asked).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_policy_lets_in_the_collector_and_nobody_else() {
    let alone = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
        connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    for collector in [None, Some(Collector::Here)] {
        let answer = ask(&page(collector), "/", &[]).await;
        assert_eq!(header(&answer, "content-security-policy"), alone);
    }
    let elsewhere = Collector::Elsewhere("http://collect.example:8090".to_owned());
    let answer = ask(&page(Some(elsewhere)), "/", &[]).await;
    let policy = header(&answer, "content-security-policy");
    for part in ["script-src", "connect-src"] {
        let allowed = format!("; {part} 'self' http://collect.example:8090;");
        assert!(policy.contains(&allowed), "{policy}");
    }
}

#[tokio::test]
async fn a_collector_elsewhere_is_told_the_origin_and_no_more() {
    for file in &FILES {
        let answer = ask(&page(None), file.path, &[]).await;
        assert_eq!(header(&answer, "referrer-policy"), "strict-origin-when-cross-origin");
    }
}

#[tokio::test]
async fn a_page_that_is_off_is_not_there() {
    let router: Router = routes(Router::new(), &PageConfig { enabled: false, collector: None });
    for file in &FILES {
        assert_eq!(ask(&router, file.path, &[]).await.status(), StatusCode::NOT_FOUND);
    }
}
