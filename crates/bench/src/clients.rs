//! The clients: thousands of WebSocket connections on one thread, read with as
//! little CPU as possible, because Redis has the same CPU.

use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{Timespec, epoll};
use socket2::{Domain, SockRef, Socket, Type};

use crate::beats::Beats;
use crate::checker::{Checker, Verdict};
use crate::contender::Joining;
use crate::dialect::{Said, Session};
use crate::frame::{self, Split};
use crate::histogram::Histogram;
use crate::inflate::{self, Inflater};
use crate::machine::check_interrupt;
use crate::payload::{self, Kind, Stamp};
use crate::server::Target;
use crate::setup::Setup;

/// Connections from one source address. Each pair of addresses has about 28,000 ports,
/// but the kernel looks for a free one among the even ports first: once half of all are
/// taken, each connect searches thousands in vain.
pub const PER_SOURCE_ADDRESS: usize = 10_000;

/// Connections that may wait for their 101 at once: below any listen backlog.
pub const MAX_PENDING: usize = 100;

/// How long nothing at all may happen while connecting and closing.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// The close code of a client that has what it wanted, RFC 6455 §7.4.1.
const NORMAL: u16 = 1000;

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
    /// Messages that came compressed.
    pub compressed: u64,
    /// Bytes that came over the wire since the upgrades, frame headers included.
    pub wire_bytes: u64,
    /// From publish to receipt, nanoseconds, of the events while `timing`.
    pub latency: Histogram,
    /// Whether latencies are recorded.
    pub timing: bool,
    /// The heartbeats of a snapshot.
    pub beats: Beats,
    /// What the first client to be refused was told.
    refusal: Option<String>,
}

/// Many clients of one server.
pub struct Clients {
    epoll: OwnedFd,
    list: Vec<Client>,
    setup: Setup,
    reader: Reader,
    /// What arrived so far.
    pub tally: Tally,
}

/// What all clients read with, one after the other.
struct Reader {
    scratch: Box<[u8]>,
    /// There if compression was agreed on.
    inflater: Option<Inflater>,
}

struct Client {
    stream: TcpStream,
    state: State,
    /// Sent after the 101.
    command: Option<String>,
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
    /// Opens `count` connections to a server of one channel, as fast as it answers.
    pub fn open(target: &Target, count: usize) -> Result<Self> {
        Self::open_as(target, count, Setup::default())
    }

    /// Opens `count` connections, with the channels and the compression of `setup`.
    pub fn open_as(target: &Target, count: usize, setup: Setup) -> Result<Self> {
        Self::open_telling(target, count, setup, |_| Ok(()))
    }

