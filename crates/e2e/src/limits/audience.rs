//! Who receives: one client for each channel at each gateway, which takes nothing but the
//! channel's events, each once and in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::fleet::{Feed, Payload};
use crate::gateway::Gateway;
use crate::raw_client::{Dial, Message, RawClient};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Connected clients; gone when dropped.
pub(super) struct Audience {
    /// Events received, by gateway.
    received: Vec<Arc<AtomicU64>>,
    /// The first thing that went wrong.
    wrong: watch::Sender<Option<String>>,
    _members: JoinSet<()>,
}

impl Audience {
    /// Connects all clients and waits until each is in its channel.
    pub(super) async fn join(gateways: &[Gateway], feed: &Feed) -> Self {
        let wrong = watch::Sender::new(None);
        let mut members = JoinSet::new();
        let mut received = Vec::new();
        for (number, gateway) in gateways.iter().enumerate() {
            let count = Arc::new(AtomicU64::new(0));
            let joining = (0..feed.len())
                .map(|channel| async move { joined(gateway, &[feed.name(channel)]).await });
            let clients = try_join_all(joining).await.expect("every client gets in");
            for (channel, client) in clients.into_iter().enumerate() {
                let place = format!("gateway {number}, {}", feed.name(channel));
                members.spawn(read(client, Arc::clone(&count), place, wrong.clone()));
            }
            received.push(count);
        }
        Self { received, wrong, _members: members }
    }

    /// How many events have arrived, by gateway.
    pub(super) fn received(&self) -> Vec<u64> {
        self.received.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// Waits until each gateway has delivered so many events; an error tells what is
    /// missing, or what arrived that should not have.
    pub(super) async fn until_all(&self, events: u64, patience: Duration) -> Result<(), String> {
        let began = Instant::now();
        loop {
            if let Some(wrong) = &*self.wrong.borrow() {
                return Err(wrong.clone());
            }
            let received = self.received();
            if received.iter().all(|&count| count == events) {
                return Ok(());
            }
            if began.elapsed() > patience {
                return Err(format!("of {events} events the gateways delivered {received:?}"));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// A client that is in these channels.
pub(super) async fn joined(gateway: &Gateway, channels: &[&str]) -> std::io::Result<RawClient> {
    let mut client = RawClient::dial(gateway.public(), Feed::PATH, Dial::default()).await?;
    client.say(&json!({"type": "subscribe", "channels": channels}).to_string()).await;
    client.settled().await;
    Ok(client)
}

async fn read(
    mut client: RawClient,
    count: Arc<AtomicU64>,
    place: String,
    wrong: watch::Sender<Option<String>>,
) {
    let mut last = 0;
    loop {
        match follows(last, client.message_whenever().await) {
            Ok(number) => last = number,
            Err(what) => {
                wrong.send_if_modified(|first| {
                    let is_first = first.is_none();
                    first.get_or_insert(format!("{place}: {what}"));
                    is_first
                });
                return;
            }
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The number of the event that follows event `last`; whatever else arrives is wrong.
fn follows(last: u64, message: Message) -> Result<u64, String> {
    let Message::Text(text) = message else { return Err(format!("{message:?}")) };
    let Ok(payload) = serde_json::from_str::<Payload>(&text) else { return Err(text) };
    let is_next = payload.n == last + 1;
    is_next.then_some(payload.n).ok_or_else(|| format!("event {} behind {last}", payload.n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_next_event_is_right() {
        let event = |n| Message::Text(Payload { n, t: 0 }.encode("e:1", 256));
        assert_eq!(follows(0, event(1)), Ok(1));
        assert_eq!(follows(6, event(7)), Ok(7));
        for wrong in [6, 5, 8, 0] {
            assert!(follows(6, event(wrong)).is_err(), "{wrong}");
        }
        let gap = r#"{"type":"gap","channel":"e:1","dropped":1}"#.to_owned();
        for wrong in [Message::Text(gap), Message::Binary(vec![1]), Message::End] {
            assert!(follows(6, wrong).is_err());
        }
    }
}
