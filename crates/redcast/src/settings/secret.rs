//! Settings that no log and no message shows: keys, and URLs that may hold passwords.

use std::fmt;
use std::time::Duration;

use redcast_broker::{BrokerConfigError, RedisConfig};
use redcast_edge::{ForwardAuthConfig, ForwardAuthConfigError};

use super::parsed::Written;

/// What stands in for a secret.
const HIDDEN: &str = "***";

/// Where Redis is; may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RedisUrl(pub(super) String);

/// Whom forward auth asks; may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ForwardUrl(pub(super) String);

/// The key for publishing over HTTP.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiKeyText(pub(super) String);

impl Written for RedisUrl {
    const NAME: &'static str = "Redis URL";
    const EXPECTED: &'static str = "a URL such as \"redis://127.0.0.1:6379\"";
    const SECRET: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        let config = RedisConfig { url: text.to_owned(), ..RedisConfig::default() };
        match config.check() {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(BrokerConfigError::UnsupportedScheme(scheme)) => {
                Err(format!("{scheme:?} is not offered, redis:// and unix:// are"))
            }
            Err(BrokerConfigError::InvalidUrl(why)) => Err(why),
            Err(other) => Err(other.to_string()),
        }
    }

    fn write(&self) -> String {
        mask_url(&self.0)
    }
}

impl Written for ForwardUrl {
    const NAME: &'static str = "HTTP URL";
    const EXPECTED: &'static str = "a URL such as \"http://127.0.0.1:9000/auth\"";
    const SECRET: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        match ForwardAuthConfig::new(text, Duration::from_secs(1), &[]) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(ForwardAuthConfigError::BadUrl) => Err(String::new()),
            Err(error) => {
                let why = error.to_string();
                Err(why.strip_prefix("forward_url: ").unwrap_or(&why).to_owned())
            }
        }
    }

    fn write(&self) -> String {
        mask_url(&self.0)
    }
}

impl Written for ApiKeyText {
    const NAME: &'static str = "key";
    const EXPECTED: &'static str = "a key";
    const SECRET: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            Err("it is empty".to_owned())
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    fn write(&self) -> String {
        HIDDEN.to_owned()
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Debug for ForwardUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Debug for ApiKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// A URL as it may be shown: without its password, and without all that a password
/// with a sign in it that belongs elsewhere could have spilled into.
pub(crate) fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return HIDDEN.to_owned() };
    let (user, place) = match rest.rsplit_once('@') {
        None => (String::new(), rest),
        Some((userinfo, place)) => match userinfo.split_once(':') {
            Some((user, _)) => (format!("{user}:{HIDDEN}@"), place),
            // A user alone may be a token.
            None => (format!("{HIDDEN}@"), place),
        },
    };
    let Some((path, query)) = place.split_once('?') else {
        return format!("{scheme}://{user}{place}");
    };
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if name != "user" && name != "db" => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    });
    format!("{scheme}://{user}{path}?{}", shown.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_url_has_no_password() {
        for (url, shown) in [
            ("redis://127.0.0.1:6379/3", "redis://127.0.0.1:6379/3"),
            ("redis://:pw@host", "redis://:***@host"),
            ("redis://user:pw@host:1/2", "redis://user:***@host:1/2"),
            ("redis://user:p@w/x?y#z@host", "redis://user:***@host"),
            ("redis://token@host", "redis://***@host"),
            ("unix:///run/r.sock?user=a&pass=pw", "unix:///run/r.sock?user=a&pass=***"),
            ("http://127.0.0.1/a?key=pw&b", "http://127.0.0.1/a?key=***&b"),
            (":pw@host", "***"),
        ] {
            assert_eq!(mask_url(url), shown);
            assert!(!mask_url(url).contains("pw"));
        }
    }

    #[test]
    fn no_debug_text_tells_a_secret() {
        let url = "redis://:hunter2@host".to_owned();
        let all = (RedisUrl(url.clone()), ForwardUrl(url.clone()), ApiKeyText(url));
        assert_eq!(format!("{all:?}"), "(***, ***, ***)");
    }
}
