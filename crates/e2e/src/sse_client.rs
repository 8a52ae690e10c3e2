//! A client of event streams over a bare socket, which reads them as a browser does (HTML
//! Living Standard, section 9.2) and can also do what no browser would: never read.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::Response;
use crate::raw_client::{Dial, open};

const PATIENCE: Duration = Duration::from_secs(30);

/// One block of a stream, as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseBlock {
    /// Its `event`; none means `message`.
    pub event: Option<String>,
    /// Its `data`, lines joined; a block without any is no event.
    pub data: Option<String>,
    /// Its `id`.
    pub id: Option<String>,
    /// Its `retry`, milliseconds.
    pub retry: Option<u64>,
    /// Its comments.
    pub comments: Vec<String>,
}

/// A connected client.
pub struct SseClient {
    stream: TcpStream,
    head: String,
    /// What came of the body, still in chunks.
    chunks: Vec<u8>,
    /// What came of the stream and was not read yet.
    text: Vec<u8>,
    /// The last chunk has come: the body ended as it should.
    whole: bool,
    last_event_id: String,
}

impl SseClient {
    /// Connects, with everything as usual.
    pub async fn connect(address: &str, path: &str) -> Self {
        Self::dial(address, path, &[], Dial::default()).await.expect("the stream begins")
    }

    /// Connects with more headers; a refusal is the answer.
    pub async fn with(
        address: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Response> {
        Self::dial(address, path, headers, Dial::default()).await
    }

    /// Connects with a socket of this kind.
    pub async fn dial(
        address: &str,
        path: &str,
        headers: &[(&str, &str)],
        how: Dial,
    ) -> Result<Self, Response> {
        let stream = open(address, how).await.expect("the server accepts");
        let mut text =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut client = Self {
            stream,
            head: String::new(),
            chunks: Vec::new(),
            text: Vec::new(),
            whole: false,
            last_event_id: String::new(),
        };
        client.stream.write_all(text.as_bytes()).await.expect("the request is sent");
        timeout(PATIENCE, client.read_head()).await.expect("the server answers");
        match client.head.split(' ').nth(1) {
            Some("200") => Ok(client),
            status => {
                let status = status.and_then(|code| code.parse().ok()).unwrap_or_default();
                // Refusals end with the connection.
                let reading = async { while client.read().await.is_ok_and(|count| count > 0) {} };
                timeout(PATIENCE, reading).await.expect("a refusal ends");
                let body = String::from_utf8_lossy(&client.chunks).into_owned();
                Err(Response { status, head: client.head, body })
            }
        }
    }

    /// A header's value, by its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// What a browser would give back as `Last-Event-ID`.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The socket.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Ends the connection with a TCP reset.
    pub fn reset(self) {
        let linger = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        linger.expect("a socket can be reset");
    }

    /// The next block, whatever it is; none at the end of the body.
    pub async fn block(&mut self) -> Option<SseBlock> {
        timeout(PATIENCE, self.block_whenever()).await.expect("a block comes")
    }

    /// The same, however long it takes.
    pub async fn block_whenever(&mut self) -> Option<SseBlock> {
        loop {
            if let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let text: Vec<u8> = self.text.drain(..end + 2).collect();
                let block = parse(std::str::from_utf8(&text).expect("UTF-8"));
                if let Some(id) = &block.id {
                    self.last_event_id.clone_from(id);
                }
                return Some(block);
            }
            if self.whole || !self.read().await.is_ok_and(|count| count > 0) {
                return None;
            }
            self.take_chunks();
        }
    }

    /// The next event: blocks without data are passed over.
    pub async fn event(&mut self) -> SseBlock {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if block.data.is_some() {
                return block;
            }
        }
    }

    /// The next event of the default type: its data.
    pub async fn message(&mut self) -> String {
        loop {
            let SseBlock { event, data, .. } = self.event().await;
            if event.is_none() {
                return data.unwrap_or_default();
            }
        }
    }

    /// The next event of this type: its data.
    pub async fn of_type(&mut self, kind: &str) -> String {
        loop {
            let SseBlock { event, data, .. } = self.event().await;
            if event.as_deref() == Some(kind) {
                return data.unwrap_or_default();
            }
        }
    }

    /// Reads to the end; answers whether the body ended as it should.
    pub async fn end(&mut self) -> bool {
        while self.block().await.is_some() {}
        self.whole
    }

    async fn read_head(&mut self) {
        loop {
            if let Some(end) = self.chunks.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.chunks.drain(..end + 4).collect();
                self.head = String::from_utf8(head).expect("a head is text");
                if self.header("transfer-encoding") == Some("chunked") {
                    self.take_chunks();
                }
                return;
            }
            if !self.read().await.is_ok_and(|count| count > 0) {
                return;
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.chunks).await
    }

    /// Takes whole chunks out of what has come (RFC 9112 section 7.1).
    fn take_chunks(&mut self) {
        while let Some(end) = self.chunks.windows(2).position(|pair| pair == b"\r\n") {
            let size = std::str::from_utf8(&self.chunks[..end]).expect("a size is text");
            let size = usize::from_str_radix(size, 16).expect("a size in hex");
            if self.chunks.len() < end + 2 + size + 2 {
                return;
            }
            self.text.extend_from_slice(&self.chunks[end + 2..end + 2 + size]);
            self.chunks.drain(..end + 2 + size + 2);
            self.whole |= size == 0;
        }
    }
}

fn parse(text: &str) -> SseBlock {
    let mut block = SseBlock::default();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "" => block.comments.push(value),
            "event" => block.event = Some(value),
            "id" => block.id = Some(value),
            "retry" => block.retry = value.parse().ok(),
            "data" => match &mut block.data {
                Some(data) => *data = format!("{data}\n{value}"),
                None => block.data = Some(value),
            },
            unknown => panic!("no field of an event stream: {unknown:?}"),
        }
    }
    block
}
