//! A small HTTP/1.1 client: it sends what the test says, byte for byte, so that
//! also wrong requests can be sent.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

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

/// `GET path`.
pub async fn get(address: &str, path: &str) -> Response {
    request(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"),
    )
    .await
}

/// Sends `text` and reads until the server closes.
pub async fn request(address: &str, text: &str) -> Response {
    let asking = async {
        let mut socket = TcpStream::connect(address).await.expect("the server accepts");
        socket.write_all(text.as_bytes()).await.expect("the request is sent");
        let mut answer = Vec::new();
        // A reset after the answer is no concern of the test's.
        let _ = socket.read_to_end(&mut answer).await;
        answer
    };
    let answer = timeout(PATIENCE, asking).await.expect("the server answers");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Response { status, head: head.to_owned(), body: body.to_owned() }
}
