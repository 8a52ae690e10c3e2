//! Several views made ready to be counted at once.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::page_view::PageView;
use crate::store::StoreError;

/// What a store counts and publishes of some views, each figure added up.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Batch<'a> {
    /// The events, in order.
    pub(crate) payloads: Vec<Vec<u8>>,
    /// Who looked: one entry for each view.
    pub(crate) visitors: Vec<&'a str>,
    /// How often each path was looked at.
    pub(crate) pages: HashMap<&'a str, u64>,
    /// How many came from each host that is not one of the site's own.
    pub(crate) referrers: HashMap<Cow<'a, str>, u64>,
}

impl<'a> Batch<'a> {
    /// Adds the views up; `own_hosts` refer nobody.
    pub(crate) fn of(views: &'a [PageView], own_hosts: &[String]) -> Result<Self, StoreError> {
        let mut batch = Self::default();
        for view in views {
            let payload = view.encode();
            let payload = payload.map_err(|error| StoreError::Refused(error.to_string()))?;
            batch.payloads.push(payload);
            batch.visitors.push(&view.visitor_id);
            *batch.pages.entry(&view.path).or_default() += 1;
            let host = view.referrer.as_deref().and_then(host_of);
            if let Some(host) =
                host.filter(|host| !own_hosts.iter().any(|own| is_host_of(own, host)))
            {
                *batch.referrers.entry(host).or_default() += 1;
            }
        }
        Ok(batch)
    }
}

/// Whether `host` is the one that a site's name means: `acme.example` itself, and
/// `*.acme.example` everything below it. `*` means none: it names no site.
fn is_host_of(site: &str, host: &str) -> bool {
    let (site, host) = (site.as_bytes(), host.as_bytes());
    match site.strip_prefix(b"*") {
        None => host.eq_ignore_ascii_case(site),
        Some([]) => false,
        Some(suffix) => {
            let begin = host.len().checked_sub(suffix.len());
            begin.is_some_and(|begin| host[begin..].eq_ignore_ascii_case(suffix))
        }
    }
}

/// The host that a URL names, in lower case and without its port; none where there is
/// none.
pub(crate) fn host_of(url: &str) -> Option<Cow<'_, str>> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host_and_port = authority.rsplit('@').next()?;
    let host = match host_and_port.find(']') {
        Some(end) => &host_and_port[..=end],
        None => host_and_port.split(':').next()?,
    };
    if host.is_empty() {
        return None;
    }
    let has_capitals = host.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if has_capitals { host.to_ascii_lowercase().into() } else { host.into() })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_host_is_told_without_what_stands_around_it() {
        for (url, host) in [
            ("https://search.example/?q=a", Some("search.example")),
            ("http://Search.Example:8080", Some("search.example")),
            ("https://user:secret@search.example#top", Some("search.example")),
            ("http://[2001:db8::1]:80/", Some("[2001:db8::1]")),
            ("https:///nowhere", None),
            ("search.example", None),
            ("", None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url}");
        }
    }

    #[test]
    fn views_are_added_up_and_own_hosts_refer_nobody() {
        let view = |path: &'static str, referrer: Option<&'static str>| PageView {
            visitor_id: path.len().to_string(),
            at: SystemTime::UNIX_EPOCH,
            path: path.into(),
            referrer: referrer.map(Into::into),
            country: None,
            device: "desktop",
        };
        let views = [
            view("/", Some("https://search.example/")),
            view("/a", Some("https://acme.example/")),
            view("/", Some("http://SEARCH.example/x")),
        ];
        let batch = Batch::of(&views, &["acme.example".to_owned()]).unwrap();
        assert_eq!(batch.visitors, ["1", "2", "1"]);
        assert_eq!(batch.pages, HashMap::from([("/", 2), ("/a", 1)]));
        assert_eq!(batch.referrers, HashMap::from([("search.example".into(), 2)]));
        let names = |own: &str| Batch::of(&views, &[own.to_owned()]).unwrap().referrers.len();
        assert_eq!((names("Acme.Example"), names("*.example"), names("*.acme.example")), (1, 0, 2));
        assert_eq!((names("*"), names("*.far.too.long.for.them.example")), (2, 2));
        assert_eq!(batch.payloads.len(), 3);
        assert_eq!(batch.payloads[1], views[1].encode().unwrap());
    }
}
