//! Who may connect, and which channels a connection may be in.

use std::net::IpAddr;
use std::time::SystemTime;

use async_trait::async_trait;
use redcast_protocol::{Channel, Pattern};

/// What an endpoint permits its connections.
#[derive(Clone, Debug, Default)]
pub struct ChannelAccess {
    /// Channels joined on connect.
    pub join: Vec<Channel>,
    /// What a client may join itself; empty means nothing.
    pub subscribe: Vec<Pattern>,
}

/// Decides who may connect. One way to decide is one implementation.
#[async_trait]
pub trait Access: Send + Sync {
    /// Which headers a decision needs, in lower case. Others are not handed over, so
    /// that no secret is copied to where nobody asked for it.
    fn wanted_headers(&self) -> &[String];

    /// Decides about one client. It answers within a time of its own making, and must
    /// bear being dropped half-way: then the client has left.
    async fn decide(&self, request: &ConnectionRequest) -> Result<Grant, AccessError>;
}

/// A client that wants to connect, as far as a decision may depend on it. It can't be
/// printed, because its headers and its query hold credentials.
pub struct ConnectionRequest {
    /// The method of the handshake.
    pub method: String,
    /// The path of the endpoint.
    pub path: String,
    /// What stood behind the path, without the `?`.
    pub query: Option<String>,
    /// Under which name the client reached us, as it says itself.
    pub host: Option<String>,
    /// The client's address, as far as proxies are trusted.
    pub client_address: IpAddr,
    /// The [`wanted`](Access::wanted_headers) headers; a name may come several times.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// What a client that was let in may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Who it is, for the log.
    pub user: Option<String>,
    /// What it may join itself, instead of what the endpoint offers.
    pub subscribe: Option<Vec<Pattern>>,
    /// When the connection is to end.
    pub expires_at: Option<SystemTime>,
}

/// Why a client is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// It showed no credentials, or none that count.
    #[error("no valid credentials")]
    Unauthenticated {
        /// How it could authenticate itself: the values of `WWW-Authenticate`, RFC 9110
        /// section 11.6.1.
        challenges: Vec<String>,
    },
    /// It is known, and may not come in.
    #[error("these credentials do not permit this")]
    Forbidden,
    /// Nobody could say. The text is for the client.
    #[error("{0}")]
    Unavailable(String),
}

impl Grant {
    /// Whether its end has come.
    pub fn has_expired(&self) -> bool {
        self.expires_at.is_some_and(|end| end <= SystemTime::now())
    }
}

impl ChannelAccess {
    /// Whether a client may ask for this channel. What it is given on connect it may
    /// also leave and join again; else the globs of its grant count, where it has any,
    /// because who gave them knows the client and the endpoint does not. Redcast's own
    /// channels are offered to nobody, whatever matches them.
    pub fn permits(&self, channel: &Channel, granted: Option<&[Pattern]>) -> bool {
        if channel.is_reserved() {
            return false;
        }
        let globs = granted.unwrap_or(&self.subscribe);
        self.join.contains(channel) || globs.iter().any(|glob| glob.matches(channel.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> Channel {
        Channel::parse(name).unwrap()
    }

    #[test]
    fn permits_what_it_gives_and_what_its_globs_match() {
        let access = ChannelAccess {
            join: vec![channel("analytics")],
            subscribe: vec![Pattern::parse("analytics:*").unwrap()],
        };
        assert!(access.permits(&channel("analytics"), None));
        assert!(access.permits(&channel("analytics:eu"), None));
        assert!(!access.permits(&channel("orders"), None));
        assert!(!ChannelAccess::default().permits(&channel("analytics"), None));
    }

    #[test]
    fn what_is_redcast_s_own_is_offered_to_nobody() {
        let everything = [Pattern::parse("*").unwrap()];
        let canary = channel("redcast:canary:1f0c9a3e");
        let access = ChannelAccess { join: vec![canary.clone()], subscribe: everything.to_vec() };
        assert!(!access.permits(&canary, None));
        assert!(!access.permits(&canary, Some(&everything)));
        assert!(access.permits(&channel("redcast"), None));
    }

    #[test]
    fn the_globs_of_a_grant_take_the_place_of_the_endpoints() {
        let access = ChannelAccess {
            join: vec![channel("analytics")],
            subscribe: vec![Pattern::parse("analytics:*").unwrap()],
        };
        let granted = [Pattern::parse("orders:?").unwrap()];
        assert!(access.permits(&channel("orders:1"), Some(&granted)));
        assert!(access.permits(&channel("analytics"), Some(&granted)));
        assert!(!access.permits(&channel("analytics:eu"), Some(&granted)));
        assert!(access.permits(&channel("analytics"), Some(&[])));
        assert!(!access.permits(&channel("analytics:eu"), Some(&[])));
    }
}
