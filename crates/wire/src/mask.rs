//! Removing a client's mask (RFC 6455 5.3).

/// Removes the mask in place.
///
/// Eight bytes at a time: the key of four bytes stands twice in a word, and
/// words begin at multiples of eight, so the key never has to be turned.
pub(crate) fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let key_twice = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key_twice).to_ne_bytes();
    }
    for (byte, key_byte) in tail.iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key_byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_the_byte_wise_definition_of_the_rfc(payload: Vec<u8>, key: [u8; 4], skip in 0..9_usize) {
            // Skipping some bytes also tries slices that begin off a word's boundary.
            let skip = skip.min(payload.len());
            let expected: Vec<u8> =
                payload[skip..].iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            let mut unmasked = payload.clone();
            unmask(&mut unmasked[skip..], key);
            prop_assert_eq!(&unmasked[skip..], &expected[..]);
            prop_assert_eq!(&unmasked[..skip], &payload[..skip]);
        }
    }
}
