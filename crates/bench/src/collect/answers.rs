//! The collector's answers, split off a byte slice: HTTP/1.1 with a length or without a
//! body (RFC 9112 section 6.3), because the collector sends no other.

/// One whole answer, or the lack of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// How many bytes it has, head and body.
        length: usize,
    },
    /// More bytes are needed.
    Partial,
    /// No answer that this reader understands.
    Corrupt,
}

const END: &[u8] = b"\r\n\r\n";

/// Splits the first answer off `bytes`.
pub fn split(bytes: &[u8]) -> Split {
    let Some(head) = bytes.windows(END.len()).position(|window| window == END) else {
        return Split::Partial;
    };
    let Some((status, body)) = read_head(&bytes[..head]) else { return Split::Corrupt };
    let length = head + END.len() + body;
    if bytes.len() < length { Split::Partial } else { Split::Answer { status, length } }
}

/// The status, and the length of the body.
fn read_head(head: &[u8]) -> Option<(u16, usize)> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    if status == 204 {
        return Some((status, 0));
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())
    })?;
    Some((status, length?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_and_without_a_body_are_split_off() {
        let text = b"HTTP/1.1 204 No Content\r\ndate: now\r\n\r\n\
                     HTTP/1.1 429 Too Many Requests\r\nContent-Length: 5\r\n\r\nlater";
        let first = Split::Answer { status: 204, length: 38 };
        assert_eq!(split(text), first);
        assert_eq!(split(&text[..37]), Split::Partial);
        let rest = &text[38..];
        assert_eq!(split(rest), Split::Answer { status: 429, length: rest.len() });
        assert_eq!(split(&rest[..rest.len() - 1]), Split::Partial);
        assert_eq!(split(b""), Split::Partial);
    }

    #[test]
    fn what_can_not_be_an_answer_is_told() {
        for text in ["SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 2x4 No\r\n\r\n"] {
            assert_eq!(split(text.as_bytes()), Split::Corrupt, "{text}");
        }
    }
}
