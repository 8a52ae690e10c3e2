//! What the door counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use redcast_protocol::{CloseCode, ErrorCode};

use crate::forward_auth::ForwardAuthMetrics;

/// The door's metrics; clones share the same counters.
#[derive(Clone, Debug)]
pub struct EdgeMetrics {
    /// Connections that got their 101.
    pub opened: IntCounter,
    closed: Vec<(CloseCode, IntCounter)>,
    rejected: IntCounterVec,
    /// Sockets on the public port that speak plain HTTP at this moment.
    pub http_connections: IntGauge,
    /// Commands that clients sent.
    pub commands: IntCounter,
    commands_refused: Vec<(ErrorCode, IntCounter)>,
    /// Fields of commands that this version does not know.
    pub unknown_fields: IntCounter,
    /// Connections whose task ended in a panic.
    pub panics: IntCounter,
    /// Events that were published over HTTP.
    pub events_published: IntCounter,
    pub(crate) publishes: Publishes,
    pub(crate) forward_auth: ForwardAuthMetrics,
}

/// Requests to publish over HTTP, by what became of them.
#[derive(Clone, Debug)]
pub(crate) struct Publishes {
    /// The broker acknowledged the events.
    pub(crate) published: IntCounter,
    /// They had been published before, under the same idempotency key.
    pub(crate) repeated: IntCounter,
    /// The request was wrong, or not permitted.
    pub(crate) refused: IntCounter,
    /// The broker was away.
    pub(crate) unavailable: IntCounter,
}

/// Why a handshake was refused: the closed set of the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    BadRequest,
    Origin,
    Limit,
    AddressLimit,
    HandshakeRate,
    Sockets,
    Unauthenticated,
    Forbidden,
    AuthUnavailable,
    Draining,
    Failed,
}

impl Rejected {
    const ALL: [Self; 11] = [
        Self::BadRequest,
        Self::Origin,
        Self::Limit,
        Self::AddressLimit,
        Self::HandshakeRate,
        Self::Sockets,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::AuthUnavailable,
        Self::Draining,
        Self::Failed,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Origin => "origin",
            Self::Limit => "limit",
            Self::AddressLimit => "address_limit",
            Self::HandshakeRate => "handshake_rate",
            Self::Sockets => "sockets",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::AuthUnavailable => "auth_unavailable",
            Self::Draining => "draining",
            Self::Failed => "failed",
        }
    }
}

impl EdgeMetrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let closed = labelled(
            registry,
            "redcast_connections_closed_total",
            "Connections that ended, by close code.",
            "code",
        )?;
        let rejected = labelled(
            registry,
            "redcast_connections_rejected_total",
            "Handshakes and sockets that were refused, by reason.",
            "reason",
        )?;
        for reason in Rejected::ALL {
            rejected.with_label_values(&[reason.label()]);
        }
        let refused = labelled(
            registry,
            "redcast_commands_refused_total",
            "Commands that were answered by an error, by its code.",
            "code",
        )?;
        let by_error = |code: ErrorCode| (code, refused.with_label_values(&[code.label()]));
        let by_code = |code: CloseCode| (code, closed.with_label_values(&[code.label()]));
        Ok(Self {
            opened: counter(
                registry,
                "redcast_connections_opened_total",
                "Connections that were opened.",
            )?,
            closed: CloseCode::ALL.into_iter().map(by_code).collect(),
            rejected,
            http_connections: gauge(
                registry,
                "redcast_http_connections",
                "Sockets on the public port that speak plain HTTP.",
            )?,
            commands: counter(registry, "redcast_commands_total", "Commands that clients sent.")?,
            commands_refused: ErrorCode::ALL.into_iter().map(by_error).collect(),
            unknown_fields: counter(
                registry,
                "redcast_command_unknown_fields_total",
                "Fields of commands that this version does not know.",
            )?,
            panics: counter(
                registry,
                "redcast_connection_panics_total",
                "Connections whose task ended in a panic.",
            )?,
            events_published: counter(
                registry,
                "redcast_http_events_published_total",
                "Events that were published over HTTP.",
            )?,
            publishes: Publishes::register(registry)?,
            forward_auth: ForwardAuthMetrics::register(registry)?,
        })
    }

    pub(crate) fn count_closed(&self, code: CloseCode) {
        if let Some((_, counter)) = self.closed.iter().find(|(known, _)| *known == code) {
            counter.inc();
        }
    }

    pub(crate) fn count_refused(&self, code: ErrorCode) {
        if let Some((_, counter)) = self.commands_refused.iter().find(|(known, _)| *known == code) {
            counter.inc();
        }
    }

    pub(crate) fn count_rejected(&self, reason: Rejected) {
        self.rejected(reason).inc();
    }

    pub(crate) fn rejected(&self, reason: Rejected) -> IntCounter {
        self.rejected.with_label_values(&[reason.label()])
    }
}

impl Publishes {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let all = labelled(
            registry,
            "redcast_http_publishes_total",
            "Requests to publish over HTTP, by what became of them.",
            "outcome",
        )?;
        Ok(Self {
            published: all.with_label_values(&["published"]),
            repeated: all.with_label_values(&["repeated"]),
            refused: all.with_label_values(&["refused"]),
            unavailable: all.with_label_values(&["unavailable"]),
        })
    }
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn labelled(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<IntCounterVec, prometheus::Error> {
    let family = IntCounterVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}
