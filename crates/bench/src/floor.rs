//! The floor: the least a server can do to hand each event to each client.
//!
//! One thread, epoll and `send()` through libc, nothing else. A batch is what one
//! `read()` from Redis returned; each client gets it by one `send()` that never waits.
//! A client that can't take a whole batch is a short send; a run with any is invalid.

#![allow(unsafe_code, reason = "the floor calls the kernel with nothing in between")]

use std::io::{Error, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};

use anyhow::{Context, Result, ensure};
use tungstenite::handshake::derive_accept_key;

const UPGRADED: &str = "HTTP/1.1 101 Upgraded\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";

/// Serves the events of `channel` until it is killed. Prints its WebSocket URL,
/// and `short_sends=N` whenever that count has grown.
pub fn run(redis: &str, channel: &str) -> Result<()> {
    let mut floor = Floor::start(redis, channel)?;
    println!("ws://{}/", floor.listener.local_addr()?);
    loop {
        floor.turn()?;
    }
}

struct Floor {
    epoll: RawFd,
    listener: TcpListener,
    redis: TcpStream,
    inbox: Vec<u8>,
    /// How much of `inbox` is an incomplete message.
    filled: usize,
    batch: Vec<u8>,
    /// The clients that finished their handshake.
    members: Vec<RawFd>,
    short_sends: u64,
}

impl Floor {
    fn start(redis: &str, channel: &str) -> Result<Self> {
        let mut redis = TcpStream::connect(redis).context("Redis does not answer")?;
        write!(redis, "SUBSCRIBE {channel}\r\n")?;
        let length = channel.len();
        let confirmation = format!("*3\r\n$9\r\nsubscribe\r\n${length}\r\n{channel}\r\n:1\r\n");
        redis.read_exact(&mut vec![0; confirmation.len()])?;
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        // SAFETY: both take numbers only. With std's backlog of 128 fast connects are dropped.
        let epoll = unsafe { (libc::listen(listener.as_raw_fd(), 4096), libc::epoll_create1(0)).1 };
        ensure!(epoll >= 0, "epoll_create1: {}", Error::last_os_error());
        let (inbox, batch, members) = (vec![0; 256 * 1024], vec![], vec![]);
        let (filled, short_sends) = (0, 0);
        let floor = Self { epoll, listener, redis, inbox, filled, batch, members, short_sends };
        floor.watch(floor.listener.as_raw_fd());
        floor.watch(floor.redis.as_raw_fd());
        Ok(floor)
    }

    fn watch(&self, fd: RawFd) {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: fd as u64 };
        // SAFETY: `event` lives through the call, which copies it.
        unsafe { libc::epoll_ctl(self.epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
    }

    fn turn(&mut self) -> Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
        // SAFETY: the pointer and the count describe `events`.
        let count = unsafe { libc::epoll_wait(self.epoll, events.as_mut_ptr(), 256, -1) };
        for event in &events[..usize::try_from(count).unwrap_or(0)] {
            match event.u64 as RawFd {
                fd if fd == self.redis.as_raw_fd() => self.fan_out()?,
                fd if fd == self.listener.as_raw_fd() => self.accept()?,
                fd => self.read_client(fd),
            }
        }
        Ok(())
    }

    fn fan_out(&mut self) -> Result<()> {
        let read = self.redis.read(&mut self.inbox[self.filled..])?;
        ensure!(read > 0, "Redis closed the connection");
        self.filled += read;
        self.batch.clear();
        let mut rest = &self.inbox[..self.filled];
        while let Some((payload, after)) = split_message(rest) {
            // A text frame whose length takes 16 bits: 126 to 65,535 bytes.
            let [high, low] = u16::try_from(payload.len())?.to_be_bytes();
            self.batch.extend([0x81, 126, high, low]);
            self.batch.extend_from_slice(payload);
            rest = after;
        }
        let kept = self.filled - rest.len()..self.filled;
        self.filled = kept.len();
        self.inbox.copy_within(kept, 0);
        let receivers = if self.batch.is_empty() { &[][..] } else { &self.members };
        let short = receivers.iter().filter(|&&fd| !send(fd, &self.batch)).count();
        if short > 0 {
            self.short_sends += short as u64;
            println!("short_sends={}", self.short_sends);
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        while let Ok((client, _)) = self.listener.accept() {
            client.set_nodelay(true)?;
            self.watch(client.into_raw_fd());
        }
        Ok(())
    }

    /// A client's first bytes are its whole request, because the load generator
    /// sends it by one write; what comes later is a pong, or the end.
    fn read_client(&mut self, fd: RawFd) {
        let mut bytes = [0_u8; 2048];
        // SAFETY: the pointer and the length describe `bytes`.
        let read = unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) };
        let request = String::from_utf8_lossy(&bytes[..usize::try_from(read).unwrap_or(0)]);
        if let Some((_, key)) = request.split_once("Sec-WebSocket-Key: ") {
            let accept = derive_accept_key(key.get(..24).unwrap_or_default().as_bytes());
            let answer = format!("{UPGRADED}Sec-WebSocket-Accept: {accept}\r\n\r\n");
            send(fd, answer.as_bytes());
            self.members.push(fd);
        } else if read <= 0 {
            self.members.retain(|&member| member != fd);
            // SAFETY: `accept` gave up the ownership, and no list names it any longer.
            unsafe { libc::close(fd) };
        }
    }
}

fn send(fd: RawFd, bytes: &[u8]) -> bool {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the pointer and the length describe `bytes`.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent) == Ok(bytes.len())
}

fn split_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = split_bulk(bytes.get("*3\r\n".len()..)?)?;
    split_bulk(split_bulk(rest)?.1)
}

fn split_bulk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = bytes.iter().position(|&byte| byte == b'\n')? + 1;
    let length: usize = std::str::from_utf8(&bytes[1..start - 2]).ok()?.parse().ok()?;
    Some((bytes.get(start..start + length)?, bytes.get(start + length + 2..)?))
}
