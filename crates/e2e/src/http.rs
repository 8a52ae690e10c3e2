//! A small HTTP/1.1 client: it sends what the test says, byte for byte, so that
//! also wrong requests can be sent.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::canary::canary;

const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code; 0 when the server closed without an answer.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Response {
    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }
}

/// `GET path`.
pub async fn get(address: &str, path: &str) -> Response {
    request(
        address,
        format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Cookie: session={}\r\n\r\n",
            canary()
        ),
    )
    .await
}

/// `POST path`, with an API key or without one.
pub async fn post(address: &str, path: &str, key: Option<&str>, body: &str) -> Response {
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Cookie: session={}\r\n{key}Content-Length: {length}\r\n\r\n",
        canary()
    );
    request(address, head + body).await
}

/// `POST path` with these headers beside the usual ones, and any body.
pub async fn post_with(
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl AsRef<[u8]>,
) -> Response {
    let body = body.as_ref();
    let length = body.len();
    let mut text = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n"
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    request(address, [text.as_bytes(), body].concat()).await
}

/// Sends `text` and reads until the server closes or changes to another protocol.
pub async fn request(address: &str, text: impl AsRef<[u8]>) -> Response {
    let asking = async {
        let mut socket = TcpStream::connect(address).await.expect("the server accepts");
        // A server may refuse before it has read everything; its answer tells.
        let _ = socket.write_all(text.as_ref()).await;
        let mut answer = Vec::new();
        // A reset after the answer is no concern of the test's, and what follows a 101 is
        // no HTTP any more.
        while !answer.starts_with(b"HTTP/1.1 101")
            && socket.read_buf(&mut answer).await.is_ok_and(|count| count > 0)
        {}
        answer
    };
    let answer = timeout(PATIENCE, asking).await.expect("the server answers");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Response { status, head: head.to_owned(), body: body.to_owned() }
}
