//! Any order of joins, leaves, departures, events and moments: everybody gets exactly
//! the events of its channels, each channel's in order, also of those that gather.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Guest, Rig, begin};
use crate::broadcast::ChannelKey;
use crate::held::Release;

/// The channels from here on gather their events.
const CALM: u64 = 2;

#[derive(Debug, Clone)]
enum Step {
    Enter,
    Join(usize, u64),
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
}

impl Expected {
    /// Texts by the channel that they begin with.
    fn by_channel(texts: Vec<String>) -> BTreeMap<u64, Vec<String>> {
        let mut events: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for text in texts {
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
            Step::Enter => {
                let free = (0..8).find(|who| !guests.contains_key(who));
                if let Some(who) = free {
                    guests.insert(who, (rig.guest().await, Expected::default()));
                }
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
                match channel {
                    CALM.. => rig.publish_calm(channel, &text).await,
                    _ => rig.publish(channel, &text).await,
                }
                let members = guests.values_mut().filter(|(_, e)| e.channels.contains(&channel));
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
        assert_eq!(Expected::by_channel(guest.1.texts()), expected.events);
    }
    drop(guests);
    rig.sweep();
    assert_eq!(rig.shape(), (0, 0));
}
