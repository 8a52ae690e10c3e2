//! What is wanted, confirmed, promised and refused, in every order.

use super::*;

pub(super) fn channel(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}

pub(super) fn wishes() -> Wishes {
    Wishes::new(IntGauge::new("confirmed", "for the test").unwrap())
}

/// A set of wishes whose link is up.
pub(super) fn linked() -> Wishes {
    let wishes = wishes();
    wishes.link_up();
    wishes
}

pub(super) fn later(answer: Answer) -> oneshot::Receiver<Verdict> {
    match answer {
        Answer::Later(verdict) => verdict,
        Answer::Now(subscribed) => panic!("settled at once: {subscribed:?}"),
    }
}

pub(super) fn now(answer: &Answer) -> Subscribed {
    match answer {
        Answer::Now(subscribed) => *subscribed,
        Answer::Later(_) => panic!("not settled"),
    }
}

pub(super) fn take(wishes: &Wishes) -> Work {
    wishes.take_work(Instant::now())
}

pub(super) fn subscribe_only(name: &str) -> Work {
    Work { subscribe: vec![channel(name)], ..Work::default() }
}

pub(super) fn unsubscribe_only(name: &str) -> Work {
    Work { unsubscribe: vec![channel(name)], ..Work::default() }
}

pub(super) fn no_permission() -> Refusal {
    Refusal { is_final: true, reason: "NOPERM".to_owned() }
}

pub(super) fn refuse(wishes: &Wishes, name: &str) -> Effect {
    wishes.refused(&channel(name), &no_permission())
}

pub(super) fn broken_promise(name: &str) -> Effect {
    let reason = "NOPERM".to_owned();
    Effect::BrokenPromise(SubscribeError { channel: channel(name), reason })
}

/// The round of each second; returns what it puts on the list.
pub(super) fn round(wishes: &Wishes) -> Work {
    wishes.ask_again(Instant::now(), Duration::from_secs(1));
    take(wishes)
}

pub(super) fn live(wishes: &Wishes, name: &str) {
    let mut verdict = later(wishes.want(&channel(name), 1));
    take(wishes);
    assert_eq!(wishes.subscribed(&channel(name), 2), None);
    assert_eq!(verdict.try_recv().unwrap(), Ok(Subscribed::Live));
}

#[test]
fn a_wish_is_asked_for_once_and_told_when_confirmed() {
    let wishes = linked();
    let a = channel("a");
    let mut first = later(wishes.want(&a, 1));
    assert_eq!(take(&wishes), subscribe_only("a"));
    let mut second = later(wishes.want(&a, 2));
    assert_eq!(take(&wishes), Work::default(), "it is on its way already");
    assert_eq!(wishes.live_channel("a"), None);
    assert_eq!(wishes.subscribed(&a, 3), None, "nobody missed anything");
    assert_eq!(first.try_recv().unwrap(), Ok(Subscribed::Live));
    assert_eq!(second.try_recv().unwrap(), Ok(Subscribed::Live));
    assert_eq!(wishes.live_channel("a"), Some(a.clone()));
    assert_eq!(now(&wishes.want(&a, 4)), Subscribed::Live);
    assert_eq!(wishes.tally(), Tally { wanted: 1, confirmed: 1, overdue: 0 });
}

#[test]
fn without_a_link_a_wish_is_pending_and_gets_one_gap_from_when_it_was_asked() {
    let wishes = wishes();
    let a = channel("a");
    assert_eq!(now(&wishes.want(&a, 100)), Subscribed::Pending);
    assert_eq!(now(&wishes.want(&a, 150)), Subscribed::Pending);
    assert_eq!(take(&wishes), Work::default());
    wishes.link_up();
    assert_eq!(take(&wishes), subscribe_only("a"));
    let gap = wishes.subscribed(&a, 200).unwrap();
    assert_eq!((gap.from_ms, gap.to_ms, gap.reason), (100, 200, GapReason::RedisDisconnected));
    assert_eq!(wishes.subscribed(&a, 201), None, "one gap is enough");
}

#[test]
fn a_link_lost_while_waiting_answers_pending() {
    let wishes = linked();
    let a = channel("a");
    let mut verdict = later(wishes.want(&a, 100));
    take(&wishes);
    wishes.link_lost(90);
    assert_eq!(verdict.try_recv().unwrap(), Ok(Subscribed::Pending));
    wishes.link_up();
    take(&wishes);
    assert_eq!(wishes.subscribed(&a, 200).map(|gap| gap.from_ms), Some(100));
}

