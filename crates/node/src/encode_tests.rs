//! Tests of an event's frames: which are made for whom, how often, and from what.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_util::FutureExt;
use prometheus::Registry;
use redcast_hub::Encoding;
use redcast_wire::{binary_frame, text_frame};

use super::*;
use crate::testing::channel;

const FORMS: [Form; 3] = [Form::Raw, Form::Quiet, Form::Envelope];
const COMPRESSED: u8 = 0x40;

fn encoder(min_size: usize) -> Encoder {
    let metrics = NodeMetrics::register(&Registry::new()).unwrap();
    Encoder::new(DeflateConfig { min_size, ..DeflateConfig::default() }, metrics)
}

fn event(payload: impl Into<Bytes>) -> Event {
    Event { channel: channel("a"), payload: payload.into(), received: Instant::now(), cursor: None }
}

fn encodings(all: &[Encoding]) -> Encodings {
    let mut encodings = Encodings::default();
    all.iter().for_each(|encoding| encodings.change(*encoding, 1));
    encodings
}

fn compressed(form: Form, window: Window) -> Encoding {
    Encoding { form, window: Some(window) }
}

/// The draft of an event that is small enough not to be interrupted.
fn draft<'a>(encoder: &mut Encoder, event: &'a Event, members: Encodings) -> Draft<'a> {
    encoder.draft(event, members).now_or_never().unwrap()
}

fn is_compressed(frame: &Bytes) -> bool {
    frame[0] & COMPRESSED != 0
}

/// Bytes before and after compression since the last call.
fn counted(encoder: &Encoder) -> (u64, u64) {
    let NodeMetrics { deflate_before, deflate_after, .. } = &encoder.metrics;
    let counted = (deflate_before.get(), deflate_after.get());
    deflate_before.reset();
    deflate_after.reset();
    counted
}

#[test]
fn only_the_forms_that_have_members_are_encoded() {
    let event = event("{}");
    for form in FORMS {
        let members = encodings(&[form.into()]);
        let frames = draft(&mut encoder(0), &event, members).finish(members);
        let is_envelope = form == Form::Envelope;
        let encoded = FORMS.map(|form| frames.get(form.into()).is_some());
        assert_eq!(encoded, [!is_envelope, !is_envelope, is_envelope]);
    }
    let frames = draft(&mut encoder(0), &event, Encodings::default()).finish(Encodings::default());
    assert!(FORMS.iter().all(|form| frames.get((*form).into()).is_none()));
}

#[test]
fn each_form_and_window_is_compressed_once_whatever_the_number_of_members() {
    let event = event("word ".repeat(200));
    let mut encoder = encoder(256);
    let all = FORMS.map(|form| Window::ALL.map(|window| compressed(form, window))).concat();
    let members = encodings(&all.repeat(10));
    let draft = draft(&mut encoder, &event, members);
    let plain = [Form::Raw, Form::Envelope].map(|form| text_frame(draft.payload(form)).len());
    let bytes = draft.bytes();
    let frames = draft.finish(members);
    for encoding in all {
        assert!(is_compressed(frames.get(encoding).unwrap()), "{encoding:?}");
    }
    assert!(FORMS.iter().all(|form| frames.get((*form).into()).is_none()), "nobody needs it");
    let (before, after) = counted(&encoder);
    assert_eq!(before, 2 * plain.iter().sum::<usize>() as u64);
    assert_eq!(after, bytes as u64);
    assert!(after < before / 5, "{after} of {before}");
}

#[test]
fn nothing_is_compressed_for_members_that_did_not_agree() {
    let event = event("word ".repeat(200));
    let mut encoder = encoder(0);
    let members = encodings(&FORMS.map(Encoding::from));
    let frames = draft(&mut encoder, &event, members).finish(members);
    for form in FORMS {
        for window in Window::ALL {
            assert!(!is_compressed(frames.get(compressed(form, window)).unwrap()));
        }
    }
    assert_eq!(counted(&encoder), (0, 0));
}

