//! Which node serves which slot, as one node of the cluster told it. Pure: no I/O, no
//! clock.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use redis::{RedisError, RedisResult, Value, from_redis_value_ref};

use super::slot::SLOTS;

/// One server of a cluster, by the address under which the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) struct Node {
    /// A name or an IP address, without brackets.
    pub(super) host: Arc<str>,
    /// The port for clients.
    pub(super) port: u16,
}

impl Node {
    /// The node at `host` and `port`.
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { host: host.trim_matches(['[', ']']).into(), port }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A run of slots and who serves them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    primary: Node,
    replicas: Vec<Node>,
}

/// All slots that are served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct SlotMap {
    /// In the order of their slots, which no two share.
    ranges: Vec<Range>,
}

impl SlotMap {
    /// Reads what `asked` answered to `CLUSTER SLOTS`.
    pub(super) fn read(answer: &Value, asked: &Node) -> RedisResult<Self> {
        let rows: Vec<Vec<Value>> = from_redis_value_ref(answer)?;
        let mut ranges = Vec::with_capacity(rows.len());
        for row in &rows {
            ranges.push(read_range(row, asked).ok_or_else(|| unreadable(row))?);
        }
        ranges.sort_by_key(|range| range.first);
        Ok(Self { ranges })
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Who takes the writes of `slot`.
    pub(in super::super) fn primary_of(&self, slot: u16) -> Option<&Node> {
        let at = self.ranges.partition_point(|range| range.last < slot);
        let range = self.ranges.get(at).filter(|range| range.first <= slot)?;
        Some(&range.primary)
    }

    /// Every node that takes writes.
    pub(super) fn primaries(&self) -> BTreeSet<Node> {
        self.ranges.iter().map(|range| range.primary.clone()).collect()
    }

    /// Every node that serves something or stands by to.
    pub(super) fn nodes(&self) -> BTreeSet<Node> {
        let replicas = self.ranges.iter().flat_map(|range| range.replicas.iter().cloned());
        replicas.chain(self.primaries()).collect()
    }

    /// Gives one slot to `node`.
    pub(super) fn give(&mut self, slot: u16, node: &Node) {
        if self.primary_of(slot) == Some(node) {
            return;
        }
        let replicas = self.ranges.iter().find(|range| range.primary == *node);
        let replicas = replicas.map(|range| range.replicas.clone()).unwrap_or_default();
        let mut ranges = Vec::with_capacity(self.ranges.len() + 2);
        for range in self.ranges.drain(..) {
            if slot < range.first || range.last < slot {
                ranges.push(range);
                continue;
            }
            if range.first < slot {
                ranges.push(Range { last: slot - 1, ..range.clone() });
            }
            if slot < range.last {
                ranges.push(Range { first: slot + 1, ..range });
            }
        }
        ranges.push(Range { first: slot, last: slot, primary: node.clone(), replicas });
        ranges.sort_by_key(|range| range.first);
        self.ranges = ranges;
    }
}

/// Where an error sends what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Redirect {
    /// The slot that was asked for.
    pub(super) slot: u16,
    /// Who has it.
    pub(super) node: Node,
}

impl Redirect {
    /// Reads the words behind `MOVED` or `ASK`: a slot, a host and a port. Without a host
    /// it is the one that was asked (Redis Cluster specification, "MOVED Redirection").
    pub(in super::super) fn read(words: &str, asked: Option<&Node>) -> Option<Self> {
        let (slot, place) = words.trim().split_once(' ')?;
        let (host, port) = place.trim().rsplit_once(':')?;
        let host = if host.is_empty() { asked?.host.as_ref() } else { host };
        let slot = slot.parse().ok().filter(|slot| *slot < SLOTS)?;
        Some(Self { slot, node: Node::new(host, port.parse().ok()?) })
    }
}

fn read_range(row: &[Value], asked: &Node) -> Option<Range> {
    let [first, last, primary, replicas @ ..] = row else { return None };
    let bound = |value| from_redis_value_ref::<u16>(value).ok().filter(|slot| *slot < SLOTS);
    let replicas = replicas.iter().filter_map(|node| read_node(node, asked)).collect();
    Some(Range {
        first: bound(first)?,
        last: bound(last)?,
        primary: read_node(primary, asked)?,
        replicas,
    })
}

