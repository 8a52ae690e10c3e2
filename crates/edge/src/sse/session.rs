//! The life of an event stream's connection: it says everything and hears nothing.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use redcast_hub::{Connection, Encoding, Form};
use redcast_node::Participant;
use redcast_protocol::CloseCode;
use tokio::time::timeout;

use super::pipe::{Pipe, PipeSocket};
use crate::commands::{self, Wishes};
use crate::granted::Expiry;
use crate::life::Life;
use crate::outgoing::{self, FLUSH_TIMEOUT, Outgoing};

/// How the connection gets its events: the translator reads plain envelopes.
const ENCODING: Encoding = Encoding { form: Form::Envelope, window: None };

/// One event stream.
pub(crate) struct SseSession {
    // First, so that it has left its channels when the end is told.
    participant: Participant<PipeSocket>,
    life: Life,
    expiry: Option<Box<Expiry>>,
}

/// Seats a pipe in the hub and lives until the connection has ended.
pub(crate) async fn run(life: Life, pipe: Arc<Pipe>, wishes: Wishes, expiry: Option<Box<Expiry>>) {
    let node = life.edge.node.clone();
    let socket = PipeSocket::new(pipe.clone());
    let Ok(participant) = node.connect(socket, ENCODING).await else { return };
    pipe.attach(participant.connection());
    let mut session = SseSession { participant, life, expiry };
    Box::pin(session.greet(wishes)).await;
    poll_fn(|cx| session.poll_end(cx)).await;
    session.life.code = Some(session.final_code());
    Box::pin(session.say_goodbye()).await;
}

impl SseSession {
    fn connection(&self) -> &Arc<Connection<PipeSocket>> {
        self.participant.connection()
    }

    /// Says welcome, and joins the channels.
    async fn greet(&mut self, wishes: Wishes) {
        let Self { life, participant, expiry, .. } = self;
        let connection = participant.connection().clone();
        let work = Box::pin(commands::greet(life, participant, wishes));
        let losses = outgoing::pumping(&connection, expiry.as_deref_mut(), work).await;
        outgoing::tell(participant, losses);
    }

    /// Writes what waits whenever there is room; ready when the connection is to end.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.connection().register(cx.waker());
        if let Some(expiry) = &mut self.expiry {
            expiry.poll_end(self.participant.connection(), cx);
        }
        let losses = match outgoing::poll_flush(self.connection(), cx) {
            Outgoing::Drained(losses) => losses,
            Outgoing::Waiting => self.connection().overdue_losses(),
            Outgoing::Broken => Vec::new(),
        };
        outgoing::tell(&self.participant, losses);
        if self.connection().closing().is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Flushes what waits and the close frame, ends the body, and waits until the socket
    /// is closed: the process must not end before the last bytes are out.
    async fn say_goodbye(&self) {
        let connection = self.connection();
        let pipe = connection.socket().pipe();
        let flushed = outgoing::flush_all(connection).await;
        if !flushed {
            // What still waits is given up here, and counted.
            connection.abandon();
        }
        pipe.end();
        let ended = poll_fn(|cx| pipe.poll_socket_ended(cx));
        if !flushed || timeout(FLUSH_TIMEOUT, ended).await.is_err() {
            pipe.cut();
        }
    }

    /// The code to count. A client can only end the connection, and that is no fault.
    fn final_code(&self) -> CloseCode {
        match self.connection().closing().map(|end| end.code) {
            None | Some(CloseCode::Abnormal) => {
                let timed_out = self.connection().socket().pipe().has_timed_out();
                if timed_out { CloseCode::PongTimeout } else { CloseCode::GoingAway }
            }
            Some(code) => code,
        }
    }
}
