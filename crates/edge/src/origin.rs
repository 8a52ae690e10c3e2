//! Which pages may connect.
//!
//! Browsers send the page's origin with the handshake and let no script change it;
//! programs send what they like or nothing. So this protects a user's browser
//! against other people's pages, and nothing else.

use http::header::ORIGIN;
use http::{HeaderMap, HeaderValue};

/// Origins a handshake may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Any page; safe as long as no cookie grants access.
    Any,
    /// These, compared whole: scheme, host and port.
    Only(Vec<String>),
}

/// What a page of another origin is told, so that its browser lets it read an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CrossOrigin {
    /// Any page may, without cookies.
    Any,
    /// This one may, as if it were our own.
    This(HeaderValue),
}

impl AllowedOrigins {
    /// Reads a configured list; `"*"` anywhere in it allows any page.
    pub fn new(origins: &[String]) -> Self {
        if origins.iter().any(|origin| origin == "*") {
            return Self::Any;
        }
        Self::Only(origins.iter().map(|origin| origin.to_ascii_lowercase()).collect())
    }

    /// Whether any page may connect.
    pub(crate) fn permits_all(&self) -> bool {
        *self == Self::Any
    }

    /// Whether a handshake with this `Origin` header may go on. A program that sends
    /// no origin is no page of somebody else's; no browser sends two, and which of
    /// them a proxy in front has judged is not known.
    pub(crate) fn permits(&self, headers: &HeaderMap) -> bool {
        let Self::Only(allowed) = self else { return true };
        let mut origins = headers.get_all(ORIGIN).into_iter().map(HeaderValue::as_bytes);
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => {
                // Scheme and host are case-insensitive (RFC 6454 section 4).
                allowed.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin))
            }
            (Some(_), Some(_)) => false,
        }
    }

    /// What to tell a page that was permitted; nothing where there is none of another
    /// origin. With a list, cookies are allowed as well: they come with a handshake, too.
    pub(crate) fn cross_origin(&self, headers: &HeaderMap) -> Option<CrossOrigin> {
        match self {
            Self::Any => Some(CrossOrigin::Any),
            Self::Only(_) => headers.get(ORIGIN).cloned().map(CrossOrigin::This),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origins: &[&str]) -> HeaderMap {
        origins.iter().map(|origin| (ORIGIN, HeaderValue::from_str(origin).unwrap())).collect()
    }

    #[test]
    fn compares_whole_origins() {
        let allowed = AllowedOrigins::new(&["https://Good.example".to_owned()]);
        for (origin, permitted) in [
            ("https://good.example", true),
            ("HTTPS://GOOD.EXAMPLE", true),
            ("https://good.example.evil", false),
            ("https://evil-good.example", false),
            ("http://good.example", false),
            ("https://good.example:8443", false),
            ("https://good.example.", false),
            ("https://good.example/", false),
            ("null", false),
            ("file://", false),
            ("", false),
        ] {
            assert_eq!(allowed.permits(&headers(&[origin])), permitted, "{origin:?}");
        }
        let evil = headers(&["https://any.example"]);
        assert!(AllowedOrigins::new(&["*".to_owned()]).permits(&evil));
        assert!(!AllowedOrigins::new(&[]).permits(&evil));
    }

    #[test]
    fn none_is_a_program_and_two_are_a_trick() {
        let allowed = AllowedOrigins::new(&["https://good.example".to_owned()]);
        assert!(allowed.permits(&headers(&[])));
        for second in ["https://evil.example", "https://good.example", ""] {
            assert!(!allowed.permits(&headers(&["https://good.example", second])), "{second}");
            assert!(!allowed.permits(&headers(&[second, "https://good.example"])), "{second}");
        }
    }
}
