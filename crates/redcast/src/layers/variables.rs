//! The layer of the environment: REDCAST_SECTION__KEY sets section.key.

use std::collections::BTreeMap;
use std::ffi::OsString;

use config::Value;
use serde_json::Value as Json;

use super::judge::{from_text, judge, nearest};
use super::problem::Problem;
use super::{Setting, schema_of};
use crate::settings::schema;

/// What every variable of ours begins with.
const PREFIX: &str = "REDCAST_";
/// Names the configuration file; no setting of its own.
pub(super) const CONFIG_VARIABLE: &str = "REDCAST_CONFIG";
/// What a build takes the commit from (build.rs); an image may keep it.
const COMMIT_VARIABLE: &str = "REDCAST_COMMIT";

/// What the variables of another program begin with, which may share a file of them.
const PRODUCER_PREFIX: &str = "REDCAST_PRODUCER_";

/// Environment variables by name.
pub(super) type Variables = BTreeMap<String, OsString>;

/// Our variables, and the names of those that Kubernetes sets for Services whose
/// names begin with redcast, such as redcast-redis.
pub(super) fn ours(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> (Variables, Vec<String>) {
    let named =
        variables.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let no_settings = [CONFIG_VARIABLE, COMMIT_VARIABLE];
    let ours = named.filter(|(name, _)| {
        name.starts_with(PREFIX)
            && !name.starts_with(PRODUCER_PREFIX)
            && !no_settings.contains(&name.as_str())
    });
    let (links, ours): (Vec<_>, Vec<_>) =
        ours.partition(|(name, value)| is_service_link(name, &value.to_string_lossy()));
    (ours.into_iter().collect(), links.into_iter().map(|(name, _)| name).collect())
}

fn is_service_link(name: &str, value: &str) -> bool {
    let shaped = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT_"].iter().any(|part| name.contains(part))
        // A bare number is somebody who wanted to set the port, and should be told.
        || (name.ends_with("_PORT") && value.contains("://"));
    // Every setting has a section, so its variable has two underscores in a row.
    shaped && !name.contains("__")
}

/// Reads each variable as the setting it names.
pub(super) fn settings(variables: &Variables, problems: &mut Vec<Problem>) -> Vec<Setting> {
    let read = variables.iter().filter_map(|(name, value)| {
        let key = key_of(name).map_err(|problem| vec![problem]);
        let read = key.and_then(|key| match value.to_str() {
            Some(text) => setting(name, &key, text),
            None => Err(vec![Problem::at(name, key, "the value is not UTF-8 text")]),
        });
        read.map_err(|wrong| problems.extend(wrong)).ok()
    });
    read.collect()
}

/// One value from outside the file, read as the key's type and judged.
pub(super) fn setting(source: &str, key: &str, text: &str) -> Result<Setting, Vec<Problem>> {
    let wrong = |message| vec![Problem::at(source, key, message)];
    let Some(schema) = schema_of(key) else { return Err(wrong("there is no such setting".into())) };
    let value = Value::new(Some(&source.to_owned()), from_text(text, schema).map_err(wrong)?);
    let value = with_origins(value, source);
    let mut problems = Vec::new();
    judge(&value, schema, key, &mut problems);
    match problems.is_empty() {
        true => Ok(Setting { key: key.to_owned(), value }),
        false => Err(problems),
    }
}

/// A list's items come from where the list comes from.
fn with_origins(value: Value, source: &str) -> Value {
    let source = source.to_owned();
    match value.kind {
        config::ValueKind::Array(items) => {
            let items = items.into_iter().map(|item| Value::new(Some(&source), item.kind));
            Value::new(Some(&source), items.collect::<Vec<_>>())
        }
        kind => Value::new(Some(&source), kind),
    }
}

/// How the variable of a key is spelled.
pub(crate) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

fn key_of(name: &str) -> Result<String, Problem> {
    let keys = every_key();
    let find = |key: &&String| variable_of(key) == name;
    if let Some(key) = keys.iter().find(find) {
        return Ok(key.clone());
    }
    let section = name.trim_start_matches(PREFIX).split("__").next().unwrap_or_default();
    let section = section.to_lowercase();
    if schema()["properties"][&section]["type"] == "array" {
        let message = format!(
            "no variable can set a list of tables; write [[{section}]] in a configuration file"
        );
        return Err(Problem::new(name, message));
    }
    let known: Vec<String> = keys.iter().map(|key| variable_of(key)).collect();
    let asked = name.trim_start_matches(PREFIX);
    // REDCAST_URL wants a section in front.
    let tail = format!("__{}", asked.to_uppercase());
    let with_tail = known.iter().filter(|each| each.ends_with(&tail));
    let mut near: Vec<_> = with_tail.map(String::as_str).collect();
    if near.is_empty() {
        // Without the prefix, which would make all of them alike.
        let known_tails = known.iter().filter_map(|each| each.strip_prefix(PREFIX));
        let nearest = nearest(asked, known_tails);
        near.extend(
            known.iter().map(String::as_str).filter(|each| each.strip_prefix(PREFIX) == nearest),
        );
    }
    let hint = match near.is_empty() {
        false => format!("did you mean {}?", near.join(" or ")),
        true => "variables are spelled like REDCAST_HTTP__LISTEN, which sets http.listen".into(),
    };
    Err(Problem::new(name, format!("there is no such setting; {hint}")))
}

/// Every key that a variable can set.
fn every_key() -> Vec<String> {
    let mut keys = Vec::new();
    for (section, schema) in schema()["properties"].as_object().into_iter().flatten() {
        collect_keys(section, schema, &mut keys);
    }
    keys
}

/// The keys of a section and of those below it. A table whose keys are not ours is none.
fn collect_keys(section: &str, schema: &Json, keys: &mut Vec<String>) {
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        let key = format!("{section}.{key}");
        if inner["properties"].is_object() {
            collect_keys(&key, inner, keys);
        } else {
            keys.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_told_apart() {
        let links = [
            ("REDCAST_PORT", "tcp://10.0.0.1:8080"),
            ("REDCAST_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ("REDCAST_REDIS_MASTER_PORT", "tcp://10.0.0.2:6379"),
            ("REDCAST_REDIS_MASTER_SERVICE_PORT", "6379"),
            ("REDCAST_SERVICE_HOST", "10.0.0.1"),
            ("REDCAST_SERVICE_PORT_HTTP", "8080"),
        ];
        let settings = [("REDCAST_LOG__LEVEL", "info"), ("REDCAST_PORT", "8080")];
        let others = [
            ("REDCAST_CONFIG", "x"),
            ("REDCAST_COMMIT", "f00"),
            ("REDCAST_PRODUCER_REDIS_URL", "redis://127.0.0.1:6379"),
            ("PATH", "y"),
            ("REDIS_PORT", "tcp://10.0.0.2:1"),
        ];
        for group in [&links[..], &settings, &others] {
            let named = group.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            let (settings_found, ignored) = ours(named);
            let expected = |of: &[(&str, &str)]| if of == group { group.len() } else { 0 };
            assert_eq!(
                (settings_found.len(), ignored.len()),
                (expected(&settings), expected(&links))
            );
        }
    }

    #[test]
    fn only_our_own_variables_must_be_text() {
        use std::os::unix::ffi::OsStringExt;
        let variable = |name: &str| (OsString::from(name), OsString::from_vec(vec![0xff]));
        let (found, _) = ours([variable("FOREIGN"), variable("REDCAST_LOG__LEVEL")]);
        let mut problems = Vec::new();
        assert!(settings(&found, &mut problems).is_empty());
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].to_string(), "REDCAST_LOG__LEVEL: the value is not UTF-8 text");
    }
}
