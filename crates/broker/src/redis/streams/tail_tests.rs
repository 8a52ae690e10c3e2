//! The tail against a model of a stream: whatever happens to the stream, and between which
//! two questions, nothing is told twice and nothing is left out without a reset.

use proptest::prelude::*;

use super::*;

#[path = "tail_model.rs"]
mod model;

use model::{Added, Deed, Server};

/// The reader's part, as the session does it, with deeds between any two questions.
struct Play {
    server: Server,
    deeds: std::vec::IntoIter<Option<Deed>>,
    tail: Tail,
    /// The lineage before the tail was opened or judged by a census last.
    lineage: u32,
    /// The lineage that was answered last.
    asked: u32,
    /// The lineage at the last look.
    seen: u32,
    told: Option<u32>,
    /// Whether a reset was told and no event since.
    is_reset: bool,
    resets: Vec<ResetReason>,
    /// Whether the lineage is asked for with what was read, judgement by judgement.
    dues: u64,
}

impl Play {
    fn new(deeds: Vec<Option<Deed>>) -> Self {
        Self {
            server: Server::default(),
            deeds: deeds.into_iter(),
            tail: Tail::new(7),
            lineage: 0,
            asked: 0,
            seen: 0,
            told: None,
            is_reset: true,
            resets: Vec::new(),
            dues: u64::MAX,
        }
    }

    fn step(&mut self) {
        if let Some(Some(deed)) = self.deeds.next() {
            self.server.does(deed);
        }
    }

    fn open(&mut self) {
        self.server.is_new = false;
        self.asked = self.server.lineage;
        self.seen = self.asked;
        self.lineage = self.asked;
        self.tail.open(&self.server.census());
        self.told = self.server.stream.last.filter(|_| self.server.stream.exists);
        self.is_reset = false;
    }

    fn round(&mut self, count: usize) {
        let place = self.tail.cursor().unwrap().id();
        let read = self.server.read(place, count);
        self.step();
        if !read.is_empty() {
            self.judge(&read);
        }
        self.step();
        self.asked = self.server.lineage;
        let is_other = std::mem::replace(&mut self.seen, self.asked) != self.asked;
        if self.tail.look(self.server.stream.entries.len() as u64) || is_other {
            self.judge(&[]);
        }
        self.step();
    }

    fn judge(&mut self, read: &[Added]) {
        let ids: Vec<EntryId> = read.iter().map(|entry| entry.id).collect();
        let before = self.server.before(self.tail.cursor().unwrap().id());
        self.step();
        self.dues = self.dues.rotate_left(1);
        // To ask costs more than to read, so it is not always done. But who answers instead
        // of another is noticed: by the end of the connection, or by the map of a cluster.
        let is_due = self.dues & 1 == 1 || self.asked != self.server.lineage;
        let asks = is_due || self.tail.needs_census();
        if asks && self.is_void(read) {
            return;
        }
        let mut verdict = self.tail.judge(&ids, before, None, false);
        if verdict == Verdict::AskCensus {
            let census = self.server.census();
            let deleted = self.server.deleted;
            self.step();
            let is_same = self.lineage == self.server.lineage;
            self.lineage = self.asked;
            if self.is_void(read) {
                return;
            }
            self.asked = self.server.lineage;
            verdict = self.tail.judge(&ids, before, Some(&census), is_same);
            if matches!(verdict, Verdict::Reset(_)) && deleted == self.server.deleted {
                self.server.is_new = false;
            }
        }
        match verdict {
            Verdict::Intact => {
                read.iter().for_each(|entry| self.tell(entry));
                if let Some(last) = read.last() {
                    self.tail.advance(last.cursor(), read.len() as u64);
                }
            }
            Verdict::Reset(reason) => {
                self.is_reset = true;
                self.resets.push(reason);
            }
            Verdict::AskCensus => panic!("a census was given"),
        }
    }

    /// What was read is void if it may be another history's.
    fn is_void(&mut self, read: &[Added]) -> bool {
        let is_void = !read.is_empty() && self.asked != self.server.lineage;
        if is_void {
            self.asked = self.server.lineage;
        }
        is_void
    }

