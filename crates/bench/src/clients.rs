//! The clients: thousands of WebSocket connections on one thread, read with as
//! little CPU as possible, because Redis has the same CPU.

use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{Timespec, epoll};
use socket2::{Domain, Socket, Type};

use crate::checker::{Checker, Verdict};
use crate::dialect::{Said, Session};
use crate::frame::{self, Split};
use crate::histogram::Histogram;
use crate::machine::check_interrupt;
use crate::payload::{self, Kind, Stamp};
use crate::server::Target;

/// Each pair of addresses has about 28,000 ports; the next source address is
/// taken well before they run out.
const PER_SOURCE_ADDRESS: usize = 20_000;

/// Connections that may wait for their 101 at once: below any listen backlog.
const MAX_PENDING: usize = 100;

/// How long nothing at all may happen while connecting.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The answer to [`KEY`], from RFC 6455 §1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What arrived at all clients together.
#[derive(Debug, Default)]
pub struct Tally {
    /// Clients that got their 101 and, where a peer has one, its own welcome.
    pub upgraded: usize,
    /// Clients that got a probe.
    pub probed: usize,
    /// Clients that the server closed or that sent what no server may send.
    pub closed: usize,
    /// Numbered events, each time one arrived.
    pub delivered: u64,
    /// Data frames that are not the benchmark's (notices, snapshots).
    pub other: u64,
    /// From publish to receipt, nanoseconds, of the events while `timing`.
    pub latency: Histogram,
    /// Whether latencies are recorded.
    pub timing: bool,
    /// What the first client to be refused was told.
    refusal: Option<String>,
}

/// Many clients of one server.
pub struct Clients {
    epoll: OwnedFd,
    list: Vec<Client>,
    scratch: Box<[u8]>,
    /// What arrived so far.
    pub tally: Tally,
}

struct Client {
    stream: TcpStream,
    state: State,
    probed: bool,
    /// The start of a frame (or of the 101) whose rest has not come yet.
    partial: Vec<u8>,
    checker: Checker,
    session: Session,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Upgrading,
    Open,
    Closed,
}

impl Clients {
    /// Opens `count` connections as fast as the server answers.
    pub fn open(target: &Target, count: usize) -> Result<Self> {
        let mut clients = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            list: Vec::with_capacity(count),
            scratch: vec![0; 256 * 1024].into_boxed_slice(),
            tally: Tally::default(),
        };
        let mut last_progress = Instant::now();
        while clients.tally.upgraded < count {
            check_interrupt()?;
            while clients.list.len() < count && clients.pending() < MAX_PENDING {
                clients.dial(target).with_context(|| format!("can't connect to {target}"))?;
            }
            let before = clients.tally.upgraded;
            clients.poll(Duration::from_millis(100))?;
            if clients.tally.upgraded > before {
                last_progress = Instant::now();
            }
            if clients.tally.closed > 0 || last_progress.elapsed() > CONNECT_PATIENCE {
                let refusal = clients.tally.refusal.as_deref().unwrap_or("nothing");
                let upgraded = clients.tally.upgraded;
                bail!(
                    "{upgraded} of {count} clients were upgraded, then {target} said {refusal:?}"
                );
            }
        }
        Ok(clients)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    fn pending(&self) -> usize {
        self.list.len() - self.tally.upgraded
    }

