//! The small site that the demo's visitors read: its pages, which of them link to
//! which, and where visitors come from.

/// The site's own host, which is no referrer.
pub const HOST: &str = "acme.example";
/// Its address, as it stands in a referrer.
pub(crate) const ORIGIN: &str = "https://acme.example";

/// A page and the pages it links to.
pub(crate) struct Page {
    pub(crate) path: &'static str,
    pub(crate) links: &'static [&'static str],
}

/// Every page. Each link names a page of this list.
pub(crate) const PAGES: [Page; 10] = [
    Page { path: "/", links: &["/features", "/pricing", "/blog", "/docs", "/about"] },
    Page { path: "/features", links: &["/pricing", "/docs", "/signup"] },
    Page { path: "/pricing", links: &["/signup", "/signup", "/features", "/about"] },
    Page { path: "/signup", links: &["/docs/quick-start", "/pricing", "/"] },
    Page { path: "/docs", links: &["/docs/quick-start", "/docs/api", "/"] },
    Page { path: "/docs/quick-start", links: &["/docs/api", "/docs", "/signup"] },
    Page { path: "/docs/api", links: &["/docs", "/docs/quick-start"] },
    Page { path: "/blog", links: &["/blog/real-time-at-scale", "/", "/features"] },
    Page { path: "/blog/real-time-at-scale", links: &["/blog", "/features", "/docs"] },
    Page { path: "/about", links: &["/", "/pricing"] },
];

/// Where visits begin, with weights.
pub(crate) const ENTRANCES: [(&str, u32); 5] = [
    ("/", 50),
    ("/blog/real-time-at-scale", 20),
    ("/docs", 12),
    ("/pricing", 10),
    ("/docs/api", 8),
];

/// Who sent a visitor, with weights; none typed the address in.
pub(crate) const REFERRERS: [(Option<&str>, u32); 5] = [
    (None, 35),
    (Some("https://search.example/"), 40),
    (Some("https://news.example/"), 12),
    (Some("https://social.example/"), 8),
    (Some("https://mail.example/"), 5),
];

/// Visitors' countries (ISO 3166), with weights.
pub(crate) const COUNTRIES: [(&str, u32); 12] = [
    ("US", 28),
    ("DE", 12),
    ("IN", 11),
    ("GB", 9),
    ("BR", 7),
    ("FR", 7),
    ("JP", 6),
    ("CA", 5),
    ("NO", 4),
    ("NL", 4),
    ("AU", 4),
    ("KE", 3),
];

/// Visitors' devices, with weights.
pub(crate) const DEVICES: [(&str, u32); 3] = [("desktop", 48), ("mobile", 46), ("tablet", 6)];

/// The pages that `path` links to; none for a path that the site does not have.
pub(crate) fn links(path: &str) -> &'static [&'static str] {
    PAGES.iter().find(|page| page.path == path).map_or(&[], |page| page.links)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_that_of_the_host() {
        assert_eq!(ORIGIN, format!("https://{HOST}"));
    }

    #[test]
    fn every_link_and_entrance_leads_to_a_page_with_links() {
        let entrances = ENTRANCES.iter().map(|&(path, _)| path);
        for path in PAGES.iter().flat_map(|page| page.links).copied().chain(entrances) {
            assert!(!links(path).is_empty(), "{path}");
        }
    }
}
