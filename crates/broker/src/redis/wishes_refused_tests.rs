//! Tests of what Redis refuses.

use super::tests::*;
use super::*;

#[test]
fn a_refused_wish_is_gone_and_its_callers_told() {
    let wishes = linked();
    let a = channel("a");
    let mut verdict = later(wishes.want(&a, 1));
    take(&wishes);
    assert_eq!(refuse(&wishes, "a"), Effect::News);
    let error = verdict.try_recv().unwrap().unwrap_err();
    assert_eq!((error.channel, error.reason.as_str()), (a, "NOPERM"));
    assert_eq!(wishes.tally(), Tally::default());
    assert!(wishes.locked(|inner| inner.wishes.is_empty()));
}

#[test]
fn a_late_refusal_is_asked_again_singly_and_only_when_its_turn_comes() {
    let wishes = linked();
    let a = channel("a");
    live(&wishes, "a");
    wishes.link_lost(10);
    wishes.link_up();
    take(&wishes);
    assert_eq!(refuse(&wishes, "a"), broken_promise("a"));
    assert_eq!(take(&wishes), Work::default());
    assert_eq!(wishes.tally(), Tally { wanted: 1, confirmed: 0, overdue: 1 }, "it was live");
    assert_eq!(round(&wishes), Work { subscribe_singly: vec![a.clone()], ..Work::default() });
    assert_eq!(refuse(&wishes, "a"), Effect::None, "it is no news");
    round(&wishes);
    assert_eq!(wishes.subscribed(&a, 99).map(|gap| gap.from_ms), Some(10));
    assert_eq!(wishes.tally(), Tally { wanted: 1, confirmed: 1, overdue: 0 });
}

#[test]
fn a_promise_that_redis_refuses_is_told_once_and_waited_for_by_nobody() {
    let wishes = wishes();
    let a = channel("a");
    wishes.want(&a, 100);
    wishes.link_up();
    assert_eq!(wishes.tally().overdue, 1);
    take(&wishes);
    assert_eq!(refuse(&wishes, "a"), broken_promise("a"));
    for _ in 0..5 {
        assert_eq!(wishes.tally(), Tally { wanted: 1, confirmed: 0, overdue: 0 });
        assert_eq!(round(&wishes), Work { subscribe_singly: vec![a.clone()], ..Work::default() });
        assert_eq!(wishes.tally().overdue, 0, "nor while it is asked for again");
        assert_eq!(refuse(&wishes, "a"), Effect::None);
    }
    round(&wishes);
    assert_eq!(wishes.subscribed(&a, 200).map(|gap| gap.from_ms), Some(100));
    wishes.link_lost(300);
    wishes.link_up();
    take(&wishes);
    assert_eq!(refuse(&wishes, "a"), broken_promise("a"), "it had been live");
    assert_eq!(wishes.tally().overdue, 1);
}

#[test]
fn a_promise_made_after_a_refusal_is_told_too() {
    let wishes = wishes();
    let a = channel("a");
    for _ in 0..2 {
        assert_eq!(now(&wishes.want(&a, 100)), Subscribed::Pending);
        wishes.link_up();
        take(&wishes);
        assert_eq!(refuse(&wishes, "a"), broken_promise("a"));
        wishes.link_lost(200);
    }
    wishes.link_up();
    take(&wishes);
    assert_eq!(refuse(&wishes, "a"), Effect::None, "nobody new was promised anything");
}

#[test]
fn a_newcomer_to_a_refused_channel_makes_it_asked_for_at_once() {
    let wishes = wishes();
    let a = channel("a");
    wishes.want(&a, 100);
    wishes.link_up();
    take(&wishes);
    refuse(&wishes, "a");
    let mut verdict = later(wishes.want(&a, 200));
    assert_eq!(take(&wishes), Work { subscribe_singly: vec![a.clone()], ..Work::default() });
    assert_eq!(refuse(&wishes, "a"), Effect::None);
    assert_eq!(verdict.try_recv().unwrap().unwrap_err().channel, a);
    assert_eq!(take(&wishes), Work::default(), "the next one is the round's");
    assert_eq!(wishes.tally().wanted, 1, "the promise stands");

    let mut verdict = later(wishes.want(&a, 300));
    take(&wishes);
    let not_now = Refusal { is_final: false, reason: "LOADING".to_owned() };
    wishes.refused(&a, &not_now);
    assert!(verdict.try_recv().is_err(), "it may still come true");
    assert_eq!(take(&wishes), Work::default(), "and is not asked for without a pause");
    wishes.forget(&a);
    assert!(wishes.locked(|inner| inner.wishes.is_empty() && inner.todo.is_empty()));
}
