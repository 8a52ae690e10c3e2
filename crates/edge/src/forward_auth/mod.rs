//! Forward auth: another service, the hook, is asked over HTTP whether to admit a
//! handshake.
//!
//! One GET per handshake, in the style of the hooks that reverse proxies ask. The
//! answer's status decides; its body may say who the client is, what it may join and
//! until when. Whatever is not clearly a yes or a no admits nobody.

mod answer;
mod config;
mod metrics;

use std::error::Error;
use std::fmt::Write;
use std::future::Future;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioTimer;
use redcast_node::{Access, AccessError, ConnectionRequest, Grant};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tower::limit::ConcurrencyLimit;

use self::answer::{AnswerError, read};
pub use self::config::{ForwardAuthConfig, ForwardAuthConfigError};
pub(crate) use self::metrics::ForwardAuthMetrics;
use self::metrics::Outcome;
use crate::seldom::Seldom;

/// Questions in progress at once, and so connections that are used or kept.
const MAX_QUESTIONS: usize = 64;
/// Connections that are being made at once. The client goes on with one whose question
/// was given another meanwhile, so these are not among those of the questions.
const MAX_CONNECTS: usize = 16;
/// The most descriptors that the hook may take.
pub const FORWARD_AUTH_DESCRIPTORS: usize = MAX_QUESTIONS + MAX_CONNECTS;
/// How long an idle connection to the hook is kept. Shorter than what common servers
/// keep theirs (2 s and more), so that a question is not sent into one they are just
/// closing.
const IDLE_CONNECTION: std::time::Duration = std::time::Duration::from_millis(1500);
/// The most of an answer's body that is read, bytes.
const MAX_BODY_BYTES: usize = 64 << 10;
/// The most that an answer's head may take, bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Asks the hook.
pub(crate) struct ForwardAuth {
    config: ForwardAuthConfig,
    client: Client<ConcurrencyLimit<HttpConnector>, Empty<Bytes>>,
    /// Whoever waits for a turn waits within the time-out, and there are never more of
    /// them than sockets that speak HTTP.
    turns: Semaphore,
    metrics: ForwardAuthMetrics,
    complaints: [Seldom; Outcome::ALL.len()],
}

/// What the hook said.
enum Answer {
    Admitted(Grant),
    Unauthenticated { challenges: Vec<String> },
    Forbidden,
}

/// Why what the hook said, if anything, is no answer.
#[derive(Debug, thiserror::Error)]
enum HookError {
    #[error("it did not answer within auth.forward_timeout")]
    TimedOut,
    #[error(
        "too many ask at once: there was no turn for the question within most of \
         auth.forward_timeout"
    )]
    Crowded,
    #[error("the exchange failed: {0}")]
    Failed(String),
    #[error("it answered with the status {0}; 2xx, 401 and 403 are answers, redirects are not")]
    BadStatus(u16),
    #[error("its answer is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    #[error("it answered 2xx, but {0}")]
    BadBody(#[from] AnswerError),
}

