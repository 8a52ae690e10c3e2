//! What we compress keeps to the window that was promised: at every level, for both
//! windows, up to 64 KiB, by the word of an inflater that measures distances.
//!
//! `FUZZ_SEED`: where the data begin, 0 by default; a failure names its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::env;

use fastrand::Rng;
use flate2::{Compress, Compression, FlushCompress};
use redcast_fuzz::deflate::check_round_trip;
use redcast_inflate::inflate;

const LEVELS: std::ops::RangeInclusive<u32> = 1..=9;
const SIZES: [usize; 6] = [300, 1000, 2000, 5000, 20_000, 64 << 10];

/// Bytes in which stretches come again, near and far, between stretches that are new.
fn data(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut data = Vec::new();
    while data.len() < len {
        let stretch = rng.usize(1..300);
        // As often near the edge of the narrow window as anywhere.
        let distance = if rng.bool() { rng.usize(1..1500) } else { rng.usize(1..65_000) };
        let start = data.len().saturating_sub(distance);
        match rng.u8(..5) {
            0 => data.extend(std::iter::repeat_with(|| rng.u8(..)).take(stretch)),
            1 => data.extend(std::iter::repeat_with(|| rng.u8(b'a'..b'e')).take(stretch)),
            2 => data.extend(std::iter::repeat_n(rng.u8(..), stretch)),
            _ => data.extend_from_within(start..(start + stretch).min(data.len())),
        }
    }
    data.truncate(len);
    data
}

#[test]
fn every_level_keeps_to_its_window() {
    let first = env::var("FUZZ_SEED").map_or(0, |seed| seed.parse().unwrap());
    for seed in first..first + 6 {
        println!("seed {seed}");
        let mut rng = Rng::with_seed(seed);
        for size in SIZES {
            let len = rng.usize(size / 2..=size);
            let data = data(&mut rng, len);
            for level in LEVELS {
                check_round_trip(level, &data);
            }
        }
    }
}

#[test]
fn every_small_size_is_read_back() {
    let mut rng = Rng::with_seed(1);
    let data = data(&mut rng, 700);
    for len in 0..data.len() {
        check_round_trip(1 + len as u32 % 9, &data[..len]);
    }
}

/// Without this the two tests above could be fooled.
#[test]
fn a_distance_beyond_a_window_is_seen() {
    let mut rng = Rng::with_seed(2);
    let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(600).collect();
    let data = noise.repeat(2);
    let mut stream = Compress::new(Compression::new(6), false);
    let mut output = Vec::with_capacity(4000);
    stream.compress_vec(&data, &mut output, FlushCompress::Sync).unwrap();
    let inflated = inflate(output.strip_suffix(b"\x00\x00\xff\xff").unwrap(), data.len()).unwrap();
    assert_eq!(inflated.farthest, 600);
    assert!(inflated.bytes == data);
}
