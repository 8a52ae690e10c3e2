//! JSON text with places for numbers that are put in each time it is sent.
//!
//! A document is taken apart once per read, and only on the way to those places: what
//! is not on the way stays the text that it is. To fill the places is to copy.

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::config::MergeValue;
use super::document::{Unreadable, quoted};

/// A value and the rest of the way to its place.
pub(super) type Way<'a> = (&'a [String], MergeValue);

/// Text and places in it, in order.
#[derive(Debug, Default)]
pub(super) struct Template {
    text: Vec<u8>,
    holes: Vec<(usize, MergeValue)>,
}

/// The gateway's own values at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) connections: u64,
    pub(super) instance_connections: u64,
    /// Unix milliseconds.
    pub(super) now_ms: u64,
}

/// One member of an object: its name as it is, its value as text.
type Member<'a> = (String, &'a RawValue);

impl Values {
    fn get(&self, value: MergeValue) -> u64 {
        match value {
            MergeValue::Connections => self.connections,
            MergeValue::InstanceConnections => self.instance_connections,
            MergeValue::Now => self.now_ms / 1000,
            MergeValue::NowMs => self.now_ms,
        }
    }
}

impl Template {
    /// A document with places for these values. Members and objects on the way that are
    /// missing are made; what is on the way and no object is refused.
    pub(super) fn of(document: &RawValue, ways: &[Way<'_>]) -> Result<Self, Unreadable> {
        let mut template = Self::default();
        template.value(document, ways)?;
        Ok(template)
    }

    /// Members to be put behind others of an object, each with a comma in front.
    pub(super) fn more_members(ways: &[Way<'_>]) -> Result<Self, Unreadable> {
        let mut template = Self::default();
        template.missing(ways, &[], true)?;
        Ok(template)
    }

    /// Whether any place is for this value.
    pub(super) fn has(&self, value: MergeValue) -> bool {
        self.holes.iter().any(|(_, each)| *each == value)
    }

    /// What would be put in; two texts with the same values are the same.
    pub(super) fn fillings(&self, values: &Values) -> impl Iterator<Item = u64> {
        self.holes.iter().map(|(_, value)| values.get(*value))
    }

    /// Appends the text with the values in their places.
    pub(super) fn fill(&self, values: &Values, into: &mut Vec<u8>) {
        let mut at = 0;
        for (hole, value) in &self.holes {
            into.extend_from_slice(&self.text[at..*hole]);
            into.extend_from_slice(values.get(*value).to_string().as_bytes());
            at = *hole;
        }
        into.extend_from_slice(&self.text[at..]);
    }

    fn value(&mut self, document: &RawValue, ways: &[Way<'_>]) -> Result<(), Unreadable> {
        match ways {
            [] => self.text.extend_from_slice(document.get().as_bytes()),
            [([], value), ..] => self.holes.push((self.text.len(), *value)),
            _ => self.object(&members(document)?, ways)?,
        }
        Ok(())
    }

    fn object(&mut self, members: &[Member<'_>], ways: &[Way<'_>]) -> Result<(), Unreadable> {
        self.text.push(b'{');
        for (index, (name, value)) in members.iter().enumerate() {
            self.name(name, index > 0);
            self.value(value, &through(ways, name))?;
        }
        self.missing(ways, members, !members.is_empty())?;
        self.text.push(b'}');
        Ok(())
    }

    /// The members on these ways that are not among the `present` ones.
    fn missing(
        &mut self,
        ways: &[Way<'_>],
        present: &[Member<'_>],
        mut comma: bool,
    ) -> Result<(), Unreadable> {
        let names = ways.iter().filter_map(|(way, _)| way.first());
        let mut made: Vec<&String> = Vec::new();
        for name in names {
            if made.contains(&name) || present.iter().any(|(each, _)| each == name) {
                continue;
            }
            made.push(name);
            self.name(name, std::mem::replace(&mut comma, true));
            let ways = through(ways, name);
            match &ways[..] {
                [([], value), ..] => self.holes.push((self.text.len(), *value)),
                _ => self.object(&[], &ways)?,
            }
        }
        Ok(())
    }

    fn name(&mut self, name: &str, comma: bool) {
        if comma {
            self.text.push(b',');
        }
        self.text.extend_from_slice(quoted(name).as_bytes());
        self.text.push(b':');
    }
}

/// The rest of those ways that lead through this member.
fn through<'a>(ways: &[Way<'a>], name: &str) -> Vec<Way<'a>> {
    let ways = ways.iter().filter_map(|(way, value)| {
        let (first, rest) = way.split_first()?;
        (first == name).then_some((rest, *value))
    });
    ways.collect()
}

fn members(document: &RawValue) -> Result<Vec<Member<'_>>, Unreadable> {
    let members = Deserializer::from_str(document.get()).deserialize_map(Members);
    // The text was read as JSON before, so that it is another kind of value.
    members.map_err(|_| {
        Unreadable::Malformed("a `merge` pointer leads through what is no JSON object".to_owned())
    })
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<Member<'de>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry::<String, &RawValue>()? {
            members.push(member);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::MergePointer;
    use super::*;
    use MergeValue::{Connections, InstanceConnections, Now, NowMs};

    const VALUES: Values =
        Values { connections: 12, instance_connections: 5, now_ms: 1_733_683_200_987 };

    fn filled(template: &Template) -> String {
        let mut text = Vec::new();
        template.fill(&VALUES, &mut text);
        String::from_utf8(text).unwrap()
    }

    fn merged(document: &str, merge: &[(&str, MergeValue)]) -> Result<String, Unreadable> {
        let raw = RawValue::from_string(document.to_owned()).unwrap();
        let pointers: Vec<_> = merge
            .iter()
            .map(|(text, value)| (MergePointer::parse(&format!("/data{text}")).unwrap(), *value))
            .collect();
        let ways: Vec<_> =
            pointers.iter().map(|(pointer, value)| (&pointer.path()[1..], *value)).collect();
        Template::of(&raw, &ways).map(|template| filled(&template))
    }

    #[test]
    fn without_a_merge_the_text_is_the_same() {
        for text in ["{ \"b\" : 1.0, \"a\":1e5 }", "[1, 2]", "3", "null"] {
            assert_eq!(merged(text, &[]).as_deref(), Ok(text));
        }
    }

    #[test]
    fn values_stand_in_the_place_of_members_or_behind_them() {
        let merge = [("/visitors", Connections), ("/now", Now)];
        for (document, expected) in [
            (
                r#"{"visitors": "many", "b": 1.50, "a": {"now":1}}"#,
                r#"{"visitors":12,"b":1.50,"a":{"now":1},"now":1733683200}"#,
            ),
            ("{}", r#"{"visitors":12,"now":1733683200}"#),
            (r#"{"now":0,"visitors":{"x":1}}"#, r#"{"now":1733683200,"visitors":12}"#),
            (r#"{"a\"\u00e9":1}"#, r#"{"a\"é":1,"visitors":12,"now":1733683200}"#),
        ] {
            assert_eq!(merged(document, &merge).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn parents_are_found_or_made() {
        let merge = [
            ("/net/peers/here", InstanceConnections),
            ("/net/peers/all", Connections),
            ("/net/at", NowMs),
            ("/a~1b", Now),
        ];
        for (document, expected) in [
            ("{}", r#"{"net":{"peers":{"here":5,"all":12},"at":1733683200987},"a/b":1733683200}"#),
            (
                r#"{"net":{"peers":{"all":0, "x":[]},"y":1},"a/b":[]}"#,
                r#"{"net":{"peers":{"all":12,"x":[],"here":5},"y":1,"at":1733683200987},"a/b":1733683200}"#,
            ),
        ] {
            assert_eq!(merged(document, &merge).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_on_the_way_must_be_an_object() {
        for document in ["[]", "1", "null", r#"{"a":[{"b":1}]}"#, r#"{"a":"b"}"#] {
            assert!(merged(document, &[("/a/b", Now)]).is_err(), "{document}");
        }
        // An index is a name like any other: a list has none.
        assert!(merged(r#"{"a":[1]}"#, &[("/a/0", Now)]).is_err());
    }

    #[test]
    fn more_members_stand_behind_a_comma_each() {
        let (one, two) = (["timestamp".to_owned()], ["net".to_owned(), "all".to_owned()]);
        let template = Template::more_members(&[(&one, Now), (&two, Connections)]).unwrap();
        assert_eq!(filled(&template), r#","timestamp":1733683200,"net":{"all":12}"#);
        assert!(template.has(Now) && template.has(Connections) && !template.has(NowMs));
        assert_eq!(filled(&Template::more_members(&[]).unwrap()), "");
    }
}