    /// The promise: each event follows the one that was told before it in its history.
    fn tell(&mut self, entry: &Added) {
        if !std::mem::replace(&mut self.is_reset, false) {
            assert_eq!(entry.after, self.told, "a hole or a repeat before {entry:?}");
        }
        self.told = Some(entry.number);
        self.server.is_new &= !self.server.stream.entries.contains(entry);
    }

    /// Reads on in peace until nothing is new.
    fn finish(&mut self) {
        for _ in 0..100 {
            self.round(3);
        }
        let last = self.server.stream.entries.last().map(|entry| entry.number);
        if last.is_some() && !self.is_reset {
            assert_eq!(self.told, last, "it is deaf");
        }
    }
}

fn deed() -> impl Strategy<Value = Option<Deed>> {
    let keep = || prop::option::of(1..4_u8);
    prop_oneof![
        8 => Just(None),
        6 => (1..4_u8, keep()).prop_map(|(count, keep)| Some(Deed::Add { count, keep })),
        1 => (0..3_u8).prop_map(|keep| Some(Deed::Trim { keep })),
        1 => Just(Some(Deed::Delete)),
        1 => (1..4_u8, 0..4_u8, keep())
            .prop_map(|(lost, added, keep)| Some(Deed::Fork { lost, added, keep })),
        1 => (0..3_u8).prop_map(|lost| Some(Deed::Restart { lost })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn no_silent_hole_and_no_repeat(
        early in 0..6_usize,
        deeds in prop::collection::vec(deed(), 0..60),
        count in 1..5_usize,
        dues in any::<u64>(),
    ) {
        play_through(deeds, early, count, dues);
    }

    #[test]
    fn a_stream_that_keeps_few_entries_is_not_reset_while_all_are_read(
        keep in 1..4_u8,
        batches in prop::collection::vec(0..4_u8, 1..30),
    ) {
        let mut play = Play::new(Vec::new());
        play.server.does(Deed::Add { count: 1, keep: None });
        play.open();
        for count in batches {
            play.server.does(Deed::Add { count: count.min(keep), keep: Some(keep) });
            play.round(10);
        }
        play.finish();
        prop_assert_eq!(play.resets, Vec::new());
    }
}

/// Schedules in which earlier versions of the tail left something out: a census and the
/// lineage it was taken in asked for in the wrong order; entries read in one history and
/// judged in the next; a place without an entry that another history comes to as well.
#[test]
fn schedules_that_once_made_a_hole() {
    use Deed::{Add, Delete, Fork, Restart, Trim};
    let keep = |count, keep| Some(Add { count, keep: Some(keep) });
    let plain = |count| Some(add(count));
    let fork = |lost, added, keep| Some(Fork { lost, added, keep });
    let (restart, trim) = (|lost| Some(Restart { lost }), |keep| Some(Trim { keep }));
    let pause = |count| vec![None; count];
    let wrong_order = [
        vec![None, None, plain(1), plain(1), None, None, keep(3, 3), None, plain(2)],
        vec![fork(3, 0, None), None, restart(0), fork(1, 2, Some(1)), None, None, None],
        vec![Some(Delete), None, trim(0), restart(0)],
        pause(5),
        vec![plain(1), None, None, plain(1), fork(1, 1, Some(1)), None, keep(2, 1)],
        pause(6),
        vec![fork(1, 0, None), None, None, None, Some(Delete), plain(2), plain(3), None],
        vec![fork(3, 3, Some(1))],
    ];
    let other_history = [
        pause(9),
        vec![keep(3, 1), None, None, None, fork(1, 0, None), None, None, None, None],
        vec![trim(0), fork(2, 2, None), plain(1), None, None, plain(1), restart(2)],
        vec![restart(0), None, None, keep(3, 1), None, fork(3, 0, None)],
    ];
    let same_place = [
        vec![fork(1, 0, None), plain(3), None, trim(0), None, restart(0), None, None],
        vec![fork(3, 2, None), None, restart(0), plain(1), keep(2, 2)],
        pause(4),
    ];
    for (early, count, deeds) in
        [(5, 4, wrong_order.concat()), (4, 1, other_history.concat()), (4, 1, same_place.concat())]
    {
        for dues in [0, u64::MAX] {
            play_through(deeds.clone(), early, count, dues);
        }
    }
}

fn play_through(deeds: Vec<Option<Deed>>, early: usize, count: usize, dues: u64) {
    let rounds = deeds.len() / 4;
    let mut play = Play { dues, ..Play::new(deeds) };
    (0..early).for_each(|_| play.step());
    play.open();
    (0..rounds).for_each(|_| play.round(count));
    play.finish();
}

fn add(count: u8) -> Deed {
    Deed::Add { count, keep: None }
}

/// A tail that has read so many entries.
fn after_reading(count: u8) -> Play {
    let mut play = Play::new(Vec::new());
    play.open();
    play.server.does(add(count));
    play.finish();
    assert_eq!(play.told, Some(u32::from(count)));
    play
}

fn resets_after(play: &mut Play, deeds: &[Deed]) -> Vec<ResetReason> {
    deeds.iter().for_each(|deed| play.server.does(*deed));
    play.finish();
    play.resets.clone()
}

#[test]
fn each_way_to_lose_a_place_has_its_reason() {
    let trim = |count, keep| [Deed::Add { count, keep: Some(keep) }];
    let resets = |deeds: &[Deed]| resets_after(&mut after_reading(5), deeds);
    assert_eq!(resets(&trim(3, 2)), [ResetReason::Trimmed], "one was never read");
    assert_eq!(resets(&trim(3, 3)), [], "all were read");
    assert_eq!(resets(&[Deed::Trim { keep: 0 }]), [ResetReason::Trimmed]);
    assert_eq!(resets(&[Deed::Delete]), [ResetReason::Unknown]);
    assert_eq!(resets(&[Deed::Delete, add(2)]), [ResetReason::Forked]);
    let fork = |lost, added, keep| Deed::Fork { lost, added, keep };
    assert_eq!(resets(&[fork(2, 0, None)]), [ResetReason::Forked], "a lower end");
    assert_eq!(resets(&[fork(2, 2, None)]), [ResetReason::Forked], "another payload");
    assert_eq!(resets(&[fork(0, 3, None)]), [], "it lost nothing");
    assert_eq!(resets(&[Deed::Restart { lost: 0 }]), []);
}

#[test]
fn another_history_is_not_believed_for_its_count() {
    // It lost two, got three others, and keeps the last of them: the count says that one
    // was added since, and that one is there.
    let fork = Deed::Fork { lost: 2, added: 3, keep: Some(1) };
    assert_eq!(resets_after(&mut after_reading(5), &[fork]), [ResetReason::Trimmed]);
}

#[test]
fn a_place_without_an_entry_is_kept_by_its_count() {
    let mut play = Play::new(Vec::new());
    play.server.does(add(3));
    play.server.does(Deed::Trim { keep: 0 });
    play.open();
    assert_eq!(play.tail.cursor(), Some(Cursor { millis: 3, sequence: 0, hash: 0 }));
    play.told = Some(3);
    play.server.does(Deed::Add { count: 2, keep: Some(2) });
    play.finish();
    assert_eq!((play.told, play.resets.as_slice()), (Some(5), [].as_slice()));
}

#[test]
fn a_redis_without_counts_is_believed_where_it_can_be() {
    let state = |length, first, last_id| {
        Census::Present(StreamState { length, last_id, first, last: None, added: None })
    };
    let mut tail = Tail::new(0);
    tail.open(&Census::Absent);
    let census = state(1, Some((1, 0)), (1, 0));
    assert_eq!(tail.judge(&[(1, 0)], None, Some(&census), true), Verdict::Intact);
    tail.advance(Cursor::of(1, 0, b"1"), 1);
    let census = state(1, Some((2, 0)), (2, 0));
    let verdict = tail.judge(&[(2, 0)], None, Some(&census), true);
    assert_eq!(verdict, Verdict::Reset(ResetReason::Trimmed));
}
