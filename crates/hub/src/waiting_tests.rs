//! Any order of pushes, replacements and removals, against a plain list.

use proptest::prelude::*;
use redcast_wire::text_frame;

use super::*;
use crate::broadcast::SlowConsumer::{Disconnect, DropOldest, KeepLatest};

const KEY: ChannelKey = ChannelKey(1);

impl Waiting {
    /// How many entries at the front are known to be undroppable.
    pub(crate) fn passed_over(&self) -> usize {
        let mut at = self.first;
        let mut count = 0;
        while at != self.candidate {
            at = self.entries[at as usize].after;
            count += 1;
        }
        count
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Push(Kind),
    Pop,
    Drop,
    RemoveSame(Kind),
    Clear,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        2 => Just(Kind::Reply),
        2 => Just(Kind::Event(KEY, Disconnect)),
        2 => Just(Kind::Event(KEY, DropOldest)),
        1 => Just(Kind::Event(KEY, KeepLatest)),
        4 => (1..3_u64, 0..4_u64).prop_map(|(channel, item)| latest(channel, item)),
    ]
}

fn latest(channel: u64, item: u64) -> Kind {
    Kind::Latest(ChannelKey(channel), item)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => kind().prop_map(Step::Push),
        6 => Just(Step::Pop),
        6 => Just(Step::Drop),
        3 => (1..3_u64, 0..4_u64).prop_map(|(channel, item)| Step::RemoveSame(latest(channel, item))),
        1 => Just(Step::Clear),
    ]
}

type Plain = Vec<(Bytes, Kind)>;

/// Where a newer event of the item may go: behind the last reply, or nowhere.
fn place(plain: &Plain, kind: Kind) -> Option<usize> {
    let item = kind.item()?;
    let behind = plain.iter().rposition(|(_, kind)| *kind == Kind::Reply).map_or(0, |at| at + 1);
    let same = |(_, other): &(Bytes, Kind)| other.item() == Some(item);
    plain[behind..].iter().position(same).map(|index| behind + index)
}

/// Does the same to both, as a backlog would: between two replies one event waits for
/// an item.
fn take(step: Step, number: usize, waiting: &mut Waiting, plain: &mut Plain) {
    let frame = text_frame(number.to_string().as_bytes());
    match step {
        Step::Push(kind) => match (waiting.same_item(kind), place(plain, kind)) {
            (Some((place, len)), Some(index)) => {
                assert_eq!(len, plain[index].0.len());
                waiting.replace(place, frame.clone());
                plain[index].0 = frame;
            }
            (None, None) => {
                waiting.push(frame.clone(), kind);
                plain.push((frame, kind));
            }
            other => panic!("{other:?}"),
        },
        Step::Pop => {
            let first = (!plain.is_empty()).then(|| plain.remove(0));
            assert_eq!(waiting.pop(), first);
        }
        Step::Drop => {
            let place = waiting.oldest_droppable();
            let index = plain.iter().position(|(_, kind)| kind.is_droppable());
            assert_eq!(place.is_some(), index.is_some());
            assert_eq!(waiting.passed_over(), index.unwrap_or(plain.len()));
            if let (Some(place), Some(index)) = (place, index) {
                assert_eq!(waiting.remove(place), Some(plain.remove(index)));
            }
        }
        Step::RemoveSame(kind) => {
            let (found, index) = (waiting.same_item(kind), place(plain, kind));
            assert_eq!(found.is_some(), index.is_some());
            if let (Some((place, _)), Some(index)) = (found, index) {
                assert_eq!(waiting.remove(place), Some(plain.remove(index)));
            }
        }
        Step::Clear => {
            waiting.clear();
            plain.clear();
        }
    }
}

proptest! {
    #[test]
    fn it_is_a_list(steps in prop::collection::vec(step(), 1..100)) {
        let (mut waiting, mut plain) = (Waiting::default(), Plain::new());
        for (number, step) in steps.into_iter().enumerate() {
            take(step, number, &mut waiting, &mut plain);
            let all: Plain = waiting.iter().map(|(frame, kind)| (frame.clone(), kind)).collect();
            prop_assert_eq!(&all, &plain);
            prop_assert_eq!(waiting.is_empty(), plain.is_empty());
            let open = plain.iter().rev().take_while(|(_, kind)| *kind != Kind::Reply);
            let items = open.filter(|(_, kind)| kind.item().is_some()).count();
            prop_assert_eq!(waiting.latest.len(), items, "the index holds no more than waits");
        }
    }
}

#[test]
fn what_an_entry_is_charged_covers_what_it_costs() {
    assert!(size_of::<Entry>() <= ENTRY_OVERHEAD);
    let indexed = size_of::<((ChannelKey, u64), u32)>() + 1;
    // A map that has just grown is a little less than half full.
    assert!(indexed * 16 / 7 <= INDEX_OVERHEAD);
    let frame = text_frame(b"12345678");
    assert_eq!(cost(&frame, Kind::Reply), 10 + 64);
    assert_eq!(cost(&frame, latest(1, 1)), 10 + 64 + 64);
    assert_eq!(cost(&frame, Kind::Event(KEY, KeepLatest)), 10 + 64);
}
