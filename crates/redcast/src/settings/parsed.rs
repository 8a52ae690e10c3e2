//! Values that are written as text and mean something else: how they are read, and
//! what to tell somebody whose text can't be read.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use redcast_node::{ItemPointer, MergePointer, SnapshotName};
use redcast_protocol::{Channel, Pattern};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::kinds::{CollectorUrl, HeaderName, LogFilter, Origin};
use super::secret::{ApiKeyText, ForwardUrl, HIDDEN, Password, RedisUrl};

/// Something that a configuration writes as text.
pub(crate) trait Written: Sized {
    /// What it is called in the schema and the docs.
    const NAME: &'static str;
    /// Completes "this is not …", with an example.
    const EXPECTED: &'static str;
    /// Whether no message may repeat it.
    const SECRET: bool = false;

    /// Reads it; the error says why it can't be, or is empty where
    /// [`Self::EXPECTED`] says it all.
    fn read(text: &str) -> Result<Self, String>;

    /// The text that reads as this; of a secret, what may be shown.
    fn write(&self) -> String;
}

/// A [`Written`] value in the settings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parsed<T>(pub(crate) T);

/// One kind of text, for those who know of a value only what the schema says.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) expected: &'static str,
    pub(crate) check: fn(&str) -> Result<(), String>,
    /// What may be shown of a secret of this kind.
    pub(crate) masked: fn(&str) -> String,
}

/// Every kind of text that a setting can be.
const KINDS: &[Kind] = &[
    kind::<SocketAddr>(),
    kind::<Duration>(),
    kind::<ByteSize>(),
    kind::<IpNet>(),
    kind::<Channel>(),
    kind::<Pattern>(),
    kind::<ItemPointer>(),
    kind::<MergePointer>(),
    kind::<SnapshotName>(),
    kind::<Origin>(),
    kind::<CollectorUrl>(),
    kind::<HeaderName>(),
    kind::<LogFilter>(),
    kind::<RedisUrl>(),
    kind::<ForwardUrl>(),
    kind::<ApiKeyText>(),
    kind::<Password>(),
];

const fn kind<T: Written>() -> Kind {
    Kind {
        name: T::NAME,
        expected: T::EXPECTED,
        check: |text| T::read(text).map(|_| ()),
        masked: |text| match T::read(text) {
            Ok(value) if T::SECRET => value.write(),
            _ => HIDDEN.to_owned(),
        },
    }
}

impl Kind {
    /// The kind that a schema's `format` names.
    pub(crate) fn of_format(format: &str) -> Option<&'static Self> {
        let name = format.strip_prefix("redcast-")?;
        KINDS.iter().find(|kind| in_schema(kind.name) == name)
    }
}

fn in_schema(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

impl<T> Deref for Parsed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Parsed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de, T: Written> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let read = T::read(&text).map(Self);
        read.map_err(|why| de::Error::custom(format!("not {}: {why}", T::EXPECTED)))
    }
}

// The schema's defaults of the keys that a list's tables may leave out.
impl<T: Written> Serialize for Parsed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.write())
    }
}

impl<T: Written> JsonSchema for Parsed<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Prefixed, because JSON Schema has a "duration" that is another thing.
        let format = format!("redcast-{}", in_schema(T::NAME));
        let mut schema = json_schema!({ "type": "string", "format": format });
        if T::SECRET {
            schema.insert("writeOnly".to_owned(), true.into());
        }
        schema
    }
}
