//! A TCP proxy that breaks what goes through it, in ways that can be changed at any
//! moment and for each direction by itself.
//!
//! ```text
//! accept (Door) ── relay ──┬─ pump, towards the server (Fault)
//!                          └─ pump, towards the client (Fault)
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

const CHUNK: usize = 64 << 10;

/// What happens to the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// They arrive.
    Pass,
    /// They wait, as packets do that are sent again and again until a broken network is
    /// mended: afterwards they arrive, and nothing is lost.
    Stall,
    /// They vanish, and so does whatever that connection sends later: a middlebox has
    /// forgotten it. Connections that lost nothing are well again afterwards.
    Drop,
    /// They arrive this much later, twice this at most.
    Delay(Duration),
    /// The end of the connection is not told to the other side.
    HalfOpen,
    /// So many bytes arrive on each connection, then it is reset.
    CutAfter(u64),
    /// The same for the connections that are there; those to come are well.
    CutOnce(u64),
}

/// What happens to whoever dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// It is connected.
    Open,
    /// Nobody listens.
    Refuse,
    /// It is accepted and never hears a word.
    Silent,
}

/// Where bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From who dialled to the server.
    ToServer,
    /// From the server to who dialled.
    ToClient,
}

impl Way {
    fn back(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

/// A running proxy; gone, with all its connections, when dropped.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    server: Mutex<SocketAddr>,
    door: watch::Sender<Door>,
    to_server: watch::Sender<Fault>,
    to_client: watch::Sender<Fault>,
    /// Counts the cuts: each ends every connection there is.
    cuts: watch::Sender<u64>,
    accepted: AtomicU64,
    bytes_to_server: AtomicU64,
    bytes_to_client: AtomicU64,
}

impl FaultProxy {
    /// A proxy on a free loopback port in front of a server.
    pub async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let shared = Arc::new(Shared {
            server: Mutex::new(server),
            door: watch::Sender::new(Door::Open),
            to_server: watch::Sender::new(Fault::Pass),
            to_client: watch::Sender::new(Fault::Pass),
            cuts: watch::Sender::new(0),
            accepted: AtomicU64::new(0),
            bytes_to_server: AtomicU64::new(0),
            bytes_to_client: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    /// Where to dial it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `redis://` of its address.
    pub fn redis_url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Who is dialled for connections from now on.
    pub fn turn_to(&self, server: SocketAddr) {
        *self.shared.server.lock().expect("no panic under the lock") = server;
    }

    /// Breaks one direction of all connections, those to come included.
    pub fn set(&self, way: Way, fault: Fault) {
        self.shared.fault(way).send_replace(fault);
    }

    /// Breaks both directions alike.
    pub fn set_both(&self, fault: Fault) {
        self.set(Way::ToServer, fault);
        self.set(Way::ToClient, fault);
    }

    /// What happens to those who dial from now on.
    pub fn set_door(&self, door: Door) {
        self.shared.door.send_replace(door);
    }

    /// Resets every connection there is.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// All is well again: what is dialled and sent from now on arrives.
    pub fn mend(&self) {
        self.set_both(Fault::Pass);
        self.set_door(Door::Open);
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// How many bytes have arrived so far.
    pub fn bytes(&self, way: Way) -> u64 {
        self.shared.bytes(way).load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn fault(&self, way: Way) -> &watch::Sender<Fault> {
        match way {
            Way::ToServer => &self.to_server,
            Way::ToClient => &self.to_client,
        }
    }

    fn bytes(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::ToServer => &self.bytes_to_server,
            Way::ToClient => &self.bytes_to_client,
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let address = listener.local_addr().expect("a bound address");
    let mut listener = Some(listener);
    let mut door = shared.door.subscribe();
    let mut relays = JoinSet::new();
    loop {
        let now = *door.borrow_and_update();
        if now == Door::Refuse {
            listener = None;
            let _ = door.changed().await;
            continue;
        }
        if listener.is_none() {
            listener = Some(TcpListener::bind(address).await.expect("its port is free again"));
        }
        let Some(open) = &listener else { continue };
        tokio::select! {
            _ = door.changed() => {}
            accepted = open.accept() => if let Ok((client, _)) = accepted {
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                relays.spawn(relay(client, now, Arc::clone(&shared)));
            },
            _ = relays.join_next(), if !relays.is_empty() => {}
        }
    }
}

/// Carries one connection to its end.
async fn relay(mut client: TcpStream, door: Door, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    if door == Door::Silent {
        let _ = cuts.changed().await;
        return;
    }
    let server = *shared.server.lock().expect("no panic under the lock");
    let Ok(mut server) = TcpStream::connect(server).await else {
        reset(&client);
        return;
    };
    for socket in [&client, &server] {
        let _ = socket.set_nodelay(true);
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let up = pump(from_client, to_server, Way::ToServer, &shared);
    let down = pump(from_server, to_client, Way::ToClient, &shared);
    let broken = tokio::select! {
        ended = async { tokio::try_join!(up, down) } => ended.is_err(),
        _ = cuts.changed() => true,
    };
    if broken {
        reset(&client);
        reset(&server);
    }
}

/// Makes the end of a socket a TCP reset.
fn reset(socket: &TcpStream) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// Carries one direction until its source ends; an error ends both directions.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    way: Way,
    shared: &Shared,
) -> io::Result<()> {
    let mut faults = shared.fault(way).subscribe();
    let mut buffer = vec![0; CHUNK];
    let mut is_forgotten = false;
    let mut fault = match *faults.borrow_and_update() {
        Fault::CutOnce(_) => Fault::Pass,
        fault => fault,
    };
    loop {
        if fault == Fault::Stall {
            fault = changed(&mut faults).await;
            continue;
        }
        let count = tokio::select! {
            biased;
            now = changed(&mut faults) => {
                fault = now;
                continue;
            }
            count = from.read(&mut buffer) => count,
        };
        let read_at = Instant::now();
        let count = match (count, fault) {
            (Ok(0) | Err(_), Fault::HalfOpen | Fault::Drop) => {
                // The other side learns of it when all is well again.
                while matches!(fault, Fault::HalfOpen | Fault::Drop) {
                    fault = changed(&mut faults).await;
                }
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            (Ok(0), _) => return to.shutdown().await,
            (count, _) => count?,
        };
        is_forgotten |= fault == Fault::Drop;
        if is_forgotten {
            continue;
        }
        let mut arriving = &buffer[..count];
        match &mut fault {
            Fault::Delay(delay) => sleep_until(read_at + *delay).await,
            Fault::CutAfter(left) | Fault::CutOnce(left) => {
                let some = usize::try_from(*left).unwrap_or(usize::MAX).min(count);
                arriving = &arriving[..some];
                *left -= some as u64;
            }
            Fault::Pass | Fault::HalfOpen | Fault::Stall | Fault::Drop => {}
        }
        if let Err(error) = to.write_all(arriving).await {
            if *shared.fault(way.back()).borrow() != Fault::HalfOpen {
                return Err(error);
            }
            // The other side has ended, which this one must not hear of.
            is_forgotten = true;
        }
        shared.bytes(way).fetch_add(arriving.len() as u64, Ordering::Relaxed);
        if matches!(fault, Fault::CutAfter(0) | Fault::CutOnce(0)) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
    }
}

async fn changed(faults: &mut watch::Receiver<Fault>) -> Fault {
    if faults.changed().await.is_err() {
        // The proxy is gone and takes this task with it.
        std::future::pending::<()>().await;
    }
    *faults.borrow_and_update()
}

#[cfg(test)]
#[path = "fault_proxy_tests.rs"]
mod tests;
