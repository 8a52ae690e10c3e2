//! How an event is published: by Redis to most servers, else by the server's own way.

use std::io::Write;
use std::ops::Range;

use anyhow::{Context, Result};

use crate::payload::{self, Layout};

/// Where events are published, and in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feed {
    /// `PUBLISH` of the payload to a Redis channel.
    Redis {
        /// Redis, `HOST:PORT`.
        address: String,
    },
    /// `PUBLISH` of what the emitter of Socket.IO sends to all clients, to its channel.
    SocketIo {
        /// Redis, `HOST:PORT`.
        address: String,
    },
    /// A `POST` of the payload over one connection that is kept.
    Http {
        /// The server, `HOST:PORT`.
        address: String,
        /// Where publishers post to.
        path: String,
    },
    /// `PUB` of the NATS client protocol, a channel being a subject.
    Nats {
        /// The server's port for clients without WebSocket, `HOST:PORT`.
        address: String,
    },
}

/// Where an emitter of Socket.IO publishes what is meant for every client.
const SOCKET_IO_CHANNEL: &str = "socket.io#/#";

impl Feed {
    /// Where to connect.
    pub fn address(&self) -> &str {
        match self {
            Self::Redis { address }
            | Self::SocketIo { address }
            | Self::Http { address, .. }
            | Self::Nats { address } => address,
        }
    }

    /// What is sent once, before everything else.
    pub fn opening(&self) -> &'static [u8] {
        match self {
            // A reply to each PUBLISH would cost Redis and the load generator's CPU a
            // write and a read that no measurement needs.
            Self::Redis { .. } | Self::SocketIo { .. } => b"CLIENT REPLY OFF\r\n",
            Self::Http { .. } => b"",
            Self::Nats { .. } => b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n",
        }
    }

    /// What is sent last. Its answer shows that all before it has been taken.
    pub fn closing(&self) -> &'static [u8] {
        match self {
            Self::Redis { .. } | Self::SocketIo { .. } => b"CLIENT REPLY ON\r\n",
            Self::Http { .. } => b"",
            Self::Nats { .. } => b"PING\r\n",
        }
    }

    /// How the answers begin that are waited for.
    pub fn answer(&self) -> &'static [u8] {
        match self {
            Self::Redis { .. } | Self::SocketIo { .. } => b"+OK\r\n",
            Self::Http { .. } => b"HTTP/1.1 20",
            Self::Nats { .. } => b"PONG\r\n",
        }
    }

    /// Whether each command is answered, which only HTTP can't leave out.
    pub fn answers_each(&self) -> bool {
        matches!(self, Self::Http { .. })
    }

    /// Where the fields stand in the range that [`write_command`](Self::write_command)
    /// tells.
    pub fn layout(&self) -> Layout {
        match self {
            Self::SocketIo { .. } => PACKED,
            _ => payload::JSON,
        }
    }

    /// Appends the command that publishes `payload` to `channel`, which Socket.IO and
    /// HTTP have one of; tells where in `commands` the payload is.
    pub fn write_command(
        &self,
        commands: &mut Vec<u8>,
        channel: &str,
        payload: &[u8],
    ) -> Result<Range<usize>> {
        let length = payload.len();
        match self {
            Self::Redis { .. } => {
                return write_publish(commands, channel, b"", payload, b"");
            }
            Self::SocketIo { .. } => {
                let payload = pack_payload(payload)?;
                let (channel, before, after) = (SOCKET_IO_CHANNEL, BEFORE_PAYLOAD, AFTER_PAYLOAD);
                return write_publish(commands, channel, before, &payload, after);
            }
            Self::Http { address, path } => write!(
                commands,
                "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n"
            )?,
            Self::Nats { .. } => write!(commands, "PUB {channel} {length}\r\n")?,
        }
        let range = append(commands, payload);
        if matches!(self, Self::Nats { .. }) {
            commands.extend_from_slice(b"\r\n");
        }
        Ok(range)
    }
}

fn append(commands: &mut Vec<u8>, payload: &[u8]) -> Range<usize> {
    let start = commands.len();
    commands.extend_from_slice(payload);
    start..commands.len()
}

fn write_publish(
    commands: &mut Vec<u8>,
    channel: &str,
    before: &[u8],
    payload: &[u8],
    after: &[u8],
) -> Result<Range<usize>> {
    let (name_length, length) = (channel.len(), before.len() + payload.len() + after.len());
    write!(commands, "*3\r\n$7\r\nPUBLISH\r\n${name_length}\r\n{channel}\r\n${length}\r\n")?;
    commands.extend_from_slice(before);
    let range = append(commands, payload);
    commands.extend_from_slice(after);
    commands.extend_from_slice(b"\r\n");
    Ok(range)
}

