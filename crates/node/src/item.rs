//! What an event is about: the value at a JSON pointer (RFC 6901) of its payload, as a
//! number that two events share if they say the same there.
//!
//! The pointer is taken apart once, with the configuration. An event is walked through
//! once, and nothing of it is copied or built: what is not on the way is skipped.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Another key in each process: producers can't look for two values with one number.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A JSON pointer as RFC 6901 section 5 writes it: `/data/id`, or nothing for the whole
/// payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemPointer {
    text: String,
    tokens: Vec<Token>,
}

/// Why a text is no JSON pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemPointerError {
    /// It is not empty and begins otherwise.
    #[error("it must begin with \"/\"")]
    NoSlash,
    /// A `~` that is neither `~0` nor `~1`.
    #[error("\"~\" is written \"~0\", and \"/\" within a name \"~1\"")]
    BadEscape,
}

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    name: String,
    /// The element that it means in an array, if it can mean one.
    index: Option<usize>,
}

impl ItemPointer {
    /// Reads a pointer.
    pub fn parse(text: &str) -> Result<Self, ItemPointerError> {
        let mut parts = text.split('/');
        // What stands in front of the first slash.
        if parts.next().is_some_and(|before| !before.is_empty()) {
            return Err(ItemPointerError::NoSlash);
        }
        let tokens = parts.map(Token::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), tokens })
    }

    /// The pointer as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names on the way.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(|token| token.name.as_str())
    }

    /// The item that an event is about. None if the payload is not JSON, has nothing at
    /// this place, or has `null` there: such an event is like no other.
    pub(crate) fn item_of(&self, payload: &[u8]) -> Option<u64> {
        let mut reader = serde_json::Deserializer::from_slice(payload);
        let value = Walk(&self.tokens).deserialize(&mut reader).ok()??;
        reader.end().ok()?;
        let value = value.get();
        (value != "null").then(|| KEY.hash_one(canonical(value)))
    }
}

/// The text by which values are compared: strings by what they mean, because one
/// producer writes `é` and another `\u00e9`; everything else by how it is written. So
/// the string `"1"` and the number `1` differ, and so do `1` and `1.0`: two that are
/// taken for different only wait both, while two that are taken for one would lose the
/// older one.
fn canonical(value: &str) -> Cow<'_, str> {
    if value.starts_with('"')
        && value.contains('\\')
        && let Ok(meant) = serde_json::from_str::<String>(value)
    {
        return Cow::Owned(format!("\"{meant}\""));
    }
    Cow::Borrowed(value)
}

impl Token {
    fn parse(text: &str) -> Result<Self, ItemPointerError> {
        let mut name = String::with_capacity(text.len());
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            name.push(match letter {
                '~' => match letters.next() {
                    Some('0') => '~',
                    Some('1') => '/',
                    _ => return Err(ItemPointerError::BadEscape),
                },
                other => other,
            });
        }
        // Section 4: digits, without a zero in front.
        let is_index = name.bytes().all(|byte| byte.is_ascii_digit())
            && (name == "0" || !name.starts_with('0'));
        let index = name.parse().ok().filter(|_| is_index);
        Ok(Self { name, index })
    }
}

/// Finds the value at the end of some steps, in whatever comes next.
struct Walk<'t>(&'t [Token]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        match self.0.split_first() {
            None => <&RawValue>::deserialize(reader).map(Some),
            Some((token, rest)) => reader.deserialize_any(Step { token, rest }),
        }
    }
}

/// Takes one step, and the others behind it.
struct Step<'t> {
    token: &'t Token,
    rest: &'t [Token],
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(IsNamed(&self.token.name))? {
            if is_it {
                // The last of several counts, as for nearly every reader of JSON.
                found = map.next_value_seed(Walk(self.rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        if let Some(index) = self.token.index {
            for _ in 0..index {
                if list.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            found = list.next_element_seed(Walk(self.rest))?.flatten();
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    // There is no way further into these.
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether the next key is this one.
struct IsNamed<'t>(&'t str);

impl<'de> DeserializeSeed<'de> for IsNamed<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for IsNamed<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
#[path = "item_tests.rs"]
mod tests;
