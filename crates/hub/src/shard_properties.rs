//! Any order of joins, leaves, departures and events: everybody gets exactly the
//! events of its channels.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Guest, Rig, begin};
use crate::broadcast::ChannelKey;

#[derive(Debug, Clone)]
enum Step {
    Enter,
    Join(usize, u64),
    Leave(usize, u64),
    Depart(usize),
    Sweep,
    Publish(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..8_usize;
    prop_oneof![
        2 => Just(Step::Enter),
        6 => (who.clone(), 0..4_u64).prop_map(|(who, channel)| Step::Join(who, channel)),
        2 => (who.clone(), 0..4_u64).prop_map(|(who, channel)| Step::Leave(who, channel)),
        1 => who.prop_map(Step::Depart),
        1 => Just(Step::Sweep),
        3 => (0..4_u64).prop_map(Step::Publish),
    ]
}

/// What each guest should have: its channels, and the events it was sent.
#[derive(Default)]
struct Expected {
    channels: BTreeSet<u64>,
    events: Vec<String>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn everybody_gets_exactly_the_events_of_its_channels(
        steps in prop::collection::vec(step(), 1..80),
    ) {
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
                let text = number.to_string();
                rig.publish(channel, &text).await;
                let members = guests.values_mut().filter(|(_, e)| e.channels.contains(&channel));
                members.for_each(|(_, expected)| expected.events.push(text.clone()));
            }
        }
    }
    rig.read().await;
    for (guest, expected) in guests.values() {
        assert_eq!(guest.1.texts(), expected.events);
    }
    drop(guests);
    rig.sweep();
    assert_eq!(rig.shape(), (0, 0));
}