// An emitter publishes the MessagePack array [its name, packet, options]: the packet
// {type: 2 (an event), data: ["event", payload], nsp: "/"}, the options
// {rooms: [], flags: {}, except: []}.
const BEFORE_PAYLOAD: &[u8] = b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xa5event";
const AFTER_PAYLOAD: &[u8] = b"\xa3nsp\xa1/\x83\xa5rooms\x90\xa5flags\x80\xa6except\x90";

/// The fields of a payload in MessagePack.
const PACKED: Layout = Layout { kind: 7, sequence: 17, sent: 37 };

/// The payload as an object in MessagePack, which the server turns into JSON again.
fn pack_payload(payload: &[u8]) -> Result<Vec<u8>> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Payload<'a> {
        kind: &'a str,
        seq: &'a str,
        at: &'a str,
        pad: &'a str,
    }
    let Payload { kind, seq, at, pad } =
        serde_json::from_slice(payload).context("only filler can be published to Socket.IO")?;
    let mut packed = vec![0x84];
    for text in ["kind", kind, "seq", seq, "at", at, "pad", pad] {
        pack_text(&mut packed, text)?;
    }
    Ok(packed)
}

fn pack_text(packed: &mut Vec<u8>, text: &str) -> Result<()> {
    match text.len() {
        length @ 0..32 => packed.push(0xA0 | u8::try_from(length)?),
        length @ 32..256 => packed.extend([0xD9, u8::try_from(length)?]),
        length => {
            packed.push(0xDA);
            packed.extend(u16::try_from(length)?.to_be_bytes());
        }
    }
    packed.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Kind, Stamp};

    fn address() -> String {
        "127.0.0.1:1".to_owned()
    }

    /// The command for a payload of `size` bytes, stamped as the publisher does it.
    fn command(feed: &Feed, size: usize) -> Vec<u8> {
        let mut commands = Vec::new();
        let range = feed.write_command(&mut commands, "analytics", &payload::blank(size)).unwrap();
        let stamp = Stamp { kind: Kind::Event, sequence: 0xabc, sent_ns: 0xdef };
        payload::write_at(&mut commands[range], feed.layout(), stamp);
        commands
    }

    fn json(size: usize) -> Vec<u8> {
        let mut json = payload::blank(size);
        let stamp = Stamp { kind: Kind::Event, sequence: 0xabc, sent_ns: 0xdef };
        payload::write(&mut json, stamp);
        json
    }

    #[test]
    fn each_feed_carries_the_stamped_payload() {
        let payload = String::from_utf8(json(200)).unwrap();
        for (feed, before, after) in [
            (
                Feed::Redis { address: address() },
                "*3\r\n$7\r\nPUBLISH\r\n$9\r\nanalytics\r\n$200\r\n",
                "\r\n",
            ),
            (
                Feed::Http { address: address(), path: "/pub".to_owned() },
                "POST /pub HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Type: application/json\r\n\
                 Content-Length: 200\r\n\r\n",
                "",
            ),
            (Feed::Nats { address: address() }, "PUB analytics 200\r\n", "\r\n"),
        ] {
            let command = String::from_utf8(command(&feed, 200)).unwrap();
            assert_eq!(command, format!("{before}{payload}{after}"));
        }
    }

    /// Compared with what @socket.io/redis-emitter 5.1.0 publishes for
    /// `emit("event", payload)`; the lengths are those of each form of a text.
    #[test]
    fn socket_io_gets_what_its_emitter_publishes() {
        for (size, length) in [(92, &[0xB2][..]), (200, &[0xD9, 126]), (400, &[0xDA, 1, 70])] {
            let mut expected = b"\x93\xa7emitter\x83\xa4type\x02\xa4data\x92\xa5event\x84\
                \xa4kind\xa5event\xa3seq\xb00000000000000abc\xa2at\xb00000000000000def\xa3pad"
                .to_vec();
            expected.extend_from_slice(length);
            expected.extend(vec![b'x'; size - 74]);
            expected.extend(b"\xa3nsp\xa1/\x83\xa5rooms\x90\xa5flags\x80\xa6except\x90");
            let head =
                format!("*3\r\n$7\r\nPUBLISH\r\n$12\r\nsocket.io#/#\r\n${}\r\n", expected.len());
            let expected = [head.as_bytes(), &expected, b"\r\n"].concat();
            assert_eq!(command(&Feed::SocketIo { address: address() }, size), expected);
        }
    }
}
