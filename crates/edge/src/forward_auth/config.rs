//! What an operator can set about forward auth.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, Uri, uri};

/// Headers that would break the question, or say what the gateway says itself: they
/// belong to one connection (RFC 9110 section 7.6.1), frame a body that a handshake
/// has not, ask for an answer we can't read, or are set by us.
const NOT_FORWARDED: [&str; 19] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-uri",
];

/// What such headers begin with: the handshake's own, and conditions, at which a hook
/// might say 304 or 412, which is neither yes nor no.
const NEVER_FORWARDED: [&str; 2] = ["if-", "sec-websocket-"];

/// Whom to ask, and how.
#[derive(Clone, Debug)]
pub struct ForwardAuthConfig {
    pub(crate) url: HookUrl,
    /// How long an answer may take, from the question's beginning to the answer's
    /// end. Default 2 s.
    pub timeout: Duration,
    /// Headers of the handshake that are passed on, in lower case.
    pub headers: Vec<String>,
}

/// The hook's URL. Its query may hold a key, so only its host is ever shown.
#[derive(Clone)]
pub(crate) struct HookUrl(pub(crate) Uri);

/// A setting with which nobody could be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardAuthConfigError {
    /// Not a URL of this kind.
    #[error("forward_url: not an http:// URL with a host, such as http://127.0.0.1:9000/auth")]
    BadUrl,
    /// TLS is not spoken to the hook.
    #[error(
        "forward_url: https:// is not offered yet; use http:// on a private network, \
         or a proxy on this host that speaks TLS onward"
    )]
    HttpsNotOffered,
    /// A URL with a name or a password in it.
    #[error(
        "forward_url: a user or a password in the URL is not sent; \
         the client's own Authorization header has that place"
    )]
    UserInfo,
    /// Not the name of a header.
    #[error("forward_headers: {0:?} is not the name of a header")]
    BadHeader(String),
    /// A header that is none of the hook's business.
    #[error("forward_headers: {0:?} can't be passed on: it is the connection's, or set by Redcast")]
    NotForwarded(String),
}

impl ForwardAuthConfig {
    /// Checks the settings.
    pub fn new(
        url: &str,
        timeout: Duration,
        headers: &[String],
    ) -> Result<Self, ForwardAuthConfigError> {
        let url = HookUrl::parse(url)?;
        let mut names: Vec<String> = Vec::with_capacity(headers.len());
        for name in headers {
            let name = header_name(name)?;
            // Twice in the list would send it twice.
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(Self { url, timeout, headers: names })
    }
}

impl HookUrl {
    fn parse(text: &str) -> Result<Self, ForwardAuthConfigError> {
        let url: Uri = text.parse().map_err(|_| ForwardAuthConfigError::BadUrl)?;
        if url.scheme() == Some(&uri::Scheme::HTTPS) {
            return Err(ForwardAuthConfigError::HttpsNotOffered);
        }
        let host = url.authority().filter(|authority| !authority.host().is_empty());
        match host {
            Some(host) if host.as_str().contains('@') => Err(ForwardAuthConfigError::UserInfo),
            Some(host) if has_bad_port(host) => Err(ForwardAuthConfigError::BadUrl),
            Some(_) if url.scheme() == Some(&uri::Scheme::HTTP) => Ok(Self(url)),
            _ => Err(ForwardAuthConfigError::BadUrl),
        }
    }

    /// Host and port: what a log may say.
    pub(crate) fn host(&self) -> &str {
        self.0.authority().map_or("", uri::Authority::as_str)
    }
}

impl fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host())
    }
}

/// What stands behind the host is `:` and a port that is none.
fn has_bad_port(authority: &uri::Authority) -> bool {
    authority.as_str().len() != authority.host().len()
        && authority.port_u16().is_none_or(|port| port == 0)
}

fn header_name(text: &str) -> Result<String, ForwardAuthConfigError> {
    let name = HeaderName::try_from(text);
    let name = name.map_err(|_| ForwardAuthConfigError::BadHeader(text.to_owned()))?;
    let kept = NEVER_FORWARDED.iter().any(|prefix| name.as_str().starts_with(prefix));
    if kept || NOT_FORWARDED.contains(&name.as_str()) {
        return Err(ForwardAuthConfigError::NotForwarded(text.to_owned()));
    }
    Ok(name.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str, headers: &[&str]) -> Result<ForwardAuthConfig, ForwardAuthConfigError> {
        let headers: Vec<String> = headers.iter().map(|&name| name.to_owned()).collect();
        ForwardAuthConfig::new(url, Duration::from_secs(2), &headers)
    }

    #[test]
    fn takes_what_can_be_asked() {
        for (url, host) in [
            ("http://127.0.0.1:9000/auth", "127.0.0.1:9000"),
            ("HTTP://auth", "auth"),
            ("http://[::1]:9000/auth?key=secret", "[::1]:9000"),
            ("http://auth.example/a/b", "auth.example"),
        ] {
            let config = config(url, &[]).unwrap();
            assert_eq!(config.url.host(), host);
            assert!(!format!("{config:?}").contains("secret"));
        }
        let names = config("http://auth", &["Cookie", "X-Tenant", "cookie"]).unwrap().headers;
        assert_eq!(names, ["cookie", "x-tenant"]);
    }

    #[test]
    fn refuses_what_could_not_be_asked() {
        use ForwardAuthConfigError::{BadUrl, HttpsNotOffered, UserInfo};
        for (url, expected) in [
            ("https://auth.example/auth", HttpsNotOffered),
            ("http://user:pass@auth.example/", UserInfo),
            ("http://user@auth.example/", UserInfo),
            ("", BadUrl),
            ("/auth", BadUrl),
            ("auth.example", BadUrl),
            ("127.0.0.1:9000/auth", BadUrl),
            ("ftp://auth.example/", BadUrl),
            ("http://", BadUrl),
            ("http:///auth", BadUrl),
            ("http://:9000/auth", BadUrl),
            ("http://auth:port/", BadUrl),
            ("http://auth:99999/", BadUrl),
            ("http://auth:0/", BadUrl),
            ("http://auth example/", BadUrl),
        ] {
            assert_eq!(config(url, &[]).unwrap_err(), expected, "{url:?}");
        }
    }

    #[test]
    fn a_header_of_the_connection_is_never_passed_on() {
        for name in [
            "Connection",
            "If-None-Match",
            "TE",
            "Upgrade",
            "Host",
            "Sec-WebSocket-Key",
            "X-Forwarded-For",
        ] {
            let error = config("http://auth", &["cookie", name]).unwrap_err();
            assert_eq!(error, ForwardAuthConfigError::NotForwarded(name.to_owned()));
        }
        for name in ["", "a b", "a:", "ä", "a\r\nb"] {
            let error = config("http://auth", &[name]).unwrap_err();
            assert_eq!(error, ForwardAuthConfigError::BadHeader(name.to_owned()));
        }
    }
}
