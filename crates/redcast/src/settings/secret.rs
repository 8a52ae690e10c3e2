//! Settings that no log and no message shows: keys, and URLs that may hold passwords.

use std::fmt;
use std::time::Duration;

use redcast_broker::{BrokerConfigError, RedisConfig};
use redcast_edge::{ForwardAuthConfig, ForwardAuthConfigError};

use super::parsed::Written;

/// What stands in for a secret.
pub(crate) const HIDDEN: &str = "***";

/// Schemes that somebody may want, and that are not offered. Of others a message tells
/// nothing: a password with `://` in it looks like one.
const KNOWN_SCHEMES: &[&str] =
    &["redis+tls", "valkey", "valkeys", "memcached", "tcp", "http", "https"];

/// Text that no log and no message shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text, for whoever it is meant for.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Where Redis is; may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RedisUrl(pub(super) Secret);

/// Whom forward auth asks; may hold a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForwardUrl(pub(super) Secret);

/// What somebody logs in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Password(pub(super) Secret);

/// The key for publishing over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiKeyText(pub(super) Secret);

impl Written for RedisUrl {
    const NAME: &'static str = "Redis URL";
    const EXPECTED: &'static str = "a URL such as \"redis://127.0.0.1:6379\"";
    const SECRET: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        if text.starts_with('[') {
            return Err("it begins with a bracket; in a variable, a list is URLs separated by \
                        commas and nothing around them"
                .to_owned());
        }
        let config = RedisConfig { url: text.to_owned(), ..RedisConfig::default() };
        match config.check() {
            Ok(()) => Ok(Self(Secret(text.to_owned()))),
            Err(BrokerConfigError::UnsupportedScheme(scheme)) => {
                let known = KNOWN_SCHEMES.contains(&scheme.as_str());
                let named = if known { format!("{scheme:?}") } else { "this scheme".to_owned() };
                Err(format!(
                    "{named} is not offered; redis://, rediss://, redis+sentinel://, \
                     redis+cluster:// and unix:// are"
                ))
            }
            Err(BrokerConfigError::InvalidUrl(why)) => Err(in_our_words(&why, text)),
            Err(other) => Err(other.to_string()),
        }
    }

    fn write(&self) -> String {
        masked(self.0.as_str())
    }
}

/// The library's sentence without its own name for this kind of error, and what most
/// often breaks a URL with a password in it.
fn in_our_words(why: &str, url: &str) -> String {
    let why = why.split([':', '-']).next().unwrap_or_default().trim_end();
    let hint = "; write # / ? @ in a password as %23 %2F %3F %40";
    format!("{why}{}", if url.contains('@') { hint } else { "" })
}

impl Written for ForwardUrl {
    const NAME: &'static str = "HTTP URL";
    const EXPECTED: &'static str = "a URL such as \"http://127.0.0.1:9000/auth\"";
    const SECRET: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        match ForwardAuthConfig::new(text, Duration::from_secs(1), &[]) {
            Ok(_) => Ok(Self(Secret(text.to_owned()))),
            Err(ForwardAuthConfigError::BadUrl) => Err(String::new()),
            Err(error) => {
                let why = error.to_string();
                Err(why.strip_prefix("forward_url: ").unwrap_or(&why).to_owned())
            }
        }
    }

    // A hook's path may be as good as a key.
    fn write(&self) -> String {
        let url = self.0.as_str();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        match &rest[host.len()..] {
            // No user was let in, so this sign may stand in what was meant for a password.
            path if path.contains('@') => format!("http://{HIDDEN}"),
            "" | "/" => format!("http://{rest}"),
            _ => format!("http://{host}/{HIDDEN}"),
        }
    }
}

impl Written for Password {
    const NAME: &'static str = "password";
    const EXPECTED: &'static str = "a password";
    const SECRET: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        not_empty(text).map(Self)
    }

    fn write(&self) -> String {
        HIDDEN.to_owned()
    }
}

fn not_empty(text: &str) -> Result<Secret, String> {
    match text.trim() {
        "" => Err("it is empty".to_owned()),
        _ => Ok(Secret(text.to_owned())),
    }
}

impl Written for ApiKeyText {
    const NAME: &'static str = "key";
    const EXPECTED: &'static str = "a key";
    const SECRET: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        not_empty(text).map(Self)
    }

    fn write(&self) -> String {
        HIDDEN.to_owned()
    }
}

