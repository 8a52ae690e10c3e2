//! The other end of a socket, and whose connection it is.

use std::net::IpAddr;

pub(crate) use redcast_address::client_address;

/// The other end of a socket, as the listener saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);
