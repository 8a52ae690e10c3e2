//! One page view, as a browser's beacon would report it.

use std::time::SystemTime;

use serde::Serialize;

/// What a visitor's browser says when a page opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageView {
    /// A version 4 UUID, the same for every page of one visit.
    pub(crate) visitor_id: String,
    /// The page's path on the site.
    pub(crate) path: &'static str,
    /// The page that linked here; none when the address was typed in.
    pub(crate) referrer: Option<String>,
    /// ISO 3166 country code.
    pub(crate) country: &'static str,
    /// `desktop`, `mobile` or `tablet`.
    pub(crate) device: &'static str,
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
    country: &'a str,
    device: &'a str,
}

impl PageView {
    /// The event as JSON; `at` becomes its timestamp, RFC 3339 in UTC with
    /// milliseconds.
    pub(crate) fn encode(&self, at: SystemTime) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Event {
            r#type: "page_view",
            visitor_id: &self.visitor_id,
            timestamp: humantime::format_rfc3339_millis(at).to_string(),
            data: Data {
                path: self.path,
                referrer: self.referrer.as_deref(),
                country: self.country,
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
            path: "/pricing",
            referrer: None,
            country: "NO",
            device: "mobile",
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_733_683_200_007);
        let text = String::from_utf8(view.encode(at).unwrap()).unwrap();
        assert_eq!(
            text,
            r#"{"type":"page_view","visitor_id":"0a1b2c3d-0000-4000-8000-000000000000","timestamp":"2024-12-08T18:40:00.007Z","data":{"path":"/pricing","referrer":null,"country":"NO","device":"mobile"}}"#
        );
    }
}
