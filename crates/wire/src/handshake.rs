//! The one computed header of the opening handshake.

use tungstenite::handshake::derive_accept_key;

/// The value of `Sec-WebSocket-Accept` for a client's `Sec-WebSocket-Key`
/// (RFC 6455 4.2.2), or `None` if the key is not what 4.2.1 demands: the base64
/// form of exactly 16 bytes.
pub fn accept_key(key: &str) -> Option<String> {
    is_base64_of_16_bytes(key).then(|| derive_accept_key(key.as_bytes()))
}

// 16 bytes are 128 bits: 22 digits of six bits, whose last four bits say nothing
// and are zero in the canonical form, so only four digits can come last.
fn is_base64_of_16_bytes(key: &str) -> bool {
    let Some(digits) = key.strip_suffix("==") else { return false };
    digits.len() == 22
        && digits.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/'))
        && digits.ends_with(['A', 'Q', 'g', 'w'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_the_example_of_the_rfc() {
        let accept = accept_key("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept.as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn takes_every_digit_of_base64_and_each_possible_last_one() {
        for key in [
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "zzzzzzzzzzzzzzzzzzzzzQ==",
            "0189+/0189+/0189+/+/+g==",
            "/////////////////////w==",
        ] {
            assert!(accept_key(key).is_some(), "{key}");
        }
    }

    #[test]
    fn refuses_what_is_not_sixteen_bytes_in_canonical_base64() {
        for key in [
            "",
            "==",
            "AAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA=",
            "AAAAAAAAAAAAAAAAAAAAA==",
            "AAAAAAAAAAAAAAAAAAAAAAA==",
            "AA==AAAAAAAAAAAAAAAAAAAA",
            "AA==AAAAAAAAAAAAAAAAAA==",
            "AAAAAAAAAAAAAAAAAAAAAB==",
            "AAAAAAAAAAAAAAAAAAAA-A==",
            "AAAAAAAAAAAAAAAAAAAA_A==",
            " AAAAAAAAAAAAAAAAAAAAA==",
            "AAAAAAAAAAAAAAAAAAAAAA== ",
            "AAAAAAAAAAAAAAAAAAAAéA==",
        ] {
            assert_eq!(accept_key(key), None, "{key:?}");
        }
    }
}
