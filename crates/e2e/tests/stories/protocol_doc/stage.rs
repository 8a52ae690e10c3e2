//! Plays one transcript: clients over bare sockets, a real gateway, a real Redis.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use redcast_e2e::{ClientFrame, FrameReader, Gateway, Opcode, RawClient, inflated};
use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::transcript::{Heard, Said, Step, Transcript, fits};

/// A frame that is not there after this long is missing.
const PATIENCE: Duration = Duration::from_secs(20);
/// The payload of the pings with which the player looks for frames nobody mentioned.
const LOOK: &[u8] = b"anything else?";
const EXTENSIONS: &str = "sec-websocket-extensions";
/// The window that is agreed on where an offer names none.
const WINDOW_BITS: u8 = 15;

/// Plays `transcript` and tells the first line that does not hold.
pub(super) async fn play(
    transcript: &Transcript,
    gateway: &Gateway,
    redis: &mut MultiplexedConnection,
) -> Result<(), String> {
    let mut clients: BTreeMap<String, Client> = BTreeMap::new();
    for (line, step) in &transcript.steps {
        let played = match step {
            Step::Connect { name, path, options } => {
                let client = Client::connect(gateway.public(), path, options).await;
                client.map(|client| drop(clients.insert(name.clone(), client)))
            }
            Step::Say { name, times, said } => match clients.get_mut(name) {
                Some(client) => client.say(*times, said).await,
                None => Err("nobody of this name is connected".to_owned()),
            },
            Step::Hear { name, times, heard } => match clients.get_mut(name) {
                Some(client) => client.hear_all(*times, heard).await,
                None => Err("nobody of this name is connected".to_owned()),
            },
            Step::Redis(words) => type_in(&mut clients, redis, words).await,
            Step::Terminate => {
                gateway.terminate();
                Ok(())
            }
        };
        played.map_err(|error| format!("line {line}: {error}"))?;
    }
    for client in clients.values_mut() {
        client.nothing_is_left().await?;
    }
    Ok(())
}

/// Types a command at Redis once every client is where its transcript says it is.
async fn type_in(
    clients: &mut BTreeMap<String, Client>,
    redis: &mut MultiplexedConnection,
    words: &[Vec<u8>],
) -> Result<(), String> {
    for client in clients.values_mut() {
        client.look().await?;
    }
    let (name, arguments) = words.split_first().expect("a command has a name");
    let mut command = redis::cmd(std::str::from_utf8(name).expect("a command's name is text"));
    command.arg(arguments);
    command.query_async::<redis::Value>(redis).await.map_err(|error| error.to_string())?;
    Ok(())
}

struct Client {
    stream: TcpStream,
    reader: FrameReader,
    /// What was read ahead while looking for something else.
    inbox: VecDeque<Heard>,
    answers_pings: bool,
    said_close: bool,
    /// A close frame or a refusal was read: nothing may follow.
    ended: bool,
}

impl Client {
    async fn connect(
        address: &str,
        path: &str,
        options: &[(String, String)],
    ) -> Result<Self, String> {
        let mut headers = BTreeMap::from([
            ("Host", address),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]);
        let mut answers_pings = true;
        for (key, value) in options {
            match (key.as_str(), value.as_str()) {
                ("pongs", "no") => answers_pings = false,
                ("protocol", value) => drop(headers.insert("Sec-WebSocket-Protocol", value)),
                ("extensions", value) => drop(headers.insert("Sec-WebSocket-Extensions", value)),
                ("origin", value) => drop(headers.insert("Origin", value)),
                ("version", value) => drop(headers.insert("Sec-WebSocket-Version", value)),
                ("upgrade", "no") => drop(headers.remove("Upgrade")),
                _ => return Err(format!("no such option: {key}={value}")),
            }
        }
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut client = Self {
            stream,
            reader: FrameReader::default(),
            inbox: VecDeque::new(),
            answers_pings,
            said_close: false,
            ended: false,
        };
        client.read_head().await?;
        Ok(client)
    }

