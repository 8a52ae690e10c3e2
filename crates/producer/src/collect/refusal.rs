//! What became of a beacon: the one place where the collector's status codes are chosen.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::beacon::MAX_BODY;
use super::queue::QueueError;
use crate::store::StoreError;

/// Seconds after which a store that was away is worth another try.
const TRY_AGAIN: u64 = 5;

/// Why a view was not taken in, in the sender's terms.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The body says nothing that could be a page view.
    BadRequest(String),
    /// The page is of a site whose views are not taken here.
    Site(String),
    /// The page that sent it may not.
    Origin,
    /// The body is over the limit.
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// The address has sent too many.
    TooMany(Duration),
    /// Too many wait for the store.
    Full,
    /// The store did not take it.
    Store(StoreError),
}

impl Refusal {
    /// How it is counted.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::BadRequest(_) => Outcome::BadRequest,
            Self::Site(_) => Outcome::Site,
            Self::Origin => Outcome::Origin,
            Self::TooLarge => Outcome::TooLarge,
            Self::TooSlow => Outcome::TooSlow,
            Self::TooMany(_) => Outcome::RateLimited,
            Self::Full => Outcome::Full,
            Self::Store(_) => Outcome::Unavailable,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Site(_) | Self::Origin => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Full | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::BadRequest(words) => words.clone(),
            Self::Site(host) => format!("page views of {host} are not taken here"),
            Self::Origin => "pages of this origin may not send page views here".to_owned(),
            Self::TooLarge => format!("a page view has at most {MAX_BODY} bytes"),
            Self::TooSlow => "the body did not arrive in time".to_owned(),
            Self::TooMany(_) => "this address sends too many page views".to_owned(),
            Self::Full => "too many page views wait to be counted just now".to_owned(),
            // Where Redis is, and what it said, is nobody's business out there.
            Self::Store(StoreError::Unknown(_)) => {
                "the store did not answer in time; whether the view is counted is not known"
                    .to_owned()
            }
            Self::Store(_) => "page views can't be counted just now".to_owned(),
        }
    }
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Full => Self::Full,
            QueueError::Store(error) => Self::Store(error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.words() }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            Self::TooMany(wait) => {
                let seconds = wait.as_millis().div_ceil(1_000).max(1);
                headers.insert(RETRY_AFTER, u64::try_from(seconds).unwrap_or(1).into());
            }
            Self::Full | Self::Store(_) => {
                headers.insert(RETRY_AFTER, TRY_AGAIN.into());
            }
            // What is left of the body would be taken for the next request.
            Self::TooLarge | Self::TooSlow => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Self::BadRequest(_) | Self::Site(_) | Self::Origin => {}
        }
        response
    }
}

/// What became of a beacon: the closed set of the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Recorded,
    Robot,
    BadRequest,
    Site,
    Origin,
    TooLarge,
    TooSlow,
    RateLimited,
    Full,
    Unavailable,
}

impl Outcome {
    pub(super) const ALL: [Self; 10] = [
        Self::Recorded,
        Self::Robot,
        Self::BadRequest,
        Self::Site,
        Self::Origin,
        Self::TooLarge,
        Self::TooSlow,
        Self::RateLimited,
        Self::Full,
        Self::Unavailable,
    ];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Robot => "bot",
            Self::BadRequest => "bad_request",
            Self::Site => "unknown_site",
            Self::Origin => "origin",
            Self::TooLarge => "too_large",
            Self::TooSlow => "timeout",
            Self::RateLimited => "rate_limited",
            Self::Full => "queue_full",
            Self::Unavailable => "unavailable",
        }
    }
}
