//! A WebSocket client over a bare socket: cheap enough for a thousand at once, and
//! able to do what a polite library would not, such as never to read.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::canary::canary;
use crate::client_frame::ClientFrame;
use crate::frames::{Frame, FrameReader, Opcode};
use crate::inflate::inflated;

const PATIENCE: Duration = Duration::from_secs(30);
/// The sample nonce of RFC 6455 section 1.3, and what a server must answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How to connect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dial {
    /// `SO_RCVBUF`, bytes: how much the kernel takes for a client that does not read.
    pub receive_buffer: Option<u32>,
    /// The largest TCP segment. With a small receive buffer it should be small too, or
    /// the server's kernel waits for room for one of 64 KiB.
    pub segment: Option<u32>,
    /// Whether to ask for envelope mode.
    pub envelope: bool,
    /// A cookie beside the canary's, `NAME=VALUE`.
    pub cookie: Option<&'static str>,
    /// Which extensions to offer: the value of `Sec-WebSocket-Extensions`.
    pub extensions: Option<&'static str>,
}

impl Dial {
    /// For a client that will not read: its kernel soon takes no more for it.
    pub fn silent() -> Self {
        Self { receive_buffer: Some(4 << 10), segment: Some(1 << 10), ..Self::default() }
    }
}

/// A connected client.
pub struct RawClient {
    stream: TcpStream,
    reader: FrameReader,
    agreed: Option<String>,
    set_cookie: Option<String>,
}

/// What a client got, pings and pongs aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// The server's close frame: code and reason.
    Closed(u16, String),
    /// The end of the socket, behind a whole frame.
    End,
}

impl RawClient {
    /// Connects, in raw mode, with everything as usual.
    pub async fn connect(address: &str, path: &str) -> Self {
        Self::dial(address, path, Dial::default()).await.expect("the handshake is accepted")
    }

    /// Connects; a refusal is an error that holds the server's answer.
    pub async fn dial(address: &str, path: &str, how: Dial) -> io::Result<Self> {
        let mut stream = open(address, how).await?;
        let offer = if how.envelope { "Sec-WebSocket-Protocol: redcast.v1\r\n" } else { "" };
        let offered = |value| format!("Sec-WebSocket-Extensions: {value}\r\n");
        let extensions = how.extensions.map(offered).unwrap_or_default();
        let cookie = how.cookie.map(|cookie| format!("; {cookie}")).unwrap_or_default();
        let headers = format!("Cookie: session={}{cookie}\r\n{offer}{extensions}", canary());
        stream.write_all(handshake(address, path, &headers).as_bytes()).await?;
        let (head, rest) = timeout(PATIENCE, read_head(&mut stream)).await??;
        if !head.starts_with("HTTP/1.1 101 ") || !head.contains(ACCEPT) {
            return Err(io::Error::other(head));
        }
        let agreed = header(&head, "sec-websocket-extensions");
        let mut reader = match agreed {
            Some(_) => FrameReader::with_compression(),
            None => FrameReader::default(),
        };
        reader.feed(&rest);
        let set_cookie = header(&head, "set-cookie");
        Ok(Self { stream, reader, agreed, set_cookie })
    }

    /// The extension that the server agreed to, with its parameters.
    pub fn agreed(&self) -> Option<&str> {
        self.agreed.as_deref()
    }

    /// The cookie that came with the answer, with its attributes.
    pub fn set_cookie(&self) -> Option<&str> {
        self.set_cookie.as_deref()
    }

    /// In how many bits of window the server promised to compress; 15 is what RFC 7692
    /// section 7.1.2.1 has where nothing is said.
    pub fn window_bits(&self) -> u8 {
        let agreed = self.agreed().unwrap_or_default();
        let bits = agreed
            .split(';')
            .find_map(|parameter| parameter.trim().strip_prefix("server_max_window_bits="));
        bits.map_or(15, |bits| bits.parse().expect("a number of bits"))
    }

    /// The text of a correct handshake without a header too many, for a test that sends
    /// it itself.
    pub fn handshake(address: &str, path: &str) -> String {
        handshake(address, path, "")
    }

