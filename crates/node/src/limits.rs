//! How many connections may be open and how fast they may come, counted where it
//! can't go wrong: by a guard.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use prometheus::IntGauge;

use crate::config::NodeConfig;
use crate::rate::{Bucket, Rate};

/// How much of an IPv6 address is one subscriber's: providers hand out a /64, in which
/// anybody can take a new address for each connection.
const IPV6_PREFIX: u32 = 64;

/// Why one more connection is not taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The instance holds as many connections as it may.
    #[error("this instance holds as many connections as it may ({limit})")]
    Full {
        /// The limit that was reached.
        limit: usize,
    },
    /// One address holds as many connections as it may.
    #[error("an address may hold at most {limit} connections here")]
    AddressFull {
        /// The limit that was reached.
        limit: usize,
    },
    /// Connections come faster than they may.
    #[error("connections come faster than this instance takes them; try again in a moment")]
    TooFast,
}

/// Counts open connections for the limits and for the gauge alike.
#[derive(Debug)]
pub(crate) struct Connections {
    open: AtomicUsize,
    limit: usize,
    gauge: IntGauge,
    per_address: usize,
    /// Connections of each address; empty while there is no limit for them.
    addresses: Mutex<HashMap<IpAddr, usize>>,
    handshakes: Option<(Rate, Mutex<Bucket>)>,
}

/// One counted connection. It belongs in the struct that owns the socket, so that
/// count and descriptor fall together, however the connection ends.
#[derive(Debug)]
pub struct ConnectionPermit {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    pub(crate) fn new(config: &NodeConfig, gauge: IntGauge) -> Arc<Self> {
        let rate = Rate::new(config.handshakes_per_second, config.handshakes_per_second);
        Arc::new(Self {
            open: AtomicUsize::new(0),
            limit: config.max_connections,
            gauge,
            per_address: config.max_connections_per_address,
            addresses: Mutex::default(),
            handshakes: rate.map(|rate| (rate, Mutex::default())),
        })
    }

    /// Whether one more handshake may be looked at now; if so, it is counted.
    pub(crate) fn admit_handshake(&self) -> Result<(), NotAdmitted> {
        match &self.handshakes {
            Some((rate, bucket)) if !rate.allows(&mut bucket.lock(), Instant::now()) => {
                Err(NotAdmitted::TooFast)
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
    ) -> Result<ConnectionPermit, NotAdmitted> {
        self.count_address(address)?;
        let admitted = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < self.limit).then_some(open + 1)
        });
        if admitted.is_err() {
            self.discount_address(address);
            return Err(NotAdmitted::Full { limit: self.limit });
        }
        self.gauge.inc();
        Ok(ConnectionPermit { connections: self.clone(), address })
    }

    /// Whether one more connection of `address` would be taken now. Nothing is counted,
    /// so it may be full when the connection comes.
    pub(crate) fn check_room(&self, address: IpAddr) -> Result<(), NotAdmitted> {
        let limit = self.per_address;
        // Without a limit handshakes need not wait for each other here.
        if limit != 0 && self.of_address(address) >= limit {
            return Err(NotAdmitted::AddressFull { limit });
        }
        if self.open() >= self.limit {
            return Err(NotAdmitted::Full { limit: self.limit });
        }
        Ok(())
    }

    pub(crate) fn gauge(&self) -> IntGauge {
        self.gauge.clone()
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn of_address(&self, address: IpAddr) -> usize {
        self.addresses.lock().get(&subscriber(address)).copied().unwrap_or_default()
    }

    fn count_address(&self, address: IpAddr) -> Result<(), NotAdmitted> {
        if self.per_address == 0 {
            return Ok(());
        }
        let mut addresses = self.addresses.lock();
        let open = addresses.entry(subscriber(address)).or_default();
        if *open >= self.per_address {
            return Err(NotAdmitted::AddressFull { limit: self.per_address });
        }
        *open += 1;
        Ok(())
    }

    fn discount_address(&self, address: IpAddr) {
        if self.per_address == 0 {
            return;
        }
        let mut addresses = self.addresses.lock();
        let key = subscriber(address);
        if let Some(open) = addresses.get_mut(&key) {
            *open -= 1;
            if *open == 0 {
                addresses.remove(&key);
            }
        }
    }
}