impl RedisUrl {
    /// Whether Redis is reached by TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.0.as_str().starts_with("rediss")
    }

    /// Whether it leads to a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        let scheme = self.0.as_str().split("://").next();
        matches!(scheme, Some("redis+cluster" | "rediss+cluster"))
    }

    /// The URL, if there is nothing in it to hide.
    pub(super) fn harmless(&self) -> Option<&str> {
        let url = self.0.as_str();
        (masked(url) == url).then_some(url)
    }
}

/// A Redis URL as it may be shown: without its password, and without all that a password
/// with a sign in it that belongs elsewhere could have spilled into.
fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return HIDDEN.to_owned() };
    let (user, place) = match rest.rsplit_once('@') {
        None => (String::new(), rest),
        Some((userinfo, place)) => match userinfo.split_once(':') {
            Some((user, _)) => (format!("{user}:{HIDDEN}@"), place),
            // A user alone may be a token.
            None => (format!("{HIDDEN}@"), place),
        },
    };
    let (place, fragment) = match place.split_once('#') {
        Some((place, _)) => (place, format!("#{HIDDEN}")),
        None => (place, String::new()),
    };
    let Some((path, query)) = place.split_once('?') else {
        return format!("{scheme}://{user}{place}{fragment}");
    };
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some(("user" | "db", _)) => pair.to_owned(),
        Some(("pass", _)) => format!("pass={HIDDEN}"),
        _ => HIDDEN.to_owned(),
    });
    format!("{scheme}://{user}{path}?{}{fragment}", shown.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    #[test]
    fn a_masked_url_has_no_password() {
        for (url, shown) in [
            ("redis://127.0.0.1:6379/3", "redis://127.0.0.1:6379/3"),
            ("redis://:pw@host", "redis://:***@host"),
            ("redis://user:pw@host:1/2", "redis://user:***@host:1/2"),
            ("redis://user:p@w/x?y#z@host", "redis://user:***@host"),
            ("redis://token@host", "redis://***@host"),
            ("redis://host:1#pw", "redis://host:1#***"),
            ("redis://host?pw", "redis://host?***"),
            ("redis://host?pw=1&db=2", "redis://host?***&db=2"),
            ("unix:///run/r.sock?user=a&pass=pw", "unix:///run/r.sock?user=a&pass=***"),
            ("redis+sentinel://u:p,w@a:1,b:2/orders/3", "redis+sentinel://u:***@a:1,b:2/orders/3"),
            (":pw@host", "***"),
        ] {
            assert_eq!(RedisUrl(secret(url)).write(), shown);
            assert!(!shown.contains("pw") && !shown.contains("p,w"));
        }
    }

    #[test]
    fn of_whom_forward_auth_asks_the_host_is_shown() {
        for (url, shown) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://127.0.0.1:9000/", "http://127.0.0.1:9000/"),
            ("http://127.0.0.1/a?key=pw&b", "http://127.0.0.1/***"),
            ("http://h/hook/T0KEN?T0KEN", "http://h/***"),
            ("http://h?T0KEN", "http://h/***"),
            ("http://user:1/T0KEN@host/auth", "http://***"),
        ] {
            assert_eq!(ForwardUrl::read(url).map(|url| url.write()), Ok(shown.to_owned()), "{url}");
        }
    }

    #[test]
    fn a_redis_url_is_refused_in_words_that_help_and_tell_nothing() {
        for (url, why) in [
            (
                "redis+tls://host",
                "\"redis+tls\" is not offered; redis://, rediss://, redis+sentinel://, redis+cluster:// and unix:// \
                 are",
            ),
            (
                "hunter2pass@word://x",
                "this scheme is not offered; redis://, rediss://, redis+sentinel://, redis+cluster:// and unix:// \
                 are",
            ),
            (
                "[\"redis://host\"",
                "it begins with a bracket; in a variable, a list is URLs separated by commas and \
                 nothing around them",
            ),
            ("redis://host:port", "Redis URL did not parse"),
            (
                "redis://:hunter2/x@host",
                "Redis URL did not parse; write # / ? @ in a password as %23 %2F %3F %40",
            ),
        ] {
            assert_eq!(RedisUrl::read(url).unwrap_err(), why);
        }
    }

    #[test]
    fn no_debug_text_tells_a_secret() {
        let url = || secret("redis://:hunter2@host");
        let all = (RedisUrl(url()), ForwardUrl(url()), ApiKeyText(url()), Password(url()));
        assert_eq!(
            format!("{all:?}"),
            "(RedisUrl(***), ForwardUrl(***), ApiKeyText(***), Password(***))"
        );
    }
}
