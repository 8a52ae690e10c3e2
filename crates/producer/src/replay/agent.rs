//! What a user agent gives away: whether a person looks, and at what.

/// What the names of programs that are nobody's browser contain, in lower case. Honest
/// ones say so; those that pretend to be a browser can't be told apart here.
const BOTS: [&str; 26] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "curl",
    "wget",
    "http-client",
    "httpclient",
    "okhttp",
    "python",
    "java/",
    "libwww",
    "perl",
    "ruby",
    "php",
    "headless",
    "lighthouse",
    "phantomjs",
    "monitor",
    "uptime",
    "pingdom",
    "scan",
    "feed",
    "externalhit",
    "preview",
    "://",
];

/// Whether a program calls itself something that is no browser. One that says nothing
/// is none either.
pub(super) fn is_bot(agent: &str) -> bool {
    let agent = agent.to_ascii_lowercase();
    agent.is_empty() || BOTS.iter().any(|part| agent.contains(part))
}

/// `desktop`, `mobile` or `tablet`.
pub(super) fn device(agent: &str) -> &'static str {
    let has = |part| agent.contains(part);
    // Tablets with Android are those that leave out "Mobile".
    if has("iPad") || has("Tablet") || (has("Android") && !has("Mobile")) {
        "tablet"
    } else if has("Mobi") || has("iPhone") {
        "mobile"
    } else {
        "desktop"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";
    const ANDROID: &str = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36";
    const ANDROID_TABLET: &str = "Mozilla/5.0 (Linux; Android 15; SM-X910) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

    #[test]
    fn browsers_are_no_bots_and_bots_are() {
        for browser in [DESKTOP, PHONE, ANDROID, ANDROID_TABLET] {
            assert!(!is_bot(browser), "{browser}");
        }
        for bot in [
            "",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (compatible; YandexBot/3.0)",
            "curl/8.5.0",
            "python-requests/2.32.0",
            "Go-http-client/2.0",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/140.0.0.0",
        ] {
            assert!(is_bot(bot), "{bot}");
        }
    }

    #[test]
    fn devices_are_told_apart() {
        assert_eq!(device(DESKTOP), "desktop");
        assert_eq!(device(""), "desktop");
        assert_eq!((device(PHONE), device(ANDROID)), ("mobile", "mobile"));
        assert_eq!((device(ANDROID_TABLET), device("(iPad; CPU OS 17_0)")), ("tablet", "tablet"));
    }
}
