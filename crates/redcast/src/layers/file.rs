//! The layer of a file: TOML, each value with the place where it stands.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use config::{Map, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use crate::settings::quoted;

/// No configuration is larger; a device that never ends is no file.
const LARGEST: u64 = 4 << 20;

/// Reads a whole file as text; the error is the end of a sentence that names it.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    // Opening one is permitted, and reading it then fails less clearly.
    if path.is_dir() {
        return Err("this is a directory, not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    opened.map_err(|error| format!("this file can't be read: {error}"))?;
    if bytes.len() as u64 > LARGEST {
        return Err("this file is larger than 4MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("this file is not UTF-8 text (line {line})")
    })
}

/// Reads `text` as TOML. `name` is what the places are in.
pub(super) fn parse(name: &str, text: &str) -> Result<Map<String, Value>, Problem> {
    // Some editors begin a file with a byte order mark; no one counts it as a column.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let places = Places::new(name, text);
    let table = DeTable::parse(text).map_err(|error| {
        let place = error.span().map_or_else(|| name.to_owned(), |span| places.of(span));
        let message = error.message().replace('\n', ", ");
        Problem::new(place, format!("this is not TOML: {message}"))
    })?;
    places.table(table.into_inner(), "")
}

/// The path of a key in the table at `path`, as a message may repeat it.
pub(super) fn below(path: &str, key: &str) -> String {
    let key = quoted(key);
    let key = key.trim_matches('"');
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Turns offsets into lines and columns.
struct Places<'a> {
    name: &'a str,
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'a> Places<'a> {
    fn new(name: &'a str, text: &'a str) -> Self {
        let begins = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { name, text, lines: std::iter::once(0).chain(begins).collect() }
    }

    fn of(&self, span: Range<usize>) -> String {
        let line = self.lines.partition_point(|begin| *begin <= span.start);
        let begin = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(begin..span.start).map_or(0, |part| part.chars().count()) + 1;
        format!("{}:{line}:{column}", self.name)
    }

    /// `path` is the table's own key, for what is told of its values.
    fn table(&self, table: DeTable<'_>, path: &str) -> Result<Map<String, Value>, Problem> {
        let entries = table.into_iter().map(|(key, value)| {
            // A key says better than its value where to look.
            let place = self.of(key.span());
            let key = key.into_inner().into_owned();
            let value = self.value(value, &place, &below(path, &key))?;
            Ok((key, value))
        });
        entries.collect()
    }

    fn value(
        &self,
        value: Spanned<DeValue<'_>>,
        place: &str,
        path: &str,
    ) -> Result<Value, Problem> {
        let number = |message: &str| Problem::at(place, path, message);
        let kind = match value.into_inner() {
            DeValue::String(text) => ValueKind::String(text.into_owned()),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .map(ValueKind::I64)
                .map_err(|_| number("this number is too large for a 64-bit integer"))?,
            DeValue::Float(digits) => digits
                .as_str()
                .parse()
                .map(ValueKind::Float)
                .map_err(|_| number("this number can't be read"))?,
            DeValue::Boolean(value) => ValueKind::Boolean(value),
            // No setting is a date, and there is no such kind of value.
            DeValue::Datetime(_) => ValueKind::Nil,
            DeValue::Array(items) => {
                let items = items.into_iter().enumerate().map(|(index, item)| {
                    let place = self.of(item.span());
                    self.value(item, &place, &format!("{path}[{index}]"))
                });
                ValueKind::Array(items.collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => ValueKind::Table(self.table(table, path)?),
        };
        Ok(Value::new(Some(&place.to_owned()), kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_knows_where_it_stands() {
        let text = "\u{feff}[http]\r\n  listen = \"ä\"\n[[endpoints]]\npath = 1\n\
                    [[endpoints]]\nchannels = [\"a\",\n  \"b\"]\n";
        let tables = parse("f.toml", text).unwrap();
        let origin = |value: &Value| value.origin().unwrap().to_owned();
        let listen = &tables["http"].clone().into_table().unwrap()["listen"];
        assert_eq!(origin(listen), "f.toml:2:3");
        let endpoints = tables["endpoints"].clone().into_array().unwrap();
        assert_eq!(origin(&endpoints[1]), "f.toml:5:1");
        let channels = endpoints[1].clone().into_table().unwrap()["channels"].clone();
        assert_eq!(origin(&channels), "f.toml:6:1");
        assert_eq!(origin(&channels.into_array().unwrap()[1]), "f.toml:7:3");
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_place() {
        for (text, place) in [
            ("nonsense", "f.toml:1:9: "),
            ("\u{feff}nonsense", "f.toml:1:9: "),
            ("[http]\nlisten = \"1\nx = 1", "f.toml:2:"),
            ("[http]\na = 1\n[http]", "f.toml:3:"),
            ("a = 1\na = 2", "f.toml:2:1: "),
            ("a = 99999999999999999999", "f.toml:1:1: "),
        ] {
            let problem = parse("f.toml", text).unwrap_err().to_string();
            assert!(problem.starts_with(place), "{text:?}: {problem}");
            assert_eq!(problem.lines().count(), 1, "{problem}");
        }
    }
}
