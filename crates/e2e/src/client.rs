//! A WebSocket client written by others, so that our frames are judged by eyes that
//! are not ours.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::canary::canary;

const PATIENCE: Duration = Duration::from_secs(20);

/// A connected client.
pub struct Client {
    stream: WebSocketStream<TcpStream>,
}

/// What a client got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// The server's close frame: code and reason.
    Closed(u16, String),
    /// The end of the socket without a close frame, or a broken frame.
    Lost(String),
}

impl Client {
    /// Connects, offering a subprotocol or none.
    pub async fn connect(url: &str, subprotocol: Option<&'static str>) -> Self {
        Self::try_connect(url, subprotocol).await.expect("the handshake is accepted")
    }

    /// Connects; a refusal is an error.
    pub async fn try_connect(url: &str, subprotocol: Option<&'static str>) -> Result<Self, Error> {
        let mut request = url.into_client_request()?;
        let cookie = HeaderValue::from_str(&format!("session={}", canary())).expect("a header");
        request.headers_mut().insert("cookie", cookie);
        if let Some(subprotocol) = subprotocol {
            let value = HeaderValue::from_static(subprotocol);
            request.headers_mut().insert("sec-websocket-protocol", value);
        }
        let host = request.uri().authority().expect("a URL with a host").as_str().to_owned();
        let socket = TcpStream::connect(host).await.map_err(Error::Io)?;
        let (stream, _) = client_async(request, socket).await?;
        Ok(Self { stream })
    }

    /// Sends a text message.
    pub async fn send(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("the command is sent");
    }

    /// Sends any message.
    pub async fn send_message(&mut self, message: Message) -> Result<(), Error> {
        self.stream.send(message).await
    }

    /// Waits for the next message that is no ping or pong.
    pub async fn next(&mut self) -> Incoming {
        timeout(PATIENCE, self.read()).await.expect("a message arrives")
    }

    /// Like [`Self::next`], or none when nothing arrives within `patience`.
    pub async fn next_within(&mut self, patience: Duration) -> Option<Incoming> {
        timeout(patience, self.read()).await.ok()
    }

    async fn read(&mut self) -> Incoming {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return Incoming::Text(text.to_string()),
                Some(Ok(Message::Binary(bytes))) => return Incoming::Binary(bytes.to_vec()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Incoming::Closed(frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(Message::Close(None))) => return Incoming::Closed(1005, String::new()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Incoming::Lost(error.to_string()),
                None => return Incoming::Lost("end of the socket".to_owned()),
            }
        }
    }

    /// Waits for a text message.
    pub async fn text(&mut self) -> String {
        match self.next().await {
            Incoming::Text(text) => text,
            other => panic!("expected a text message, got {other:?}"),
        }
    }

    /// Waits for a text message and reads it as JSON.
    pub async fn json(&mut self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
    }

    /// Sends a command and waits until the server has carried it out: a `ping` is
    /// answered after everything before it.
    pub async fn settled(&mut self) {
        self.send(r#"{"type":"ping"}"#).await;
        assert_eq!(self.json().await["type"], "pong");
    }

    /// The socket itself.
    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }
}