    /// Reads the answer to the handshake: 101, or a refusal to be told of.
    async fn read_head(&mut self) -> Result<(), String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(PATIENCE, self.stream.read_u8()).await;
            let byte = byte.map_err(|_| "no answer to the handshake".to_owned())?;
            head.push(byte.map_err(|error| format!("in the answer to the handshake: {error}"))?);
        }
        let head = String::from_utf8_lossy(&head);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        match status.ok_or_else(|| format!("no status: {head}"))? {
            101 => {
                let fields = head.lines().filter_map(|line| line.split_once(": "));
                let mut fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value));
                if let Some((_, agreed)) = fields.find(|(name, _)| name == EXTENSIONS) {
                    self.reader = FrameReader::with_compression();
                    self.inbox.push_back(Heard::Agreed(agreed.to_owned()));
                }
                Ok(())
            }
            status => {
                self.inbox.push_back(Heard::Status(status));
                self.ended = true;
                Ok(())
            }
        }
    }

    async fn say(&mut self, times: usize, said: &Said) -> Result<(), String> {
        let frame = match said {
            Said::Text(text) => ClientFrame::text(text),
            Said::Frame(first, payload) => ClientFrame::starting_with(*first, &payload[..]),
            Said::Close(None) => ClientFrame::new(Opcode::Close, ""),
            Said::Close(Some((code, reason))) => ClientFrame::close(*code, reason),
        };
        self.said_close |= matches!(said, Said::Close(_));
        self.write(&frame.bytes().repeat(times)).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = timeout(PATIENCE, self.stream.write_all(bytes)).await;
        written.map_err(|_| "the gateway does not read".to_owned())?.map_err(|e| e.to_string())
    }

    async fn hear_all(&mut self, times: usize, expected: &Heard) -> Result<(), String> {
        if *expected == Heard::Nothing {
            self.look().await?;
            let first = self.inbox.front();
            return first.map_or(Ok(()), |heard| Err(format!("expected nothing, got {heard:?}")));
        }
        for _ in 0..times {
            let heard = match self.inbox.pop_front() {
                Some(heard) => heard,
                None => self.read().await.map_err(|e| format!("expected {expected:?}: {e}"))?,
            };
            if !agree(expected, &heard) {
                return Err(format!("expected {expected:?}, got {heard:?}"));
            }
        }
        Ok(())
    }

    /// Reads whatever the gateway has sent by now, for later.
    async fn look(&mut self) -> Result<(), String> {
        if self.ended || self.said_close {
            return Ok(());
        }
        self.write(&RawClient::encode(Opcode::Ping, LOOK)).await?;
        while !self.ended {
            match self.read().await? {
                Heard::Nothing => break,
                heard => self.inbox.push_back(heard),
            }
        }
        Ok(())
    }

    /// A transcript tells everything: nothing may be left over.
    async fn nothing_is_left(&mut self) -> Result<(), String> {
        self.look().await?;
        let left = self.inbox.pop_front();
        left.map_or(Ok(()), |heard| Err(format!("not in the transcript: {heard:?}")))
    }

    /// The next message; [`Heard::Nothing`] for the answer to a look.
    async fn read(&mut self) -> Result<Heard, String> {
        if self.ended {
            return Err("the connection has ended".to_owned());
        }
        // Over all frames, or the server's pings would make it patient for ever.
        let read = timeout(PATIENCE, self.read_frames()).await;
        read.map_err(|_| "nothing came".to_owned())?
    }

    async fn read_frames(&mut self) -> Result<Heard, String> {
        loop {
            let Some(next) = self.next_frame().await? else {
                return Err("the socket ended without a close frame".to_owned());
            };
            let heard = match next.opcode {
                Opcode::Text if next.compressed => {
                    let text = String::from_utf8(inflated(&next.payload, WINDOW_BITS)?);
                    Heard::Deflated(text.map_err(|error| error.to_string())?)
                }
                Opcode::Text => Heard::Text(next.text().to_owned()),
                Opcode::Binary => Heard::Binary(next.payload),
                Opcode::Ping if self.answers_pings => {
                    self.write(&RawClient::encode(Opcode::Pong, &next.payload)).await?;
                    continue;
                }
                Opcode::Pong if next.payload == LOOK => Heard::Nothing,
                Opcode::Ping | Opcode::Pong => continue,
                Opcode::Close => {
                    let (code, reason) = next.close();
                    let heard = Heard::Close((code != 1005).then_some(code), reason.to_owned());
                    self.say_goodbye(&next.payload).await?;
                    heard
                }
            };
            return Ok(heard);
        }
    }

    /// Answers the gateway's close frame and sees that the socket ends.
    async fn say_goodbye(&mut self, payload: &[u8]) -> Result<(), String> {
        self.ended = true;
        if !self.said_close {
            self.write(&RawClient::encode(Opcode::Close, payload)).await?;
        }
        let next = self.next_frame().await?;
        next.map_or(Ok(()), |frame| Err(format!("behind the close frame: {frame:?}")))
    }

    async fn next_frame(&mut self) -> Result<Option<redcast_e2e::Frame>, String> {
        let mut scratch = [0; 4096];
        loop {
            if let Some(frame) = self.reader.next_frame()? {
                return Ok(Some(frame));
            }
            let count = self.stream.read(&mut scratch).await.map_err(|error| error.to_string())?;
            if count == 0 {
                return Ok(None);
            }
            self.reader.feed(&scratch[..count]);
        }
    }
}

fn agree(expected: &Heard, heard: &Heard) -> bool {
    match (expected, heard) {
        (Heard::Text(expected), Heard::Text(text))
        | (Heard::Deflated(expected), Heard::Deflated(text))
        | (Heard::Agreed(expected), Heard::Agreed(text)) => fits(expected, text),
        (Heard::Close(code, expected), Heard::Close(heard, reason)) => {
            code == heard && fits(expected, reason)
        }
        (expected, heard) => expected == heard,
    }
}
