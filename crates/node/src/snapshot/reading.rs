//! One look at a snapshot's key, and the frames that are made of it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use redcast_broker::Stored;
use redcast_wire::text_frame;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::config::{Merge, MergeValue, SnapshotConfig};
use super::document::{Unreadable, document, quoted};
use super::template::{Template, Values, Way};

/// How far apart two greetings with different values are made. Who comes between waits.
pub(super) const GREETING_EVERY: Duration = Duration::from_millis(100);

/// What a snapshot's frames have in common, whatever was read.
pub(super) struct Shape {
    on_connect: String,
    on_tick: String,
    /// Where values go within the document.
    inside: Vec<(Vec<String>, MergeValue)>,
    /// Members of the frame beside `type`, `data` and `stale`.
    beside: Template,
}

/// Which of the two kinds of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    Connect,
    Tick,
}

/// What one look has found, or what is left of earlier ones.
pub(super) struct Reading {
    document: Arc<Good>,
    /// Whether the look found nothing that could be taken.
    pub(super) stale: bool,
    /// When the look ended.
    pub(super) looked: Instant,
    values: Values,
    state: OnceLock<SnapshotState>,
    /// The last greeting of a fresh document, and the last that says it is stale.
    greetings: Mutex<[Option<Greeting>; 2]>,
}

/// A frame for all who come within a short while.
struct Greeting {
    made: Instant,
    /// What the gateway has put in.
    fillings: Vec<u64>,
    frame: Bytes,
}

/// A document that could be taken.
struct Good {
    data: Template,
    /// When it was read, Unix milliseconds; none for the one before all.
    read_at: Option<u64>,
}

/// A snapshot for who asks over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotState {
    /// The document as JSON, with the gateway's own values as they were at the last look.
    pub data: Bytes,
    /// A strong validator of these bytes (RFC 9110 section 8.8.1), without quotes; the
    /// same for the same bytes on every instance of one build.
    pub tag: String,
    /// Whether the last look found nothing that could be taken.
    pub stale: bool,
    /// When the document was read, Unix milliseconds; none if there never was one.
    pub read_at: Option<u64>,
}

impl Shape {
    pub(super) fn new(config: &SnapshotConfig) -> Self {
        let in_data = |merge: &&Merge| merge.pointer.path().first().is_some_and(|p| p == "data");
        let (inside, beside): (Vec<&Merge>, Vec<&Merge>) = config.merge.iter().partition(in_data);
        let inside = inside.iter().map(|merge| (merge.pointer.path()[1..].to_vec(), merge.value));
        let beside: Vec<Way<'_>> =
            beside.iter().map(|merge| (merge.pointer.path(), merge.value)).collect();
        Self {
            on_connect: quoted(&config.on_connect),
            on_tick: quoted(&config.on_tick),
            inside: inside.collect(),
            // Of nothing but objects that are made, so that nothing can be in the way.
            beside: Template::more_members(&beside).unwrap_or_default(),
        }
    }

    /// Whether any frame says how many connections all instances have.
    pub(super) fn counts_connections(&self) -> bool {
        self.beside.has(MergeValue::Connections)
            || self.inside.iter().any(|(_, value)| *value == MergeValue::Connections)
    }

    fn template(&self, document: &RawValue) -> Result<Template, Unreadable> {
        let ways: Vec<Way<'_>> =
            self.inside.iter().map(|(way, value)| (&way[..], *value)).collect();
        Template::of(document, &ways)
    }

    /// A whole WebSocket frame.
    pub(super) fn frame(
        &self,
        reading: &Reading,
        occasion: Occasion,
        stale: bool,
        values: &Values,
    ) -> Bytes {
        let name = match occasion {
            Occasion::Connect => &self.on_connect,
            Occasion::Tick => &self.on_tick,
        };
        let mut text = format!("{{\"type\":{name},\"data\":").into_bytes();
        reading.document.data.fill(values, &mut text);
        if stale {
            text.extend_from_slice(b",\"stale\":true");
        }
        self.beside.fill(values, &mut text);
        text.push(b'}');
        text_frame(&text)
    }

    /// The frame for one client that came at `came`, or when to ask again. A frame serves
    /// all who came before it was made and all for whom it would be the same; another is
    /// made [`GREETING_EVERY`] later at the earliest.
    ///
    /// When many come at once each of them changes the count of connections: without
    /// that, each would cost an encoding and a buffer of its own.
    pub(super) fn greeting(
        &self,
        reading: &Reading,
        stale: bool,
        (came, values): (Instant, &Values),
    ) -> Result<Bytes, Instant> {
        let fillings = reading.document.data.fillings(values);
        let fillings: Vec<u64> = fillings.chain(self.beside.fillings(values)).collect();
        let last = &mut reading.greetings.lock()[usize::from(stale)];
        if let Some(last) = last {
            if last.made > came || last.fillings == fillings {
                return Ok(last.frame.clone());
            }
            if last.made.elapsed() < GREETING_EVERY {
                return Err(last.made + GREETING_EVERY);
            }
        }
        let frame = self.frame(reading, Occasion::Connect, stale, values);
        *last = Some(Greeting { made: Instant::now(), fillings, frame: frame.clone() });
        Ok(frame)
    }
}

impl Reading {
    /// Before there ever was a document.
    pub(super) fn none(shape: &Shape, values: Values) -> Self {
        let empty = RawValue::from_string("{}".to_owned());
        let data = empty.ok().and_then(|empty| shape.template(&empty).ok()).unwrap_or_default();
        Self::with(Good { data, read_at: None }.into(), true, values)
    }

    /// What was found, or how it can't be taken.
    pub(super) fn of(stored: Stored, shape: &Shape, values: Values) -> Result<Self, Unreadable> {
        let data = shape.template(&document(stored)?)?;
        let good = Good { data, read_at: Some(values.now_ms) };
        Ok(Self::with(good.into(), false, values))
    }

    /// The same document, which was the last one that could be taken.
    pub(super) fn left_of(before: &Self, values: Values) -> Self {
        Self::with(before.document.clone(), true, values)
    }

    fn with(document: Arc<Good>, stale: bool, values: Values) -> Self {
        let (state, greetings) = (OnceLock::new(), Mutex::default());
        Self { document, stale, looked: Instant::now(), values, state, greetings }
    }

    /// The document alone, made when it is asked for the first time.
    pub(super) fn state(&self) -> &SnapshotState {
        self.state.get_or_init(|| {
            let mut data = Vec::new();
            self.document.data.fill(&self.values, &mut data);
            let mut hasher = DefaultHasher::new();
            data.hash(&mut hasher);
            SnapshotState {
                tag: format!("{:x}-{:016x}", data.len(), hasher.finish()),
                data: data.into(),
                stale: self.stale,
                read_at: self.document.read_at,
            }
        })
    }
}
