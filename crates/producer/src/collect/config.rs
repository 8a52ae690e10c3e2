//! What a collector takes, and from whom.

use std::time::Duration;

use ipnet::IpNet;

/// Settings of a [`super::Collector`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectConfig {
    /// Hosts whose page views are taken: `acme.example`, `*.acme.example` for everything
    /// below it, `*` for all. Default: none, so that nobody else's views are taken.
    pub sites: Vec<String>,
    /// Origins whose pages may send views: `https://acme.example`, `*` for all, or `null`
    /// for pages that do not tell theirs. Default: none, which means those of the sites,
    /// over http and https, on any port.
    pub allowed_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed. Default: none.
    pub trusted_proxies: Vec<IpNet>,
    /// Views a second from one address (in IPv6: from one /64), with twice as many at
    /// once; 0 is no limit. Default: 20.
    pub rate: u32,
    /// Views that may wait for the store; whoever comes then is told to come again.
    /// Default: 8,192.
    pub queue: usize,
    /// How long a request's body may take. Default: 5 s.
    pub body_timeout: Duration,
}

impl Default for CollectConfig {
    fn default() -> Self {
        Self {
            sites: Vec::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            rate: 20,
            queue: 8_192,
            body_timeout: Duration::from_secs(5),
        }
    }
}

impl CollectConfig {
    /// Whether every site and origin could ever match, with a sentence about the first
    /// that can't.
    pub fn check(&self) -> Result<(), String> {
        for site in &self.sites {
            let host = site.strip_prefix("*.").unwrap_or(site);
            if site != "*" && (host.is_empty() || host.contains(['/', '*', '@', ' '])) {
                return Err(format!(
                    "the site {site:?} is no host: write acme.example, *.acme.example or *"
                ));
            }
        }
        for origin in &self.allowed_origins {
            let host = origin.split_once("://").map(|(_, host)| host);
            let is_special = matches!(origin.as_str(), "*" | "null");
            if !is_special && !host.is_some_and(|host| !host.is_empty() && !host.contains('/')) {
                return Err(format!(
                    "the origin {origin:?} is none: write https://acme.example, null or *"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_match_is_told() {
        let check = |site: &str, origin: &str| {
            let sites = vec![site.to_owned()];
            let allowed_origins = vec![origin.to_owned()];
            CollectConfig { sites, allowed_origins, ..CollectConfig::default() }.check()
        };
        for site in ["acme.example", "*.acme.example", "*", "localhost", "[::1]"] {
            assert_eq!(check(site, "https://acme.example"), Ok(()));
        }
        assert_eq!(check("acme.example", "http://localhost:8080"), Ok(()));
        assert_eq!(check("acme.example", "*"), Ok(()));
        assert_eq!(check("acme.example", "null"), Ok(()));
        for site in ["", "https://acme.example", "acme.example/", "a.*.example", "*."] {
            assert!(check(site, "*").unwrap_err().contains("is no host"), "{site}");
        }
        for origin in ["", "acme.example", "https://", "https://acme.example/"] {
            assert!(check("*", origin).unwrap_err().contains("is none"), "{origin}");
        }
    }
}
