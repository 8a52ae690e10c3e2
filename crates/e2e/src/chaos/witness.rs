//! Whether a gateway says of itself what is true: its `/readyz` beside what a client of
//! its own hears.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::fleet::{Feed, Fleet};
use crate::gateway::Gateway;
use crate::http::get;
use crate::patience::unix_ms;
use crate::raw_client::{Dial, Message, RawClient};

/// How often a gateway is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Who has been deaf for so long must not be called ready.
const DEAF_MS: u64 = 5_000;

/// An answer of `/readyz`.
#[derive(Debug, Clone, Copy)]
struct Answer {
    /// When it was asked for, Unix milliseconds.
    at: u64,
    is_ready: bool,
}

/// What was heard and answered of one gateway.
#[derive(Debug, Default)]
struct Notes {
    /// When an event arrived, Unix milliseconds, by channel; the first is when it began.
    heard: Vec<Vec<u64>>,
    answers: Vec<Answer>,
}

/// What a gateway's witness found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Testimony {
    /// How often it was asked.
    pub(super) answers: usize,
    /// How often it was ready, it said.
    pub(super) ready: usize,
    /// How often it said so while a channel had been deaf for more than 5 s.
    pub(super) lies: usize,
}

impl Notes {
    fn judge(&self) -> Testimony {
        let ready = self.answers.iter().filter(|answer| answer.is_ready);
        let is_lie = |answer: &&Answer| self.heard.iter().any(|heard| is_deaf(heard, answer.at));
        Testimony {
            answers: self.answers.len(),
            ready: ready.clone().count(),
            lies: ready.filter(is_lie).count(),
        }
    }
}

fn is_deaf(heard: &[u64], at: u64) -> bool {
    let before = heard.partition_point(|&moment| moment <= at);
    before > 0 && at - heard[before - 1] > DEAF_MS
}

/// Watches one gateway until it is asked what it found.
pub(super) struct Witness {
    notes: Arc<Mutex<Notes>>,
    tasks: [JoinHandle<()>; 2],
}

impl Witness {
    /// One for each gateway that runs, on every pub/sub channel.
    pub(super) async fn of_all(fleet: &Fleet) -> Vec<Self> {
        let watching = fleet.running().map(|gateway| Self::watch(&fleet.feed, gateway));
        futures_util::future::join_all(watching).await
    }

    async fn watch(feed: &Arc<Feed>, gateway: &Gateway) -> Self {
        let how = Dial { envelope: true, ..Dial::default() };
        let dialled = RawClient::dial(gateway.public(), Feed::PATH, how).await;
        let mut client = dialled.expect("the gateway accepts");
        let names: Vec<&str> = feed.pubsubs().map(|channel| feed.name(channel)).collect();
        client.say(&serde_json::json!({"type":"subscribe","channels":names}).to_string()).await;
        let heard = vec![vec![unix_ms()]; feed.pubsubs().len()];
        let notes = Arc::new(Mutex::new(Notes { heard, answers: Vec::new() }));
        let listening = tokio::spawn(listen(client, Arc::clone(feed), Arc::clone(&notes)));
        let asking = tokio::spawn(ask(gateway.admin().to_owned(), Arc::clone(&notes)));
        Self { notes, tasks: [listening, asking] }
    }

    /// Ends, and says what it found.
    pub(super) fn testify(self) -> Testimony {
        self.notes.lock().expect("no panic under the lock").judge()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[derive(Deserialize)]
struct Heard<'a> {
    r#type: &'a str,
    channel: Option<&'a str>,
}

async fn listen(mut client: RawClient, feed: Arc<Feed>, notes: Arc<Mutex<Notes>>) {
    loop {
        let Message::Text(text) = client.message_whenever().await else { return };
        let Ok(Heard { r#type: "event", channel: Some(channel) }) = serde_json::from_str(&text)
        else {
            continue;
        };
        let Some(channel) = feed.index(channel) else { continue };
        let place = channel - feed.pubsubs().start;
        notes.lock().expect("no panic under the lock").heard[place].push(unix_ms());
    }
}

async fn ask(admin: String, notes: Arc<Mutex<Notes>>) {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let at = unix_ms();
        let is_ready = get(&admin, "/readyz").await.status == 200;
        notes.lock().expect("no panic under the lock").answers.push(Answer { at, is_ready });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(heard: &[&[u64]], answers: &[(u64, bool)]) -> Notes {
        let answers = answers.iter().map(|&(at, is_ready)| Answer { at, is_ready }).collect();
        Notes { heard: heard.iter().map(|heard| heard.to_vec()).collect(), answers }
    }

    #[test]
    fn ready_while_all_is_heard_is_the_truth() {
        let notes = notes(&[&[0, 4_000, 8_000], &[0, 5_000]], &[(1_000, true), (9_000, true)]);
        assert_eq!(notes.judge(), Testimony { answers: 2, ready: 2, lies: 0 });
    }

    #[test]
    fn ready_while_one_channel_is_deaf_is_a_lie() {
        let notes = notes(&[&[0, 4_000, 8_000], &[0]], &[(5_000, true), (5_001, true)]);
        assert_eq!(notes.judge(), Testimony { answers: 2, ready: 2, lies: 1 });
    }

    #[test]
    fn not_ready_while_deaf_is_the_truth() {
        let notes = notes(&[&[0]], &[(5_001, false), (60_000, false)]);
        assert_eq!(notes.judge(), Testimony { answers: 2, ready: 0, lies: 0 });
    }
}
