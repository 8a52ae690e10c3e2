//! A changed copy of an input: what a fuzzer does, without its knowledge of which
//! change reached new code.

use fastrand::Rng;

/// The longest copy.
const MAX_LEN: usize = 8192;

/// A copy of `input` with one to four changes; `other` lends it pieces.
pub fn mutate(rng: &mut Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.usize(1..5) {
        change(rng, &mut bytes, other);
    }
    bytes.truncate(MAX_LEN);
    bytes
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = rng.usize(..=bytes.len());
    let range = piece(rng, bytes.len());
    match rng.u8(..7) {
        0 => bytes.insert(at, rng.u8(..)),
        1 => drop(bytes.drain(range)),
        2 => bytes.truncate(at),
        3 => {
            let copy = bytes[range].to_vec();
            bytes.splice(at..at, copy);
        }
        4 => {
            let lent = &other[piece(rng, other.len())];
            bytes.splice(range, lent.iter().copied());
        }
        5 => match bytes.get_mut(at) {
            Some(byte) => *byte = rng.u8(..),
            None => bytes.push(rng.u8(..)),
        },
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.u8(..8);
            }
        }
    }
}

/// Any stretch of `len` bytes, often a short one.
fn piece(rng: &mut Rng, len: usize) -> std::ops::Range<usize> {
    let start = rng.usize(..=len);
    let longest = if rng.bool() { (len - start).min(8) } else { len - start };
    start..start + rng.usize(..=longest)
}
