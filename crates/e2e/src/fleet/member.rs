//! One client of a [`Crowd`](super::Crowd): an envelope connection that comes back by
//! itself, on any instance, and goes on where it was.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::checker::stream_id;
use crate::fleet::crowd::{Order, Shared};
use crate::fleet::diary::{Diary, Page};
use crate::fleet::feed::{Feed, Payload};
use crate::fleet::said::Said;
use crate::frames::Opcode;
use crate::patience::unix_ms;
use crate::raw_client::{Dial, Message, RawClient};

/// How long a handshake may take before the client tries elsewhere.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// The longest wait between two attempts.
const BACKOFF: Duration = Duration::from_secs(2);
/// How long a refused subscribe waits until it is said again, at most.
const SAY_AGAIN: Duration = Duration::from_millis(400);

/// The ids of the two commands: one for the streams, one for the others, so that what
/// is refused of one mode does not hold up the other.
const STREAMS: &str = "s";
const PUBSUBS: &str = "e";

/// What a load balancer calls its servers ([`haproxy`](crate::chaos)).
const COOKIES: [&str; 3] = ["SERVER=g0", "SERVER=g1", "SERVER=g2"];

pub(super) struct Member {
    pub(super) number: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) order: watch::Receiver<Order>,
    pub(super) random: Rng,
    /// The last cursor of each stream channel.
    pub(super) cursors: HashMap<usize, String>,
    pub(super) channels: Vec<usize>,
    /// When to come back, as the last close advised.
    pub(super) advice: Option<Duration>,
    /// The load balancer's cookie, which leads back to the same instance.
    pub(super) cookie: Option<&'static str>,
}

impl Member {
    /// Lives until it is told to end.
    pub(super) async fn live(mut self) {
        let mut failures = 0;
        loop {
            let order = *self.order.borrow_and_update();
            match order {
                Order::End => return,
                Order::StayAway => {
                    let _ = self.order.changed().await;
                    continue;
                }
                Order::Read | Order::Ignore => {}
            }
            self.pause_before(failures).await;
            let Some(client) = self.dial().await else {
                failures += 1;
                continue;
            };
            failures = 0;
            self.stay(client).await;
        }
    }

    /// Full jitter: clients that lost the same gateway don't come back as one.
    async fn pause_before(&mut self, failures: u32) {
        if let Some(advice) = self.advice.take() {
            return sleep(advice).await;
        }
        let longest = self.shared.jitter * 2_u32.saturating_pow(failures.min(5));
        sleep(longest.min(BACKOFF).mul_f64(self.random.f64())).await;
    }

    async fn dial(&mut self) -> Option<RawClient> {
        let door = self.shared.door(&mut self.random)?;
        let how = Dial { envelope: true, cookie: self.cookie, ..self.shared.dial };
        self.shared.counts.attempt();
        let dialled = timeout(HANDSHAKE, RawClient::dial(&door, Feed::PATH, how)).await;
        match dialled {
            Ok(Ok(client)) => {
                let given = client.set_cookie().unwrap_or_default();
                let known = COOKIES.iter().find(|cookie| given.starts_with(**cookie));
                self.cookie = known.copied().or(self.cookie);
                Some(client)
            }
            Ok(Err(error)) => {
                self.shared.counts.failed(&error.to_string());
                None
            }
            Err(_) => {
                self.shared.counts.failed("no answer to the handshake");
                None
            }
        }
    }

