//! HTTP refusals: the only place where a status code is chosen (invariant 10).

use std::fmt;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use redcast_node::{AccessError, NotAdmitted, PublishError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::metrics::Rejected;
use crate::ndjson::BatchError;

const SEC_WEBSOCKET_VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");

/// The whole answer to a socket that there is no room for: it is sent before a byte of
/// the request was read.
pub(crate) const NO_ROOM_FOR_SOCKET: &str = "HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n\
    content-length: 51\r\n\r\n{\"error\":\"too many sockets are open here just now\"}";

/// The body of every refusal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorAnswer {
    /// One sentence for a person; it may change.
    #[schema(example = "what is wrong, in a sentence")]
    error: String,
}

/// Why a request is refused, in the client's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request is not a WebSocket handshake, or one of another version.
    UpgradeRequired(&'static str),
    /// A handshake or a request that breaks a rule.
    BadRequest(String),
    /// No key, or a wrong one.
    Unauthenticated(&'static str),
    /// Whoever decides who may connect wants other credentials; what they say about
    /// which ones is passed on.
    BadCredentials(Vec<String>),
    /// The page's origin is not allowed.
    OriginForbidden,
    /// This is not offered here.
    Forbidden(String),
    /// Nothing lives at this path.
    NotFound,
    /// The path takes other methods.
    MethodNotAllowed,
    /// The body did not arrive in time.
    TooSlow,
    /// The body is over the limit.
    TooLarge(String),
    /// The request is at odds with an earlier one.
    Conflicting(String),
    /// Full, draining or without its broker: worth another try later.
    Unavailable(String, Rejected),
    /// The client itself asks for too much: worth another try later, by fewer.
    TooMany(String, Rejected),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::UpgradeRequired(_) => StatusCode::UPGRADE_REQUIRED,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated(_) | Self::BadCredentials(_) => StatusCode::UNAUTHORIZED,
            Self::OriginForbidden | Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Conflicting(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unavailable(..) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooMany(..) => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// Under which reason a refused handshake is counted.
    pub(crate) fn rejected(&self) -> Rejected {
        match self {
            Self::OriginForbidden => Rejected::Origin,
            Self::Forbidden(_) => Rejected::Forbidden,
            Self::Unauthenticated(_) | Self::BadCredentials(_) => Rejected::Unauthenticated,
            Self::Unavailable(_, reason) | Self::TooMany(_, reason) => *reason,
            Self::UpgradeRequired(_)
            | Self::BadRequest(_)
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::TooSlow
            | Self::TooLarge(_)
            | Self::Conflicting(_) => Rejected::BadRequest,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpgradeRequired(text) | Self::Unauthenticated(text) => f.write_str(text),
            Self::BadRequest(text)
            | Self::Forbidden(text)
            | Self::TooLarge(text)
            | Self::Conflicting(text)
            | Self::Unavailable(text, _)
            | Self::TooMany(text, _) => f.write_str(text),
            Self::BadCredentials(_) => f.write_str("no valid credentials for this endpoint"),
            Self::OriginForbidden => f.write_str("this origin may not connect to this endpoint"),
            Self::NotFound => f.write_str("nothing lives at this path"),
            Self::TooSlow => f.write_str("the body did not arrive in time"),
            Self::MethodNotAllowed => f.write_str("this path does not take this method"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let answer = ErrorAnswer { error: self.to_string() };
        // A text always becomes JSON, so the empty body is never seen.
        let body = serde_json::to_vec(&answer).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // A failed upgrade must not leave a connection on which a proxy in front
        // believes to speak something else.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        match self {
            Self::UpgradeRequired(_) => {
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade, close"));
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            Self::Unavailable(..) | Self::TooMany(..) => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
            Self::Unauthenticated(_) => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::BadCredentials(challenges) => {
                let values = challenges.into_iter().map(HeaderValue::try_from);
                for challenge in values.filter_map(Result::ok) {
                    headers.append(WWW_AUTHENTICATE, challenge);
                }
                // A 401 must name a scheme (RFC 9110 section 15.5.2).
                let bearer = HeaderValue::from_static("Bearer");
                headers.entry(WWW_AUTHENTICATE).or_insert(bearer);
            }
            Self::BadRequest(_)
            | Self::OriginForbidden
            | Self::Forbidden(_)
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::TooSlow
            | Self::TooLarge(_)
            | Self::Conflicting(_) => {}
        }
        response
    }
}

impl From<NotAdmitted> for Refusal {
    fn from(error: NotAdmitted) -> Self {
        let text = error.to_string();
        match error {
            NotAdmitted::Full { .. } => Self::Unavailable(text, Rejected::Limit),
            NotAdmitted::TooFast => Self::Unavailable(text, Rejected::HandshakeRate),
            NotAdmitted::AddressFull { .. } => Self::TooMany(text, Rejected::AddressLimit),
        }
    }
}

impl From<AccessError> for Refusal {
    fn from(error: AccessError) -> Self {
        let text = error.to_string();
        match error {
            AccessError::Unauthenticated { challenges } => Self::BadCredentials(challenges),
            AccessError::Forbidden => Self::Forbidden(text),
            AccessError::Unavailable(_) => Self::Unavailable(text, Rejected::AuthUnavailable),
        }
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            PublishError::Unavailable(_) => Self::Unavailable(error.to_string(), Rejected::Failed),
            PublishError::Refused(_) => Self::Forbidden(error.to_string()),
            PublishError::KeyTaken => Self::Conflicting(error.to_string()),
        }
    }
}

impl From<BatchError> for Refusal {
    fn from(error: BatchError) -> Self {
        let text = error.to_string();
        match error {
            BatchError::Empty | BatchError::NotJson { .. } | BatchError::NotText { .. } => {
                Self::BadRequest(text)
            }
            BatchError::EventTooLarge { .. } | BatchError::TooMany { .. } => Self::TooLarge(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_401_names_a_scheme_whatever_the_hook_said() {
        for (said, expected) in [
            (vec![], vec!["Bearer"]),
            (vec!["a\nb"], vec!["Bearer"]),
            (vec!["Basic", "Digest"], vec!["Basic", "Digest"]),
        ] {
            let said = said.into_iter().map(str::to_owned).collect();
            let response = Refusal::BadCredentials(said).into_response();
            let named: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).iter().collect();
            assert_eq!(named, expected);
        }
    }

    #[test]
    fn the_answer_without_a_request_says_how_long_it_is() {
        let (head, body) = NO_ROOM_FOR_SOCKET.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        assert!(serde_json::from_str::<serde_json::Value>(body).unwrap()["error"].is_string());
    }
}
