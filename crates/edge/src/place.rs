//! A socket's place among those of its listener: what it is counted as, from accept to
//! the end of its descriptor.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use prometheus::IntGauge;
use redcast_node::ConnectionPermit;

use crate::sse::Pipe;

/// What the HTTP server's side of a socket and the handlers of its requests share.
pub(crate) struct SocketPlace {
    counts: Mutex<Counts>,
    /// What feeds its answer, once that is an event stream.
    pipe: OnceLock<Arc<Pipe>>,
}

/// The end of a place; held beside the socket, so that count and descriptor fall
/// together. A guard of its own, because who shares a place may keep it for longer.
pub(crate) struct HeldPlace(Arc<SocketPlace>);

/// A socket is counted once: as one that speaks plain HTTP, or as a connection.
#[derive(Default)]
struct Counts {
    plain: Option<Counted>,
    _connection: Option<ConnectionPermit>,
}

struct Counted(IntGauge);

impl SocketPlace {
    /// A new socket's place: it speaks plain HTTP until it is known to do otherwise.
    pub(crate) fn take(http: &IntGauge) -> HeldPlace {
        let counts = Counts { plain: Some(Counted::new(http)), _connection: None };
        HeldPlace(Arc::new(Self { counts: Mutex::new(counts), pipe: OnceLock::new() }))
    }

    /// From now on the socket is a connection, and no plain one, to its end; what is
    /// written to it comes from `pipe`. Answers whether that could be: a socket carries
    /// one event stream.
    pub(crate) fn become_connection(&self, permit: ConnectionPermit, pipe: Arc<Pipe>) -> bool {
        let mut counts = self.counts.lock();
        let becomes = counts.plain.is_some() && self.pipe.set(pipe).is_ok();
        if becomes {
            *counts = Counts { plain: None, _connection: Some(permit) };
        }
        becomes
    }

    /// What feeds the socket, where it carries an event stream.
    pub(crate) fn pipe(&self) -> Option<&Arc<Pipe>> {
        self.pipe.get()
    }
}

impl HeldPlace {
    /// The place, for those who serve the socket.
    pub(crate) fn shared(&self) -> Arc<SocketPlace> {
        self.0.clone()
    }
}

impl Drop for HeldPlace {
    fn drop(&mut self) {
        *self.0.counts.lock() = Counts::default();
        if let Some(pipe) = self.0.pipe() {
            pipe.socket_ended();
        }
    }
}

impl Counted {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
