//! One line of an access log: the common format of the Apache server, and the combined
//! one, which nginx writes too.
//!
//! `ADDRESS IDENT USER [TIME] "REQUEST" STATUS BYTES` and, combined, `"REFERRER" "AGENT"`;
//! what stands behind is let be, because many a site adds fields of its own.

use std::borrow::Cow;
use std::time::SystemTime;

use super::log_time;

/// What a line says, as far as a page view needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogLine<'a> {
    /// An IP address, a host name where the server looks names up, or `unix:`.
    pub(super) address: &'a str,
    /// When the server wrote it.
    pub(super) time: SystemTime,
    /// None where the client did not speak HTTP, or asked nothing.
    pub(super) request: Option<Request<'a>>,
    /// The status of the answer.
    pub(super) status: u16,
    /// None where the line has no such field (common format).
    pub(super) browser: Option<Browser<'a>>,
}

/// The request's first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) method: Cow<'a, str>,
    pub(super) target: Cow<'a, str>,
}

/// What the combined format has beyond the common one; empty where the client said
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Browser<'a> {
    pub(super) referrer: Cow<'a, str>,
    pub(super) agent: Cow<'a, str>,
}

/// Reads a line, without its line end; none if it is of neither format.
pub(super) fn parse(line: &[u8]) -> Option<LogLine<'_>> {
    let (address, rest) = word(line)?;
    let (_ident, rest) = word(rest)?;
    // A user's name may hold spaces; the first bracket behind one begins the time.
    let at = rest.windows(2).position(|pair| pair == b" [")?;
    let rest = &rest[at + 2..];
    let end = rest.iter().position(|byte| *byte == b']')?;
    let time = log_time::parse(&rest[..end])?;
    let (request, rest) = quoted(rest[end + 1..].strip_prefix(b" ")?)?;
    let (status, rest) = word(rest.strip_prefix(b" ")?)?;
    let status = number(status).filter(|_| status.len() == 3)?;
    let (bytes, rest) = word(rest)?;
    if bytes != b"-" {
        number(bytes)?;
    }
    Some(LogLine {
        address: host(address)?,
        time,
        request: read_request(&request),
        status: u16::try_from(status).ok()?,
        browser: if rest.is_empty() { None } else { Some(browser(rest)?) },
    })
}

/// The text up to a space or the end, and what follows the space.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    let rest = text.get(end + 1..).unwrap_or_default();
    (end > 0).then(|| (&text[..end], rest))
}

fn number(digits: &[u8]) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| str::from_utf8(digits).ok()?.parse().ok())?
}

fn host(address: &[u8]) -> Option<&str> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b".:-_%".contains(byte);
    let fits = address.len() <= 255 && address.iter().all(fits);
    fits.then(|| str::from_utf8(address).ok())?
}

fn browser(rest: &[u8]) -> Option<Browser<'_>> {
    let (referrer, rest) = quoted(rest)?;
    let (agent, rest) = quoted(rest.strip_prefix(b" ")?)?;
    // A field that begins without a space belongs to no format.
    (rest.is_empty() || rest.starts_with(b" "))
        .then(|| Browser { referrer: said(text(referrer)), agent: said(text(agent)) })
}

/// Servers write `-` for what the client left out.
fn said(field: Cow<'_, str>) -> Cow<'_, str> {
    if field == "-" { Cow::Borrowed("") } else { field }
}

/// `METHOD TARGET HTTP/x`; servers log whatever came instead, TLS records included.
fn read_request<'a>(request: &Cow<'a, [u8]>) -> Option<Request<'a>> {
    let mut parts = request.splitn(3, |byte| *byte == b' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    let is_request = !method.is_empty()
        && method.iter().all(u8::is_ascii_uppercase)
        && !target.is_empty()
        && version.starts_with(b"HTTP/");
    if !is_request {
        return None;
    }
    let (from, to) = (method.len() + 1, method.len() + 1 + target.len());
    Some(match request {
        Cow::Borrowed(request) => Request {
            method: text(Cow::Borrowed(&request[..from - 1])),
            target: text(Cow::Borrowed(&request[from..to])),
        },
        Cow::Owned(_) => Request {
            method: text(Cow::Owned(method.to_vec())),
            target: text(Cow::Owned(target.to_vec())),
        },
    })
}

/// A field in quotes with its escapes undone, and what follows the closing quote.
/// Apache writes `\"`, nginx `\x22`.
fn quoted(field: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let inside = field.strip_prefix(b"\"")?;
    let mut at = 0;
    loop {
        match *inside.get(at)? {
            b'"' => break,
            // Whatever is escaped does not end the field.
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    let (field, rest) = (&inside[..at], &inside[at + 1..]);
    let field =
        if field.contains(&b'\\') { Cow::Owned(unescaped(field)) } else { Cow::Borrowed(field) };
    Some((field, rest))
}

fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        let (byte, taken) = if byte == b'\\' { escape(behind) } else { (byte, 0) };
        plain.push(byte);
        rest = &rest[taken..];
    }
    plain
}

/// The byte that an escape stands for, and how much of the text behind the backslash
/// belongs to it. A backslash that escapes nothing stands for itself.
fn escape(behind: &[u8]) -> (u8, usize) {
    match behind {
        [b'x', high, low, ..] => match (hex(*high), hex(*low)) {
            (Some(high), Some(low)) => (high << 4 | low, 3),
            _ => (b'\\', 0),
        },
        [b'"', ..] => (b'"', 1),
        [b'\\', ..] => (b'\\', 1),
        [b'n', ..] => (b'\n', 1),
        [b'r', ..] => (b'\r', 1),
        [b't', ..] => (b'\t', 1),
        _ => (b'\\', 0),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// UTF-8 where it is that, else Latin-1, in which every byte is a character.
fn text(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    let latin_1 = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect();
    match bytes {
        Cow::Borrowed(bytes) => {
            str::from_utf8(bytes).map_or_else(|_| Cow::Owned(latin_1(bytes)), Cow::Borrowed)
        }
        Cow::Owned(bytes) => {
            Cow::Owned(String::from_utf8(bytes).unwrap_or_else(|error| latin_1(error.as_bytes())))
        }
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