    /// The same, and tells `told` again and again how many are open.
    pub fn open_telling(
        target: &Target,
        count: usize,
        setup: Setup,
        mut told: impl FnMut(usize) -> Result<()>,
    ) -> Result<Self> {
        let scratch = vec![0; 256 * 1024].into_boxed_slice();
        let mut clients = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            list: Vec::with_capacity(count),
            setup,
            reader: Reader { scratch, inflater: setup.deflate.then(Inflater::default) },
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
                told(clients.tally.upgraded)?;
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

    /// What they were opened for.
    pub fn setup(&self) -> Setup {
        self.setup
    }

    fn pending(&self) -> usize {
        self.list.len() - self.tally.upgraded
    }

    fn dial(&mut self, target: &Target) -> Result<()> {
        let socket = Socket::new(Domain::for_address(target.address), Type::STREAM, None)?;
        let source = self.list.len() / PER_SOURCE_ADDRESS;
        if source > 0 && target.address.ip().is_loopback() {
            let last = u8::try_from(source + 1).context("too many source addresses")?;
            // A port that is bound serves one destination only: each server has
            // addresses of its own.
            let [high, low] = target.address.port().to_be_bytes();
            let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, high, low, last)), 0);
            socket.bind(&address.into())?;
        }
        socket.connect(&target.address.into())?;
        // Closing sends a reset, so that no port waits a minute in TIME_WAIT.
        socket.set_linger(Some(Duration::ZERO))?;
        let mut stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        let channel = self.setup.channel(self.list.len());
        stream.write_all(request(target, &channel, self.setup.deflate).as_bytes())?;
        stream.set_nonblocking(true)?;
        let token = epoll::EventData::new_u64(self.list.len() as u64);
        epoll::add(&self.epoll, &stream, token, epoll::EventFlags::IN)?;
        self.list.push(Client {
            stream,
            state: State::Upgrading,
            command: (target.joining == Joining::Command)
                .then(|| format!(r#"{{"type":"subscribe","channel":"{channel}"}}"#)),
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
            if client.read(&mut self.reader, &mut self.tally).is_none() {
                client.state = State::Closed;
                self.tally.closed += 1;
                epoll::delete(&self.epoll, &client.stream)?;
            }
        }
        Ok(())
    }

    /// What went wrong over all clients, once `published` events, over all channels
    /// in turn, had their time to arrive.
    pub fn verdict(&self, published: u64) -> Verdict {
        let mut sum = Verdict::default();
        for (index, client) in self.list.iter().enumerate() {
            sum += client.checker.verdict(self.setup.share(published, index));
        }
        sum
    }

    /// How many clients got each of `published` events once and in order.
    pub fn served(&self, published: u64) -> usize {
        let clean = |(index, client): &(usize, &Client)| {
            client.checker.verdict(self.setup.share(published, *index)) == Verdict::default()
        };
        self.list.iter().enumerate().filter(clean).count()
    }

    /// Ends every connection as a browser does: a close frame, the server's answer to
    /// it, then the end of the stream. [`MAX_PENDING`] at a time.
    pub fn close(mut self) -> Result<()> {
        let goodbye = frame::masked(frame::CLOSE, &NORMAL.to_be_bytes());
        while !self.list.is_empty() {
            let kept = self.list.len().saturating_sub(MAX_PENDING);
            let (leaving, before) = (self.list.len() - kept, self.tally.closed);
            for client in &mut self.list[kept..] {
                client.stream.write_all(&goodbye).context("can't close a client")?;
                SockRef::from(&client.stream).set_linger(None)?;
            }
            let end = Instant::now() + CONNECT_PATIENCE;
            while self.tally.closed < before + leaving {
                check_interrupt()?;
                ensure!(Instant::now() < end, "the server does not answer close frames");
                self.poll(Duration::from_millis(100))?;
            }
            self.list.truncate(kept);
        }
        Ok(())
    }
}

/// The request of a client of `channel`, in one piece.
pub fn request(target: &Target, channel: &str, deflate: bool) -> String {
    let Target { address, path, joining, .. } = target;
    let channel = if *joining == Joining::Path { channel } else { "" };
    let offer = match deflate {
        true => format!("Sec-WebSocket-Extensions: {}\r\n", inflate::OFFER),
        false => String::new(),
    };
    format!(
        "GET {path}{channel} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\
         {offer}\r\n"
    )
}

impl Client {
    /// Reads once and takes every whole frame. None when the connection is over.
    fn read(&mut self, reader: &mut Reader, tally: &mut Tally) -> Option<()> {
        let Reader { scratch, inflater } = reader;
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
            bytes = self.read_answer(bytes, inflater.is_some(), tally)?;
            tally.wire_bytes += if self.state == State::Open { bytes.len() as u64 } else { 0 };
        } else {
            tally.wire_bytes += read as u64;
        }
        if self.state == State::Open {
            bytes = self.read_frames(bytes, inflater.as_mut(), tally)?;
        }
        self.partial.clear();
        self.partial.extend_from_slice(bytes);
        Some(())
    }

    fn read_answer<'a>(
        &mut self,
        bytes: &'a [u8],
        deflate: bool,
        tally: &mut Tally,
    ) -> Option<&'a [u8]> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Some(bytes);
        };
        let head = String::from_utf8_lossy(&bytes[..end]);
        if !head.starts_with("HTTP/1.1 101 ") || !head.contains(ACCEPT) {
            tally.refusal = head.lines().next().map(str::to_owned);
            return None;
        }
        if deflate && !head.contains(inflate::OFFER) {
            tally.refusal = Some(format!("101 without {}", inflate::OFFER));
            return None;
        }
        if let Some(command) = self.command.take() {
            self.stream.write_all(&frame::masked(frame::TEXT, command.as_bytes())).ok()?;
        }
        self.state = State::Open;
        tally.upgraded += usize::from(self.session.is_ready_at_once());
        Some(&bytes[end + 4..])
    }

    fn read_frames<'a>(
        &mut self,
        mut bytes: &'a [u8],
        mut inflater: Option<&mut Inflater>,
        tally: &mut Tally,
    ) -> Option<&'a [u8]> {
        let now_ns = payload::now_ns();
        loop {
            match self.session.split(bytes) {
                Split::Partial => return Some(bytes),
                Split::Corrupt => return None,
                Split::Frame { opcode, compressed, mut payload, rest } => {
                    bytes = rest;
                    if compressed {
                        payload = inflater.as_mut()?.inflate(payload).ok()?;
                        tally.compressed += 1;
                    }
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
        loop {
            let whole = payload;
            let Some(said) = self.session.hear(&mut payload) else { break };
            match said {
                Said::Event(stamp) => self.take(stamp, now_ns, tally),
                Said::Other => {
                    tally.other += 1;
                    tally.beats.hear(whole, &mut self.checker);
                }
                Said::Ready => tally.upgraded += 1,
                Said::Asked(answer) => {
                    let frame = frame::masked(self.session.opcode(), answer.as_bytes());
                    self.stream.write_all(&frame).ok()?;
                }
                Said::Noise => {}
                Said::Goodbye => return None,
            }
            if payload.is_empty() {
                break;
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
