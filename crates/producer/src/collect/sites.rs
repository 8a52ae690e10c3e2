//! Whose views are taken: sites by their hosts, pages by their origins.

use std::collections::HashSet;

use super::config::CollectConfig;
use crate::batch::host_of;

/// The two allow-lists.
#[derive(Debug)]
pub(super) struct Sites {
    every: bool,
    hosts: HashSet<String>,
    /// `.acme.example`, of `*.acme.example`.
    suffixes: Vec<String>,
    every_origin: bool,
    origins: HashSet<String>,
}

impl Sites {
    pub(super) fn new(config: &CollectConfig) -> Self {
        let lower = |text: &String| text.to_ascii_lowercase();
        let sites: Vec<String> = config.sites.iter().map(lower).collect();
        let suffixes = sites.iter().filter_map(|site| site.strip_prefix('*'));
        Self {
            every: sites.iter().any(|site| site == "*"),
            suffixes: suffixes.filter(|rest| !rest.is_empty()).map(str::to_owned).collect(),
            hosts: sites.iter().filter(|site| !site.starts_with('*')).cloned().collect(),
            every_origin: config.allowed_origins.iter().any(|origin| origin == "*"),
            origins: config.allowed_origins.iter().map(lower).collect(),
        }
    }

    /// The site that a host belongs to; none where its views are not taken. All hosts
    /// below one name are one site, as far as visitors are concerned.
    pub(super) fn site<'a>(&'a self, host: &'a str) -> Option<&'a str> {
        if self.hosts.contains(host) {
            return Some(host);
        }
        let suffix = self.suffixes.iter().find(|suffix| host.ends_with(suffix.as_str()));
        suffix.map(String::as_str).or(self.every.then_some(host))
    }

    /// Whether a link from this host to `host` comes from within.
    pub(super) fn is_own(&self, referrer: &str, host: &str) -> bool {
        let listed = || self.suffixes.iter().any(|suffix| referrer.ends_with(suffix.as_str()));
        referrer == host || self.hosts.contains(referrer) || listed()
    }

    /// Whether pages of this origin (RFC 6454 section 7) may send views.
    pub(super) fn allows_origin(&self, origin: &str) -> bool {
        if self.every_origin {
            return true;
        }
        if self.origins.is_empty() {
            let host = host_of(origin);
            return self.every || host.is_some_and(|host| self.site(&host).is_some());
        }
        self.origins.contains(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(sites: &[&str], origins: &[&str]) -> Sites {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let config = CollectConfig {
            sites: owned(sites),
            allowed_origins: owned(origins),
            ..CollectConfig::default()
        };
        Sites::new(&config)
    }

    #[test]
    fn a_site_is_taken_by_its_host() {
        let listed = sites(&["Acme.example", "*.shop.example"], &[]);
        assert_eq!(listed.site("acme.example"), Some("acme.example"));
        assert_eq!(listed.site("de.shop.example"), listed.site("fr.shop.example"));
        assert!(listed.site("de.shop.example").is_some());
        for host in ["shop.example", "evilshop.example", "www.acme.example", "example", ""] {
            assert_eq!(listed.site(host), None, "{host}");
        }
        assert_eq!(sites(&["*"], &[]).site("anything"), Some("anything"));
        assert_eq!(sites(&[], &[]).site("acme.example"), None);
    }

    #[test]
    fn without_a_list_origins_are_those_of_the_sites() {
        let listed = sites(&["acme.example"], &[]);
        assert!(listed.allows_origin("https://acme.example"));
        assert!(listed.allows_origin("http://acme.example:8080"));
        assert!(!listed.allows_origin("https://evil.example"));
        assert!(!listed.allows_origin("null"));
        assert!(sites(&["*"], &[]).allows_origin("null"));
    }

    #[test]
    fn a_list_of_origins_is_taken_as_it_stands() {
        let listed = sites(&["*"], &["https://Acme.example"]);
        assert!(!listed.allows_origin("null"));
        assert!(sites(&["acme.example"], &["null"]).allows_origin("null"));
        assert!(listed.allows_origin("https://acme.example"));
        assert!(!listed.allows_origin("http://acme.example"));
        assert!(sites(&["acme.example"], &["*"]).allows_origin("https://evil.example"));
    }

    #[test]
    fn links_from_within_are_known() {
        let listed = sites(&["acme.example", "*.shop.example"], &[]);
        assert!(listed.is_own("acme.example", "de.shop.example"));
        assert!(listed.is_own("fr.shop.example", "acme.example"));
        assert!(!listed.is_own("search.example", "acme.example"));
        let every = sites(&["*"], &[]);
        assert!(every.is_own("a.example", "a.example") && !every.is_own("b.example", "a.example"));
    }
}