/// Holds the tasks of the client's connections (invariant 9). They end with the client.
#[derive(Clone, Default)]
struct Tracked(TaskTracker);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tracked {
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

impl ForwardAuth {
    pub(crate) fn new(config: ForwardAuthConfig, metrics: ForwardAuthMetrics) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(config.timeout));
        let client = Client::builder(Tracked::default())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(MAX_QUESTIONS)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(ConcurrencyLimit::new(connector, MAX_CONNECTS));
        let turns = Semaphore::new(MAX_QUESTIONS);
        let complaints = Outcome::ALL.map(|_| Seldom::new());
        Self { config, client, turns, metrics, complaints }
    }

    async fn ask(&self, request: &ConnectionRequest) -> Result<Answer, HookError> {
        let question = self.question(request).map_err(|error| failed(&error))?;
        let answer = self.client.request(question).await.map_err(|error| failed(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(Answer::Admitted(read(&body(answer).await?)?)),
            StatusCode::UNAUTHORIZED => {
                let challenges = challenges(answer.headers());
                discard(answer).await;
                Ok(Answer::Unauthenticated { challenges })
            }
            StatusCode::FORBIDDEN => {
                discard(answer).await;
                Ok(Answer::Forbidden)
            }
            status => {
                discard(answer).await;
                Err(HookError::BadStatus(status.as_u16()))
            }
        }
    }

    fn question(&self, request: &ConnectionRequest) -> Result<Request<Empty<Bytes>>, http::Error> {
        let mut question = Request::builder()
            .method(Method::GET)
            .uri(self.config.url.0.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .header(X_FORWARDED_METHOD, &request.method)
            .header(X_FORWARDED_URI, forwarded_uri(request).into_bytes())
            .header(X_FORWARDED_FOR, request.client_address.to_string());
        if let Some(host) = &request.host {
            question = question.header(X_FORWARDED_HOST, host);
        }
        for (name, value) in &request.headers {
            question = question.header(name, &value[..]);
        }
        question.body(Empty::new())
    }

    /// Counts an answer, and says so where something is wrong with the hook.
    fn conclude(&self, answer: Result<Answer, HookError>) -> (Outcome, Result<Grant, AccessError>) {
        match answer {
            Ok(Answer::Admitted(grant)) if grant.has_expired() => {
                let challenges = Vec::new();
                (Outcome::Unauthenticated, Err(AccessError::Unauthenticated { challenges }))
            }
            Ok(Answer::Admitted(grant)) => (Outcome::Admitted, Ok(grant)),
            Ok(Answer::Unauthenticated { challenges }) => {
                (Outcome::Unauthenticated, Err(AccessError::Unauthenticated { challenges }))
            }
            Ok(Answer::Forbidden) => (Outcome::Forbidden, Err(AccessError::Forbidden)),
            Err(error) => {
                let outcome = error.outcome();
                if self.complaints[outcome as usize].is_due() {
                    let hook = self.config.url.host();
                    tracing::error!(hook, %error, "forward auth got no answer; clients get 503");
                }
                let text = "nobody can say now who may connect; try again later".to_owned();
                (outcome, Err(AccessError::Unavailable(text)))
            }
        }
    }
}

#[async_trait]
impl Access for ForwardAuth {
    fn wanted_headers(&self) -> &[String] {
        &self.config.headers
    }

    async fn decide(&self, request: &ConnectionRequest) -> Result<Grant, AccessError> {
        let mut question = self.metrics.begin();
        let (begun, mut turn_at) = (Instant::now(), None);
        let asking = async {
            let _turn = self.turns.acquire().await.map_err(|error| failed(&error))?;
            turn_at = Some(Instant::now());
            self.ask(request).await
        };
        let answer = timeout(self.config.timeout, asking).await;
        let answer = answer.unwrap_or_else(|_| {
            // A hook that was asked at the last moment is not to blame.
            let waited = turn_at.map(|at| at - begun);
            let in_turn = waited.is_some_and(|waited| waited < self.config.timeout / 2);
            Err(if in_turn { HookError::TimedOut } else { HookError::Crowded })
        });
        let (outcome, decision) = self.conclude(answer);
        question.outcome = outcome;
        decision
    }
}

impl HookError {
    fn outcome(&self) -> Outcome {
        match self {
            Self::TimedOut => Outcome::TimedOut,
            Self::Crowded => Outcome::Crowded,
            Self::Failed(_) => Outcome::Failed,
            Self::BadStatus(_) => Outcome::BadStatus,
            Self::TooLarge | Self::BadBody(_) => Outcome::BadBody,
        }
    }
}

fn failed(error: &dyn Error) -> HookError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing into a String can't fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    HookError::Failed(text)
}

/// The path and the query of the handshake, as they came.
fn forwarded_uri(request: &ConnectionRequest) -> String {
    match &request.query {
        Some(query) => format!("{}?{query}", request.path),
        None => request.path.clone(),
    }
}

fn challenges(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(WWW_AUTHENTICATE).into_iter();
    values.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect()
}

async fn body(answer: Response<Incoming>) -> Result<Bytes, HookError> {
    match Limited::new(answer.into_body(), MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(HookError::TooLarge),
        Err(error) => Err(failed(error.as_ref())),
    }
}

/// Reads what nobody needs, so that the connection can be used again. If that fails,
/// it just can't.
async fn discard(answer: Response<Incoming>) {
    let _ = body(answer).await;
}
