//! What a client may send, how much of it, and whether we want more.

/// How much a client may send as one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest message, bytes, whether in one frame or in many. Default 4 KiB.
    pub max_message_size: usize,
    /// The most fragments of one message, empty ones included. Default 1024.
    pub max_fragments: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message_size: 4096, max_fragments: 1024 }
    }
}

/// One complete message; a control frame is one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
    /// To be answered by a pong with the same payload, at most 125 bytes.
    Ping(&'a [u8]),
    /// The answer to a ping, or a sign of life unasked for.
    Pong(&'a [u8]),
    /// The client's goodbye: its code and reason, `None` where it gave no code.
    Close(Option<(u16, &'a str)>),
}

/// Whether the reader wants more messages now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// No more for now; what is unread stays inside the decoder.
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_limits_are_the_documented_ones() {
        let expected = Limits { max_message_size: 4096, max_fragments: 1024 };
        assert_eq!(Limits::default(), expected);
    }
}
