//! Judges one layer by the schema: are these our keys, and can their values be read?
//! Everything that is wrong is told, each with its place.

use config::{Map as Table, Value, ValueKind};
use serde_json::{Map, Value as Json};

use super::file::below;
use super::problem::Problem;
use crate::settings::{Kind, quoted};

/// How alike a misspelt word must be to the word that is suggested (Jaro-Winkler).
const ALIKE: f64 = 0.84;

/// Judges `value`, which stands at `path`, and adds what is wrong to `problems`.
pub(super) fn judge(value: &Value, schema: &Json, path: &str, problems: &mut Vec<Problem>) {
    let wrong = |message| Problem::at(value.origin().unwrap_or("built-in defaults"), path, message);
    match (schema["type"].as_str(), &value.kind) {
        (Some("object"), ValueKind::Table(_)) => judge_table(value, schema, path, problems),
        (Some("array"), ValueKind::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                judge(item, &schema["items"], &format!("{path}[{index}]"), problems);
            }
        }
        (Some("string"), ValueKind::String(text)) => {
            problems.extend(judge_text(text, schema).err().map(wrong));
        }
        (Some("integer"), ValueKind::I64(number)) => {
            problems.extend(judge_number(*number, schema).err().map(wrong));
        }
        (Some("boolean"), ValueKind::Boolean(_)) => {}
        (_, kind) => problems.push(wrong(wrong_type(kind, schema, path))),
    }
}

/// Reads a variable's or a flag's text as what the key is.
pub(super) fn from_text(text: &str, schema: &Json) -> Result<ValueKind, String> {
    match schema["type"].as_str() {
        Some("integer") => {
            let number = text
                .trim()
                .parse()
                .map_err(|_| format!("{} is not {}", quoted(text), number_range(schema)))?;
            Ok(ValueKind::I64(number))
        }
        Some("boolean") => match text.trim() {
            "true" => Ok(ValueKind::Boolean(true)),
            "false" => Ok(ValueKind::Boolean(false)),
            other => Err(format!("{} is neither true nor false", quoted(other))),
        },
        Some("array") => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            let items = items.map(|item| ValueKind::String(item.to_owned()).into());
            Ok(ValueKind::Array(items.collect()))
        }
        _ => Ok(ValueKind::String(text.to_owned())),
    }
}

/// The known word that is most like `word`, if one is.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let rated = known.map(|each| (strsim::jaro_winkler(&word, &each.to_lowercase()), each));
    let best = rated.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}

