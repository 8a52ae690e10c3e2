//! What is believed of what sentinels say.

use redis::IntoConnectionInfo;

use super::*;

fn primary() -> Primary {
    let template = "redis://:secret@unused".into_connection_info().unwrap();
    Primary::new(Sentinels::new(&[], "orders").unwrap(), template)
}

fn one(port: u16, epoch: u64) -> Answer {
    Answer { host: "10.0.0.1".to_owned(), port, epoch }
}

fn at(port: u16, epoch: u64) -> Answers {
    Answers { answers: vec![one(port, epoch)], by_majority: true }
}

fn minority(answers: &Answers) -> Answers {
    Answers { by_majority: false, ..answers.clone() }
}

#[tokio::test]
async fn those_at_the_old_place_are_told_to_leave_it() {
    let primary = primary();
    let old = primary.learn(&at(1, 1), Instant::now()).unwrap();
    assert_eq!(old.redis_settings().password(), Some("secret"));
    let leaving = primary.moved(&old);
    primary.learn(&at(2, 2), Instant::now()).unwrap();
    assert_eq!(leaving.await, "the sentinels have replaced it by 10.0.0.1:2");
}

#[tokio::test]
async fn a_primary_that_says_it_is_none_is_left_wherever_it_is() {
    let primary = primary();
    let info = primary.learn(&at(1, 1), Instant::now()).unwrap();
    primary.demoted(&ConnectionAddr::Tcp("10.0.0.1".to_owned(), 2));
    assert!(primary.place.borrow().is_some(), "that was somebody else");
    primary.demoted(info.addr());
    assert_eq!(primary.moved(&info).await, "it is no longer a primary");
}

#[test]
fn sentinels_that_were_cut_off_lead_nobody_back() {
    let primary = primary();
    let new = primary.learn(&at(2, 7), Instant::now()).unwrap();
    let behind = primary.learn(&minority(&at(1, 6)), Instant::now());
    assert!(behind.unwrap_err().to_string().contains("behind"));
    assert_eq!(primary.place.borrow().as_ref().unwrap().addr, *new.addr());
    // Most of them can't all have been cut off: they were set up anew.
    let anew = primary.learn(&at(1, 0), Instant::now()).unwrap();
    assert_eq!(primary.place.borrow().as_ref().unwrap().addr, *anew.addr());
}

#[test]
fn nor_do_they_when_the_new_place_has_said_that_it_is_no_primary() {
    let primary = primary();
    let new = primary.learn(&at(2, 7), Instant::now()).unwrap();
    primary.demoted(new.addr());
    let behind = primary.learn(&minority(&at(1, 6)), Instant::now());
    assert!(behind.unwrap_err().to_string().contains("behind"));
    assert_eq!(*primary.place.borrow(), None);
    let newest = primary.learn(&minority(&at(3, 8)), Instant::now()).unwrap();
    assert_eq!(primary.place.borrow().as_ref().unwrap().addr, *newest.addr());
}

#[test]
fn the_old_place_was_right_until_it_was_named_for_the_last_time() {
    let primary = primary();
    let begin = Instant::now();
    let seconds = |n| begin + Duration::from_secs(n);
    let old = primary.learn(&at(1, 1), begin).unwrap();
    primary.learn(&at(1, 1), seconds(1)).unwrap();
    let new = primary.learn(&at(2, 2), seconds(2)).unwrap();
    primary.learn(&at(2, 2), seconds(3)).unwrap();
    assert_eq!(primary.right_until(&old), Some(seconds(1)));
    assert_eq!(primary.right_until(&new), Some(seconds(3)));
}

#[test]
fn of_sentinels_that_disagree_the_newest_is_believed_then_the_most_then_what_is_known() {
    let primary = primary();
    let believed = |answers: &[Answer]| {
        let answers = Answers { answers: answers.to_vec(), by_majority: true };
        primary.learn(&answers, Instant::now()).unwrap().addr().to_string()
    };
    assert_eq!(believed(&[one(1, 4), one(2, 5), one(1, 4)]), "10.0.0.1:2");
    assert_eq!(believed(&[one(3, 6), one(4, 6), one(3, 6)]), "10.0.0.1:3");
    // Two spellings of one place, whichever comes first.
    assert_eq!(believed(&[one(4, 6), one(3, 6)]), "10.0.0.1:3");
    assert_eq!(believed(&[one(3, 6), one(4, 6)]), "10.0.0.1:3");
}
