//! The same client's bytes for our decoder and for tungstenite's server.
//!
//! Both must deliver the same messages, and refuse the same streams. They are
//! meant to differ in this alone:
//!
//! 1. A length in more bytes than it needs: we refuse it (RFC 6455 5.2, "MUST"),
//!    they take it. What they then make of the rest is not compared.
//! 2. A close code that may not be sent: we refuse it, they deliver it as 1002
//!    "Protocol violation".
//! 3. 1014: we take it, because it has been registered since; they treat it as 2.
//! 4. A frame that is wrong in its header: we refuse it at once, they once all of
//!    it is there. So a cut last frame is completed before they are compared.
//! 5. The number of fragments: they know no limit, so none is set here.

use std::io::{Cursor, Read, Write};

use redcast_wire::{Limits, WireError};
use tungstenite::Message;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

use crate::frames::{BINARY, CLOSE, PING, PONG, RawHeader, Said, TEXT, headers, is_close_code};
use crate::wire::{Outcome, decode};

/// The sizes of message that are tried. Their limit of a frame binds control
/// frames too, so it can't be under 125.
const MAX_MESSAGE_SIZES: [usize; 2] = [300, 4096];

/// What tungstenite makes of a stream.
#[derive(Debug)]
struct TheirOutcome {
    messages: Vec<Said>,
    error: Option<Error>,
}

/// The body of the target `differential`.
pub fn run(data: &[u8]) {
    for max_message_size in MAX_MESSAGE_SIZES {
        let limits = Limits { max_message_size, max_fragments: u32::MAX };
        let stream = with_last_frame_completed(data, max_message_size);
        let ours = decode(&stream, &limits);
        check_reason(&ours, &stream);
        compare(&ours, their_outcome(&stream, max_message_size));
    }
}

/// Where we alone refuse, the reason must be true: nobody else would object.
fn check_reason(ours: &Outcome, stream: &[u8]) {
    match ours.error {
        Some(WireError::BadCloseCode(code)) => assert!(!is_close_code(code), "{code} is legal"),
        Some(WireError::LengthNotMinimal) => {
            assert!(headers(stream).any(|header| !header.is_minimal()), "no length is too wide");
        }
        _ => {}
    }
}

fn compare(ours: &Outcome, mut theirs: TheirOutcome) {
    if ours.error == Some(WireError::LengthNotMinimal) {
        assert!(theirs.messages.starts_with(&ours.messages), "ours {ours:?}, theirs {theirs:?}");
        return;
    }
    let replaced = Said::close(Some((1002, "Protocol violation")));
    if theirs.messages.last() == Some(&replaced) && ours.messages.last() != Some(&replaced) {
        theirs.messages.pop();
        match (&ours.error, ours.messages.last()) {
            (Some(WireError::BadCloseCode(_)), _) => {
                assert_eq!(ours.messages, theirs.messages);
                return;
            }
            (None, Some(said)) if is_bad_gateway(said) => theirs.messages.push(said.clone()),
            _ => theirs.messages.push(replaced),
        }
    }
    let agree = ours.messages == theirs.messages && ours.error.is_some() == theirs.error.is_some();
    assert!(agree, "ours {ours:?}, theirs {theirs:?}");
}

fn is_bad_gateway(said: &Said) -> bool {
    said.opcode == CLOSE && said.payload.starts_with(&1014_u16.to_be_bytes())
}

/// Adds what the last frame lacks, unless it is one that both refuse for the
/// length it declares.
fn with_last_frame_completed(data: &[u8], max_message_size: usize) -> Vec<u8> {
    let mut stream = data.to_vec();
    let mut at = 0;
    while let Some(header) = RawHeader::read(&stream[at..]) {
        if header.declared > max_message_size as u64 {
            break;
        }
        at += header.end();
        if at >= stream.len() {
            stream.resize(at, 0);
            break;
        }
    }
    stream
}

fn their_outcome(stream: &[u8], max_message_size: usize) -> TheirOutcome {
    let config = WebSocketConfig::default()
        // Their buffer is filled with zeros each time; the usual one is 128 KiB.
        .read_buffer_size(1024)
        .max_message_size(Some(max_message_size))
        .max_frame_size(Some(max_message_size));
    let mut socket =
        WebSocket::from_raw_socket(Recorded(Cursor::new(stream)), Role::Server, Some(config));
    let mut messages = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => messages.push(in_our_form(&message)),
            // The end of the recording, and the end after a close frame.
            Err(
                Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
                | Error::ConnectionClosed,
            ) => return TheirOutcome { messages, error: None },
            Err(error) => return TheirOutcome { messages, error: Some(error) },
        }
    }
}

fn in_our_form(message: &Message) -> Said {
    match message {
        Message::Text(text) => Said::new(TEXT, text.as_bytes()),
        Message::Binary(bytes) => Said::new(BINARY, &bytes[..]),
        Message::Ping(bytes) => Said::new(PING, &bytes[..]),
        Message::Pong(bytes) => Said::new(PONG, &bytes[..]),
        Message::Close(close) => {
            Said::close(close.as_ref().map(|close| (close.code.into(), close.reason.as_str())))
        }
        // Only a writer meets single frames.
        Message::Frame(frame) => Said::new(u8::MAX, frame.payload()),
    }
}

/// A stream that holds what a client sent, then ends, and takes any answer.
struct Recorded<'a>(Cursor<&'a [u8]>);

impl Read for Recorded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Recorded<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
