//! The one table of close codes (invariant 10): each code's number, its label in
//! the metrics and the reason a client reads.
//!
//! Numbers below 4000 are RFC 6455 section 7.4.1 and the IANA registry of
//! WebSocket close codes; from 4400 on they are ours, modelled on HTTP statuses.

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// 1000: the client said goodbye.
    Normal,
    /// 1001: the client went away (a page was left).
    GoingAway,
    /// 1002: bytes that RFC 6455 forbids.
    ProtocolError,
    /// 1003: a kind of message this endpoint does not take.
    UnsupportedData,
    /// 1005: a close frame without a code. Never sent.
    NoStatus,
    /// 1006: the socket ended without a close frame. Never sent.
    Abnormal,
    /// 1007: text that is not UTF-8.
    InvalidUtf8,
    /// 1008: floods and other misuse.
    Policy,
    /// 1009: a message over `max_message_size`.
    TooBig,
    /// 1011: a fault of ours.
    Internal,
    /// 1012: this instance is restarting; connect again, elsewhere or later.
    ServiceRestart,
    /// 1013: too busy; connect again later.
    TryAgainLater,
    /// 4401: no valid credentials, or they expired.
    Unauthenticated,
    /// 4403: credentials that do not permit this.
    Forbidden,
    /// 4408: nothing came from the client for too long.
    PongTimeout,
    /// 4409: the client read too slowly for what it subscribed to.
    SlowConsumer,
    /// 4429: too many commands.
    TooManyCommands,
    /// 4430: please connect again, to even out the instances.
    Rebalance,
    /// Any other code a client may choose.
    Other,
}

impl CloseCode {
    /// Every entry of the table.
    pub const ALL: [Self; 19] = [
        Self::Normal,
        Self::GoingAway,
        Self::ProtocolError,
        Self::UnsupportedData,
        Self::NoStatus,
        Self::Abnormal,
        Self::InvalidUtf8,
        Self::Policy,
        Self::TooBig,
        Self::Internal,
        Self::ServiceRestart,
        Self::TryAgainLater,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::PongTimeout,
        Self::SlowConsumer,
        Self::TooManyCommands,
        Self::Rebalance,
        Self::Other,
    ];

    const fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Normal => (1000, "1000", "goodbye"),
            Self::GoingAway => (1001, "1001", "going away"),
            Self::ProtocolError => (1002, "1002", "protocol error"),
            Self::UnsupportedData => (1003, "1003", "text frames only"),
            Self::NoStatus => (1005, "1005", ""),
            Self::Abnormal => (1006, "1006", ""),
            Self::InvalidUtf8 => (1007, "1007", "text must be UTF-8"),
            Self::Policy => (1008, "1008", "policy violation"),
            Self::TooBig => (1009, "1009", "message too big"),
            Self::Internal => (1011, "1011", "internal error"),
            Self::ServiceRestart => (1012, "1012", "service restart"),
            Self::TryAgainLater => (1013, "1013", "try again later"),
            Self::Unauthenticated => (4401, "4401", "unauthenticated or expired"),
            Self::Forbidden => (4403, "4403", "forbidden"),
            Self::PongTimeout => (4408, "4408", "no sign of life"),
            Self::SlowConsumer => (4409, "4409", "slow consumer"),
            Self::TooManyCommands => (4429, "4429", "too many commands"),
            Self::Rebalance => (4430, "4430", "rebalance"),
            Self::Other => (0, "other", ""),
        }
    }

    /// The number on the wire; 0 for [`Self::Other`], which is never sent.
    pub const fn code(self) -> u16 {
        self.row().0
    }

    /// The value of the `code` label in the metrics: a closed set.
    pub const fn label(self) -> &'static str {
        self.row().1
    }

    /// What the close frame says when there is nothing more precise to say.
    pub const fn reason(self) -> &'static str {
        self.row().2
    }

    /// The entry for a number that a client sent.
    pub fn from_code(code: u16) -> Self {
        let known = Self::ALL.into_iter().find(|entry| entry.code() == code && code != 0);
        known.unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_and_labels_are_unique_and_agree() {
        let numbers: HashSet<u16> = CloseCode::ALL.iter().map(|c| c.code()).collect();
        let labels: HashSet<&str> = CloseCode::ALL.iter().map(|c| c.label()).collect();
        assert_eq!((numbers.len(), labels.len()), (19, 19));
        for entry in CloseCode::ALL {
            if entry == CloseCode::Other {
                continue;
            }
            assert_eq!(entry.label(), entry.code().to_string());
            assert_eq!(CloseCode::from_code(entry.code()), entry);
        }
    }

    #[test]
    fn unknown_numbers_are_other() {
        for code in [0, 1, 999, 1004, 1015, 3000, 4000, 4999, 65535] {
            assert_eq!(CloseCode::from_code(code), CloseCode::Other);
        }
    }

    #[test]
    fn every_code_we_send_has_a_reason_that_fits_a_close_frame() {
        for entry in CloseCode::ALL {
            let never_sent =
                matches!(entry, CloseCode::NoStatus | CloseCode::Abnormal | CloseCode::Other);
            assert_eq!(entry.reason().is_empty(), never_sent, "{entry:?}");
            assert!(entry.reason().len() <= 123);
        }
    }
}
