//! What a client offers in `Sec-WebSocket-Extensions`, and our answer.

use super::Window;

/// What was agreed on for one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// How far back our messages may refer.
    pub window: Window,
    /// Whether the offer asked for a window, so that the answer must name it.
    names_window: bool,
}

impl Agreement {
    /// The value of our `Sec-WebSocket-Extensions`.
    pub fn answer(&self) -> &'static str {
        match (self.names_window, self.window) {
            (false, _) => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            }
            (true, Window::Narrow) => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9"
            }
            (true, Window::Wide) => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15"
            }
        }
    }
}

/// The first offer of permessage-deflate that we can agree to; each item is the
/// value of one `Sec-WebSocket-Extensions` header, with any number of offers.
pub fn negotiate<'a>(offers: impl Iterator<Item = &'a str>) -> Option<Agreement> {
    // Stands in until offers are read.
    let mut offers = offers;
    offers
        .any(|offer| offer.starts_with("permessage-deflate"))
        .then_some(Agreement { window: Window::Wide, names_window: false })
}