/// A node is its preferred endpoint, its port and what else there is; an endpoint that is
/// empty or null is the one that was asked (redis.io, CLUSTER SLOTS).
fn read_node(value: &Value, asked: &Node) -> Option<Node> {
    let parts: Vec<Value> = from_redis_value_ref(value).ok()?;
    let [host, port, ..] = parts.as_slice() else { return None };
    let host: Option<String> = from_redis_value_ref(host).ok()?;
    let host = host.filter(|host| !host.is_empty()).unwrap_or_else(|| asked.host.to_string());
    // What a node does not know it spells so; there is no such host.
    if host == "?" {
        return None;
    }
    Some(Node::new(&host, from_redis_value_ref(port).ok()?))
}

fn unreadable(row: &[Value]) -> RedisError {
    let what = format!("{} parts", row.len());
    (redis::ErrorKind::UnexpectedReturnType, "CLUSTER SLOTS answered a range of", what).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn node(host: &str, port: i64) -> Value {
        Value::Array(vec![bulk(host), Value::Int(port), bulk("id"), Value::Array(Vec::new())])
    }

    fn range(first: i64, last: i64, nodes: &[Value]) -> Value {
        let bounds = [Value::Int(first), Value::Int(last)];
        Value::Array(bounds.into_iter().chain(nodes.iter().cloned()).collect())
    }

    fn three() -> SlotMap {
        let answer = Value::Array(vec![
            range(10_923, 16_383, &[node("c", 3)]),
            range(0, 5_460, &[node("a", 1), node("d", 4)]),
            range(5_461, 10_922, &[node("", 2)]),
        ]);
        SlotMap::read(&answer, &Node::new("asked", 9)).unwrap()
    }

    #[test]
    fn each_slot_has_the_primary_that_was_told() {
        let map = three();
        for (slot, host, port) in
            [(0, "a", 1), (5_460, "a", 1), (5_461, "asked", 2), (16_383, "c", 3)]
        {
            assert_eq!(map.primary_of(slot), Some(&Node::new(host, port)), "{slot}");
        }
        assert_eq!(map.primaries().len(), 3);
        assert_eq!(map.nodes().len(), 4);
    }

    #[test]
    fn a_slot_that_moved_leaves_its_neighbours_where_they_are() {
        let mut map = three();
        let c = Node::new("c", 3);
        for slot in [0, 5_460, 5_461, 7_000] {
            map.give(slot, &c);
            assert_eq!(map.primary_of(slot), Some(&c), "{slot}");
        }
        assert_eq!(map.primary_of(1), Some(&Node::new("a", 1)));
        assert_eq!(map.primary_of(5_459), Some(&Node::new("a", 1)));
        assert_eq!(map.primary_of(6_999), Some(&Node::new("asked", 2)));
        assert_eq!(map.primary_of(7_001), Some(&Node::new("asked", 2)));
    }

    #[test]
    fn a_slot_that_nobody_serves_has_no_primary() {
        let answer = Value::Array(vec![range(10, 20, &[node("a", 1)])]);
        let map = SlotMap::read(&answer, &Node::new("a", 1)).unwrap();
        for slot in [0, 9, 21, 16_383] {
            assert_eq!(map.primary_of(slot), None, "{slot}");
        }
    }

    #[test]
    fn nonsense_is_an_error_and_no_panic() {
        for answer in [
            Value::Int(3),
            Value::Array(vec![Value::Array(vec![Value::Int(1)])]),
            Value::Array(vec![range(-1, 70_000, &[node("a", 1)])]),
            Value::Array(vec![range(0, 1, &[Value::Int(1)])]),
        ] {
            assert!(SlotMap::read(&answer, &Node::new("a", 1)).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn a_redirect_names_slot_and_node() {
        let asked = Node::new("asked", 9);
        let read = |words| Redirect::read(words, Some(&asked));
        let to = |slot, host, port| Some(Redirect { slot, node: Node::new(host, port) });
        assert_eq!(read("3999 127.0.0.1:6381"), to(3999, "127.0.0.1", 6381));
        assert_eq!(read("3999 ::1:6381"), to(3999, "::1", 6381));
        assert_eq!(read("3999 :6381"), to(3999, "asked", 6381));
        for words in ["", "3999", "x a:1", "3999 a", "3999 a:b", "16384 a:1"] {
            assert_eq!(read(words), None, "{words:?}");
        }
    }
}
