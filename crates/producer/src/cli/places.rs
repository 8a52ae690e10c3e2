//! How many connections one address may have at a time: whoever opens sockets and says
//! nothing must not take the places of all others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::Mutex;

/// The places of a listener; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// Of one address; in IPv6, of one /64.
    most: usize,
    /// Proxies, each of which stands for many.
    exempt: Arc<[IpNet]>,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection's place, given back when it is dropped.
pub(super) struct Place {
    /// None for those who are not counted.
    counted: Option<(Places, IpAddr)>,
}

impl Places {
    /// At most `most` for each address that is none of `exempt`; 0 is no limit.
    pub(super) fn new(most: usize, exempt: Vec<IpNet>) -> Self {
        Self { most, exempt: exempt.into(), taken: Arc::default() }
    }

    /// A place for a connection from `peer`; none where it has too many.
    pub(super) fn take(&self, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        if self.most == 0 || self.exempt.iter().any(|network| network.contains(&peer)) {
            return Some(Place { counted: None });
        }
        let address = household(peer);
        let mut taken = self.taken.lock();
        let count = taken.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { counted: Some((self.clone(), address)) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((places, address)) = &self.counted else { return };
        let mut taken = places.taken.lock();
        if let Some(count) = taken.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(address);
            }
        }
    }
}

/// A household has a whole /64 of IPv6 addresses (RFC 6177).
fn household(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_and_gets_them_back() {
        let places = Places::new(2, vec!["10.0.0.0/8".parse().unwrap()]);
        let take = |text: &str| places.take(text.parse().unwrap());
        let held = [take("192.0.2.1"), take("::ffff:192.0.2.1"), take("2001:db8::1")];
        assert!(held.iter().all(Option::is_some));
        assert!(take("192.0.2.1").is_none() && take("192.0.2.2").is_some());
        let other = take("2001:db8::2:1");
        assert!(other.is_some() && take("2001:db8::3").is_none());
        let proxied: Vec<_> = (0..9).map(|_| take("10.1.2.3")).collect();
        assert!(proxied.iter().all(Option::is_some));
        drop(held);
        assert!(take("192.0.2.1").is_some());
        drop((other, proxied));
        assert!(places.taken.lock().is_empty(), "who has left is forgotten");
    }
}
