//! Asks a gateway's admin listener, for health checks from the command line.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The most of an answer that is read, bytes; ours are a fraction of that.
const MAX_ANSWER: u64 = 64 << 10;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nobody listens there, or the connection broke.
    #[error("no answer")]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// Somebody else listens there.
    #[error("the answer is no HTTP")]
    NotHttp,
}

/// Asks `GET path` and reads the whole answer within `patience`.
pub async fn probe(
    address: SocketAddr,
    path: &str,
    patience: Duration,
) -> Result<ProbeAnswer, ProbeError> {
    let asked = timeout(patience, ask(address, path)).await;
    read(&asked.map_err(|_| ProbeError::TimedOut(patience))??)
}

/// One request, and the server closes: not worth a client library.
async fn ask(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    socket.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn read(answer: &[u8]) -> Result<ProbeAnswer, ProbeError> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(ProbeError::NotHttp)?;
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let status = status.and_then(|code| code.parse().ok()).ok_or(ProbeError::NotHttp)?;
    Ok(ProbeAnswer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_and_a_body_are_read_and_nothing_else_passes_for_http() {
        let answer = read(b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\r\n{}").unwrap();
        assert_eq!(answer, ProbeAnswer { status: 503, body: "{}".to_owned() });
        for wrong in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 2\r\n\r\n"]
        {
            assert!(matches!(read(wrong), Err(ProbeError::NotHttp)), "{wrong:?}");
        }
    }
}
