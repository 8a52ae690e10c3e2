use super::*;

fn proof() -> Proof {
    let instance = "1f0c9a3e".to_owned();
    Proof::new(&RedisConfig { prefix: "live:".to_owned(), instance, ..RedisConfig::default() })
}

/// Publishes a canary at `now`, as Redis would take it.
fn send(proof: &Proof, now: Instant) -> String {
    let payload = proof.next(now).expect("it is due");
    proof.published(now, Ok(()));
    payload
}

fn verdict(proof: &Proof, now: Instant, since: Instant) -> Verdict {
    proof.judge(now, Some(now), Some(since))
}

#[test]
fn the_canary_lives_under_a_name_of_ours_and_is_sent_once_it_is_heard() {
    let proof = proof();
    assert_eq!(proof.channel(), "live:redcast:canary:1f0c9a3e");
    assert!(proof.is_canary(b"live:redcast:canary:1f0c9a3e"));
    assert!(!proof.is_canary(b"live:redcast:canary:1f0c9a3f"));
    assert!(proof.needs_subscription());
    assert_eq!(proof.next(Instant::now()), None, "nobody would hear it");
    proof.subscribed();
    assert!(!proof.needs_subscription());
    assert!(proof.next(Instant::now()).is_some());
    proof.link_lost();
    assert!(proof.needs_subscription());
}

#[test]
fn what_comes_back_proves_the_moment_it_was_sent() {
    let proof = proof();
    let start = Instant::now();
    proof.subscribed();
    let payload = send(&proof, start);
    proof.hear(payload.as_bytes(), start, true);
    let later = start + Duration::from_millis(1_500);
    let seen = verdict(&proof, later, start);
    assert_eq!(seen.readiness, Readiness::Ready);
    let age = seen.age.expect("it was heard");
    assert!(age >= Duration::from_millis(1_500) && age < Duration::from_millis(1_501), "{age:?}");
    // Heard again a minute later, it is as old as it is.
    proof.hear(payload.as_bytes(), start, true);
    let seen = verdict(&proof, start + Duration::from_secs(60), start);
    assert_eq!(seen.readiness, Readiness::Unready);
}

#[test]
fn a_proof_with_a_channel_missing_is_not_enough() {
    let proof = proof();
    let start = Instant::now();
    proof.subscribed();
    let payload = send(&proof, start);
    proof.hear(payload.as_bytes(), start, false);
    let seen = verdict(&proof, start, start);
    assert_eq!((seen.readiness, seen.age.is_some()), (Readiness::Unready, true));
}

#[test]
fn what_others_publish_to_the_canary_s_channel_proves_nothing() {
    let proof = proof();
    let start = Instant::now();
    proof.subscribed();
    let payload = send(&proof, start);
    let (nonce, _) = payload.split_once('-').expect("a nonce");
    for text in ["", "0", "x-1", "0123456789abcdef-1", nonce, &format!("{nonce}-x"), "\u{e9}"] {
        proof.hear(text.as_bytes(), start, true);
    }
    proof.hear(b"\xff", start, true);
    proof.hear(format!("{nonce}-{}", u64::MAX).as_bytes(), start, true);
    let seen = verdict(&proof, start, start);
    assert_eq!((seen.readiness, seen.age), (Readiness::Unready, None));
    let another = super::tests::proof();
    assert_eq!(another.sent(payload.as_bytes()), None, "another instance's");
}

#[test]
fn a_subscription_that_brings_nothing_is_deaf_after_five_seconds() {
    let proof = proof();
    let start = Instant::now();
    proof.subscribed();
    let at = |ms| start + Duration::from_millis(ms);
    for ms in (0..5_000).step_by(1_000) {
        assert!(!proof.is_deaf(at(ms)), "{ms}");
        send(&proof, at(ms));
    }
    assert!(proof.is_deaf(at(5_000)));
    // One that comes back settles it, however many are still out.
    let payload = send(&proof, at(5_002));
    proof.hear(payload.as_bytes(), at(5_002), true);
    assert!(!proof.is_deaf(at(60_000)));
    send(&proof, at(60_000));
    proof.link_lost();
    assert!(!proof.is_deaf(at(70_000)), "a new link begins anew");
}

#[test]
fn a_canary_that_overtakes_its_acknowledgement_is_not_missed() {
    let proof = proof();
    let start = Instant::now();
    proof.subscribed();
    let payload = proof.next(start).expect("it is due");
    proof.hear(payload.as_bytes(), start, true);
    proof.published(start, Ok(()));
    assert!(!proof.is_deaf(start + Duration::from_secs(60)));
}

#[test]
fn a_refusal_is_this_instance_s_own_and_silence_is_redis_s() {
    for (outcome, after) in [
        (Trouble::Refused("no".to_owned()), Readiness::Unready),
        (Trouble::Unavailable("away".to_owned()), Readiness::Outage),
    ] {
        let proof = proof();
        let start = Instant::now();
        proof.subscribed();
        let payload = send(&proof, start);
        proof.hear(payload.as_bytes(), start, true);
        assert_eq!(verdict(&proof, start, start).readiness, Readiness::Ready);
        let later = start + Duration::from_secs(4);
        proof.published(later, Err(outcome));
        let seen = verdict(&proof, later, start);
        assert_eq!(seen.readiness, after);
        assert!(seen.trouble.is_some());
    }
}
