//! What a client offers in `Sec-WebSocket-Extensions`, and our answer (RFC 7692 5
//! and 7.1).
//!
//! Names are compared as they stand. RFC 6455 says of `Upgrade` and `Connection`
//! that case does not matter (4.2.1) and says nothing like it of extension tokens
//! (9.1), so that `Permessage-Deflate` is an extension we don't know, and
//! `Server_Max_Window_Bits` a parameter that RFC 7692 7.1 does not define.

use std::borrow::Cow;

use super::Window;

const EXTENSION: &str = "permessage-deflate";

/// What was agreed on for one connection.
///
/// No context is ever taken over, in either direction, whatever the client asked
/// for: the server may say so without having been asked (RFC 7692 7.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// How far back our messages may refer.
    pub window: Window,
    /// Whether the offer named a window, so that the answer must (RFC 7692 7.1.2.1).
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
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=9"
            }
            (true, Window::Wide) => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=15"
            }
        }
    }
}

/// The first offer of permessage-deflate that can be met; each item is the value
/// of one `Sec-WebSocket-Extensions` header, with any number of offers.
///
/// An offer with a parameter that is unknown, repeated, malformed or out of range
/// is declined (RFC 7692 7.1), and so is one of `server_max_window_bits=8`, which
/// zlib can't keep to. `None` means that nothing is compressed and nothing is
/// answered: an extension never costs a client its handshake.
pub fn negotiate<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Agreement> {
    let mut offers = headers.flat_map(|header| split(header, ','));
    offers.find_map(agree)
}

fn agree(offer: &str) -> Option<Agreement> {
    let mut parts = split(offer, ';');
    if parts.next()? != EXTENSION {
        return None;
    }
    let mut offered = Parameters::default();
    for part in parts {
        offered.take(part)?;
    }
    let (window, names_window) = match offered.server_max_window_bits {
        None => (Window::Wide, false),
        Some(15) => (Window::Wide, true),
        Some(9..15) => (Window::Narrow, true),
        Some(_) => return None,
    };
    Some(Agreement { window, names_window })
}

/// The parameters of one offer so far.
#[derive(Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: bool,
}

impl Parameters {
    /// Takes one more parameter; `None` if it makes the offer one to decline.
    fn take(&mut self, parameter: &str) -> Option<()> {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name.trim_end_matches(BLANK), Some(unquoted(value)?)),
            None => (parameter, None),
        };
        let is_repeated = match (name, value.as_deref()) {
            ("server_no_context_takeover", None) => {
                std::mem::replace(&mut self.server_no_context_takeover, true)
            }
            ("client_no_context_takeover", None) => {
                std::mem::replace(&mut self.client_no_context_takeover, true)
            }
            ("server_max_window_bits", Some(value)) => {
                self.server_max_window_bits.replace(window_bits(value)?).is_some()
            }
            // A client that names no value only says that it could be told one.
            ("client_max_window_bits", value) => {
                value.map_or(Some(0), window_bits)?;
                std::mem::replace(&mut self.client_max_window_bits, true)
            }
            _ => return None,
        };
        (!is_repeated).then_some(())
    }
}

/// 8 to 15, in decimal and without leading zeros (RFC 7692 7.1.2.1).
fn window_bits(value: &str) -> Option<u8> {
    let bits: u8 = value.parse().ok()?;
    let is_plain = (8..=15).contains(&bits) && bits.to_string() == value;
    is_plain.then_some(bits)
}

/// What may stand around a separator (RFC 9110 5.6.3).
const BLANK: [char; 2] = [' ', '\t'];

/// A value without its quotes and what they escape; `None` where they don't match.
fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    let value = value.trim_start_matches(BLANK);
    let Some(quoted) = value.strip_prefix('"') else { return Some(Cow::Borrowed(value)) };
    let mut text = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => break,
            '\\' => text.push(chars.next()?),
            other => text.push(other),
        }
    }
    chars.as_str().is_empty().then_some(Cow::Owned(text))
}

/// The pieces of `text` between the separators that stand in no quotes, without
/// the blanks around them.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let pieces = text.split(move |char| {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        char == separator && !is_quoted
    });
    pieces.map(|piece| piece.trim_matches(BLANK))
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;
