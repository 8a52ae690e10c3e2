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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream;

    use super::*;

    const CHUNK: usize = 1_024;

    /// What became of a body of so many chunks, and how many of them were read.
    async fn read_chunks(count: usize) -> (Result<Bytes, Refusal>, usize) {
        let read_so_far = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&read_so_far);
        let chunks = (0..count).map(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from(vec![b'a'; CHUNK]))
        });
        let body = read(Body::from_stream(stream::iter(chunks)), Duration::from_secs(20)).await;
        (body, read_so_far.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_body_in_parts_is_put_together() {
        let (body, _) = read_chunks(2).await;
        assert_eq!(body.unwrap(), vec![b'a'; 2 * CHUNK]);
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_read_to_its_end_but_not_for_ever() {
        assert_eq!(read_chunks(1_024).await, (Err(Refusal::TooLarge), 1_024));
        let (body, read) = read_chunks(100_000).await;
        assert_eq!(body, Err(Refusal::TooLarge));
        assert!(read * CHUNK <= MAX_DISCARDED + CHUNK, "{read} chunks");
    }
}
