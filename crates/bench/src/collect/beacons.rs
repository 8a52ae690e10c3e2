//! What browsers send to the collector: one `POST /collect` for each page view, as
//! `navigator.sendBeacon` makes it.

use std::io::Write;
use std::net::SocketAddr;

use fastrand::Rng;

/// The site whose pages are viewed. The collector is told to take beacons of it.
pub const SITE: &str = "shop.example";

/// The site has so many pages.
pub const PAGES: usize = 500;

/// Bodies that differ; each page is in some of them, with one or another referrer.
const BODIES: usize = 4_999;

const SEED: u64 = 5;

const SECTIONS: [&str; 5] = ["docs", "blog", "products", "guides", "news"];

const OTHER_SITES: [&str; 4] = [
    "https://search.example/",
    "https://news.example/item?id=4711",
    "https://social.example/",
    "https://partner.example/shops",
];

/// A visitor keeps the browser that it came with.
const BROWSERS: [&str; 5] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
];

/// Requests, rendered beforehand so that sending one is a copy.
#[derive(Debug)]
pub struct Beacons {
    /// All of a request before its length, by browser.
    heads: Vec<Vec<u8>>,
    bodies: Vec<Body>,
}

#[derive(Debug)]
struct Body {
    /// The length, the end of the head and the body itself.
    bytes: Vec<u8>,
    page: usize,
}

impl Beacons {
    /// Requests to the collector at `address`. They are the same in each run.
    pub fn new(address: SocketAddr) -> Self {
        let mut random = Rng::with_seed(SEED);
        let heads = BROWSERS.iter().map(|browser| head(address, browser).into_bytes());
        Self {
            heads: heads.collect(),
            bodies: (0..BODIES).map(|index| body(index % PAGES, &mut random)).collect(),
        }
    }

    /// Puts beacon number `number` of the visitor number `visitor` into `buffer`.
    pub fn render(&self, number: u64, visitor: usize, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&self.heads[visitor % self.heads.len()]);
        buffer.extend_from_slice(&self.body(number).bytes);
    }

    /// Which page beacon number `number` is about.
    pub fn page(&self, number: u64) -> usize {
        self.body(number).page
    }

    fn body(&self, number: u64) -> &Body {
        &self.bodies[(number % self.bodies.len() as u64) as usize]
    }
}

/// Which page an event is about; none if it is about no page of the site.
pub fn page_of(event: &[u8]) -> Option<usize> {
    const PATH: &[u8] = br#""path":""#;
    let start = event.windows(PATH.len()).position(|window| window == PATH)? + PATH.len();
    let path = event[start..].split(|&byte| byte == b'"').next()?;
    let number = path.rsplit(|&byte| byte == b'/').next()?;
    std::str::from_utf8(number).ok()?.parse().ok().filter(|&page| page < PAGES)
}

fn head(address: SocketAddr, browser: &str) -> String {
    format!(
        "POST /collect HTTP/1.1\r\nHost: {address}\r\nConnection: keep-alive\r\n\
         User-Agent: {browser}\r\nContent-Type: text/plain;charset=UTF-8\r\nAccept: */*\r\n\
         Origin: https://{SITE}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n\
         Sec-Fetch-Dest: empty\r\nReferer: https://{SITE}/\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
         Content-Length: "
    )
}

fn body(page: usize, random: &mut Rng) -> Body {
    let referrer = match random.u8(..10) {
        0..4 => String::new(),
        4..7 => format!("https://{SITE}{}", path(random.usize(..PAGES))),
        _ => OTHER_SITES[random.usize(..OTHER_SITES.len())].to_owned(),
    };
    let query = if random.u8(..10) < 2 { "?utm_source=newsletter" } else { "" };
    let text =
        format!(r#"{{"url":"https://{SITE}{}{query}","referrer":"{referrer}"}}"#, path(page));
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = write!(bytes, "{}\r\n\r\n{text}", text.len());
    Body { bytes, page }
}

fn path(page: usize) -> String {
    format!("/{}/{page}", SECTIONS[page % SECTIONS.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beacon_is_a_request_whose_length_is_right_and_whose_page_is_known() {
        let beacons = Beacons::new(([127, 0, 0, 1], 8090).into());
        let mut pages = std::collections::HashSet::new();
        let mut buffer = Vec::new();
        for number in 0..BODIES as u64 {
            beacons.render(number, 3, &mut buffer);
            let text = std::str::from_utf8(&buffer).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("POST /collect HTTP/1.1\r\n"), "{head}");
            assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
            let json: serde_json::Value = serde_json::from_str(body).unwrap();
            let url = json["url"].as_str().unwrap().split('?').next().unwrap();
            let path = url.strip_prefix("https://shop.example").unwrap();
            let event = format!(r#"{{"type":"page_view","data":{{"path":"{path}","x":1}}}}"#);
            assert_eq!(page_of(event.as_bytes()), Some(beacons.page(number)));
            pages.insert(beacons.page(number));
        }
        assert_eq!(pages.len(), PAGES);
    }

    #[test]
    fn an_event_of_somebody_else_has_no_page() {
        assert_eq!(page_of(br#"{"type":"page_view","data":{"path":"/pricing"}}"#), None);
        assert_eq!(page_of(br#"{"data":{"path":"/docs/500"}}"#), None);
        assert_eq!(page_of(b"{}"), None);
    }
}
