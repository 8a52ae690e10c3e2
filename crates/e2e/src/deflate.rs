//! Compression as a client does it: permessage-deflate of RFC 7692 over whole messages,
//! with nothing carried over from one to the next.

use flate2::{Compress, Compression, FlushCompress};

/// What ends a message's data and is not sent, RFC 7692 section 7.2.1.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// A message's compressed data.
pub fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut data = Vec::with_capacity(payload.len() / 500 + 1024);
    loop {
        let taken = usize::try_from(compress.total_in()).expect("it fits into memory");
        compress
            .compress_vec(&payload[taken..], &mut data, FlushCompress::Sync)
            .expect("zlib takes everything");
        if data.len() < data.capacity() {
            break;
        }
        data.reserve(data.capacity());
    }
    assert!(data.ends_with(&TAIL), "a flush ends with an empty block");
    data.truncate(data.len() - TAIL.len());
    data
}

/// Data that inflates to so many zeros.
pub fn bomb(size: usize) -> Vec<u8> {
    deflated(&vec![0; size])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_of_a_hundred_kilobytes_is_a_hundred_megabytes() {
        let bomb = bomb(100 << 20);
        assert!((100_000..104_000).contains(&bomb.len()), "{} bytes", bomb.len());
    }
}
