//! Visitors: a keep-alive connection from each of many source addresses, and page views
//! at a pace that does not wait for answers.
//!
//! A view is due when the pace says so. If its visitor still waits for an answer, the view
//! waits, too, and its latency counts from when it was due: a stall of the collector shows
//! in every view that it delays, not in one per connection.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{Timespec, epoll};
use socket2::{Domain, Socket, Type};

use super::answers::{Split, split};
use super::beacons::Beacons;
use super::ledger::Ledger;
use super::pace::{NO_CONTENT, Outcome, Plan, Run, View};
use crate::machine::check_interrupt;
use crate::payload::now_ns;

/// Longer than any answer of the collector.
const ANSWER: usize = 16 * 1024;

/// Many visitors of one collector.
pub struct Visitors {
    epoll: OwnedFd,
    collector: SocketAddr,
    list: Vec<Visitor>,
    beacons: Beacons,
    /// What all of them were told.
    pub ledger: Ledger,
    /// Views so far, over all runs: no run repeats the bodies of the one before.
    sent: u64,
    request: Vec<u8>,
    answer: Box<[u8]>,
}

struct Visitor {
    stream: TcpStream,
    under_way: Option<View>,
    /// At most as many as one plan has for one visitor.
    waiting: VecDeque<View>,
    /// The start of an answer.
    partial: Vec<u8>,
}

impl Visitors {
    /// Connects `count` visitors, each from a loopback address of its own.
    pub fn open(collector: SocketAddr, count: usize) -> Result<Self> {
        let mut visitors = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            collector,
            list: Vec::with_capacity(count),
            beacons: Beacons::new(collector),
            ledger: Ledger::default(),
            sent: 0,
            request: Vec::new(),
            answer: vec![0; ANSWER].into_boxed_slice(),
        };
        for index in 0..count {
            check_interrupt()?;
            let stream = visitors.dial(index)?;
            let (waiting, partial) = (VecDeque::new(), Vec::new());
            visitors.list.push(Visitor { stream, under_way: None, waiting, partial });
        }
        Ok(visitors)
    }

    fn dial(&self, index: usize) -> Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source(index)?, 0)).into())?;
        let connected = socket.connect(&self.collector.into());
        connected.with_context(|| format!("can't connect to {}", self.collector))?;
        // Closing sends a reset, so that no port waits a minute in TIME_WAIT.
        socket.set_linger(Some(Duration::ZERO))?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let token = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &stream, token, epoll::EventFlags::IN)?;
        Ok(stream)
    }

    /// Carries out `plan`. `accepted` counts along, lead-in and all.
    pub fn run(&mut self, plan: &Plan, accepted: &AtomicU64) -> Result<Outcome> {
        let mut run = Run::new(plan, accepted);
        while !run.is_over() {
            check_interrupt()?;
            self.issue(&mut run)?;
            self.poll(&mut run)?;
        }
        self.give_up(&mut run)?;
        Ok(run.outcome)
    }

    /// Sends what is due, or lets it wait for its visitor.
    fn issue(&mut self, run: &mut Run<'_>) -> Result<()> {
        let now_ns = now_ns();
        while let Some((turn, view)) = run.issue(self.sent, now_ns) {
            self.sent += 1;
            let index = (turn % self.list.len() as u64) as usize;
            if self.list[index].under_way.is_some() {
                self.list[index].waiting.push_back(view);
            } else {
                self.send(index, view, run)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize, view: View, run: &mut Run<'_>) -> Result<()> {
        self.beacons.render(view.number, index, &mut self.request);
        let visitor = &mut self.list[index];
        visitor.under_way = Some(view);
        match visitor.stream.write(&self.request) {
            Ok(sent) if sent == self.request.len() => Ok(()),
            // An empty socket takes a request of a kilobyte, or it is a dead one.
            Ok(_) => bail!("the kernel took only a part of a request"),
            Err(_) => self.lose(index, run),
        }
    }

    /// Reads what has come, waiting until the next view is due at most.
    fn poll(&mut self, run: &mut Run<'_>) -> Result<()> {
        let next = run.next_ns().saturating_sub(now_ns());
        let limit = Timespec::try_from(Duration::from_nanos(next.min(50_000_000)))?;
        let mut space = [const { MaybeUninit::uninit() }; 512];
        let ready = match epoll::wait(&self.epoll, &mut space, Some(&limit)) {
            Ok((ready, _)) => ready,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error).context("epoll_wait"),
        };
        for event in ready {
            self.read(event.data.u64() as usize, run)?;
        }
        Ok(())
    }

    fn read(&mut self, index: usize, run: &mut Run<'_>) -> Result<()> {
        let visitor = &mut self.list[index];
        let kept = visitor.partial.len();
        self.answer[..kept].copy_from_slice(&visitor.partial);
        let read = match visitor.stream.read(&mut self.answer[kept..]) {
            Ok(read) if read > 0 => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Ok(_) | Err(_) => return self.lose(index, run),
        };
        let bytes = &self.answer[..kept + read];
        match split(bytes) {
            Split::Partial if bytes.len() < ANSWER => {
                visitor.partial.clear();
                visitor.partial.extend_from_slice(bytes);
                Ok(())
            }
            Split::Answer { status, length } => {
                ensure!(length == bytes.len(), "a request was answered by more than one answer");
                visitor.partial.clear();
                let view = visitor.under_way.take().context("an answer to no request")?;
                self.note(view, status);
                run.end(view, Some(status));
                self.go_on(index, run)
            }
            Split::Partial | Split::Corrupt => {
                let said = String::from_utf8_lossy(bytes);
                bail!("the collector's answer can't be read: {:?}", said.lines().next())
            }
        }
    }

    /// An error of the server's says nothing of what became of the view.
    fn note(&mut self, view: View, status: u16) {
        let page = self.beacons.page(view.number);
        match status {
            NO_CONTENT => self.ledger.accepted.add(page),
            500.. => self.ledger.unknown.add(page),
            _ => {}
        }
    }

    fn go_on(&mut self, index: usize, run: &mut Run<'_>) -> Result<()> {
        match self.list[index].waiting.pop_front() {
            Some(view) => self.send(index, view, run),
            None => Ok(()),
        }
    }

    /// A connection has ended: its view has no answer, and the visitor dials again.
    fn lose(&mut self, index: usize, run: &mut Run<'_>) -> Result<()> {
        run.outcome.closed += 1;
        self.renew(index, run)?;
        self.go_on(index, run)
    }

    fn renew(&mut self, index: usize, run: &mut Run<'_>) -> Result<()> {
        self.list[index].stream = self.dial(index)?;
        self.list[index].partial.clear();
        if let Some(view) = self.list[index].under_way.take() {
            self.ledger.unknown.add(self.beacons.page(view.number));
            run.end(view, None);
        }
        Ok(())
    }

    /// What is not answered by now never will be, and what waits is not sent: the next
    /// run starts with nothing behind it.
    fn give_up(&mut self, run: &mut Run<'_>) -> Result<()> {
        for index in 0..self.list.len() {
            while let Some(view) = self.list[index].waiting.pop_front() {
                run.end(view, None);
            }
            if self.list[index].under_way.is_some() {
                self.renew(index, run)?;
            }
        }
        Ok(())
    }
}

/// A loopback address for visitor number `index`, never that of the servers.
fn source(index: usize) -> Result<Ipv4Addr> {
    let number = u16::try_from(index).context("too many visitors")?;
    Ok(Ipv4Addr::new(
        127,
        1 + (number / 62_500) as u8,
        (number / 250 % 250) as u8,
        (number % 250) as u8 + 1,
    ))
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
