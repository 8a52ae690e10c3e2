//! The opening handshake, RFC 6455 section 4.2: what the request must say, and
//! what the answer 101 says.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::header::{
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header, request};
use redcast_wire::{Agreement, Window, accept_key, negotiate};

use crate::error::Refusal;

/// The subprotocol of envelope mode.
pub(crate) const ENVELOPE_PROTOCOL: &str = "redcast.v1";

/// A handshake that may be answered with 101.
#[derive(Debug)]
pub(crate) struct Handshake {
    accept: String,
    /// Whether the client offered envelope mode.
    pub(crate) envelope: bool,
    deflate: Option<Agreement>,
}

impl Handshake {
    /// Checks a request. What is not exactly a handshake is refused, because a
    /// proxy in front may read the rest of it differently.
    pub(crate) fn check(request: &request::Parts) -> Result<Self, Refusal> {
        // The router takes HEAD for GET; a 101 to it would upgrade all the same.
        if request.method != Method::GET {
            return Err(Refusal::MethodNotAllowed);
        }
        let headers = &request.headers;
        if !has_token(headers, &UPGRADE, "websocket") {
            return Err(Refusal::UpgradeRequired("this path speaks WebSocket; connect with ws://"));
        }
        if request.version != Version::HTTP_11 {
            return Err(bad("a WebSocket handshake is an HTTP/1.1 request"));
        }
        if single(headers, &HOST).is_none() {
            return Err(bad("a handshake names its host once, in a Host header"));
        }
        if !has_token(headers, &CONNECTION, "upgrade") {
            return Err(bad("the Connection header must hold \"Upgrade\""));
        }
        if headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING) {
            return Err(bad("a WebSocket handshake has no body"));
        }
        match single(headers, &header::SEC_WEBSOCKET_VERSION) {
            Some(version) if version.as_bytes() == b"13" => {}
            _ => return Err(Refusal::UpgradeRequired("WebSocket version 13 is needed")),
        }
        let key = single(headers, &SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
        let accept = key.and_then(accept_key);
        let accept = accept.ok_or_else(|| bad("Sec-WebSocket-Key must be 16 bytes in base64"))?;
        Ok(Self { accept, envelope: wants_envelope(headers)?, deflate: None })
    }

    /// Agrees on compression where the client offers what can be done. Where it does not,
    /// there is none: RFC 6455 section 9.1 leaves an offer to the server.
    pub(crate) fn agree_on_deflate(&mut self, headers: &HeaderMap) {
        let offers = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).into_iter();
        self.deflate = negotiate(offers.filter_map(|offers| offers.to_str().ok()));
    }

    /// In which window what we send may be compressed; none where that was not agreed on.
    pub(crate) fn window(&self) -> Option<Window> {
        self.deflate.as_ref().map(|agreement| agreement.window)
    }

    /// The answer 101.
    pub(crate) fn response(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        // Base64 is always a valid header value.
        if let Ok(accept) = HeaderValue::from_str(&self.accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        // Made of the RFC's own words, so always a valid value too.
        let agreed = self
            .deflate
            .as_ref()
            .and_then(|agreement| HeaderValue::from_str(agreement.answer()).ok());
        if let Some(agreed) = agreed {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, agreed);
        }
        if self.envelope {
            let protocol = HeaderValue::from_static(ENVELOPE_PROTOCOL);
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        response
    }
}

/// Nothing offered: raw mode. Ours offered: envelope mode. Only others: refused,
/// because RFC 6455 section 4.1 makes a client that offered some fail on silence
/// only if it cares, and it should not find out later.
fn wants_envelope(headers: &HeaderMap) -> Result<bool, Refusal> {
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Ok(false);
    }
    if tokens(headers, &SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == ENVELOPE_PROTOCOL) {
        return Ok(true);
    }
    Err(bad("none of the offered subprotocols is spoken here; offer \"redcast.v1\" or none"))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

