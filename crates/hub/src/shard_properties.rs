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

async fn play(steps: Vec<Step>) {
    let mut rig = Rig::new();
    let mut guests: BTreeMap<usize, (Guest, Expected)> = BTreeMap::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Enter | Step::EnterTracked => {
                let is_tracked = matches!(step, Step::EnterTracked);
                let form = if is_tracked { Form::Tracked } else { Form::Raw };
                let free = (0..8).find(|who| !guests.contains_key(who));
                if let Some(who) = free {
                    let expected = Expected { is_tracked, ..Expected::default() };
                    guests.insert(who, (rig.guest_in(form).await, expected));
                }
            }
            Step::JoinAll(who, channels) => {
                let Some((guest, expected)) = guests.get_mut(&who) else { continue };
                let keys = channels.iter().map(|channel| ChannelKey(*channel)).collect();
                let then = text_frame(format!("{ACKS} {number}").as_bytes());
                let place = guest.0.reserve().await.unwrap();
                drop(place.join(keys, Some(then)));
                expected.channels.extend(channels);
                if !expected.is_given_back {
                    expected.events.entry(ACKS).or_default().push(format!("{ACKS} {number}"));
                }
            }
            Step::GiveBack(who) => {
                let Some((guest, expected)) = guests.get_mut(&who) else { continue };
                // A drain ends the holding first; else what is held would come too late.
                rig.read().await;
                rig.release(Release::All).await;
                let member = guest.0.connection().clone();
                let code = CloseCode::ServiceRestart;
                rig.hub.give_back(member, code, String::new()).await.unwrap();
                rig.read().await;
                expected.is_given_back = true;
            }
            Step::Tell => {
                rig.read().await;
                rig.task.tell_cursors().await;
            }
            Step::Join(who, channel) => {
                let Some((guest, expected)) = guests.get_mut(&who) else { continue };
                rig.join(guest, channel).await;
                expected.channels.insert(channel);
            }
            Step::Leave(who, channel) => {
                let Some((guest, expected)) = guests.get_mut(&who) else { continue };
                begin(&mut Box::pin(guest.0.leave(ChannelKey(channel), None))).await;
                expected.channels.remove(&channel);
            }
            Step::Depart(who) => drop(guests.remove(&who)),
            Step::Sweep => rig.sweep(),
            Step::Publish(channel) => {
                let text = format!("{channel} {number}");
                let is_member = |expected: &Expected| {
                    expected.channels.contains(&channel) && !expected.is_given_back
                };
                let is_tracked =
                    guests.values().any(|(_, e)| e.is_tracked && e.channels.contains(&channel));
                let broadcast = Broadcast {
                    cursor: is_tracked.then(|| text_frame(format!("at {text}").as_bytes())),
                    flush_every: (channel >= CALM).then_some(CALM_FOR),
                    ..event(channel, &text, SlowConsumer::Disconnect)
                };
                rig.hub.reserve(100).await.unwrap().send(&broadcast, |_| true);
                let members = guests.values_mut().filter(|(_, e)| is_member(e));
                members.for_each(|(_, expected)| {
                    expected.events.entry(channel).or_default().push(text.clone());
                });
            }
            Step::Moment => {
                rig.read().await;
                rig.release(Release::All).await;
            }
            Step::EndHolding => rig.hub.end_holding().await.unwrap(),
        }
    }
    rig.read().await;
    rig.release(Release::All).await;
    for (guest, expected) in guests.values() {
        assert_eq!(expected.by_channel(guest.1.texts()), expected.events);
    }
    drop(guests);
    rig.sweep();
    assert_eq!(rig.shape(), (0, 0));
}