#[test]
fn one_outage_is_one_gap_however_often_the_link_comes_and_goes() {
    let wishes = linked();
    live(&wishes, "a");
    wishes.link_lost(1_000);
    assert_eq!(wishes.tally(), Tally { wanted: 1, confirmed: 0, overdue: 1 });
    for heard in [1_100, 1_200] {
        wishes.link_up();
        assert_eq!(take(&wishes), subscribe_only("a"));
        wishes.link_lost(heard);
    }
    wishes.link_up();
    take(&wishes);
    let gap = wishes.subscribed(&channel("a"), 1_300).unwrap();
    assert_eq!((gap.from_ms, gap.to_ms), (1_000, 1_300));
    assert_eq!(wishes.subscribed(&channel("a"), 1_400), None);
}

#[test]
fn a_subscribe_right_after_an_unsubscribe_ends_subscribed() {
    let wishes = linked();
    let a = channel("a");
    live(&wishes, "a");
    wishes.forget(&a);
    assert_eq!(wishes.live_channel("a"), None, "a late event is nobody's");
    assert_eq!(take(&wishes), unsubscribe_only("a"));
    let mut verdict = later(wishes.want(&a, 5));
    assert_eq!(wishes.live_channel("a"), None, "what is live is decided by Redis");
    assert_eq!(take(&wishes), Work::default(), "the unsubscribe is not confirmed yet");
    assert!(verdict.try_recv().is_err(), "it is not live before it was subscribed anew");
    assert!(wishes.unsubscribed("a"));
    assert_eq!(take(&wishes), subscribe_only("a"));
    assert_eq!(wishes.subscribed(&a, 6), None);
    assert_eq!(verdict.try_recv().unwrap(), Ok(Subscribed::Live));
}

#[test]
fn what_is_wanted_anew_is_asked_for_though_the_old_question_was_answered_meanwhile() {
    let wishes = linked();
    let a = channel("a");
    drop(wishes.want(&a, 1));
    assert_eq!(take(&wishes), subscribe_only("a"));
    wishes.forget(&a);
    wishes.begin_anew(&a);
    let mut verdict = later(wishes.want(&a, 2));
    wishes.subscribed(&a, 3);
    assert_eq!(verdict.try_recv().unwrap(), Ok(Subscribed::Live));
    wishes.renew(&a);
    assert_eq!(take(&wishes), subscribe_only("a"));
    assert_eq!(wishes.subscribed(&a, 4), None);
    wishes.forget(&a);
    wishes.renew(&a);
    assert!(wishes.is_empty(), "nobody wants it any more");
}

#[test]
fn a_change_of_mind_before_anything_was_sent_sends_nothing() {
    let wishes = linked();
    let a = channel("a");
    live(&wishes, "a");
    wishes.forget(&a);
    assert_eq!(now(&wishes.want(&a, 5)), Subscribed::Live);
    assert_eq!(take(&wishes), Work::default());
}

#[test]
fn an_unsubscribe_while_the_subscribe_is_on_its_way_ends_unsubscribed() {
    let wishes = linked();
    let a = channel("a");
    let mut verdict = later(wishes.want(&a, 1));
    take(&wishes);
    wishes.forget(&a);
    assert!(verdict.try_recv().is_err());
    assert_eq!(wishes.subscribed(&a, 2), None);
    assert_eq!(take(&wishes), unsubscribe_only("a"));
    assert!(wishes.unsubscribed("a"));
    assert!(wishes.locked(|inner| inner.wishes.is_empty()), "nothing is left of it");
}

#[test]
fn a_wish_is_overdue_when_two_rounds_have_met_it_unconfirmed() {
    let wishes = linked();
    live(&wishes, "live");
    for number in 0..100 {
        drop(wishes.want(&channel(&format!("new:{number}")), 1));
    }
    let overdue = || wishes.tally().overdue;
    assert_eq!((wishes.tally().wanted, overdue()), (101, 0));
    take(&wishes);
    round(&wishes);
    assert_eq!(overdue(), 0, "it may have been made a moment before");
    drop(wishes.want(&channel("newest"), 1));
    round(&wishes);
    assert_eq!(overdue(), 100);
    for number in 0..100 {
        wishes.subscribed(&channel(&format!("new:{number}")), 2);
    }
    assert_eq!(overdue(), 0);
    round(&wishes);
    assert_eq!(overdue(), 1, "the newest");
    wishes.forget(&channel("newest"));
    drop(wishes.want(&channel("newest"), 3));
    assert_eq!(overdue(), 0, "it is a new wish");
}

