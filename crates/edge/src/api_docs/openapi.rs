//! The OpenAPI document of the HTTP API, made of the annotations beside the handlers and
//! of the types that they answer.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Contact, License, OpenApi as Document, PathItem, Server};
use utoipa::{OpenApi, ToSchema};

use crate::error::ErrorAnswer;
use crate::{admin, channels, publish};

/// Everything that is described.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Redcast",
        description = "Publish events over HTTP, read the last state, and look after an instance. \
            Clients that want events as they happen connect by WebSocket, which \
            `/asyncapi.json` describes, or listen to an event stream.",
    ),
    servers((url = "/", description = "The public listener")),
    paths(
        publish::publish, listen, state_all, state_one, info, channels::list, admin::livez,
        admin::readyz, admin::version, admin::metrics
    ),
    tags(
        (name = "publish", description = "For services that can't speak Redis"),
        (name = "listen", description = "For clients that can't speak WebSocket"),
        (name = "state", description = "Snapshots, for clients that poll"),
        (name = "info", description = "What the page asks"),
        (name = "operations", description = "On the admin listener (`admin.listen`), never on \
            the public port"),
    ),
)]
struct Api;

/// The document, for a gateway of this version.
pub(super) fn document(version: &str) -> String {
    let mut document = Api::openapi();
    document.info.version = version.to_owned();
    document.info.license = Some(license());
    document.info.contact = Some(Contact::builder().name(Some("Redcast")).build());
    add_key(&mut document);
    move_operations(&mut document);
    // Only what is no JSON at all could fail here, and a test reads it.
    document.to_pretty_json().unwrap_or_default()
}

fn license() -> License {
    let text = "https://www.apache.org/licenses/LICENSE-2.0";
    License::builder().name("Apache-2.0").url(Some(text)).build()
}

fn add_key(document: &mut Document) {
    let description = "The key of `api.key_file` or `api.key`. Where neither is set the path is \
        closed; with the memory broker and `--demo` it is open.";
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("api_key", SecurityScheme::Http(key.build()));
}

/// What operators ask is answered on another port.
fn move_operations(document: &mut Document) {
    let operator = |item: &&mut PathItem| {
        let tags = item.get.as_ref().and_then(|operation| operation.tags.as_ref());
        tags.is_some_and(|tags| tags.iter().any(|tag| tag == "operations"))
    };
    for item in document.paths.paths.values_mut().filter(operator) {
        let mut server = Server::new("http://127.0.0.1:9464");
        server.description = Some("The admin listener".to_owned());
        item.servers = Some(vec![server]);
    }
}

/// Who answers.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it only describes what others answer")]
struct InfoAnswer {
    /// The version of the gateway.
    #[schema(example = "0.1.0")]
    version: String,
    /// A name that differs between instances.
    #[schema(example = "1f0c9a3e")]
    instance: String,
    /// Where events come from: `redis` or `memory`.
    #[schema(example = "redis")]
    broker: String,
    /// Whether they can come at this moment.
    broker_connected: bool,
    /// Whether publishing over HTTP needs no key.
    publish_open: bool,
    /// Where the first endpoint's first channel is published to, as Redis spells it.
    #[schema(required = true, example = "analytics")]
    channel: Option<String>,
    /// The paths that take WebSocket connections.
    #[schema(example = json!(["/ws/analytics"]))]
    endpoints: Vec<String>,
    /// What the dashboard shows; `null` where there is no endpoint.
    #[schema(required = true)]
    dashboard: Option<DashboardInfo>,
    /// Where the page's own visits are counted: a URL without a path, or `/` for this
    /// gateway; `null` where they are not.
    #[schema(required = true, example = "/")]
    collector: Option<String>,
}

/// What the dashboard shows.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it only describes what others answer")]
struct DashboardInfo {
    /// The endpoint it connects to.
    endpoint: String,
    /// The channel whose events it shows; `null` where the endpoint joins none by itself.
    #[schema(required = true)]
    channel: Option<String>,
    /// The snapshot of that endpoint; `null` where it has none.
    #[schema(required = true)]
    snapshot: Option<SnapshotInfo>,
}

/// How a snapshot reaches clients.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it only describes what others answer")]
struct SnapshotInfo {
    /// Its name.
    name: String,
    /// The `type` of its frame on connect.
    on_connect: String,
    /// The `type` of its frame at each tick.
    on_tick: String,
    /// How far apart the ticks are, milliseconds.
    every_ms: u64,
    /// Whether `/data/current_visitors` of its frames counts connections, which the gateway
    /// merges in.
    counts_connections: bool,
}

/// Every snapshot that an endpoint uses.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it only describes what others answer")]
struct StateAnswer {
    /// By name.
    snapshots: BTreeMap<String, SnapshotState>,
}