fn bad(text: &str) -> Refusal {
    Refusal::BadRequest(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(changes: &[(&str, Option<&str>)]) -> request::Parts {
        let mut headers = vec![
            ("host", "gateway"),
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        for (name, value) in changes {
            headers.retain(|(known, _)| known != name);
            headers.extend(value.map(|value| (*name, value)));
        }
        let builder = headers
            .into_iter()
            .fold(http::Request::builder(), |builder, (name, value)| builder.header(name, value));
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn answers_the_sample_of_the_rfc() {
        let handshake = Handshake::check(&request(&[])).unwrap();
        let response = handshake.response();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn takes_what_browsers_and_proxies_send() {
        for change in [
            ("connection", Some("keep-alive, Upgrade")),
            ("connection", Some("upgrade")),
            ("upgrade", Some("WebSocket")),
            ("sec-websocket-extensions", Some("permessage-deflate; client_max_window_bits")),
        ] {
            assert!(Handshake::check(&request(&[change])).is_ok(), "{change:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_handshake() {
        for (change, status) in [
            (("upgrade", None), 426),
            (("upgrade", Some("h2c")), 426),
            (("host", None), 400),
            (("connection", None), 400),
            (("connection", Some("close")), 400),
            (("sec-websocket-version", None), 426),
            (("sec-websocket-version", Some("8")), 426),
            (("sec-websocket-key", None), 400),
            (("sec-websocket-key", Some("short")), 400),
            (("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZQ=")), 400),
            (("content-length", Some("0")), 400),
            (("transfer-encoding", Some("chunked")), 400),
            (("sec-websocket-protocol", Some("chat, superchat")), 400),
            (("sec-websocket-protocol", Some("")), 400),
        ] {
            let refusal = Handshake::check(&request(&[change])).unwrap_err();
            let response = axum::response::IntoResponse::into_response(refusal);
            assert_eq!(response.status().as_u16(), status, "{change:?}");
            let connection = if status == 426 { "upgrade, close" } else { "close" };
            assert_eq!(response.headers()[CONNECTION], connection, "{change:?}");
            let version = response.headers().contains_key(header::SEC_WEBSOCKET_VERSION);
            assert_eq!(version, status == 426, "{change:?}");
        }
        let mut old = request(&[]);
        old.version = Version::HTTP_10;
        assert!(Handshake::check(&old).is_err());
        let mut head = request(&[]);
        head.method = Method::HEAD;
        assert_eq!(Handshake::check(&head).unwrap_err(), Refusal::MethodNotAllowed);
    }

    #[test]
    fn agrees_on_compression_and_says_how_where_it_is_asked_to() {
        let extensions = |value| ("sec-websocket-extensions", Some(value));
        for (offer, window) in [
            ("permessage-deflate", Some(Window::Wide)),
            ("permessage-deflate; server_max_window_bits=9", Some(Window::Narrow)),
            ("permessage-deflate; server_max_window_bits=8", None),
            ("permessage-bzip2", None),
        ] {
            let request = request(&[extensions(offer)]);
            let mut handshake = Handshake::check(&request).unwrap();
            let answered = handshake.response().headers().contains_key(SEC_WEBSOCKET_EXTENSIONS);
            assert!(!answered && handshake.window().is_none(), "only after it was asked to");
            handshake.agree_on_deflate(&request.headers);
            assert_eq!(handshake.window(), window, "{offer}");
            let response = handshake.response();
            let answer = response.headers().get(SEC_WEBSOCKET_EXTENSIONS);
            assert_eq!(answer.is_some(), window.is_some(), "{offer}");
            if let Some(answer) = answer {
                let words = answer.to_str().unwrap();
                assert!(words.starts_with("permessage-deflate;"), "{words}");
                assert!(words.contains("server_no_context_takeover"), "{words}");
                assert!(words.contains("client_no_context_takeover"), "{words}");
            }
        }
    }

    #[test]
    fn echoes_the_one_subprotocol_it_speaks() {
        let offer = ("sec-websocket-protocol", Some("other, redcast.v1, third"));
        let handshake = Handshake::check(&request(&[offer])).unwrap();
        assert_eq!(handshake.response().headers()[SEC_WEBSOCKET_PROTOCOL], "redcast.v1");
    }
}
