//! A connection's life from hello to goodbye.
//!
//! One task per connection reads commands, and writes only what its socket would
//! not take at once; events are written by the shard. While nothing happens the
//! task holds no buffer: bytes are read into a scratch buffer of the thread.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use redcast_hub::{Connection, Loss};
use redcast_node::Participant;
use redcast_protocol::{Channel, CloseCode, Cursor};
use redcast_wire::{Decoder, Flow, Limits, Message, WireError, pong_frame};

use crate::commands::{self, Wishes};
use crate::granted::Expiry;
use crate::inflater::with_inflater;
use crate::life::Life;
use crate::outgoing::{self, Outgoing};
use crate::pace::{Pace, PaceError, Verdict};
use crate::socket::ClientSocket;

/// The most that one session reads before others get their turn.
const SCRATCH_BYTES: usize = 16 << 10;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into());
}

/// One connection.
pub(crate) struct Session {
    // First, so that it has left its channels when the end is told.
    participant: Participant<ClientSocket>,
    life: Life,
    decoder: Decoder,
    pace: Pace,
    expiry: Option<Box<Expiry>>,
    /// The decoder was stopped at a command and may hold more.
    unread: bool,
    /// What the client's own close frame said.
    peer_code: Option<CloseCode>,
}

/// What a session begins with and does not keep.
pub(crate) struct Beginning {
    /// From where the client wants to resume.
    pub(crate) since: Vec<(Channel, Cursor)>,
    /// What came with the handshake request, beyond it.
    pub(crate) read: Vec<u8>,
}

/// What the reading side found.
#[derive(Debug, Default)]
struct Heard {
    command: Option<String>,
    closed: Option<CloseCode>,
    unsupported: bool,
    flood: Option<PaceError>,
}

/// What listens to the decoder's messages.
struct Ear<'a> {
    connection: &'a Connection<ClientSocket>,
    life: &'a Life,
    pace: &'a mut Pace,
}

enum Step {
    Command(String),
    Ended,
}

impl Session {
    pub(crate) fn new(
        life: Life,
        participant: Participant<ClientSocket>,
        expiry: Option<Box<Expiry>>,
    ) -> Self {
        Self {
            participant,
            life,
            decoder: Decoder::new(),
            pace: Pace::default(),
            expiry,
            unread: false,
            peer_code: None,
        }
    }

    /// Lives until the connection has ended.
    ///
    /// No `async fn`, and what happens seldom is boxed: this future is what an idle
    /// connection costs most. An `async fn` would hold each argument twice, and every
    /// step's own future for as long as the connection.
    #[expect(clippy::manual_async_fn, reason = "see above")]
    pub(crate) fn run(mut self, beginning: Box<Beginning>) -> impl Future<Output = ()> + Send {
        async move {
            let mut step = Box::pin(self.begin(beginning)).await;
            loop {
                match step {
                    Poll::Ready(Step::Command(text)) => Box::pin(self.obey(text)).await,
                    Poll::Ready(Step::Ended) => break,
                    Poll::Pending => {}
                }
                step = Poll::Ready(poll_fn(|cx| self.poll_step(cx)).await);
            }
            Box::pin(outgoing::say_goodbye(self.participant.connection())).await;
            self.note_end();
        }
    }

    fn note_end(&mut self) {
        self.life.code = Some(self.final_code());
    }

    /// Greets, and reads what came with the handshake.
    async fn begin(&mut self, beginning: Box<Beginning>) -> Poll<Step> {
        let Beginning { since, mut read } = *beginning;
        self.greet(since).await;
        self.digest(&mut read)
    }

    fn connection(&self) -> &Arc<Connection<ClientSocket>> {
        self.participant.connection()
    }

    /// The code to count. A client's own word counts only for what clients say, or
    /// it could raise alarms about us.
    fn final_code(&self) -> CloseCode {
        match self.peer_code {
            Some(code @ (CloseCode::Normal | CloseCode::GoingAway | CloseCode::NoStatus)) => code,
            Some(_) => CloseCode::Other,
            None => self.connection().closing().map_or(CloseCode::Abnormal, |end| end.code),
        }
    }

    fn limits(&self) -> Limits {
        let max_message_size = self.life.endpoint().max_message_size;
        let limits = Limits { max_message_size, ..Limits::default() };
        #[cfg(feature = "echo")]
        let limits = crate::echo::widen(limits, &self.life);
        limits
    }

    /// Says welcome, and joins the endpoint's channels.
    async fn greet(&mut self, since: Vec<(Channel, Cursor)>) {
        let Self { life, participant, expiry, .. } = self;
        let connection = participant.connection().clone();
        let wishes = Wishes { since, ..Wishes::default() };
        let work = Box::pin(commands::greet(life, participant, wishes));
        let losses = outgoing::pumping(&connection, expiry.as_deref_mut(), work).await;
        self.tell(losses);
    }

    async fn obey(&mut self, text: String) {
        self.carry_out(text).await;
        // A client that sends commands without a pause must not keep the thread:
        // others' events and Redis wait for it too.
        tokio::task::consume_budget().await;
    }