    /// Sends a frame.
    pub async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&ClientFrame::new(opcode, payload).bytes()).await
    }

    /// Sends a text message.
    pub async fn say(&mut self, text: &str) {
        self.send(Opcode::Text, text.as_bytes()).await.expect("the command is sent");
    }

    /// Sends a command and waits until the server has carried it out: a `ping` is
    /// answered after everything before it. Nothing else may arrive meanwhile.
    pub async fn settled(&mut self) {
        self.say(r#"{"type":"ping"}"#).await;
        assert_eq!(self.message().await, Message::Text(r#"{"type":"pong"}"#.to_owned()));
    }

    /// The same, with whatever else arrives meanwhile.
    pub async fn settled_after_all(&mut self) {
        self.say(r#"{"type":"ping"}"#).await;
        let pong = Message::Text(r#"{"type":"pong"}"#.to_owned());
        loop {
            match self.message().await {
                message if message == pong => return,
                Message::Text(_) | Message::Binary(_) => {}
                ended => panic!("no pong but {ended:?}"),
            }
        }
    }

    /// Waits for the next frame; none at the end of the socket.
    pub async fn frame(&mut self) -> io::Result<Option<Frame>> {
        let mut scratch = [0; 16 << 10];
        loop {
            if let Some(frame) = self.reader.next_frame().map_err(io::Error::other)? {
                return Ok(Some(frame));
            }
            let count = self.stream.read(&mut scratch).await?;
            if count == 0 {
                let whole = self.reader.is_between_frames();
                let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "a frame was cut off");
                return whole.then_some(None).ok_or_else(cut);
            }
            self.reader.feed(&scratch[..count]);
        }
    }

    /// Waits for the next message, inflating it and answering pings.
    pub async fn message(&mut self) -> Message {
        timeout(PATIENCE, self.read()).await.expect("a message arrives").expect("whole frames")
    }

    /// Like [`Self::message`], however long it takes; a broken socket is an end.
    pub async fn message_whenever(&mut self) -> Message {
        self.read().await.unwrap_or(Message::End)
    }

    async fn read(&mut self) -> io::Result<Message> {
        loop {
            let Some(mut frame) = self.frame().await? else { return Ok(Message::End) };
            if frame.compressed {
                frame.payload =
                    inflated(&frame.payload, self.window_bits()).map_err(io::Error::other)?;
            }
            match frame.opcode {
                Opcode::Text => return Ok(Message::Text(frame.text().to_owned())),
                Opcode::Binary => return Ok(Message::Binary(frame.payload)),
                Opcode::Close => {
                    let (code, reason) = frame.close();
                    return Ok(Message::Closed(code, reason.to_owned()));
                }
                Opcode::Ping => self.send(Opcode::Pong, &frame.payload).await?,
                Opcode::Pong => {}
            }
        }
    }

    /// Says goodbye as RFC 6455 section 7 wants it and waits for the server to end the
    /// connection; answers the code it sent back.
    pub async fn close(mut self) -> u16 {
        self.send(Opcode::Close, &1000_u16.to_be_bytes()).await.expect("the close is sent");
        let Message::Closed(code, _) = self.message().await else {
            panic!("something else before the close frame");
        };
        assert_eq!(self.message().await, Message::End);
        code
    }

    /// Ends the connection at once with a TCP reset: `SO_LINGER` of nothing.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("linger can be set");
    }

    /// The socket itself.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// The two halves of a client whose reading and writing go on at the same time:
    /// the socket, and what was read of it already.
    pub fn into_parts(self) -> (TcpStream, FrameReader) {
        (self.stream, self.reader)
    }

    /// A frame as a client sends it.
    pub fn encode(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        ClientFrame::new(opcode, payload).bytes()
    }

    /// The client's own port.
    pub fn port(&self) -> u16 {
        self.stream.local_addr().expect("a bound socket").port()
    }
}

pub(crate) async fn open(address: &str, how: Dial) -> io::Result<TcpStream> {
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = how.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = how.segment {
        SockRef::from(&socket).set_tcp_mss(bytes)?;
    }
    timeout(PATIENCE, socket.connect(address)).await?
}

fn handshake(address: &str, path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
    )
}

/// The value of a header that a head has.
fn header(head: &str, name: &str) -> Option<String> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut values = fields.filter(|(found, _)| found.eq_ignore_ascii_case(name));
    values.next().map(|(_, value)| value.trim().to_owned())
}

/// The head of the answer, and what came behind it.
async fn read_head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut read = Vec::with_capacity(512);
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&read).into_owned(), rest));
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
