//! What a browser says it is.
//!
//! The list of robots is short and our own: the published lists are long patterns that
//! would cost more than all the rest of a view, and the crate that has one has not been
//! kept up. Those who hide behind a browser's name can't be told by a list in any case.

/// A name that begins otherwise is a program's: every browser has begun so since 1996.
const BROWSERS_BEGIN: [&str; 2] = ["mozilla/", "opera/"];
/// What robots that imitate a browser add to its name.
const ROBOTS_SAY: [&str; 12] = [
    "crawl",
    "spider",
    "slurp",
    "headless",
    "lighthouse",
    "phantomjs",
    "prerender",
    "preview",
    "mediapartners",
    "pingdom",
    "gtmetrix",
    "://",
];
/// Longer names are cut before anybody looks at them, bytes.
const MAX_AGENT: usize = 512;

/// The part of a user agent that is looked at.
pub(crate) fn shorten(agent: &str) -> &str {
    let mut end = agent.len().min(MAX_AGENT);
    while !agent.is_char_boundary(end) {
        end -= 1;
    }
    &agent[..end]
}

/// A user agent, ready to be judged.
pub(crate) struct Agent(String);

impl Agent {
    pub(crate) fn new(agent: &str) -> Self {
        Self(agent.to_ascii_lowercase())
    }

    /// Whether nobody looks at the page: a crawler, a monitor, a script.
    pub(crate) fn is_robot(&self) -> bool {
        let Self(name) = self;
        if !BROWSERS_BEGIN.iter().any(|begin| name.starts_with(begin)) {
            return true;
        }
        // A robot is polite and says "compatible"; so did Internet Explorer.
        let polite = name.contains("compatible;") && !name.contains("msie");
        // Cubot makes telephones.
        let bot = name.match_indices("bot").any(|(at, _)| !name[..at].ends_with("cu"));
        polite || bot || ROBOTS_SAY.iter().any(|word| name.contains(word))
    }

    /// `desktop`, `mobile` or `tablet`.
    pub(crate) fn device(&self) -> &'static str {
        let Self(name) = self;
        let says = |word: &str| name.contains(word);
        // On Android a telephone says "Mobile" and a tablet does not.
        if says("ipad") || says("tablet") || (says("android") && !says("mobile")) {
            "tablet"
        } else if says("mobi") || says("iphone") || says("opera mini") {
            "mobile"
        } else {
            "desktop"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) \
        AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1";
    const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
        Chrome/131.0.0.0 Safari/537.36";
    const CUBOT: &str = "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, \
        like Gecko) Chrome/91.0.4472.120 Mobile Safari/537.36";
    const PAD: &str = "Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like \
        Gecko) Chrome/120.0.0.0 Safari/537.36";

    #[test]
    fn people_are_people_and_their_devices_are_told_apart() {
        for (agent, device) in [
            (SAFARI, "mobile"),
            (CHROME, "desktop"),
            (CUBOT, "mobile"),
            (PAD, "tablet"),
            ("Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) AppleWebKit/605.1.15", "tablet"),
            ("Mozilla/5.0 (Android 14; Tablet; rv:109.0) Gecko/120.0 Firefox/120.0", "tablet"),
            ("Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)", "desktop"),
            ("Opera/9.80 (J2ME/MIDP; Opera Mini/9.80/191.238; U; en) Presto/2.5.25", "mobile"),
        ] {
            let agent = Agent::new(agent);
            assert!(!agent.is_robot(), "{}", agent.0);
            assert_eq!(agent.device(), device, "{}", agent.0);
        }
    }

    #[test]
    fn robots_are_known_by_what_they_say() {
        for agent in [
            "",
            "curl/8.5.0",
            "python-requests/2.31.0",
            "Go-http-client/2.0",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0)",
            "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/131.0.0.0 Safari/537.36",
            "Mozilla/5.0 (compatible; SomeReader 1.0)",
            "Mozilla/5.0 (Macintosh) Chrome-Lighthouse",
            "Mozilla/5.0 (compatible; Yahoo! Slurp)",
            "facebookexternalhit/1.1",
        ] {
            assert!(Agent::new(agent).is_robot(), "{agent}");
        }
    }

    #[test]
    fn a_long_name_is_cut_at_a_whole_character() {
        let long = format!("{}\u{1f30d}", "a".repeat(510));
        assert_eq!(shorten(&long).len(), 510);
        assert_eq!(shorten("short"), "short");
    }
}