    async fn carry_out(&mut self, text: String) {
        #[cfg(feature = "faults")]
        if self.connection().socket().fault.obey(&text) {
            return;
        }
        let Self { life, participant, pace, expiry, .. } = self;
        life.edge.metrics.commands.inc();
        match pace.command(&life.edge.rates, Instant::now()) {
            Verdict::InTime => {}
            Verdict::TooFast => return commands::refuse_pace(life, participant, &text),
            Verdict::Flood => {
                let code = CloseCode::TooManyCommands;
                return participant.connection().close(code, code.reason());
            }
        }
        let connection = participant.connection().clone();
        let work = Box::pin(commands::obey(life, participant, text));
        let losses = outgoing::pumping(&connection, expiry.as_deref_mut(), work).await;
        self.tell(losses);
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        self.connection().register(cx.waker());
        if let Some(expiry) = &mut self.expiry {
            expiry.poll_end(self.participant.connection(), cx);
        }
        let outgoing = outgoing::poll_flush(self.connection(), cx);
        match outgoing {
            Outgoing::Drained(losses) => self.tell(losses),
            Outgoing::Waiting => self.tell(self.connection().overdue_losses()),
            Outgoing::Broken => {}
        }
        if self.connection().closing().is_some() {
            return Poll::Ready(Step::Ended);
        }
        if self.unread {
            return self.poll_unread(cx);
        }
        self.poll_read(cx)
    }

    fn poll_unread(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let limits = self.limits();
        let mut heard = Heard::default();
        let Self { participant, life, pace, decoder, .. } = self;
        pace.resume();
        let connection = participant.connection();
        let mut ear = Ear { connection, life, pace };
        let outcome = with_inflater(connection.encoding(), |inflater| {
            decoder.resume(&limits, inflater, &mut |message| ear.hear(message, &mut heard))
        });
        let step = self.conclude(outcome, heard);
        // Nothing in what was kept: go on with the socket.
        if step.is_pending() { self.poll_read(cx) } else { step }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        // Never `readable()`: it would leave the HTTP server's waker, and with it
        // that finished task's memory, in the socket's reader slot.
        while let Poll::Ready(ready) = self.connection().socket().stream.poll_read_ready(cx) {
            if ready.is_err() {
                self.connection().abandon();
                return Poll::Ready(Step::Ended);
            }
            match self.read_once() {
                Ok(step @ Poll::Ready(_)) => return step,
                Ok(Poll::Pending) => {
                    // One scratch buffer per poll, then the others' turn.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.connection().abandon();
                    return Poll::Ready(Step::Ended);
                }
            }
        }
        Poll::Pending
    }

    fn read_once(&mut self) -> io::Result<Poll<Step>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let count = self.connection().socket().stream.try_read(scratch)?;
            if count == 0 {
                // The client's side is closed; after this nothing is read again.
                self.connection().abandon();
                return Ok(Poll::Ready(Step::Ended));
            }
            self.connection().mark_alive();
            Ok(self.digest(&mut scratch[..count]))
        })
    }

    fn digest(&mut self, bytes: &mut [u8]) -> Poll<Step> {
        let limits = self.limits();
        let mut heard = Heard::default();
        let Self { participant, life, pace, decoder, .. } = self;
        let connection = participant.connection();
        let mut ear = Ear { connection, life, pace };
        let outcome = with_inflater(connection.encoding(), |inflater| {
            decoder.feed(bytes, &limits, inflater, &mut |message| ear.hear(message, &mut heard))
        });
        self.conclude(outcome, heard)
    }

    fn conclude(&mut self, outcome: Result<Flow, WireError>, heard: Heard) -> Poll<Step> {
        self.unread = matches!(outcome, Ok(Flow::Stop));
        let (completed, incomplete) = (heard.command.is_some(), !self.decoder.is_idle());
        let in_time = self.pace.bytes_came(Instant::now(), completed, incomplete);
        let connection = self.participant.connection();
        if let Some(code) = heard.closed {
            self.peer_code = Some(code);
            // The answer carries the client's own code (RFC 6455 section 5.5.1),
            // unless it is one that only its application knows.
            let answer = if code == CloseCode::Other { CloseCode::Normal } else { code };
            connection.close(answer, "");
        } else if heard.unsupported {
            connection.close(CloseCode::UnsupportedData, CloseCode::UnsupportedData.reason());
        } else if let Err(error) = outcome {
            connection.close(error.close_code(), &error.to_string());
        } else if let Err(error) = heard.flood.map_or(in_time, Err) {
            connection.close(PaceError::CLOSE_CODE, &error.to_string());
        } else if let Some(text) = heard.command {
            return Poll::Ready(Step::Command(text));
        } else {
            return Poll::Pending;
        }
        Poll::Ready(Step::Ended)
    }

    fn tell(&self, losses: Vec<Loss>) {
        outgoing::tell(&self.participant, losses);
    }
}

impl Ear<'_> {
    fn hear(&mut self, message: Message<'_>, heard: &mut Heard) -> Flow {
        match message {
            Message::Text(text) => heard.command = Some(text.to_owned()),
            #[cfg(feature = "echo")]
            Message::Binary(payload) if crate::echo::is_at(self.life) => {
                crate::echo::send_back_binary(self.connection, payload);
                return Flow::Continue;
            }
            Message::Binary(_) => heard.unsupported = true,
            Message::Ping(_) | Message::Pong(_) => {
                heard.flood = self.pace.control_frame(&self.life.edge.rates).err();
                if heard.flood.is_none() {
                    if let Message::Ping(payload) = message {
                        self.connection.pong(pong_frame(payload));
                    }
                    return Flow::Continue;
                }
            }
            Message::Close(None) => heard.closed = Some(CloseCode::NoStatus),
            Message::Close(Some((code, _))) => heard.closed = Some(CloseCode::from_code(code)),
        }
        Flow::Stop
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F>(_: impl FnOnce(Session, Box<Beginning>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_session_is_little_more_than_its_fields() {
        // The runtime rounds a task up to a multiple of 128 bytes and adds some 90:
        // with another 60 bytes each connection costs 128 more.
        let fields = size_of::<Session>();
        let future = size_of_future(Session::run);
        assert!(fields <= 184, "{fields} bytes of fields");
        assert!(future <= fields + 48, "{future} bytes, {fields} of them fields");
    }
}
