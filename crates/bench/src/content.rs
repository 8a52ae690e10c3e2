//! What the payloads of a scenario hold: filler, or page views as the web makes them.

use fastrand::Rng;

use crate::payload;

/// What payloads hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// So many bytes that mean nothing, the same in each event.
    Filler(usize),
    /// About 1 KiB of page views, others in each event, to be compressed.
    PageViews,
}

/// How many events differ before they repeat, after twenty seconds at 50 a second. Each is
/// compressed on its own, so that a repetition shortens nothing.
const PAGE_VIEW_EVENTS: usize = 1_024;

/// Makes an event of about 1 KiB.
const VIEWS_OF_AN_EVENT: usize = 5;

const DAY_MS: u32 = 24 * 60 * 60 * 1_000;

/// The views of one event follow each other, as those of a busy site do.
const MOST_MS_BETWEEN_VIEWS: u32 = 500;

/// The site has so many pages.
const PAGES: usize = 500;

const SECTIONS: [&str; 10] = [
    "docs",
    "blog",
    "products",
    "pricing",
    "support",
    "guides",
    "company",
    "careers",
    "news",
    "customers",
];
const COUNTRIES: [&str; 8] = ["US", "IN", "DE", "BR", "GB", "FR", "JP", "NO"];
const DEVICES: [&str; 3] = ["desktop", "mobile", "tablet"];

impl Content {
    /// How many payloads differ from each other.
    pub fn variety(self) -> usize {
        match self {
            Self::Filler(_) => 1,
            Self::PageViews => PAGE_VIEW_EVENTS,
        }
    }

    /// A payload to be stamped; the same `random` makes the same ones again.
    pub fn make(self, random: &mut Rng) -> Vec<u8> {
        match self {
            Self::Filler(size) => payload::blank(size),
            Self::PageViews => page_views(random),
        }
    }
}

fn page_views(random: &mut Rng) -> Vec<u8> {
    let mut time = random.u32(..DAY_MS);
    let mut views = Vec::new();
    for _ in 0..VIEWS_OF_AN_EVENT {
        views.push(page_view(random, time));
        time += random.u32(..MOST_MS_BETWEEN_VIEWS);
    }
    payload::blank_with(&format!(r#""views":[{}]"#, views.join(",")))
}

fn page_view(random: &mut Rng, time: u32) -> String {
    let (visitor, path, time) = (uuid(random), path(random.usize(..PAGES)), clock(time));
    let country = COUNTRIES[random.usize(..COUNTRIES.len())];
    let device = DEVICES[random.usize(..DEVICES.len())];
    format!(
        r#"{{"type":"page_view","visitor_id":"{visitor}","timestamp":"{time}","data":{{"path":"{path}","referrer":null,"country":"{country}","device":"{device}"}}}}"#
    )
}

/// Of page 0 to 499.
fn path(page: usize) -> String {
    format!("/{}/{page}", SECTIONS[page % SECTIONS.len()])
}

fn clock(ms: u32) -> String {
    let (seconds, ms) = (ms / 1_000, ms % 1_000);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("2026-01-15T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// A version 4 UUID (RFC 9562 section 5.4).
fn uuid(random: &mut Rng) -> String {
    let bits = random.u128(..) & !(0xF << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{bits:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::DeflateEncoder;

    use super::*;

    const EVENTS: usize = PAGE_VIEW_EVENTS;

    fn events() -> Vec<Vec<u8>> {
        let mut random = Rng::with_seed(1);
        (0..EVENTS).map(|_| Content::PageViews.make(&mut random)).collect()
    }

    #[test]
    fn page_views_are_json_of_about_1_kib_and_no_two_are_alike() {
        let mut events = events();
        for (sequence, event) in (0..).zip(&mut events) {
            let stamp = payload::Stamp { kind: payload::Kind::Event, sequence, sent_ns: 7 };
            payload::write(event, stamp);
            assert_eq!(payload::read(event), Some(stamp));
            let json: serde_json::Value = serde_json::from_slice(event).unwrap();
            assert_eq!(json["views"].as_array().map(Vec::len), Some(VIEWS_OF_AN_EVENT));
            assert!(event.len().abs_diff(1_024) < 64, "{} bytes", event.len());
        }
        let bodies = events.iter().map(|event| &event[70..]);
        assert_eq!(bodies.collect::<std::collections::HashSet<_>>().len(), EVENTS);
    }

    #[test]
    fn the_site_has_500_pages_and_all_are_visited() {
        let text = String::from_utf8(events().concat()).unwrap();
        let paths = text.split(r#""path":""#).skip(1).filter_map(|rest| rest.split('"').next());
        assert_eq!(paths.collect::<std::collections::HashSet<_>>().len(), PAGES);
    }

    #[test]
    fn the_same_seed_makes_the_same_events() {
        assert_eq!(events(), events());
    }

    #[test]
    fn the_gateways_level_takes_them_to_between_30_and_40_per_cent() {
        let plain = events().concat().len();
        let compress = |event: &Vec<u8>| {
            // The default of `deflate.level`.
            let mut stream = DeflateEncoder::new(Vec::new(), flate2::Compression::new(3));
            stream.write_all(event).unwrap();
            stream.flush().unwrap();
            stream.get_ref().len()
        };
        let compressed: usize = events().iter().map(compress).sum();
        // Far below that they would be easier than what the web sends.
        let ratio = compressed as f64 / plain as f64;
        assert!((0.3..0.4).contains(&ratio), "{ratio}");
    }
}