/// A snapshot as it was read last.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it only describes what others answer")]
struct SnapshotState {
    /// The document.
    #[schema(example = json!({"current_visitors": 12}))]
    data: Value,
    /// Whether it could not be read anew when it should have been.
    stale: bool,
    /// When it was read, Unix milliseconds; `null` if it never could be.
    #[schema(required = true)]
    read_at: Option<u64>,
}

/// Listen to an event stream
///
/// Server-sent events of the same endpoints and channels as over WebSocket. An endpoint
/// `/ws/analytics` is served at `/sse/ws/analytics`, and at `/sse/analytics` where no other
/// endpoint has that path. Each event's data is a payload as it was published; what the
/// gateway says itself has an `event` of its own, such as `gap`, `reset` or `close`.
#[utoipa::path(
    get,
    path = "/sse/{endpoint}",
    operation_id = "listen",
    tag = "listen",
    params(
        ("endpoint" = String, Path, description = "An endpoint's path without its `/ws/`",
            example = "analytics"),
        ("channel" = Option<Vec<String>>, Query, description = "More channels to join, of \
            those that the endpoint permits", nullable = false),
        ("envelope" = Option<String>, Query, description = "`1`: data is \
            `{\"type\":\"event\",\"channel\":…,\"data\":…}`", nullable = false),
        ("last_event_id" = Option<String>, Query, description = "As the header, for clients \
            that can't set one", nullable = false),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event \
            that was seen: go on behind it in every stream channel", nullable = false),
    ),
    responses(
        (status = 200, description = "The stream. It goes on until either side ends it; the \
            last event of the gateway's is `close`.", body = String,
            content_type = "text/event-stream", example = "data: {\"type\":\"page_view\"}\n\n"),
        (status = 400, description = "A channel or the last id can't be one, or there are too \
            many channels", body = ErrorAnswer),
        (status = 401, description = "The authentication service wants credentials",
            body = ErrorAnswer),
        (status = 403, description = "The origin or a channel is not permitted, or the \
            authentication service said no", body = ErrorAnswer),
        (status = 404, description = "No endpoint has this path", body = ErrorAnswer),
        (status = 405, description = "Any method but GET", body = ErrorAnswer),
        (status = 429, description = "Too many connections come from this address",
            body = ErrorAnswer,
            headers(("Retry-After" = u32, description = "Seconds to wait"))),
        (status = 503, description = "The instance is full, takes no more connections this \
            second, is about to stop, or could not ask the authentication service",
            body = ErrorAnswer,
            headers(("Retry-After" = u32, description = "Seconds to wait"))),
    ),
)]
#[allow(dead_code, reason = "it only describes the path")]
fn listen() {}

/// Read all snapshots
///
/// For clients that poll. Only snapshots that an endpoint uses are offered, and none where
/// an authentication service decides who may connect (`auth.forward_url`).
#[utoipa::path(
    get,
    path = "/api/state",
    operation_id = "state",
    tag = "state",
    responses(
        (status = 200, description = "The last document of each", body = StateAnswer),
        (status = 403, description = "Connections need authentication, which this path can't ask \
            for", body = ErrorAnswer),
    ),
)]
#[allow(dead_code, reason = "it only describes the path")]
fn state_all() {}

/// Read a snapshot
///
/// The document as clients of the endpoint get it in `data`.
#[utoipa::path(
    get,
    path = "/api/state/{snapshot}",
    operation_id = "stateOf",
    tag = "state",
    params(
        ("snapshot" = String, Path, description = "Its `name` in the configuration",
            example = "analytics"),
        ("If-None-Match" = Option<String>, Header,
            description = "The `ETag` of the last answer: 304 while nothing has changed"),
    ),
    responses(
        (status = 200, description = "The last document", body = Value, headers(
            ("ETag" = String, description = "Changes with the document"),
            ("Redcast-Stale" = String, description = "`true` where the document could not be \
                read anew when it should have been"),
        ), example = json!({"current_visitors": 12})),
        (status = 304, description = "It is still the one of `If-None-Match`", headers(
            ("ETag" = String, description = "The one of `If-None-Match`"),
        )),
        (status = 400, description = "The name is not UTF-8", body = ErrorAnswer),
        (status = 403, description = "Connections need authentication, which this path can't ask \
            for", body = ErrorAnswer),
        (status = 404, description = "No endpoint uses a snapshot of this name",
            body = ErrorAnswer),
    ),
)]
#[allow(dead_code, reason = "it only describes the path")]
fn state_one() {}

/// Ask who answers
///
/// What the page shows about the instance that serves it.
#[utoipa::path(
    get,
    path = "/api/info",
    operation_id = "info",
    tag = "info",
    responses(
        (status = 200, description = "This instance", body = InfoAnswer),
        (status = 404, description = "The page is left out (`page.enabled = false`), and this \
            with it", body = ErrorAnswer),
    ),
)]
#[allow(dead_code, reason = "it only describes the path")]
fn info() {}
