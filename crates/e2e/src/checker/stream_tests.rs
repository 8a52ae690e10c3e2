//! The judge is judged: each planted fault is found, and nothing else is.

use super::*;

/// Entries 1..=9 under the IDs 1-0 to 9-0.
fn truth() -> Truth {
    Truth::new((1..=9).map(|number| ((number, 0), number)).collect(), true)
}

fn told(numbers: &[u64]) -> StreamRecord {
    let mut record = StreamRecord::default();
    record.joined((2, 0));
    for &number in numbers {
        record.event((number, 0), number);
    }
    record
}

fn clean(received: usize) -> StreamVerdict {
    StreamVerdict { received, ..StreamVerdict::default() }
}

#[test]
fn all_in_order_is_clean_and_what_was_before_the_join_is_not_missed() {
    assert_eq!(told(&[3, 4, 5, 6, 7, 8, 9]).judge(&truth()), clean(7));
}

#[test]
fn finds_what_was_lost_in_the_middle_and_at_the_end() {
    let verdict = told(&[3, 4, 6, 7, 8]).judge(&truth());
    assert_eq!(verdict, StreamVerdict { lost: 2, ..clean(5) });
    let missing: Vec<_> = told(&[3, 4, 6, 7, 8]).missing(&truth()).collect();
    assert_eq!(missing, [5, 9]);
}

#[test]
fn finds_duplicates() {
    let verdict = told(&[3, 4, 5, 5, 6, 7, 8, 9, 3]).judge(&truth());
    assert_eq!(verdict, StreamVerdict { duplicated: 2, ..clean(7) });
}

#[test]
fn finds_what_was_reordered() {
    let verdict = told(&[3, 5, 4, 6, 7, 8, 9]).judge(&truth());
    assert_eq!(verdict, StreamVerdict { reordered: 1, ..clean(7) });
}

#[test]
fn the_order_is_that_of_the_ids() {
    let truth = Truth::new(vec![((1, 0), 2), ((2, 0), 1)], true);
    let mut record = StreamRecord::default();
    record.joined((0, 0));
    record.event((1, 0), 2);
    record.event((2, 0), 1);
    assert_eq!(record.judge(&truth), clean(2));
}

#[test]
fn a_reset_forgives_what_lies_before_its_place_and_no_more() {
    let mut record = told(&[3]);
    record.reset("trimmed", Some((5, 0)), 0);
    record.event((7, 0), 7);
    record.event((8, 0), 8);
    record.event((9, 0), 9);
    assert_eq!(
        record.judge(&truth()),
        StreamVerdict { lost: 1, resets: 1, causeless: 1, ..clean(4) }
    );
}

#[test]
fn a_reset_without_a_place_forgives_up_to_what_follows() {
    let mut record = told(&[3]);
    record.reset("unknown", None, 0);
    record.joined((6, 0));
    for number in [7, 8, 9] {
        record.event((number, 0), number);
    }
    assert_eq!(record.judge(&truth()), StreamVerdict { resets: 1, causeless: 1, ..clean(4) });
    let mut record = told(&[3]);
    record.reset("unknown", None, 0);
    record.event((8, 0), 8);
    assert_eq!(
        record.judge(&truth()),
        StreamVerdict { lost: 1, resets: 1, causeless: 1, ..clean(2) }
    );
}

#[test]
fn an_acknowledgement_that_jumps_ahead_forgives_nothing() {
    let mut record = told(&[3, 4]);
    record.joined((7, 0));
    record.event((8, 0), 8);
    record.event((9, 0), 9);
    assert_eq!(record.judge(&truth()), StreamVerdict { lost: 3, ..clean(4) });
}

#[test]
fn a_fork_is_silent_unless_a_reset_tells_of_it() {
    // Another primary took 10 and 11 under the IDs 4-1 and 4-2, and lost them.
    let forked = |record: &mut StreamRecord| {
        record.event((4, 1), 10);
        record.event((4, 2), 11);
    };
    let rest = |record: &mut StreamRecord| {
        for number in 5..=9 {
            record.event((number, 0), number);
        }
    };
    let mut silent = told(&[3, 4]);
    forked(&mut silent);
    rest(&mut silent);
    assert_eq!(silent.judge(&truth()), StreamVerdict { forked: 2, ..clean(9) });
    let mut told_so = told(&[3, 4]);
    forked(&mut told_so);
    told_so.reset("forked", Some((4, 0)), 0);
    rest(&mut told_so);
    assert_eq!(told_so.judge(&truth()), StreamVerdict { resets: 1, ..clean(9) });
}

#[test]
fn after_a_fork_lower_ids_are_neither_duplicates_nor_out_of_order() {
    let truth = Truth::new(vec![((3, 0), 3), ((4, 0), 12), ((5, 0), 13)], true);
    let mut record = told(&[3]);
    record.event((8, 0), 10);
    record.reset("forked", Some((3, 0)), 0);
    record.event((4, 0), 12);
    record.event((5, 0), 13);
    assert_eq!(record.judge(&truth), StreamVerdict { resets: 1, ..clean(4) });
}

#[test]
fn a_reset_needs_a_cause_of_this_client_s_own() {
    // Another client's entry 10 is gone; this one never had it.
    let mut record = told(&[3, 4, 5]);
    record.reset("forked", Some((5, 0)), 0);
    for number in 6..=9 {
        record.event((number, 0), number);
    }
    let causeless = StreamVerdict { resets: 1, causeless: 1, ..clean(7) };
    assert_eq!(record.judge(&truth()), causeless);
    // The second of two has none, as the first has taken everything back.
    let mut record = told(&[3, 4]);
    record.event((4, 1), 10);
    record.reset("forked", Some((4, 0)), 0);
    record.reset("forked", Some((4, 0)), 0);
    for number in 5..=9 {
        record.event((number, 0), number);
    }
    let one_of_two = StreamVerdict { resets: 2, causeless: 1, ..clean(8) };
    assert_eq!(record.judge(&truth()), one_of_two);
}

#[test]
fn a_cursor_at_an_entry_that_is_gone_is_a_cause() {
    let mut record = StreamRecord::default();
    record.joined((2, 7));
    record.reset("forked", Some((2, 0)), 0);
    (3..=9).for_each(|number| record.event((number, 0), number));
    assert_eq!(record.judge(&truth()), StreamVerdict { resets: 1, ..clean(7) });
    // Somebody else's entry that is still there is none.
    let truth = truth().with_strangers([(2, 7)]);
    assert_eq!(record.judge(&truth).causeless, 1);
}

#[test]
fn the_beginning_of_a_stream_is_no_cause() {
    let mut record = StreamRecord::default();
    record.joined((0, 0));
    record.reset("unknown", Some((0, 0)), 0);
    assert_eq!(record.judge(&truth()).causeless, 1);
}

#[test]
fn counts_gaps() {
    let mut record = told(&[3, 4, 5, 6, 7, 8, 9]);
    let span = crate::checker::Span { from: 1, to: 2 };
    record.gap(ToldGap { reason: "redis_disconnected".to_owned(), span, at: 3 });
    assert_eq!(record.judge(&truth()), StreamVerdict { gaps: 1, ..clean(7) });
}
