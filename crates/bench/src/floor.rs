//! The floor: the least a server can do to hand each event to each client.
//!
//! One thread, epoll and `send()` through libc, nothing else. A batch is what one
//! `read()` from Redis returned; each client gets its part by one `send()` that never
//! waits. A client that can't take all of it is a short send and spoils the run.

#![allow(unsafe_code, reason = "the floor calls the kernel with nothing in between")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};

use anyhow::{Context, Result, ensure};
use tungstenite::handshake::derive_accept_key;

use crate::resp::split_push;

const UPGRADED: &str = "HTTP/1.1 101 Upgraded\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";

struct Floor {
    epoll: RawFd,
    redis: TcpStream,
    inbox: Vec<u8>,
    unparsed: usize,
    index_of: HashMap<Vec<u8>, usize>,
    /// The frames of this batch, and the clients that finished their handshake.
    channels: Vec<(Vec<u8>, Vec<RawFd>)>,
    /// The channels that have frames in this batch.
    touched: Vec<usize>,
}

/// Serves the channels that clients name by their path, until it is killed. Prints the
/// WebSocket URL of `channel`, and `short_sends=N` after each batch with short sends.
pub fn run(redis: &str, channel: &str) -> Result<()> {
    let redis = TcpStream::connect(redis).context("Redis does not answer")?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    // SAFETY: both take numbers only. With std's backlog of 128 fast connects are dropped.
    let epoll = unsafe { (libc::listen(listener.as_raw_fd(), 4096), libc::epoll_create1(0)).1 };
    println!("ws://{}/{channel}", listener.local_addr()?);
    let (inbox, index_of, channels) = (vec![0; 256 * 1024], HashMap::new(), vec![]);
    let mut floor = Floor { epoll, redis, inbox, unparsed: 0, index_of, channels, touched: vec![] };
    floor.watch(listener.as_raw_fd());
    floor.watch(floor.redis.as_raw_fd());
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
    loop {
        // SAFETY: the pointer and the count describe `events`.
        let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), 256, -1) };
        for event in &events[..usize::try_from(count).unwrap_or(0)] {
            match event.u64 as RawFd {
                fd if fd == floor.redis.as_raw_fd() => floor.fan_out()?,
                fd if fd != listener.as_raw_fd() => floor.read_client(fd)?,
                _ => {
                    for client in listener.incoming().map_while(Result::ok) {
                        client.set_nodelay(true)?;
                        floor.watch(client.into_raw_fd());
                    }
                }
            }
        }
    }
}

impl Floor {
    fn watch(&self, fd: RawFd) {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: fd as u64 };
        // SAFETY: `event` lives through the call, which copies it.
        unsafe { libc::epoll_ctl(self.epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
    }

    /// A client's first bytes are its whole request; what comes later is a pong, or the end.
    fn read_client(&mut self, fd: RawFd) -> Result<()> {
        let mut bytes = [0_u8; 2048];
        // SAFETY: the pointer and the length describe `bytes`.
        let read = unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) };
        let request = String::from_utf8_lossy(&bytes[..usize::try_from(read).unwrap_or(0)]);
        if let Some((head, key)) = request.split_once("Sec-WebSocket-Key: ") {
            let accept = derive_accept_key(key.get(..24).unwrap_or_default().as_bytes());
            send(fd, format!("{UPGRADED}Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes());
            let channel = head.split(['/', ' ']).nth(2).context("a request without a path")?;
            let index = *self.index_of.entry(channel.into()).or_insert(self.channels.len());
            if index == self.channels.len() {
                write!(self.redis, "SUBSCRIBE {channel}\r\n")?;
                self.channels.push((vec![], vec![]));
            }
            self.channels[index].1.push(fd);
        } else if read <= 0 {
            self.channels.iter_mut().for_each(|(_, members)| members.retain(|&one| one != fd));
            // SAFETY: `accept` gave up the ownership, and no list names it any longer.
            unsafe { libc::close(fd) };
        }
        Ok(())
    }

    fn fan_out(&mut self) -> Result<()> {
        let read = self.redis.read(&mut self.inbox[self.unparsed..])?;
        ensure!(read > 0, "Redis closed the connection");
        let filled = self.unparsed + read;
        let mut rest = &self.inbox[..filled];
        while let Some(([kind, channel, payload], after)) = split_push(rest) {
            rest = after;
            if let (b"message", Some(&index)) = (kind, self.index_of.get(channel)) {
                let batch = &mut self.channels[index].0;
                self.touched.extend(batch.is_empty().then_some(index));
                append_text(batch, payload);
            }
        }
        self.unparsed = rest.len();
        self.inbox.copy_within(filled - self.unparsed..filled, 0);
        let mut short = 0;
        for index in self.touched.drain(..) {
            let (batch, members) = &mut self.channels[index];
            short += members.iter().filter(|&&fd| !send(fd, batch)).count();
            batch.clear();
        }
        if short > 0 {
            println!("short_sends={short}");
        }
        Ok(())
    }
}

fn send(fd: RawFd, bytes: &[u8]) -> bool {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the pointer and the length describe `bytes`.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent) == Ok(bytes.len())
}

fn append_text(batch: &mut Vec<u8>, payload: &[u8]) {
    let length @ [.., high, low] = (payload.len() as u64).to_be_bytes();
    match payload.len() {
        0..126 => batch.extend([0x81, low]),
        126..0x1_0000 => batch.extend([0x81, 126, high, low]),
        _ => batch.extend([0x81, 127].into_iter().chain(length)),
    }
    batch.extend_from_slice(payload);
}