fn judge_table(value: &Value, schema: &Json, path: &str, problems: &mut Vec<Problem>) {
    let ValueKind::Table(table) = &value.kind else { return };
    let Some(known) = schema["properties"].as_object() else {
        return judge_map(table, schema, path, problems);
    };
    for (key, inner) in table {
        if let Some(schema) = known.get(key) {
            judge(inner, schema, &below(path, key), problems);
        } else {
            let source = inner.origin().unwrap_or_default();
            let what = if path.is_empty() { "section" } else { "key" };
            let message = format!("there is no such {what}; {}", hint(key, known, path));
            problems.push(Problem::at(source, below(path, key), message));
        }
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
    for key in required.filter(|key| !table.contains_key(*key)) {
        let example = known[key]["examples"][0].as_str().unwrap_or("…");
        let message = format!("{key:?} is missing; write {key} = {example:?}");
        problems.push(Problem::at(value.origin().unwrap_or_default(), path, message));
    }
}

/// A table whose keys are not ours: each key and each value is judged by what the schema
/// says of all.
fn judge_map(table: &Table<String, Value>, schema: &Json, path: &str, problems: &mut Vec<Problem>) {
    for (key, inner) in table {
        let path = below(path, key);
        if let Err(message) = judge_text(key, &schema["propertyNames"]) {
            problems.push(Problem::at(inner.origin().unwrap_or_default(), &path, message));
        }
        judge(inner, &schema["additionalProperties"], &path, problems);
    }
}

/// What somebody may have meant by a key that is not among the `known` ones.
fn hint(key: &str, known: &Map<String, Json>, path: &str) -> String {
    let owners: Vec<_> = match path {
        "" => known
            .iter()
            .filter_map(|(section, schema)| header_above(key, section, schema))
            .collect(),
        _ => Vec::new(),
    };
    if !owners.is_empty() {
        return format!("this key belongs below {}", owners.join(" or "));
    }
    match nearest(key, known.keys().map(String::as_str)) {
        Some(near) => format!("did you mean {near:?}?"),
        None => {
            let all = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("known here: {all}")
        }
    }
}

/// The header of a section that has such a key.
fn header_above(key: &str, section: &str, schema: &Json) -> Option<String> {
    let has = |table: &Json| table["properties"].get(key).is_some();
    match has(&schema["items"]) {
        true => Some(format!("[[{section}]]")),
        false => has(schema).then(|| format!("[{section}]")),
    }
}

fn judge_text(text: &str, schema: &Json) -> Result<(), String> {
    if let Some(allowed) = schema["enum"].as_array() {
        let allowed = || allowed.iter().filter_map(Json::as_str);
        if allowed().any(|each| each == text) {
            return Ok(());
        }
        let all: Vec<_> = allowed().map(|each| format!("{each:?}")).collect();
        let hint = nearest(text, allowed()).map(|near| format!("; did you mean {near:?}?"));
        let hint = hint.unwrap_or_default();
        return Err(format!("{} is not one of {}{hint}", quoted(text), all.join(", ")));
    }
    let Some(kind) = schema["format"].as_str().and_then(Kind::of_format) else { return Ok(()) };
    (kind.check)(text).map_err(|why| {
        let why = if why.is_empty() { why } else { format!(": {why}") };
        format!(
            "{} is not {}{why}",
            given(&ValueKind::String(text.to_owned()), schema),
            kind.expected
        )
    })
}

fn judge_number(number: i64, schema: &Json) -> Result<(), String> {
    let least = schema["minimum"].as_i64().unwrap_or(i64::MIN);
    if number < least || number > largest(schema) {
        return Err(format!("{number} is not {}", number_range(schema)));
    }
    Ok(())
}

fn largest(schema: &Json) -> i64 {
    schema["maximum"].as_i64().unwrap_or(u32::MAX.into())
}

fn number_range(schema: &Json) -> String {
    let least = schema["minimum"].as_i64().unwrap_or(0);
    format!("a whole number from {least} to {}", largest(schema))
}

fn wrong_type(kind: &ValueKind, schema: &Json, path: &str) -> String {
    let format = schema["format"].as_str().and_then(Kind::of_format);
    let expected = match schema["type"].as_str() {
        Some("object") if schema["properties"].is_null() => {
            "a table: write { \"…\" = \"…\" }".to_owned()
        }
        Some("object") if path.contains('[') => "a table of a list".to_owned(),
        Some("object") => format!("a section: write [{path}], and its keys below"),
        Some("array") if schema["items"]["type"] == "object" => {
            format!("a list of tables: write [[{path}]] above each")
        }
        Some("array") => "a list of text: write [\"…\", \"…\"]".to_owned(),
        Some("integer") => format!("{}, without quotes", number_range(schema)),
        Some("boolean") => "true or false, without quotes".to_owned(),
        _ => format!("{}, in quotes", format.map_or("text", |kind| kind.expected)),
    };
    format!("{} is not {expected}", given(kind, schema))
}

/// What somebody wrote, unless it is secret.
fn given(kind: &ValueKind, schema: &Json) -> String {
    if schema["writeOnly"] == true {
        return "the value".to_owned();
    }
    // Where a section should be may stand what was meant for its one secret key.
    let of_tables = schema["type"] == "object" || schema["items"]["type"] == "object";
    match kind {
        ValueKind::String(_) if of_tables => "text".to_owned(),
        ValueKind::I64(_) | ValueKind::Float(_) if of_tables => "a number".to_owned(),
        ValueKind::String(text) => quoted(text),
        ValueKind::Boolean(value) => value.to_string(),
        ValueKind::I64(number) => number.to_string(),
        ValueKind::Float(number) => number.to_string(),
        ValueKind::Array(_) => "a list".to_owned(),
        ValueKind::Table(_) => "a table".to_owned(),
        _ => "a date".to_owned(),
    }
}
