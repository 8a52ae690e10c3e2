//! `GET /api/channels` on the admin listener: which channels this instance listens to.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use redcast_hub::SlowConsumer;
use redcast_node::{ChannelState, ChannelStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ErrorAnswer, Refusal};
use crate::router::Edge;

/// Channels that are listed unless asked otherwise.
const LIMIT: usize = 100;

/// What may be asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// How many channels to list at most.
    #[param(default = 100, minimum = 0)]
    limit: Option<usize>,
}

/// The channels with the most members.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelList {
    /// How many channels there are, those that are not listed included.
    #[schema(example = 1)]
    total: usize,
    /// Those with the most members first.
    channels: Vec<ListedChannel>,
}

/// One channel of this instance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListedChannel {
    /// Its name, without the prefix it has in Redis.
    #[schema(example = "analytics")]
    channel: String,
    /// How many connections of this instance are in it.
    #[schema(example = 12)]
    members: usize,
    /// How far its subscription has come.
    state: ListedState,
    /// What a client of it loses that reads too slowly.
    policy: ListedPolicy,
}

/// How far a subscription has come: `live`, its events arrive; `pending`, the broker has not
/// confirmed it or is away; `lingering`, nobody is in it any more and it is about to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ListedState {
    Live,
    Pending,
    Lingering,
}

/// The `slow_consumer` policy, as the configuration spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ListedPolicy {
    Disconnect,
    DropOldest,
    KeepLatest,
}

/// List the channels of this instance
///
/// On the admin listener. Each instance answers for itself: a channel is listed while a
/// client of its own is in it, and for `interest.linger` after.
#[utoipa::path(
    get,
    path = "/api/channels",
    operation_id = "channels",
    tag = "operations",
    params(ListQuery),
    responses(
        (status = 200, description = "The channels", body = ChannelList),
        (status = 400, description = "`limit` is not a number", body = ErrorAnswer),
    ),
)]
pub(crate) async fn list(
    State(edge): State<Arc<Edge>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<ChannelList>, Refusal> {
    let Query(query) = query.map_err(|error| Refusal::BadRequest(error.body_text()))?;
    let all = edge.node.channels();
    let total = all.len();
    let first = all.into_iter().take(query.limit.unwrap_or(LIMIT));
    Ok(Json(ChannelList { total, channels: first.map(ListedChannel::from).collect() }))
}

impl From<ChannelStatus> for ListedChannel {
    fn from(status: ChannelStatus) -> Self {
        let state = match status.state {
            ChannelState::Live => ListedState::Live,
            ChannelState::Pending => ListedState::Pending,
            ChannelState::Lingering => ListedState::Lingering,
        };
        let policy = match status.policy {
            SlowConsumer::Disconnect => ListedPolicy::Disconnect,
            SlowConsumer::DropOldest => ListedPolicy::DropOldest,
            SlowConsumer::KeepLatest => ListedPolicy::KeepLatest,
        };
        let channel = status.channel.as_str().to_owned();
        Self { channel, members: status.members, state, policy }
    }
}