#[test]
fn what_a_link_takes_over_is_overdue_until_it_is_confirmed() {
    let wishes = linked();
    live(&wishes, "live");
    wishes.link_lost(10);
    wishes.want(&channel("pending"), 20);
    wishes.link_up();
    drop(wishes.want(&channel("new"), 30));
    assert_eq!(wishes.tally(), Tally { wanted: 3, confirmed: 0, overdue: 2 });
    take(&wishes);
    wishes.subscribed(&channel("live"), 40);
    assert_eq!(wishes.tally(), Tally { wanted: 3, confirmed: 1, overdue: 1 });
    wishes.subscribed(&channel("pending"), 40);
    assert_eq!(wishes.tally(), Tally { wanted: 3, confirmed: 2, overdue: 0 });
}

#[test]
fn what_was_not_confirmed_in_time_is_asked_again() {
    let wishes = linked();
    let _verdict = later(wishes.want(&channel("a"), 1));
    let sent = Instant::now();
    wishes.take_work(sent);
    let patience = Duration::from_secs(1);
    wishes.ask_again(sent + Duration::from_millis(900), patience);
    assert_eq!(take(&wishes), Work::default());
    wishes.ask_again(sent + patience, patience);
    assert_eq!(take(&wishes), subscribe_only("a"));
}

#[test]
fn a_subscription_that_nobody_wants_is_ended() {
    let wishes = linked();
    assert_eq!(wishes.subscribed(&channel("a"), 1), None);
    assert_eq!(wishes.live_channel("a"), None);
    assert_eq!(take(&wishes), unsubscribe_only("a"));
}

#[test]
fn an_end_that_nobody_asked_for_is_noticed() {
    let wishes = linked();
    live(&wishes, "a");
    assert!(!wishes.unsubscribed("a"));
    assert!(wishes.unsubscribed("unknown"));
}

#[test]
fn a_caller_that_gave_up_gets_a_gap_instead() {
    let wishes = linked();
    let a = channel("a");
    drop(later(wishes.want(&a, 100)));
    take(&wishes);
    assert_eq!(wishes.stop_waiting(&a, 100), Subscribed::Pending);
    assert_eq!(wishes.subscribed(&a, 200).map(|gap| gap.from_ms), Some(100));
    assert_eq!(wishes.stop_waiting(&a, 100), Subscribed::Live, "confirmed in the same moment");
}

#[test]
fn a_caller_that_vanished_does_not_leave_a_silent_hole() {
    let wishes = linked();
    let a = channel("a");
    drop(later(wishes.want(&a, 100)));
    take(&wishes);
    assert_eq!(wishes.subscribed(&a, 200).map(|gap| gap.from_ms), Some(100));
}

#[test]
fn a_forgotten_outage_is_no_gap_of_the_next_wish() {
    let wishes = linked();
    let a = channel("a");
    live(&wishes, "a");
    wishes.link_lost(10);
    wishes.forget(&a);
    wishes.link_up();
    let mut verdict = later(wishes.want(&a, 50));
    take(&wishes);
    assert_eq!(wishes.subscribed(&a, 60), None);
    assert_eq!(verdict.try_recv().unwrap(), Ok(Subscribed::Live));
}

#[test]
fn the_gauge_follows_what_is_confirmed() {
    let wishes = linked();
    live(&wishes, "a");
    live(&wishes, "b");
    assert_eq!(wishes.confirmed_gauge.get(), 2);
    wishes.forget(&channel("a"));
    assert_eq!(wishes.confirmed_gauge.get(), 1);
    wishes.link_lost(1);
    assert_eq!(wishes.confirmed_gauge.get(), 0);
}

#[test]
fn toggling_does_not_grow_the_list_of_work() {
    let wishes = linked();
    for _ in 0..10_000 {
        drop(wishes.want(&channel("a"), 1));
        wishes.forget(&channel("a"));
    }
    assert!(wishes.locked(|inner| inner.todo.is_empty() && inner.wishes.is_empty()));
}
