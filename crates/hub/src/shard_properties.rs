//! Any order of joins, leaves, departures, events and moments: everybody gets exactly
//! the events of its channels, each channel's in order, also of those that gather.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use redcast_protocol::CloseCode;
use redcast_wire::text_frame;

use super::{Guest, Rig, begin};
use crate::broadcast::{Broadcast, ChannelKey, Form, SlowConsumer};
use crate::held::Release;
use crate::testing::event;

/// The channels from here on gather their events.
const CALM: u64 = 2;
const CALM_FOR: Duration = Duration::from_secs(60);
/// What acknowledgements begin with, as if they were of a channel.
const ACKS: u64 = 99;

#[derive(Debug, Clone)]
enum Step {
    Enter,
    EnterTracked,
    Join(usize, u64),
    /// Into several at once, with the acknowledgement after what came before.
    JoinAll(usize, Vec<u64>),
    /// The connection ends, after what waits for it.
    GiveBack(usize),
    /// What tracked members are due to be told.
    Tell,
    Leave(usize, u64),
    Depart(usize),
    Sweep,
    Publish(u64),
    /// All that waits is read and taken as due.
    Moment,
    EndHolding,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..8_usize;
    prop_oneof![
        2 => Just(Step::Enter),
        1 => Just(Step::EnterTracked),
        1 => Just(Step::Tell),
        1 => who.clone().prop_map(Step::GiveBack),
        3 => (who.clone(), prop::collection::vec(0..4_u64, 1..4))
            .prop_map(|(who, channels)| Step::JoinAll(who, channels)),
        6 => (who.clone(), 0..4_u64).prop_map(|(who, channel)| Step::Join(who, channel)),
        2 => (who.clone(), 0..4_u64).prop_map(|(who, channel)| Step::Leave(who, channel)),
        1 => who.prop_map(Step::Depart),
        1 => Just(Step::Sweep),
        6 => (0..4_u64).prop_map(Step::Publish),
        1 => Just(Step::Moment),
    ]
}

/// What each guest should have: its channels, and the events it was sent.
#[derive(Default)]
struct Expected {
    channels: BTreeSet<u64>,
    events: BTreeMap<u64, Vec<String>>,
    is_tracked: bool,
    /// Its close was asked for.
    is_given_back: bool,
}

impl Expected {
    /// Texts by the channel that they begin with. Places that are told must be that of the
    /// channel's last event so far, and only tracked guests are told any.
    fn by_channel(&self, texts: Vec<String>) -> BTreeMap<u64, Vec<String>> {
        let mut events: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for text in texts {
            if let Some(place) = text.strip_prefix("at ") {
                let channel = place.split_once(' ').unwrap().0.parse().unwrap();
                let last = events.get(&channel).and_then(|events| events.last());
                assert!(self.is_tracked && last.is_none_or(|last| last == place), "{text}");
                continue;
            }
            let channel = text.split_once(' ').unwrap().0.parse().unwrap();
            events.entry(channel).or_default().push(text);
        }
        events
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn everybody_gets_exactly_the_events_of_its_channels(
        mut steps in prop::collection::vec(step(), 1..80),
        end in prop::option::of(0..80_usize),
    ) {
        if let Some(index) = end {
            steps.insert(index.min(steps.len()), Step::EndHolding);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(steps));
    }
}

/// A shard, and who is there with what it should have.
struct Game {
    rig: Rig,
    guests: BTreeMap<usize, (Guest, Expected)>,
}

impl Game {
    async fn step(&mut self, number: usize, step: Step) {
        match step {
            Step::Enter => self.enter(Form::Raw).await,
            Step::EnterTracked => self.enter(Form::Tracked).await,
            Step::Join(who, channel) => {
                let Some((guest, expected)) = self.guests.get_mut(&who) else { return };
                self.rig.join(guest, channel).await;
                expected.channels.insert(channel);
            }
            Step::JoinAll(who, channels) => self.join_all(who, channels, number).await,
            Step::Leave(who, channel) => {
                let Some((guest, expected)) = self.guests.get_mut(&who) else { return };
                begin(&mut Box::pin(guest.0.leave(ChannelKey(channel), None))).await;
                expected.channels.remove(&channel);
            }
            Step::Depart(who) => drop(self.guests.remove(&who)),
            Step::GiveBack(who) => self.give_back(who).await,
            Step::Sweep => self.rig.sweep(),
            Step::Publish(channel) => self.publish(channel, number).await,
            Step::Moment => self.moment().await,
            Step::EndHolding => self.rig.hub.end_holding().await.unwrap(),
            Step::Tell => {
                self.rig.read().await;
                self.rig.task.tell_cursors().await;
            }
        }
    }

    async fn enter(&mut self, form: Form) {
        let Some(who) = (0..8).find(|who| !self.guests.contains_key(who)) else { return };
        let expected = Expected { is_tracked: form == Form::Tracked, ..Expected::default() };
        self.guests.insert(who, (self.rig.guest_in(form).await, expected));
    }

    async fn join_all(&mut self, who: usize, channels: Vec<u64>, number: usize) {
        let Some((guest, expected)) = self.guests.get_mut(&who) else { return };
        let keys = channels.iter().map(|channel| ChannelKey(*channel)).collect();
        let ack = format!("{ACKS} {number}");
        let place = guest.0.reserve().await.unwrap();
        drop(place.join(keys, Some(text_frame(ack.as_bytes()))));
        expected.channels.extend(channels);
        if !expected.is_given_back {
            expected.events.entry(ACKS).or_default().push(ack);
        }
    }

    async fn give_back(&mut self, who: usize) {
        // A drain ends the holding first; else what is held would come too late.
        self.moment().await;
        let Some((guest, expected)) = self.guests.get_mut(&who) else { return };
        let member = guest.0.connection().clone();
        let code = CloseCode::ServiceRestart;
        self.rig.hub.give_back(member, code, String::new()).await.unwrap();
        self.rig.read().await;
        expected.is_given_back = true;
    }

    async fn publish(&mut self, channel: u64, number: usize) {
        let text = format!("{channel} {number}");
        let is_in = |expected: &Expected| expected.channels.contains(&channel);
        let is_tracked = self.guests.values().any(|(_, e)| e.is_tracked && is_in(e));
        let broadcast = Broadcast {
            cursor: is_tracked.then(|| text_frame(format!("at {text}").as_bytes())),
            flush_every: (channel >= CALM).then_some(CALM_FOR),
            ..event(channel, &text, SlowConsumer::Disconnect)
        };
        self.rig.hub.reserve(100).await.unwrap().send(&broadcast, |_| true);
        let members = self.guests.values_mut().filter(|(_, e)| is_in(e) && !e.is_given_back);
        members.for_each(|(_, expected)| {
            expected.events.entry(channel).or_default().push(text.clone());
        });
    }

    async fn moment(&mut self) {
        self.rig.read().await;
        self.rig.release(Release::All).await;
    }
}

async fn play(steps: Vec<Step>) {
    let mut game = Game { rig: Rig::new(), guests: BTreeMap::new() };
    for (number, step) in steps.into_iter().enumerate() {
        game.step(number, step).await;
    }
    game.moment().await;
    let Game { mut rig, guests } = game;
    for (guest, expected) in guests.values() {
        assert_eq!(expected.by_channel(guest.1.texts()), expected.events);
    }
    drop(guests);
    rig.sweep();
    assert_eq!(rig.shape(), (0, 0));
}
