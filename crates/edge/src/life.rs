//! One connection's life as operators see it: opened, and closed with a code.

use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use redcast_protocol::{Channel, CloseCode};

use crate::config::Endpoint;
use crate::granted::Granted;
use crate::router::Edge;

/// Counts a connection as opened and, when dropped, as closed; the one log line of
/// its life is written then. A guard, so that every way to end is seen.
pub(crate) struct Life {
    pub(crate) edge: Arc<Edge>,
    endpoint: usize,
    address: IpAddr,
    opened: Instant,
    granted: Option<Box<Granted>>,
    /// With which code it ended, once that is known.
    pub(crate) code: Option<CloseCode>,
}

impl Life {
    pub(crate) fn begin(
        edge: Arc<Edge>,
        endpoint: usize,
        address: IpAddr,
        granted: Option<Box<Granted>>,
    ) -> Self {
        edge.metrics.opened.inc();
        Self { edge, endpoint, address, opened: Instant::now(), granted, code: None }
    }

    /// Whether this client may ask for a channel.
    pub(crate) fn permits(&self, channel: &Channel) -> bool {
        let globs = self.granted.as_ref().and_then(|granted| granted.subscribe.as_deref());
        self.endpoint().access.permits(channel, globs)
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.edge.config.endpoints[self.endpoint]
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let panicked = thread::panicking();
        let code = match self.code {
            _ if panicked => CloseCode::Internal,
            Some(code) => code,
            None => CloseCode::Abnormal,
        };
        self.edge.metrics.count_closed(code);
        if panicked {
            self.edge.metrics.panics.inc();
        }
        tracing::info!(
            endpoint = self.endpoint().path,
            address = %self.address,
            code = code.label(),
            seconds = self.opened.elapsed().as_secs_f32(),
            user = self.granted.as_ref().and_then(|granted| granted.user.as_deref()),
            "connection closed"
        );
    }
}