#[test]
fn a_payload_below_the_least_size_is_sent_as_it_is() {
    let mut encoder = encoder(256);
    let raw = compressed(Form::Raw, Window::Wide);
    let envelope = compressed(Form::Envelope, Window::Wide);
    let members = encodings(&[raw, envelope]);
    for (len, expected) in [(100, [false, false]), (255, [false, true]), (256, [true, true])] {
        let event = event("x".repeat(len));
        let frames = draft(&mut encoder, &event, members).finish(members);
        let found = [raw, envelope].map(|encoding| is_compressed(frames.get(encoding).unwrap()));
        // In an envelope it is longer.
        assert_eq!(found, expected, "{len}");
    }
}

#[test]
fn what_does_not_become_smaller_is_sent_as_it_is_and_counted_so() {
    let mut encoder = encoder(0);
    let members = encodings(&[compressed(Form::Raw, Window::Wide)]);
    // Bytes without a pattern: xorshift64.
    let random = std::iter::successors(Some(88_172_645_463_325_252_u64), |last| {
        let mixed = last ^ (last << 13);
        let mixed = mixed ^ (mixed >> 7);
        Some(mixed ^ (mixed << 17))
    });
    let payload: Vec<u8> = random.take(1000).map(|number| number as u8).collect();
    let event = event(payload.clone());
    let frames = draft(&mut encoder, &event, members).finish(members);
    let frame = frames.get(compressed(Form::Raw, Window::Wide)).unwrap();
    assert_eq!(frame, &binary_frame(&payload));
    assert_eq!(counted(&encoder), (1004, 1004));
}

#[test]
fn a_higher_level_makes_smaller_frames() {
    let lines: String = (0..200).map(|n| format!("line {} of {}\n", n * 37 % 101, n)).collect();
    let event = event(lines);
    let members = encodings(&[compressed(Form::Raw, Window::Wide)]);
    let sizes = [1, 9].map(|level| {
        let metrics = NodeMetrics::register(&Registry::new()).unwrap();
        let mut encoder = Encoder::new(DeflateConfig { min_size: 0, level }, metrics);
        draft(&mut encoder, &event, members).bytes()
    });
    assert!(sizes[1] < sizes[0], "{sizes:?}");
}

#[test]
fn who_comes_between_draft_and_hand_over_gets_the_plain_frame() {
    let event = event("word ".repeat(200));
    let [narrow, wide] = Window::ALL.map(|window| compressed(Form::Raw, window));
    let mut encoder = encoder(0);
    let draft = draft(&mut encoder, &event, encodings(&[narrow]));
    let frames = draft.finish(encodings(&[narrow, wide, Form::Envelope.into()]));
    assert!(is_compressed(frames.get(narrow).unwrap()));
    assert!(!is_compressed(frames.get(wide).unwrap()));
    assert!(!is_compressed(frames.get(Form::Envelope.into()).unwrap()));
}

#[test]
fn other_tasks_have_their_turn_after_each_compression_of_a_large_payload() {
    let all = [Form::Raw, Form::Envelope];
    let all = all.map(|form| Window::ALL.map(|window| compressed(form, window))).concat();
    for (members, expected) in [(&all[..], 4), (&all[..2], 2), (&[Form::Raw.into()][..], 0)] {
        assert_eq!(turns_of_others(64 << 10 | 1, members), expected);
        assert_eq!(turns_of_others(60 << 10, members), 0);
    }
}

/// How often an event's draft is interrupted.
fn turns_of_others(len: usize, members: &[Encoding]) -> usize {
    let (mut encoder, event) = (encoder(0), event(vec![b'x'; len]));
    let mut drafting = pin!(encoder.draft(&event, encodings(members)));
    let mut context = Context::from_waker(Waker::noop());
    std::iter::from_fn(|| match drafting.as_mut().poll(&mut context) {
        Poll::Pending => Some(()),
        Poll::Ready(draft) => {
            assert_eq!(draft.compressed.bytes() > 0, members[0].window.is_some());
            None
        }
    })
    .count()
}
