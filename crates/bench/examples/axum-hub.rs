//! The peer "axum": the hub that many write first. Each message of a Redis channel
//! goes into a broadcast channel of tokio, and from there to each client.
//!
//! Usage: `axum-hub REDIS CHANNEL`, REDIS being `HOST:PORT`. Prints its WebSocket URL
//! once it serves.

use std::pin::pin;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use futures_util::StreamExt;
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, error::RecvError};

/// Messages that wait for the slowest client; it loses the oldest beyond that.
const CAPACITY: usize = 1_024;

type Hub = broadcast::Sender<Utf8Bytes>;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (redis, channel) = arguments.next().zip(arguments.next()).context("REDIS CHANNEL")?;
    let (hub, _) = broadcast::channel(CAPACITY);
    let mut subscription =
        redis::Client::open(format!("redis://{redis}"))?.get_async_pubsub().await?;
    subscription.subscribe(&channel).await?;

    let router = Router::new().route("/", get(upgrade)).with_state(hub.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ws://{}/", listener.local_addr()?);
    tokio::select! {
        result = axum::serve(listener, router) => result.context("serve"),
        result = publish(subscription, hub) => result,
    }
}

async fn publish(subscription: redis::aio::PubSub, hub: Hub) -> Result<()> {
    let mut messages = pin!(subscription.into_on_message());
    while let Some(message) = messages.next().await {
        // An error says that nobody is connected.
        let _ = hub.send(message.get_payload::<String>()?.into());
    }
    anyhow::bail!("Redis closed the connection")
}

async fn upgrade(State(hub): State<Hub>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| serve(socket, hub.subscribe()))
}

async fn serve(mut socket: WebSocket, mut messages: broadcast::Receiver<Utf8Bytes>) {
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Ok(text) => {
                    if socket.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            // Pings are answered while reading; the clients say nothing else.
            received = socket.recv() => match received {
                Some(Ok(_)) => {}
                _ => return,
            },
        }
    }
}
