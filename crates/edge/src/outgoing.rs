//! A session's writing side: what its socket would not take at once, and the
//! closing handshake.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use redcast_hub::{Connection, Flush, Form, Loss, Socket};
use redcast_node::Participant;
use redcast_protocol::{CloseCode, GapReason, Reply};
use redcast_wire::text_frame;
use tokio::time::timeout;

use crate::client_io::poll_discard;
use crate::granted::Expiry;
use crate::socket::{ClientSocket, WritableSocket};

/// How long what waits may take to reach a client that is being closed.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long we read and discard after our close frame, so that unread input does
/// not turn it into a reset.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// How the writing side stands.
pub(crate) enum Outgoing {
    /// Nothing waits; these losses have not been told yet.
    Drained(Vec<Loss>),
    /// Something waits; the task is woken when there is room.
    Waiting,
    /// The socket is dead, and the connection knows.
    Broken,
}

/// Writes what waits, at most one flush of some 64 KiB per poll.
pub(crate) fn poll_flush<S: WritableSocket>(
    connection: &Connection<S>,
    cx: &mut Context<'_>,
) -> Outgoing {
    if connection.is_drained() {
        return Outgoing::Drained(Vec::new());
    }
    loop {
        match connection.flush() {
            Flush::Drained(losses) => return Outgoing::Drained(losses),
            Flush::More => {
                cx.waker().wake_by_ref();
                return Outgoing::Waiting;
            }
            Flush::Blocked => match connection.socket().poll_write_ready(cx) {
                Poll::Pending => return Outgoing::Waiting,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => break,
            },
            Flush::Broken => break,
        }
    }
    connection.abandon();
    Outgoing::Broken
}

/// Runs `work` while the writing side goes on and time passes; answers the losses to
/// tell.
pub(crate) async fn pumping<S, F>(
    connection: &Arc<Connection<S>>,
    mut expiry: Option<&mut Expiry>,
    mut work: Pin<Box<F>>,
) -> Vec<Loss>
where
    S: WritableSocket,
    F: Future<Output = ()>,
{
    let mut untold = Vec::new();
    poll_fn(|cx| {
        connection.register(cx.waker());
        if let Outgoing::Drained(losses) = poll_flush(connection, cx) {
            untold.extend(losses);
        }
        if let Some(expiry) = &mut expiry {
            expiry.poll_end(connection, cx);
        }
        if connection.closing().is_some() {
            return Poll::Ready(());
        }
        work.as_mut().poll(cx)
    })
    .await;
    untold
}

/// Tells the client what its slowness cost it.
pub(crate) fn tell<S: Socket>(participant: &Participant<S>, losses: Vec<Loss>) {
    let connection = participant.connection();
    if connection.encoding().form == Form::Quiet {
        return;
    }
    for loss in losses {
        let Some(channel) = participant.channel(loss.channel) else { continue };
        let gap = Reply::Gap {
            channel: channel.as_str(),
            from: loss.from_ms,
            to: loss.to_ms,
            reason: GapReason::Overflow,
            dropped: Some(loss.dropped),
        };
        connection.send(&text_frame(&gap.encode()));
    }
}

/// Writes what waits, the close frame included; answers whether all of it was taken in
/// time.
pub(crate) async fn flush_all<S: WritableSocket>(connection: &Connection<S>) -> bool {
    let flushed = poll_fn(|cx| {
        connection.register(cx.waker());
        match poll_flush(connection, cx) {
            Outgoing::Drained(_) => Poll::Ready(true),
            Outgoing::Waiting => Poll::Pending,
            Outgoing::Broken => Poll::Ready(false),
        }
    });
    timeout(FLUSH_TIMEOUT, flushed).await == Ok(true)
}

/// Ends a connection that is being closed: flush, close frame, end of writing,
/// then read and discard until the client's end or a deadline.
pub(crate) async fn say_goodbye(connection: &Arc<Connection<ClientSocket>>) {
    let flushed = flush_all(connection).await;
    let abnormal = connection.closing().is_none_or(|end| end.code == CloseCode::Abnormal);
    if abnormal || !flushed || connection.socket().shutdown_write().is_err() {
        // What still waits is given up here, and counted.
        connection.abandon();
        return;
    }
    let discarded = poll_fn(|cx| poll_discard(&connection.socket().stream, cx));
    // Past the deadline the socket is dropped all the same.
    let _ = timeout(DISCARD_TIMEOUT, discarded).await;
}
