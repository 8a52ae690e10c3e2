//! Reads a beacon's body.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::beacon::MAX_BODY;
use super::refusal::Refusal;

/// How much of a body that is too large is read to its end, bytes: a client that is still
/// sending would not see the answer before its connection breaks.
const MAX_DISCARDED: usize = 2 * 1024 * 1024;

/// The whole body, or why there is none.
pub(super) async fn read(body: Body, within: Duration) -> Result<Bytes, Refusal> {
    timeout(within, read_all(body)).await.unwrap_or(Err(Refusal::TooSlow))
}

async fn read_all(mut body: Body) -> Result<Bytes, Refusal> {
    let mut whole = Bytes::new();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::BadRequest("the body ended early".to_owned()))?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len();
        if size > MAX_DISCARDED {
            break;
        }
        if size > MAX_BODY {
            continue;
        }
        // Nearly always the first frame is the whole of it.
        whole = if whole.is_empty() { data } else { [whole, data].concat().into() };
    }
    if size > MAX_BODY { Err(Refusal::TooLarge) } else { Ok(whole) }
}
