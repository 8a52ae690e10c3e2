//! Tests of the interest: first in, last out, the linger, refusals, and sessions
//! that end in the middle of anything. Time is paused: it jumps when all is quiet.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_util::future::join_all;
use prometheus::Registry;
use redcast_hub::{Compressed, Form};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;
use crate::testing::{ScriptedBroker, channel};

const LINGER: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_millis(1);

struct Rig {
    interest: Arc<Interest>,
    broker: Arc<ScriptedBroker>,
    metrics: NodeMetrics,
    _reaper: JoinSet<()>,
}

impl Rig {
    fn new() -> Self {
        let broker = ScriptedBroker::new();
        let metrics = NodeMetrics::register(&Registry::new()).unwrap();
        let config = NodeConfig { linger: LINGER, ..NodeConfig::default() };
        let interest = Interest::new(broker.clone(), config, metrics.clone(), 2);
        let mut reaper = JoinSet::new();
        reaper.spawn(Reaper(interest.clone()).run());
        Self { interest, broker, metrics, _reaper: reaper }
    }

    async fn join(&self, name: &str) -> Membership {
        self.interest.subscribe(&channel(name), 0, Form::Raw.into()).await.unwrap()
    }

    /// A subscribe that waits for the broker.
    async fn begin(&self, name: &str) -> Pin<Box<impl Future<Output = bool>>> {
        let (interest, channel) = (self.interest.clone(), channel(name));
        let ask = async move { interest.subscribe(&channel, 0, Form::Raw.into()).await.is_ok() };
        let mut ask = Box::pin(ask);
        let waits = poll_fn(|cx| Poll::Ready(ask.as_mut().poll(cx).is_pending()));
        assert!(waits.await, "the broker does not answer yet");
        ask
    }

    fn entry(&self, name: &str) -> Option<Arc<Entry>> {
        self.interest.find(&channel(name))
    }

