//! What an operator can set about a snapshot.

use std::fmt;
use std::time::Duration;

use crate::item::{ItemPointer, ItemPointerError};

/// One snapshot: a document that a producer keeps in the broker, and what clients get
/// of it.
#[derive(Clone, Debug)]
pub struct SnapshotConfig {
    /// By which endpoints and the API name it.
    pub name: SnapshotName,
    /// Under which key the broker has it, without the prefix.
    pub key: String,
    /// How often it is read, and sent to all who watch it. Default 5 s.
    pub every: Duration,
    /// The `type` of what a client gets when it connects and when it asks. Default
    /// `initial_stats`.
    pub on_connect: String,
    /// The `type` of what clients get every time. Default `heartbeat`.
    pub on_tick: String,
    /// Which values of the gateway's own go where.
    pub merge: Vec<Merge>,
}

impl SnapshotConfig {
    /// Whether what clients find at this place of the frame are connections, rather than
    /// what the document says.
    pub fn counts_connections_at(&self, pointer: &str) -> bool {
        let here = self.merge.iter().find(|merge| merge.pointer.as_str() == pointer);
        here.is_some_and(|merge| merge.value == MergeValue::Connections)
    }
}

/// The name of a snapshot: part of a path and of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotName(String);

/// Why a text can't name a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has 1 to 64 of the characters A-Z a-z 0-9 _ . -")]
pub struct SnapshotNameError;

/// A value of the gateway's own, and its place in the frame.
#[derive(Clone, Debug)]
pub struct Merge {
    /// Where it goes.
    pub pointer: MergePointer,
    /// What goes there.
    pub value: MergeValue,
}

/// A place in a frame, as a JSON pointer (RFC 6901) such as `/data/visitors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergePointer {
    pointer: ItemPointer,
    path: Vec<String>,
}

/// Why nothing can be put at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergePointerError {
    /// It is no JSON pointer.
    #[error(transparent)]
    Pointer(#[from] ItemPointerError),
    /// The place is what a frame is made of, not a part of it.
    #[error(
        "`type`, `data` and `stale` are set already; name a member of `data`, such as \"/data/now\", or another member of the frame, such as \"/now\""
    )]
    Taken,
}

/// A value that the gateway knows better than any producer. All are whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeValue {
    /// Connections of all instances at endpoints that use the snapshot.
    Connections,
    /// Those of this instance.
    InstanceConnections,
    /// The time, Unix seconds.
    Now,
    /// The time, Unix milliseconds.
    NowMs,
}

impl SnapshotName {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, SnapshotNameError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        match (1..=64).contains(&text.len()) && text.chars().all(fits) {
            true => Ok(Self(text.to_owned())),
            false => Err(SnapshotNameError),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl MergePointer {
    /// Reads a pointer into a frame.
    pub fn parse(text: &str) -> Result<Self, MergePointerError> {
        let pointer = ItemPointer::parse(text)?;
        let path: Vec<String> = pointer.names().map(str::to_owned).collect();
        let first = path.first().map(String::as_str);
        match first {
            None | Some("type" | "stale") => Err(MergePointerError::Taken),
            Some("data") if path.len() == 1 => Err(MergePointerError::Taken),
            Some(_) => Ok(Self { pointer, path }),
        }
    }

    /// The pointer as it was written.
    pub fn as_str(&self) -> &str {
        self.pointer.as_str()
    }

    /// Whether one of the two is inside the other, or both are the same: one value would
    /// take the other's place.
    pub fn collides_with(&self, other: &Self) -> bool {
        let common = self.path.iter().zip(&other.path).take_while(|(one, other)| one == other);
        common.count() == self.path.len().min(other.path.len())
    }

    /// The names on the way, from the frame on.
    pub(super) fn path(&self) -> &[String] {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(text: &str) -> MergePointer {
        MergePointer::parse(text).unwrap()
    }

    #[test]
    fn a_name_is_part_of_a_path_and_of_a_key() {
        for good in ["analytics", "A-z_0.9", &"x".repeat(64)] {
            assert_eq!(SnapshotName::parse(good).map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "a b", "a/b", "a:b", "{a}", "ä", "a\n", &"x".repeat(65)] {
            assert_eq!(SnapshotName::parse(bad), Err(SnapshotNameError), "{bad:?}");
        }
    }

    #[test]
    fn what_a_frame_is_made_of_can_not_be_set() {
        for good in ["/data/x", "/data/x/y", "/timestamp", "/types", "/data/", "/datatype", "/"] {
            assert_eq!(pointer(good).as_str(), good);
        }
        for taken in ["", "/type", "/type/x", "/data", "/stale", "/stale/x"] {
            assert_eq!(MergePointer::parse(taken), Err(MergePointerError::Taken), "{taken:?}");
        }
        for bad in ["data/x", "/a~b"] {
            assert!(
                matches!(MergePointer::parse(bad), Err(MergePointerError::Pointer(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn pointers_collide_if_one_is_inside_the_other() {
        for (one, other, expected) in [
            ("/data/x", "/data/x", true),
            ("/data/x", "/data/x/y", true),
            ("/data/x/y", "/data/x", true),
            ("/data/x", "/data/xy", false),
            ("/data/x/y", "/data/x/z", false),
            ("/data/x", "/x", false),
            ("/a~1b", "/a", false),
        ] {
            assert_eq!(pointer(one).collides_with(&pointer(other)), expected, "{one} {other}");
        }
    }
}
