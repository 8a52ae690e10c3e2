//! Which pages may connect.
//!
//! Browsers send the page's origin with the handshake and let no script change it;
//! programs send what they like or nothing. So this protects a user's browser
//! against other people's pages, and nothing else.

/// Origins a handshake may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Any page; safe as long as no cookie grants access.
    Any,
    /// These, compared whole: scheme, host and port.
    Only(Vec<String>),
}

impl AllowedOrigins {
    /// Reads a configured list; `"*"` anywhere in it allows any page.
    pub fn new(origins: &[String]) -> Self {
        if origins.iter().any(|origin| origin == "*") {
            return Self::Any;
        }
        Self::Only(origins.iter().map(|origin| origin.to_ascii_lowercase()).collect())
    }

    /// Whether a handshake with this `Origin` header may go on. A program that
    /// sends no origin is no page of somebody else's.
    pub(crate) fn permits(&self, origin: Option<&[u8]>) -> bool {
        match (self, origin) {
            (Self::Any, _) | (_, None) => true,
            (Self::Only(allowed), Some(origin)) => {
                // Scheme and host are case-insensitive (RFC 6454 section 4).
                allowed.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_whole_origins() {
        let allowed = AllowedOrigins::new(&["https://Good.example".to_owned()]);
        for (origin, permitted) in [
            (Some("https://good.example"), true),
            (Some("HTTPS://GOOD.EXAMPLE"), true),
            (Some("https://good.example.evil"), false),
            (Some("https://evil-good.example"), false),
            (Some("http://good.example"), false),
            (Some("https://good.example:8443"), false),
            (Some("https://good.example."), false),
            (Some("https://good.example/"), false),
            (Some("null"), false),
            (Some("file://"), false),
            (Some(""), false),
            (None, true),
        ] {
            assert_eq!(allowed.permits(origin.map(str::as_bytes)), permitted, "{origin:?}");
        }
        assert!(AllowedOrigins::new(&["*".to_owned()]).permits(Some(b"https://any.example")));
        assert!(!AllowedOrigins::new(&[]).permits(Some(b"https://any.example")));
    }
}