impl ConnectionPermit {
    /// Whose connection it is.
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.connections.discount_address(self.address);
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        self.connections.gauge.dec();
    }
}

/// The address under which a subscriber is counted.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::MAX << (u128::BITS - IPV6_PREFIX);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOMEBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn connections(config: &NodeConfig) -> (Arc<Connections>, IntGauge) {
        let gauge = IntGauge::new("connections", "open").unwrap();
        (Connections::new(config, gauge.clone()), gauge)
    }

    #[test]
    fn admits_up_to_the_limit_and_again_after_one_left() {
        let config = NodeConfig { max_connections: 2, ..NodeConfig::default() };
        let (connections, gauge) = connections(&config);
        let first = connections.admit(SOMEBODY).unwrap();
        let _second = connections.admit(SOMEBODY).unwrap();
        assert_eq!(connections.admit(SOMEBODY).err(), Some(NotAdmitted::Full { limit: 2 }));
        assert_eq!(gauge.get(), 2);
        drop(first);
        assert_eq!((gauge.get(), connections.open()), (1, 1));
        assert!(connections.admit(SOMEBODY).is_ok());
        assert_eq!(gauge.get(), 1);
    }

    #[test]
    fn an_address_at_its_limit_leaves_room_for_others() {
        let config = NodeConfig {
            max_connections: 3,
            max_connections_per_address: 2,
            ..NodeConfig::default()
        };
        let (connections, gauge) = connections(&config);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let admit = |text: &str| connections.admit(address(text));
        // One /64 is one subscriber, and an IPv4 address written as IPv6 is itself.
        let first = admit("2001:db8::1").unwrap();
        let second = admit("2001:db8::ffff:2").unwrap();
        let full = NotAdmitted::AddressFull { limit: 2 };
        assert_eq!(admit("2001:db8:0:0:1::").err(), Some(full));
        let other = admit("2001:db8:0:1::1").unwrap();
        // The instance's own limit takes nothing from an address that it refuses.
        assert_eq!(admit("192.0.2.1").err(), Some(NotAdmitted::Full { limit: 3 }));
        drop(other);
        let _v4 = admit("192.0.2.1").unwrap();
        drop(first);
        let _mapped = admit("::ffff:192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").err(), Some(full));
        assert_eq!((gauge.get(), connections.addresses.lock().len()), (3, 2));
        // Looking whether there is room says the same and counts nothing.
        let check = |text: &str| connections.check_room(address(text)).err();
        assert_eq!(check("::ffff:192.0.2.1"), Some(full));
        assert_eq!(check("2001:db8::3"), Some(NotAdmitted::Full { limit: 3 }));
        drop(second);
        assert_eq!((check("2001:db8::3"), check("192.0.2.1")), (None, Some(full)));
        assert_eq!((gauge.get(), connections.addresses.lock().len()), (2, 1));
    }

    #[test]
    fn no_address_is_kept_without_a_limit_or_after_its_last_connection() {
        for max_connections_per_address in [0, 1] {
            let config = NodeConfig { max_connections_per_address, ..NodeConfig::default() };
            let (connections, _) = connections(&config);
            drop(connections.admit(SOMEBODY).unwrap());
            assert!(connections.addresses.lock().is_empty());
        }
    }

    #[test]
    fn handshakes_beyond_the_rate_are_refused() {
        let config = NodeConfig { handshakes_per_second: 3, ..NodeConfig::default() };
        let (limited, _) = connections(&config);
        let admitted = (0..100).filter(|_| limited.admit_handshake().is_ok()).count();
        assert!((3..=4).contains(&admitted), "{admitted}");
        let (free, _) = connections(&NodeConfig::default());
        assert!((0..100).all(|_| free.admit_handshake().is_ok()));
    }
}