    /// One connection, from its first command to its end.
    async fn stay(&mut self, mut client: RawClient) {
        self.shared.counts.connected(1);
        let mut heard = Instant::now();
        if self.subscribe(&mut client).await {
            self.read(&mut client, &mut heard).await;
        } else {
            self.shared.counts.closed(1006);
        }
        self.shared.counts.connected(-1);
        let silent_for = u64::try_from(heard.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.diary().left(unix_ms().saturating_sub(silent_for));
    }

    async fn subscribe(&mut self, client: &mut RawClient) -> bool {
        self.say(client, STREAMS).await && self.say(client, PUBSUBS).await
    }

    async fn read(&mut self, client: &mut RawClient, heard: &mut Instant) {
        loop {
            let order = *self.order.borrow_and_update();
            let message = match order {
                Order::End | Order::StayAway => return,
                Order::Ignore => {
                    let _ = self.order.changed().await;
                    continue;
                }
                Order::Read => tokio::select! {
                    message = client.message_whenever() => message,
                    _ = self.order.changed() => continue,
                },
            };
            *heard = Instant::now();
            let refused = match message {
                Message::Text(text) => self.take(&Said::read(&text)),
                Message::Binary(_) => panic!("a binary frame in envelope mode"),
                Message::Closed(code, reason) => {
                    self.shared.counts.closed(code);
                    self.advice = advice(&reason);
                    // The answer, so that the close is a clean one; it may be too late.
                    let _ = client.send(Opcode::Close, &code.to_be_bytes()).await;
                    return;
                }
                Message::End => {
                    self.shared.counts.closed(1006);
                    return;
                }
            };
            if let Some(command) = refused {
                sleep(SAY_AGAIN.mul_f64(self.random.f64())).await;
                if !self.say(client, command).await {
                    self.shared.counts.closed(1006);
                    return;
                }
            }
        }
    }

    /// Says one of the two commands.
    async fn say(&self, client: &mut RawClient, command: &str) -> bool {
        let feed = &self.shared.feed;
        let wanted = |channel: &&usize| feed.is_stream(**channel) == (command == STREAMS);
        let channels: Vec<usize> = self.channels.iter().filter(wanted).copied().collect();
        if channels.is_empty() {
            return true;
        }
        let names: Vec<&str> = channels.iter().map(|&channel| feed.name(channel)).collect();
        let known = channels.iter().filter_map(|channel| {
            Some((feed.name(*channel).to_owned(), self.cursors.get(channel)?.clone().into()))
        });
        let since: serde_json::Map<String, serde_json::Value> = known.collect();
        let mut text = serde_json::json!({"type":"subscribe","id":command,"channels":names});
        if command == STREAMS {
            self.shared.counts.said(since.len() == channels.len());
        }
        if !since.is_empty() {
            text["since"] = since.into();
        }
        client.send(Opcode::Text, text.to_string().as_bytes()).await.is_ok()
    }

    /// Takes a message; answers which command has to be said again.
    fn take(&mut self, said: &Said<'_>) -> Option<&'static str> {
        let channel = said.channel.as_deref().and_then(|name| self.shared.feed.index(name));
        match &*said.r#type {
            "event" => self.event(channel, said),
            "ack" => self.acknowledged(said),
            "reset" => self.reset(channel, said),
            "gap" => self.gap(channel, said),
            "error" => return self.error(said),
            _ => {}
        }
        None
    }

    fn event(&mut self, channel: Option<usize>, said: &Said<'_>) {
        let Some(channel) = channel else { return self.shared.counts.stranger() };
        let payload = said.data.and_then(|data| serde_json::from_str::<Payload>(data.get()).ok());
        let id = said.id.as_deref();
        if let Some(id) = id {
            self.cursors.insert(channel, id.to_owned());
        }
        let Some(payload) = payload else { return self.shared.counts.stranger() };
        let mark = self.shared.mark();
        let mut diary = self.diary();
        let page = diary.page(channel);
        page.arrived(payload.t, mark);
        match page {
            Page::Stream { record, .. } => {
                let id = id.and_then(stream_id).expect("a stream's event has its cursor");
                record.event(id, payload.n);
            }
            Page::PubSub { record, .. } => record.event(payload.n),
        }
    }

    fn acknowledged(&mut self, said: &Said<'_>) {
        if said.id.as_deref() == Some(PUBSUBS) {
            let now = unix_ms();
            self.diary().pubsubs().for_each(|record| record.joined(now));
            return;
        }
        self.shared.counts.acknowledged();
        let shared = Arc::clone(&self.shared);
        for (name, cursor) in said.cursors.iter().flatten() {
            let channel = shared.feed.index(name).expect("a channel that was asked for");
            let place = stream_id(cursor).expect("a cursor");
            self.cursors.insert(channel, cursor.to_string());
            self.diary().stream(channel).joined(place);
        }
    }

    fn reset(&mut self, channel: Option<usize>, said: &Said<'_>) {
        let Some(channel) = channel else { return self.shared.counts.stranger() };
        let reason = said.reason.as_deref().expect("a reset has a reason");
        let place = said.id.as_deref().and_then(stream_id);
        match said.id.as_deref() {
            Some(cursor) => self.cursors.insert(channel, cursor.to_owned()),
            None => self.cursors.remove(&channel),
        };
        self.diary().stream(channel).reset(reason, place, unix_ms());
    }

    fn gap(&mut self, channel: Option<usize>, said: &Said<'_>) {
        let Some(channel) = channel else { return self.shared.counts.stranger() };
        let (Some(from), Some(to)) = (said.from, said.to) else { panic!("a gap without times") };
        let reason = said.reason.as_deref().expect("a gap has a reason");
        self.diary().page(channel).gap(reason, from, to, unix_ms());
    }

    fn error(&self, said: &Said<'_>) -> Option<&'static str> {
        let code = said.code.as_deref().unwrap_or("none");
        self.shared.counts.error(code);
        match said.id.as_deref() {
            Some(STREAMS) => Some(STREAMS),
            Some(PUBSUBS) => Some(PUBSUBS),
            _ => None,
        }
    }

    fn diary(&self) -> MutexGuard<'_, Diary> {
        self.shared.diary(self.number)
    }
}

/// What a close says about when to come back.
fn advice(reason: &str) -> Option<Duration> {
    let reason: serde_json::Value = serde_json::from_str(reason).ok()?;
    Some(Duration::from_millis(reason["reconnect_after_ms"].as_u64()?))
}
