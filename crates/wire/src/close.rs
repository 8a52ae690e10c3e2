//! What may stand in a close frame (RFC 6455 5.5.1 and 7.4).

use crate::WireError;

/// The code and the reason in a client's close frame, `None` where it is empty.
pub(crate) fn parse_close(payload: &[u8]) -> Result<Option<(u16, &str)>, WireError> {
    match payload {
        [] => Ok(None),
        [_] => Err(WireError::HalfCloseCode),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !may_be_sent(code) {
                return Err(WireError::BadCloseCode(code));
            }
            let reason = std::str::from_utf8(reason).map_err(|_| WireError::InvalidUtf8)?;
            Ok(Some((code, reason)))
        }
    }
}

/// Whether `code` may stand in a frame: the registered codes but those that only
/// describe what happened (1005, 1006, 1015), and the two ranges for libraries
/// and applications.
pub(crate) fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_code_and_reason() {
        assert_eq!(parse_close(b""), Ok(None));
        assert_eq!(parse_close(&[0x03, 0xe8]), Ok(Some((1000, ""))));
        assert_eq!(parse_close(b"\x0f\xa0gr\xc3\xbc\xc3\x9f"), Ok(Some((4000, "grüß"))));
    }

    #[test]
    fn refuses_half_a_code_and_a_reason_that_is_not_text() {
        assert_eq!(parse_close(&[0x03]), Err(WireError::HalfCloseCode));
        assert_eq!(parse_close(b"\x03\xe8\xff"), Err(WireError::InvalidUtf8));
        assert_eq!(parse_close(b"\x03\xe8\xe2\x82"), Err(WireError::InvalidUtf8));
    }

    #[test]
    fn every_code_is_judged_as_the_rfc_and_the_registry_say() {
        for code in 0..=u16::MAX {
            let forbidden = code < 1000
                || [1004, 1005, 1006, 1015].contains(&code)
                || (1016..3000).contains(&code)
                || code >= 5000;
            let expected =
                if forbidden { Err(WireError::BadCloseCode(code)) } else { Ok(Some((code, ""))) };
            assert_eq!(parse_close(&code.to_be_bytes()), expected);
        }
    }
}
