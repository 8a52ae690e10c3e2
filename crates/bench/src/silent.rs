//! A client that takes its 101 and then never reads again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};

use crate::clients::request;
use crate::machine::wait;
use crate::server::{Server, Target};
use crate::setup::CHANNEL;

/// The least that the kernel gives a socket for what it has received, so that the server
/// soon feels that nobody reads.
const RECEIVE_BUFFER: usize = 2_304;

/// How long the server may take for its 101.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway empties the outbox of a slow client at once, but counts the connection as
/// closed two seconds later, when the client has not taken its close frame either.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// A connection that takes nothing; it ends when this is dropped.
#[derive(Debug)]
pub struct SilentClient {
    _stream: TcpStream,
}

/// What a gateway held back for a client that takes nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backlog {
    /// What waits in its outbox now, KB.
    pub waiting_kb: f64,
    /// Whether it was closed as a slow consumer, 4409, because more did not fit.
    pub closed: bool,
}

impl SilentClient {
    /// Connects to `target` and reads its answer, no byte more.
    pub fn connect(target: &Target) -> Result<Self> {
        let socket = Socket::new(Domain::for_address(target.address), Type::STREAM, None)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.connect(&target.address.into())?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request(target, CHANNEL, false).as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).context("the silent client got no 101")?;
            answer.extend(byte);
        }
        ensure!(answer.starts_with(b"HTTP/1.1 101 "), "the silent client got no 101");
        Ok(Self { _stream: stream })
    }
}

impl Backlog {
    /// What `server`, a gateway, holds back now; an error if nothing, because then
    /// nobody was slow and the run says nothing.
    pub fn of(server: &Server) -> Result<Self> {
        let end = Instant::now() + CLOSE_PATIENCE;
        loop {
            let backlog = Self::read(server)?;
            if backlog.waiting_kb > 0.0 || backlog.closed {
                return Ok(backlog);
            }
            ensure!(Instant::now() < end, "nothing waited for the client that never reads");
            wait(Duration::from_millis(100))?;
        }
    }

    fn read(server: &Server) -> Result<Self> {
        let waiting_kb = server.metric("redcast_outbox_bytes")? / 1024.0;
        let closed = server.metric("redcast_connections_closed_total{code=\"4409\"}")? > 0.0;
        Ok(Self { waiting_kb, closed })
    }
}
