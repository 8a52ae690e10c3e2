//! Who a visitor is, as far as anybody may know: a hash that nobody can turn back, and
//! that is another one tomorrow.
//!
//! It is keyed with a salt that is drawn at random each day (UTC) and forgotten after it.
//! Without the salt nobody can try addresses until one fits, and two days of the same
//! visitor have nothing in common.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;

use crate::store::StoreError;

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
/// 128 bits are enough that no two visitors ever meet.
const ID_BYTES: usize = 16;

/// A day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(u64);

impl Day {
    /// The day of this moment; the first of all for moments before 1970.
    pub fn of(at: SystemTime) -> Self {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(since.as_secs() / SECONDS_PER_DAY)
    }

    /// Its first moment.
    pub fn begin(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0 * SECONDS_PER_DAY)
    }

    /// The moment after its last one.
    pub fn end(self) -> SystemTime {
        self.begin() + Duration::from_secs(SECONDS_PER_DAY)
    }
}

/// As in RFC 3339, e.g. `2025-12-08`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = humantime::format_rfc3339_seconds(self.begin()).to_string();
        f.write_str(moment.split('T').next().unwrap_or_default())
    }
}

/// 256 random bits that make the visitors' ids of one day.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// A new one, from the operating system's randomness.
    pub fn random() -> Result<Self, StoreError> {
        let mut bytes = [0; 32];
        match getrandom::fill(&mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(error) => Err(StoreError::Unavailable(format!("no random bytes: {error}"))),
        }
    }

    /// As it is kept in Redis.
    pub(crate) fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// The salt that [`Self::to_hex`] told of.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// The id of whoever looks at `site` from `address` with the browser `agent`: 32
    /// hexadecimal digits, from HMAC-SHA-256 (RFC 2104).
    pub fn visitor_id(&self, site: &str, address: IpAddr, agent: &str) -> String {
        // A key of any length is one for HMAC, so this loop has exactly one round.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        // Lengths first, so that no two visitors spell the same bytes.
        for part in [site.as_bytes(), agent.as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        match address {
            IpAddr::V4(address) => mac.update(&address.octets()),
            IpAddr::V6(address) => mac.update(&address.octets()),
        }
        HEXLOWER.encode(&mac.finalize().into_bytes()[..ID_BYTES])
    }
}

/// Never its bytes: whoever has them can try addresses.
impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// The salt of a process that shares its visitors with no other.
pub(crate) fn of_this_process(day: Day) -> Result<Salt, StoreError> {
    static LATEST: Mutex<Option<(Day, Salt)>> = Mutex::new(None);
    let mut latest = LATEST.lock();
    if let Some((of, salt)) = &*latest
        && *of == day
    {
        return Ok(salt.clone());
    }
    let salt = Salt::random()?;
    *latest = Some((day, salt.clone()));
    Ok(salt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_day_ends_at_midnight_in_utc() {
        let day = Day::of(at("2025-12-08T23:59:59.999Z"));
        assert_eq!(day.to_string(), "2025-12-08");
        assert_eq!(day, Day::of(at("2025-12-08T00:00:00Z")));
        assert!(day < Day::of(day.end()));
        assert_eq!(Day::of(day.end()).to_string(), "2025-12-09");
    }

    #[test]
    fn an_id_is_the_same_for_the_same_visitor_of_one_day_alone() {
        let (today, tomorrow) = (Salt::random().unwrap(), Salt::random().unwrap());
        let [here, there] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let id = today.visitor_id("acme.example", here, "Firefox");
        assert_eq!(id, today.visitor_id("acme.example", here, "Firefox"));
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        let others = [
            tomorrow.visitor_id("acme.example", here, "Firefox"),
            today.visitor_id("acme.example", there, "Firefox"),
            today.visitor_id("acme.example", here, "Safari"),
            today.visitor_id("news.example", here, "Firefox"),
            // The same letters, cut elsewhere.
            today.visitor_id("acme.exampleF", here, "irefox"),
        ];
        for other in others {
            assert_ne!(other, id);
        }
    }

    #[test]
    fn a_salt_survives_the_way_through_redis_and_is_never_printed() {
        let salt = Salt::random().unwrap();
        assert_eq!(Salt::from_hex(&salt.to_hex()), Some(salt.clone()));
        assert!(Salt::from_hex("").is_none() && Salt::from_hex("abc").is_none());
        assert_eq!(format!("{salt:?}"), "Salt(..)");
    }

    #[test]
    fn the_salt_of_a_process_is_another_one_each_day() {
        let day = Day(20_000);
        let first = of_this_process(day).unwrap();
        assert_eq!(of_this_process(day).unwrap(), first);
        assert_ne!(of_this_process(Day(20_001)).unwrap(), first);
    }
}
