//! One page view, as a browser's beacon would report it.

use std::borrow::Cow;
use std::time::SystemTime;

use serde::Serialize;

/// What a visitor's browser says when a page opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageView {
    /// Who looks, as far as that may be known: 1 to 64 characters that are the same for
    /// every page this visitor opens on one day, and tell nothing else.
    pub visitor_id: String,
    /// When it was opened.
    pub at: SystemTime,
    /// The page's path on the site, without the query; at most 512 bytes.
    pub path: Cow<'static, str>,
    /// The page that linked here, or only its origin; none when the address was typed
    /// in. At most 512 bytes.
    pub referrer: Option<Cow<'static, str>>,
    /// ISO 3166 country code, where it is known.
    pub country: Option<Cow<'static, str>>,
    /// `desktop`, `mobile` or `tablet`.
    pub device: &'static str,
}

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    visitor_id: &'a str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    path: &'a str,
    referrer: Option<&'a str>,
    country: Option<&'a str>,
    device: &'a str,
}

impl PageView {
    /// The event as JSON; its timestamp is RFC 3339 in UTC with milliseconds.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Event {
            r#type: "page_view",
            visitor_id: &self.visitor_id,
            timestamp: humantime::format_rfc3339_millis(self.at).to_string(),
            data: Data {
                path: &self.path,
                referrer: self.referrer.as_deref(),
                country: self.country.as_deref(),
                device: self.device,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn encodes_as_the_event_that_the_documents_show() {
        let view = PageView {
            visitor_id: "0a1b2c3d-0000-4000-8000-000000000000".to_owned(),
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_733_683_200_007),
            path: "/pricing".into(),
            referrer: None,
            country: Some("NO".into()),
            device: "mobile",
        };
        let text = String::from_utf8(view.encode().unwrap()).unwrap();
        assert_eq!(
            text,
            r#"{"type":"page_view","visitor_id":"0a1b2c3d-0000-4000-8000-000000000000","timestamp":"2024-12-08T18:40:00.007Z","data":{"path":"/pricing","referrer":null,"country":"NO","device":"mobile"}}"#
        );
    }
}