    fn is_forgotten(&self) -> bool {
        let entries = self.interest.channels.lock().len();
        assert_eq!(self.metrics.channels.get(), entries as i64);
        entries == 0 && self.interest.idle.lock().is_empty() && self.broker.wanted() == 0
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_in_subscribes_and_the_last_out_unsubscribes_after_the_linger() {
    let rig = Rig::new();
    let (first, second) = (rig.join("a").await, rig.join("a").await);
    assert_eq!(rig.broker.take_log(), ["subscribe a"]);
    assert_eq!((first.key(), first.channel()), (second.key(), &channel("a")));
    drop(first);
    sleep(3 * LINGER).await;
    assert!(rig.broker.take_log().is_empty(), "one is still here");
    drop(second);
    sleep(LINGER - MOMENT).await;
    assert!(rig.broker.take_log().is_empty());
    assert_eq!(rig.metrics.channels.get(), 1, "lingering ones included");
    sleep(2 * MOMENT).await;
    assert_eq!(rig.broker.take_log(), ["unsubscribe a"]);
    assert!(rig.is_forgotten());
}

#[tokio::test(start_paused = true)]
async fn a_quick_leave_and_join_asks_the_broker_nothing() {
    let rig = Rig::new();
    let mut membership = rig.join("a").await;
    rig.broker.take_log();
    for _ in 0..20 {
        drop(membership);
        sleep(LINGER - MOMENT).await;
        membership = rig.join("a").await;
    }
    sleep(3 * LINGER).await;
    assert!(rig.broker.take_log().is_empty());
    drop(membership);
    sleep(2 * LINGER).await;
    assert_eq!(rig.broker.take_log(), ["unsubscribe a"]);
    assert!(rig.is_forgotten());
}

#[tokio::test(start_paused = true)]
async fn the_linger_begins_with_the_last_departure() {
    let rig = Rig::new();
    drop(rig.join("a").await);
    sleep(LINGER / 2).await;
    drop(rig.join("a").await);
    sleep(LINGER - MOMENT).await;
    assert_eq!(rig.broker.take_log(), ["subscribe a"]);
    sleep(2 * MOMENT).await;
    assert_eq!(rig.broker.take_log(), ["unsubscribe a"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_leaves_nothing_and_can_be_tried_again() {
    let rig = Rig::new();
    rig.broker.refuse("a");
    for tries in 1..=2 {
        let refused = rig.interest.subscribe(&channel("a"), 0, Form::Raw.into()).await;
        assert_eq!(refused.err().map(|error| error.channel), Some(channel("a")));
        assert_eq!(rig.metrics.subscriptions_refused.get(), tries);
    }
    let entry = rig.entry("a").unwrap();
    assert!(entry.members().encodings() == Encodings::default() && !entry.members().in_shard(0));
    sleep(2 * LINGER).await;
    assert!(rig.is_forgotten());
    assert_eq!(rig.broker.take_log(), ["subscribe a", "subscribe a"], "nothing to take back");
    rig.broker.permit_all();
    let membership = rig.join("a").await;
    assert_ne!(membership.key(), entry.key, "a key is never used twice");
    assert_eq!(rig.broker.take_log(), ["subscribe a"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_waiting_crowd_refuses_all_of_it() {
    let rig = Rig::new();
    rig.broker.refuse("a");
    let name = channel("a");
    let asks = (0..3).map(|_| rig.interest.subscribe(&name, 0, Form::Raw.into()));
    assert!(join_all(asks).await.iter().all(Result::is_err));
    sleep(2 * LINGER).await;
    assert!(rig.is_forgotten());
}

#[tokio::test(start_paused = true)]
async fn a_hundred_at_once_ask_the_broker_once() {
    let rig = Rig::new();
    rig.broker.answer(false);
    let mut asks = Vec::new();
    for _ in 0..100 {
        asks.push(rig.begin("a").await);
    }
    rig.broker.answer(true);
    assert!(join_all(asks).await.iter().all(|ok| *ok));
    assert_eq!(rig.broker.take_log(), ["subscribe a"]);
    sleep(2 * LINGER).await;
    assert!(rig.is_forgotten());
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_the_unsubscribe_is_under_way_ends_subscribed() {
    let rig = Rig::new();
    drop(rig.join("a").await);
    rig.broker.answer(false);
    sleep(LINGER + MOMENT).await;
    assert_eq!(rig.broker.take_log(), ["subscribe a", "unsubscribe a"]);
    let name = channel("a");
    let (joined, ()) = tokio::join!(rig.interest.subscribe(&name, 0, Form::Raw.into()), async {
        sleep(LINGER).await;
        assert!(rig.broker.take_log().is_empty(), "one after the other");
        rig.broker.answer(true);
    });
    assert_eq!(rig.broker.take_log(), ["subscribe a"]);
    assert_eq!(rig.broker.wanted(), 1);
    let joined = joined.unwrap();
    assert_eq!(rig.entry("a").unwrap().key, joined.key());
    assert!(rig.entry("a").unwrap().members().in_shard(0));
    sleep(3 * LINGER).await;
    assert_eq!(rig.broker.wanted(), 1);
    drop(joined);
    sleep(2 * LINGER).await;
    assert!(rig.is_forgotten());
}

#[tokio::test(start_paused = true)]
async fn who_comes_and_goes_while_the_unsubscribe_is_under_way_leaves_nothing() {
    let rig = Rig::new();
    drop(rig.join("a").await);
    rig.broker.answer(false);
    sleep(LINGER + MOMENT).await;
    drop(rig.begin("a").await);
    rig.broker.answer(true);
    sleep(2 * LINGER).await;
    assert!(rig.is_forgotten());
    assert_eq!(rig.broker.take_log(), ["subscribe a", "unsubscribe a"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_the_broker_is_asked_leaves_no_subscription_behind() {
    let rig = Rig::new();
    rig.broker.answer(false);
    drop(rig.begin("a").await);
    assert_eq!(rig.broker.wanted(), 1, "the wish has reached the broker");
    rig.broker.answer(true);
    sleep(2 * LINGER).await;
    assert_eq!(rig.broker.take_log(), ["subscribe a", "unsubscribe a"]);
    assert!(rig.is_forgotten());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_heard_is_asked_for_again() {
    let rig = Rig::new();
    rig.broker.answer(false);
    drop(rig.begin("a").await);
    rig.broker.answer(true);
    rig.broker.refuse("a");
    assert!(rig.interest.subscribe(&channel("a"), 0, Form::Raw.into()).await.is_err());
    rig.broker.permit_all();
    let _membership = rig.join("a").await;
    assert_eq!(rig.broker.take_log(), ["subscribe a"; 3]);
}

#[tokio::test(start_paused = true)]
async fn while_the_broker_is_away_each_newcomer_asks_until_one_is_live() {
    let rig = Rig::new();
    rig.broker.be_away(true);
    let _pending = (rig.join("a").await, rig.join("a").await);
    assert_eq!(rig.broker.take_log(), ["subscribe a"; 2]);
    rig.broker.be_away(false);
    let _live = (rig.join("a").await, rig.join("a").await);
    assert_eq!(rig.broker.take_log(), ["subscribe a"], "live is live for all");
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_that_is_refused_leaves_the_pending_members_their_wish() {
    let rig = Rig::new();
    rig.broker.be_away(true);
    let pending = rig.join("a").await;
    rig.broker.be_away(false);
    rig.broker.refuse("a");
    for _ in 0..2 {
        assert!(rig.interest.subscribe(&channel("a"), 0, Form::Raw.into()).await.is_err());
    }
    sleep(3 * LINGER).await;
    assert_eq!(rig.broker.take_log(), ["subscribe a"; 3]);
    drop(pending);
    sleep(2 * LINGER).await;
    assert_eq!(rig.broker.take_log(), ["unsubscribe a"], "the broker held the wish");
    assert!(rig.is_forgotten());
}

#[tokio::test(start_paused = true)]
async fn after_a_late_refusal_the_next_newcomer_asks() {
    let rig = Rig::new();
    let live = rig.join("a").await;
    rig.broker.refuse("a");
    rig.entry("a").unwrap().doubt();
    for _ in 0..2 {
        assert!(rig.interest.subscribe(&channel("a"), 0, Form::Raw.into()).await.is_err());
    }
    rig.broker.permit_all();
    drop((rig.join("a").await, rig.join("a").await));
    assert_eq!(rig.broker.take_log(), ["subscribe a"; 4]);
    rig.broker.refuse("a");
    rig.entry("a").unwrap().doubt();
    assert!(rig.interest.subscribe(&channel("a"), 0, Form::Raw.into()).await.is_err());
    drop(live);
    sleep(2 * LINGER).await;
    assert_eq!(rig.broker.take_log(), ["subscribe a", "unsubscribe a"]);
    assert!(rig.is_forgotten());
}

#[tokio::test(start_paused = true)]
async fn channels_that_come_and_go_do_not_keep_others_subscribed() {
    let rig = Rig::new();
    for number in 0..100 {
        drop(rig.join(&format!("busy{number}")).await);
    }
    drop(rig.join("quiet").await);
    // Each is joined and left again within its linger, time after time.
    for _ in 0..4 {
        sleep(LINGER / 2).await;
        for number in 0..100 {
            drop(rig.join(&format!("busy{number}")).await);
        }
    }
    assert!(rig.entry("quiet").is_none());
    assert!(rig.entry("busy0").is_some());
    sleep(3 * LINGER).await;
    assert!(rig.is_forgotten());
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_for_the_broker_does_not_hold_up_the_reaper() {
    let rig = Rig::new();
    rig.broker.refuse("slow");
    assert!(rig.interest.subscribe(&channel("slow"), 0, Form::Raw.into()).await.is_err());
    drop(rig.join("a").await);
    rig.broker.answer(false);
    let slow = rig.begin("slow").await;
    sleep(2 * LINGER).await;
    let log = rig.broker.take_log();
    assert_eq!(log.last().map(String::as_str), Some("unsubscribe a"));
    rig.broker.answer(true);
    assert!(!slow.await);
    sleep(2 * LINGER).await;
    assert!(rig.is_forgotten());
}

#[tokio::test(start_paused = true)]
async fn forms_and_shards_are_counted_one_by_one() {
    let rig = Rig::new();
    let a = channel("a");
    let raw = rig.interest.subscribe(&a, 0, Form::Raw.into()).await.unwrap();
    let quiet = rig.interest.subscribe(&a, 1, Form::Quiet.into()).await.unwrap();
    let envelope = rig.interest.subscribe(&a, 1, Form::Envelope.into()).await.unwrap();
    let entry = rig.entry("a").unwrap();
    let counts = || {
        let members = entry.members();
        let shards = [0, 1, 2].map(|shard| members.in_shard(shard));
        let plain = |form| members.encodings().need_plain(form, &Compressed::default());
        (plain(Form::Raw), plain(Form::Envelope), shards)
    };
    assert_eq!(counts(), (true, true, [true, true, false]));
    drop(raw);
    assert_eq!(counts(), (true, true, [false, true, false]));
    drop(quiet);
    assert_eq!(counts(), (false, true, [false, true, false]));
    drop(envelope);
    assert_eq!(counts(), (false, false, [false, false, false]));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_joins_and_leaves_end_as_the_membership_says() {
    let rig = Rig::new();
    let mut held: Vec<Membership> = Vec::new();
    for number in 0_usize..1000 {
        held.push(rig.join(&format!("c{}", number * 7 % 13)).await);
        if number % 3 != 0 {
            held.swap_remove(number * 31 % held.len());
        }
        if number % 10 == 0 {
            sleep(LINGER / 3).await;
        }
    }
    sleep(2 * LINGER).await;
    let mut channels: Vec<Channel> = held.iter().map(|held| held.channel().clone()).collect();
    channels.sort();
    channels.dedup();
    assert_eq!((rig.broker.wanted(), rig.metrics.channels.get()), (13, 13));
    assert_eq!(channels.len(), 13);
    held.retain(|membership| membership.channel().as_str() == "c4");
    sleep(2 * LINGER).await;
    assert_eq!((rig.broker.wanted(), rig.metrics.channels.get()), (1, 1));
    held.clear();
    sleep(2 * LINGER).await;
    assert!(rig.is_forgotten());
}
