//! Our compressed frames: what they hold, and that each stands alone.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::Inflater;
use crate::encode::{binary_frame, text_frame};
use crate::testing::noise;

const LEVELS: std::ops::RangeInclusive<u32> = 1..=9;

/// The message that a client reads.
fn inflate(message: &[u8]) -> Vec<u8> {
    let read = |bytes: &[u8]| Ok(bytes.to_vec());
    Inflater::new().inflate(message, usize::MAX, read).unwrap()
}

/// The payload of a server frame, whose first byte is `first`.
fn payload(frame: &[u8], first: u8) -> &[u8] {
    assert_eq!(frame[0], first);
    let (len, header_len) = match frame[1] {
        126 => (u64::from(u16::from_be_bytes([frame[2], frame[3]])), 4),
        127 => (u64::from_be_bytes(frame[2..10].try_into().unwrap()), 10),
        len => (u64::from(len), 2),
    };
    assert_eq!(frame.len() as u64, len + header_len as u64);
    &frame[header_len..]
}

/// That each distance keeps to the window is proven in crates/fuzz, by an inflater
/// that measures them: zlib-rs lets pass what its window should no longer hold.
#[test]
fn the_narrow_window_finds_only_what_is_near() {
    let repeated = noise(88, 1);
    for (apart, is_near) in [(200, true), (600, false)] {
        let data = [&repeated[..], &noise(apart - 88, 2), &repeated].concat();
        for level in LEVELS {
            let mut deflater = Deflater::new(level);
            assert!(deflater.binary_frame(&data, Window::Wide).is_some(), "level {level}");
            let narrow = deflater.binary_frame(&data, Window::Narrow);
            assert_eq!(narrow.is_some(), is_near, "level {level}, {apart} apart");
        }
    }
}

#[test]
fn text_and_binary_are_told_apart_and_marked_as_compressed() {
    let mut deflater = Deflater::new(1);
    for len in [20, 4000, 400_000] {
        let (text, bytes) = ("grüß, ".repeat(len), vec![0xff; len]);
        for window in Window::ALL {
            let frame = deflater.event_frame(text.as_bytes(), window).unwrap();
            assert_eq!(inflate(payload(&frame, 0xc1)), text.as_bytes());
            assert_eq!(deflater.text_frame(text.as_bytes(), window), Some(frame));
            let frame = deflater.event_frame(&bytes, window).unwrap();
            assert_eq!(inflate(payload(&frame, 0xc2)), bytes);
            assert_eq!(deflater.binary_frame(&bytes, window), Some(frame));
        }
    }
}

#[test]
fn what_would_not_shrink_is_left_alone() {
    for level in LEVELS {
        let mut deflater = Deflater::new(level);
        for window in Window::ALL {
            for payload in [&b""[..], b"a", b"Hello", &noise(300, 7), &noise(100_000, 8)] {
                assert_eq!(deflater.binary_frame(payload, window), None);
            }
        }
        // It was finished all the same, and so its stream could be kept.
        assert!(deflater.narrow.is_some() && deflater.wide.is_some(), "level {level}");
    }
}

#[test]
fn a_message_owes_nothing_to_the_ones_before_it() {
    // Noise in between, because it is what zlib gives up on.
    let text = "an event like any other, with an event in it".repeat(3);
    for level in LEVELS {
        for window in Window::ALL {
            let alone = Deflater::new(level).event_frame(text.as_bytes(), window).unwrap();
            let mut deflater = Deflater::new(level);
            for before in [noise(4000, 9), text.clone().into(), noise(300_000, 10), Vec::new()] {
                deflater.event_frame(&before, window);
                assert_eq!(deflater.event_frame(text.as_bytes(), window).as_ref(), Some(&alone));
            }
        }
    }
}

#[test]
fn the_buffer_is_kept_for_the_usual_and_given_back_after_the_large() {
    let mut deflater = Deflater::new(1);
    let usual = vec![b'a'; 52_000];
    deflater.event_frame(&usual, Window::Wide).unwrap();
    let kept = deflater.output.as_ptr();
    for _ in 0..3 {
        deflater.event_frame(&usual, Window::Wide).unwrap();
        assert_eq!(deflater.output.as_ptr(), kept);
    }
    for large in [vec![b'a'; 1 << 20], noise(1 << 20, 3)] {
        deflater.event_frame(&large, Window::Wide);
        assert!(deflater.output.capacity() <= KEPT_OUTPUT);
    }
}

#[test]
fn a_level_out_of_range_is_the_nearest() {
    let text = "ab".repeat(2000) + &"abc".repeat(2000);
    let frame = |level| Deflater::new(level).event_frame(text.as_bytes(), Window::Wide);
    assert_eq!(frame(0), frame(1));
    assert_eq!(frame(10), frame(9));
    assert_eq!(frame(u32::MAX), frame(9));
}

/// Bytes in which stretches come again, near and far, between stretches that are new.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let stretch = (0..4000_usize, 1..64_000_usize, any::<u64>(), 0..4_u8);
    vec(stretch, 0..40).prop_map(|stretches| {
        let mut data = Vec::new();
        for (len, distance, seed, kind) in stretches {
            let start = data.len().saturating_sub(distance);
            match kind {
                0 => data.extend(noise(len, seed)),
                1 => data.extend(noise(len, seed).iter().map(|byte| b'a' + byte % 4)),
                2 => data.extend(std::iter::repeat_n(seed as u8, len)),
                _ => data.extend_from_within(start..(start + len).min(data.len())),
            }
        }
        data.truncate(64 << 10);
        data
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// One deflater for all, so that each also follows another of its kind.
    #[test]
    fn each_message_is_read_back(
        messages in vec(data(), 1..4),
        level in LEVELS,
    ) {
        let mut deflater = Deflater::new(level);
        for data in &messages {
            for window in Window::ALL {
                let Some(frame) = deflater.binary_frame(data, window) else { continue };
                prop_assert!(frame.len() < binary_frame(data).len());
                let message = payload(&frame, 0xc2);
                prop_assert!(!message.ends_with(&TAIL));
                prop_assert_eq!(&inflate(message), data);
            }
        }
    }
}

#[test]
fn a_frame_is_shorter_than_the_plain_one() {
    let mut deflater = Deflater::new(6);
    for len in 0..200 {
        let text = "a".repeat(len);
        if let Some(frame) = deflater.text_frame(text.as_bytes(), Window::Wide) {
            assert!(frame.len() < text_frame(text.as_bytes()).len(), "{len}");
        }
    }
    assert!(deflater.text_frame(&[b'a'; 20], Window::Wide).is_some());
}
