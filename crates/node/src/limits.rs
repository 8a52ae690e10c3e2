//! How many connections may be open, counted where it can't go wrong: by a guard.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::IntGauge;

/// The instance holds as many connections as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this instance holds as many connections as it may ({limit})")]
pub struct Full {
    /// The limit that was reached.
    pub limit: usize,
}

/// Counts open connections for the limit and for the gauge alike.
#[derive(Debug)]
pub(crate) struct Connections {
    open: AtomicUsize,
    limit: usize,
    gauge: IntGauge,
}

/// One counted connection. It belongs in the struct that owns the socket, so that
/// count and descriptor fall together, however the connection ends.
#[derive(Debug)]
pub struct ConnectionPermit(Arc<Connections>);

impl Connections {
    pub(crate) fn new(limit: usize, gauge: IntGauge) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), limit, gauge })
    }

    pub(crate) fn admit(self: &Arc<Self>) -> Result<ConnectionPermit, Full> {
        let admitted = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < self.limit).then_some(open + 1)
        });
        match admitted {
            Ok(_) => {
                self.gauge.inc();
                Ok(ConnectionPermit(self.clone()))
            }
            Err(_) => Err(Full { limit: self.limit }),
        }
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admits_up_to_the_limit_and_again_after_one_left() {
        let gauge = IntGauge::new("connections", "open").unwrap();
        let connections = Connections::new(2, gauge.clone());
        let first = connections.admit().unwrap();
        let _second = connections.admit().unwrap();
        assert_eq!(connections.admit().err(), Some(Full { limit: 2 }));
        assert_eq!(gauge.get(), 2);
        drop(first);
        assert_eq!((gauge.get(), connections.open()), (1, 1));
        assert!(connections.admit().is_ok());
        assert_eq!(gauge.get(), 1);
    }
}
