//! What a gateway says to an envelope client, read once.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Any message of the protocol; what a message has not is none.
#[derive(Debug, Deserialize)]
pub struct Said<'a> {
    /// What it is.
    #[serde(borrow)]
    pub r#type: Cow<'a, str>,
    /// Which channel it is about.
    #[serde(borrow)]
    pub channel: Option<Cow<'a, str>>,
    /// A cursor; for an answer, the command's.
    #[serde(borrow)]
    pub id: Option<Cow<'a, str>>,
    /// An event's payload.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    /// Of an acknowledgement: the place of each stream channel.
    #[serde(borrow)]
    pub cursors: Option<HashMap<Cow<'a, str>, Cow<'a, str>>>,
    /// Of a gap or a reset.
    #[serde(borrow)]
    pub reason: Option<Cow<'a, str>>,
    /// Of a gap, Unix milliseconds.
    pub from: Option<u64>,
    /// Of a gap, Unix milliseconds.
    pub to: Option<u64>,
    /// Of an error.
    #[serde(borrow)]
    pub code: Option<Cow<'a, str>>,
    /// Of an error, in words.
    #[serde(borrow)]
    pub message: Option<Cow<'a, str>>,
}

impl<'a> Said<'a> {
    /// Reads a message. What is none is the gateway's fault, and the test's end.
    pub fn read(text: &'a str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
    }
}
