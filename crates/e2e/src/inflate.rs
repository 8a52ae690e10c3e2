//! A strict judge of the gateway's compressed messages: whether they inflate, keep to
//! the window that was agreed on, and end as they should. It shares no code with the
//! gateway, and notices a look back past the window, which the usual libraries forgive.

use redcast_inflate::inflate;

/// Inflates a message's data in a window of so many bits, or says what is wrong with it.
pub fn inflated(data: &[u8], window_bits: u8) -> Result<Vec<u8>, String> {
    let message = inflate(data, usize::MAX).map_err(|refusal| refusal.to_string())?;
    if !message.is_exact {
        return Err("not cut off where RFC 7692 section 7.2.1 wants it".to_owned());
    }
    let window = 1 << window_bits;
    if message.farthest > window {
        return Err(format!("a look back by {} in a window of {window}", message.farthest));
    }
    Ok(message.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::deflated;

    #[test]
    fn what_others_deflate_is_inflated() {
        let words = "one word after the other, ".repeat(5000);
        for payload in [&b""[..], b"a", &[7; 300], words.as_bytes(), &random(70_000)] {
            assert_eq!(inflated(&deflated(payload), 15).as_deref(), Ok(payload));
        }
    }

    #[test]
    fn a_look_back_past_the_window_is_noticed() {
        let payload = random(513).repeat(2);
        let data = deflated(&payload);
        assert!(data.len() < 600, "the second half is a look back at the first");
        assert_eq!(inflated(&data, 10), Ok(payload));
        let error = inflated(&data, 9).unwrap_err();
        assert_eq!(error, "a look back by 513 in a window of 512");
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        let with_tail = [&deflated(b"a")[..], &[0, 0, 0xff, 0xff]].concat();
        for data in [&b""[..], &[0x03, 0x00], &[0xff], &with_tail] {
            assert!(inflated(data, 15).is_err(), "{data:x?}");
        }
    }

    /// Bytes without a pattern: xorshift64.
    fn random(count: usize) -> Vec<u8> {
        let numbers = std::iter::successors(Some(88_172_645_463_325_252_u64), |last| {
            let mixed = last ^ (last << 13);
            let mixed = mixed ^ (mixed >> 7);
            Some(mixed ^ (mixed << 17))
        });
        numbers.take(count).map(|number| number as u8).collect()
    }
}
