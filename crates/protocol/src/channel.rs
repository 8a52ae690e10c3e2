//! A channel's name, checked once: parsing is the only way to make one.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// What the names of Redcast's own channels begin with: nobody else publishes to them or
/// listens to them.
const RESERVED: &str = "redcast:";

/// The longest channel name, in bytes.
pub const MAX_CHANNEL_LEN: usize = 255;

/// The name of a stream of events, made of 1 to 255 of `A-Z a-z 0-9 _ . : @ -`.
///
/// The alphabet leaves out everything that means something to Redis patterns
/// (`* ? [ ] \`), to cluster hash tags (`{ }`) and to the wire (space, CR, LF),
/// so a checked name can travel anywhere unescaped. Clones share the text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Arc<str>);

/// Why a text is not a channel name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The text is empty.
    #[error("a channel name can't be empty")]
    Empty,
    /// The text is longer than [`MAX_CHANNEL_LEN`] bytes.
    #[error("a channel name has at most {MAX_CHANNEL_LEN} bytes, this one has {0}")]
    TooLong(usize),
    /// A character outside the alphabet.
    #[error("a channel name is made of A-Z a-z 0-9 _ . : @ -, not of {0:?}")]
    BadCharacter(char),
}

impl Channel {
    /// Checks `name` and makes a channel of it.
    pub fn parse(name: &str) -> Result<Self, ChannelError> {
        if name.is_empty() {
            return Err(ChannelError::Empty);
        }
        if name.len() > MAX_CHANNEL_LEN {
            return Err(ChannelError::TooLong(name.len()));
        }
        match name.chars().find(|c| !is_channel_char(*c)) {
            Some(bad) => Err(ChannelError::BadCharacter(bad)),
            None => Ok(Self(name.into())),
        }
    }

    /// Whether it is one of Redcast's own, which no client may join or publish to.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(RESERVED)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(crate) fn is_channel_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '@' | '-')
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({:?})", self.as_str())
    }
}

// Lets a map keyed by Channel be asked with a &str, without making a Channel
// of every name that arrives.
impl Borrow<str> for Channel {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_alphabet_and_both_length_limits() {
        let all = "ABCXYZabcxyz0189_.:@-";
        assert_eq!(Channel::parse(all).map(|c| c.as_str().to_owned()), Ok(all.to_owned()));
        assert!(Channel::parse("a").is_ok());
        assert!(Channel::parse(&"a".repeat(255)).is_ok());
        assert_eq!(Channel::parse(&"a".repeat(256)), Err(ChannelError::TooLong(256)));
        assert_eq!(Channel::parse(""), Err(ChannelError::Empty));
    }

    #[test]
    fn refuses_what_redis_or_the_wire_would_read_as_something_else() {
        for bad in ['*', '?', '[', ']', '\\', '{', '}', ' ', '\r', '\n', '\0', '/', 'é', '\u{202e}']
        {
            let name = format!("orders{bad}1");
            assert_eq!(Channel::parse(&name), Err(ChannelError::BadCharacter(bad)));
        }
    }

    #[test]
    fn what_begins_as_ours_is_reserved() {
        let reserved = |name| Channel::parse(name).unwrap().is_reserved();
        assert!(reserved("redcast:canary:1f0c9a3e") && reserved("redcast:"));
        assert!(!reserved("redcast") && !reserved("Redcast:x") && !reserved("my:redcast:x"));
    }

    #[test]
    fn shows_as_its_name_and_debugs_as_a_channel() {
        let channel = Channel::parse("orders:1").unwrap();
        assert_eq!(channel.to_string(), "orders:1");
        assert_eq!(format!("{channel:?}"), "Channel(\"orders:1\")");
    }

    #[test]
    fn a_map_of_channels_answers_to_text() {
        let map = std::collections::HashMap::from([(Channel::parse("a:b").unwrap(), 7)]);
        assert_eq!(map.get("a:b"), Some(&7));
        assert_eq!(map.get("a:c"), None);
    }
}
