//! Who looked: the same for every page of one visitor on one day, and nothing that leads
//! back to an address.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const SECONDS_PER_DAY: u64 = 86_400;
/// Of the hash; enough that no two visitors of a log meet.
const ID_BYTES: usize = 16;

/// The key of the hash, drawn for one log. Whoever does not have it can't find an address
/// by trying them all. It is no salt of a day, because a log holds many of them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Salt([u8; 32]);

impl Salt {
    /// A salt that nobody can guess.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The salt of a run before, so that its visitors stay who they were.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// As text, for [`Self::from_hex`].
    pub(super) fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// The visitor who came from this address with this browser on that day (UTC).
    pub(super) fn visitor(&self, address: &str, agent: &str, at: SystemTime) -> String {
        let day =
            at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) / SECONDS_PER_DAY;
        // A key of any length is one for HMAC, so that this always goes on.
        let Ok(mut hash) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        hash.update(&day.to_be_bytes());
        // Its length first, so that no two visitors spell the same bytes.
        hash.update(&(address.len() as u64).to_be_bytes());
        hash.update(address.as_bytes());
        hash.update(agent.as_bytes());
        HEXLOWER.encode(&hash.finalize().into_bytes()[..ID_BYTES])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_visitor_is_one_address_one_browser_one_day_and_one_salt() {
        let at = |hours: u64| UNIX_EPOCH + Duration::from_secs(hours * 3_600);
        let salt = Salt::random().unwrap();
        let visitor = salt.visitor("192.0.2.1", "Firefox", at(24));
        assert_eq!(visitor.len(), 32);
        assert_eq!(visitor, salt.visitor("192.0.2.1", "Firefox", at(47)));
        let known = Salt::from_hex(&salt.to_hex()).unwrap();
        assert_eq!(visitor, known.visitor("192.0.2.1", "Firefox", at(24)));
        for other in [
            salt.visitor("192.0.2.1", "Firefox", at(48)),
            salt.visitor("192.0.2.2", "Firefox", at(24)),
            salt.visitor("192.0.2.1", "Chrome", at(24)),
            // The same letters, cut elsewhere.
            salt.visitor("192.0.2.1F", "irefox", at(24)),
            Salt::random().unwrap().visitor("192.0.2.1", "Firefox", at(24)),
        ] {
            assert_ne!(visitor, other);
        }
    }

    #[test]
    fn only_what_a_salt_looks_like_is_one() {
        assert!(Salt::from_hex(&"0f".repeat(32)).is_some());
        for text in ["", "0f", &"0g".repeat(32), &"0f".repeat(33)] {
            assert!(Salt::from_hex(text).is_none(), "{text}");
        }
    }
}