    fn dial(&mut self, target: &Target) -> Result<()> {
        let socket = Socket::new(Domain::for_address(target.address), Type::STREAM, None)?;
        let source = self.list.len() / PER_SOURCE_ADDRESS;
        if source > 0 && target.address.ip().is_loopback() {
            let last = u8::try_from(source + 1).context("too many source addresses")?;
            let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0);
            socket.bind(&address.into())?;
        }
        socket.connect(&target.address.into())?;
        // Closing sends a reset, so that no port waits a minute in TIME_WAIT.
        socket.set_linger(Some(Duration::ZERO))?;
        let mut stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.write_all(request(target).as_bytes())?;
        stream.set_nonblocking(true)?;
        let token = epoll::EventData::new_u64(self.list.len() as u64);
        epoll::add(&self.epoll, &stream, token, epoll::EventFlags::IN)?;
        self.list.push(Client {
            stream,
            state: State::Upgrading,
            probed: false,
            partial: Vec::new(),
            checker: Checker::default(),
            session: Session::new(target.dialect),
        });
        Ok(())
    }

    /// Reads once from each client that has something, waiting at most `limit` for
    /// the first.
    pub fn poll(&mut self, limit: Duration) -> Result<()> {
        let limit = Timespec::try_from(limit)?;
        let mut space = [const { MaybeUninit::uninit() }; 512];
        let ready = match epoll::wait(&self.epoll, &mut space, Some(&limit)) {
            Ok((ready, _)) => ready,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error).context("epoll_wait"),
        };
        for event in ready {
            let client = &mut self.list[event.data.u64() as usize];
            if client.read(&mut self.scratch, &mut self.tally).is_none() {
                client.state = State::Closed;
                self.tally.closed += 1;
                epoll::delete(&self.epoll, &client.stream)?;
            }
        }
        Ok(())
    }

    /// What went wrong over all clients, once `published` events had their time to
    /// arrive.
    pub fn verdict(&self, published: u64) -> Verdict {
        let mut sum = Verdict::default();
        for client in &self.list {
            sum += client.checker.verdict(published);
        }
        sum
    }
}

fn request(target: &Target) -> String {
    format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
        target.path, target.address
    )
}

impl Client {
    /// Reads once and takes every whole frame. None when the connection is over.
    fn read(&mut self, scratch: &mut [u8], tally: &mut Tally) -> Option<()> {
        let kept = self.partial.len();
        scratch[..kept].copy_from_slice(&self.partial);
        let read = match self.stream.read(&mut scratch[kept..]) {
            Ok(0) => return None,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(()),
            Err(_) => return None,
        };
        let mut bytes = &scratch[..kept + read];
        if self.state == State::Upgrading {
            bytes = self.read_answer(bytes, tally)?;
        }
        if self.state == State::Open {
            bytes = self.read_frames(bytes, tally)?;
        }
        self.partial.clear();
        self.partial.extend_from_slice(bytes);
        Some(())
    }

    fn read_answer<'a>(&mut self, bytes: &'a [u8], tally: &mut Tally) -> Option<&'a [u8]> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Some(bytes);
        };
        let head = String::from_utf8_lossy(&bytes[..end]);
        if !head.starts_with("HTTP/1.1 101 ") || !head.contains(ACCEPT) {
            tally.refusal = head.lines().next().map(str::to_owned);
            return None;
        }
        self.state = State::Open;
        tally.upgraded += usize::from(self.session.is_ready_at_once());
        Some(&bytes[end + 4..])
    }

    fn read_frames<'a>(&mut self, mut bytes: &'a [u8], tally: &mut Tally) -> Option<&'a [u8]> {
        let now_ns = payload::now_ns();
        loop {
            match self.session.split(bytes) {
                Split::Partial => return Some(bytes),
                Split::Corrupt => return None,
                Split::Frame { opcode, payload, rest } => {
                    bytes = rest;
                    match opcode {
                        frame::TEXT | frame::BINARY => self.hear(payload, now_ns, tally)?,
                        frame::PING => self.stream.write_all(&frame::pong(payload)).ok()?,
                        frame::PONG => {}
                        _ => return None,
                    }
                }
            }
        }
    }

    fn hear(&mut self, mut payload: &[u8], now_ns: u64, tally: &mut Tally) -> Option<()> {
        while let Some(said) = self.session.hear(&mut payload) {
            match said {
                Said::Event(stamp) => self.take(stamp, now_ns, tally),
                Said::Other => tally.other += 1,
                Said::Ready => tally.upgraded += 1,
                Said::Asked(answer) => {
                    let frame = frame::masked(self.session.opcode(), answer.as_bytes());
                    self.stream.write_all(&frame).ok()?;
                }
                Said::Noise => {}
                Said::Goodbye => return None,
            }
        }
        Some(())
    }

    fn take(&mut self, stamp: Stamp, now_ns: u64, tally: &mut Tally) {
        if stamp.kind == Kind::Event {
            tally.delivered += 1;
            self.checker.saw(stamp.sequence);
            if tally.timing {
                tally.latency.record(now_ns.saturating_sub(stamp.sent_ns));
            }
        } else {
            tally.probed += usize::from(!self.probed);
            self.probed = true;
        }
    }
}
