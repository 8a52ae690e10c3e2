//! The JSON Schema of a configuration file: the types say what is allowed, and
//! defaults.toml what it means. Every layer is judged by it.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::catalogue::{Entry, Section, catalogue};
use super::{DEFAULTS, Settings};

/// The schema, in draft 2020-12, without references.
pub(crate) fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(make);
    &SCHEMA
}

fn make() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Settings>().to_value();
    without_null(&mut schema);
    let defaults: Value = toml::from_str(DEFAULTS).unwrap_or_default();
    for section in catalogue() {
        let defaults = section.name.split('.').fold(&defaults, |table, name| &table[name]);
        describe(section_of(&mut schema, section.name), &section, defaults);
    }
    if let Some(root) = schema.as_object_mut() {
        // No section has to be in a file.
        root.remove("required");
        root.insert("title".to_owned(), json!("The configuration of Redcast"));
    }
    schema
}

/// The schema of the section of this name, such as `redis.tls`.
fn section_of<'a>(schema: &'a mut Value, name: &str) -> &'a mut Value {
    name.split('.').fold(schema, |schema, name| &mut schema["properties"][name])
}

/// TOML has no null: a key that is left out is left out.
fn without_null(schema: &mut Value) {
    if let Some(types) = schema.get_mut("type")
        && let Some(one) = types.as_array().and_then(|all| all.iter().find(|each| *each != "null"))
    {
        *types = one.clone();
    }
    match schema {
        Value::Object(entries) => {
            // A key that may be left out has no default of its own.
            if entries.get("default").is_some_and(Value::is_null) {
                entries.remove("default");
            }
            entries.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

fn describe(schema: &mut Value, section: &Section, defaults: &Value) {
    if let Some(section_schema) = schema.as_object_mut() {
        section_schema.insert("description".to_owned(), json!(section.description));
    }
    let table = if section.is_list {
        schema["default"] = if defaults.is_null() { json!([]) } else { defaults.clone() };
        &mut schema["items"]
    } else {
        // Every key of a section has a default or may be left out.
        schema.as_object_mut().map(|schema| schema.remove("required"));
        &mut *schema
    };
    for entry in &section.entries {
        if let Some(key) = table["properties"][entry.key].as_object_mut() {
            describe_key(key, entry, section.is_list);
        }
    }
}

fn describe_key(key: &mut Map<String, Value>, entry: &Entry, in_list: bool) {
    key.insert("description".to_owned(), json!(entry.description));
    let value = toml::from_str::<Value>(&format!("v = {}", entry.value)).unwrap_or_default();
    if entry.is_set && !in_list {
        key.insert("default".to_owned(), value["v"].clone());
    } else if !key.contains_key("default") {
        key.insert("examples".to_owned(), json!([value["v"]]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn keys_of(schema: &Value) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for (section, schema) in schema["properties"].as_object().unwrap() {
            let table = schema.get("items").unwrap_or(schema);
            for (key, inner) in table["properties"].as_object().unwrap() {
                match inner["properties"].as_object() {
                    Some(keys_below) => {
                        keys.extend(
                            keys_below.keys().map(|below| format!("{section}.{key}.{below}")),
                        );
                    }
                    None => {
                        keys.insert(format!("{section}.{key}"));
                    }
                }
            }
        }
        keys
    }

    #[test]
    fn the_schema_and_the_defaults_have_the_same_keys() {
        let described: BTreeSet<String> = catalogue()
            .iter()
            .flat_map(|section| {
                section.entries.iter().map(|entry| format!("{}.{}", section.name, entry.key))
            })
            .collect();
        assert_eq!(keys_of(schema()), described);
    }

    #[test]
    fn a_default_in_a_comment_of_a_list_is_the_one_of_the_type() {
        for section in catalogue().iter().filter(|section| section.is_list) {
            for entry in section.entries.iter().filter(|entry| !entry.is_set) {
                let key = &schema()["properties"][section.name]["items"]["properties"][entry.key];
                let written: Value = toml::from_str(&format!("v = {}", entry.value)).unwrap();
                let expected = key.get("default").or(key.get("examples").map(|all| &all[0]));
                assert_eq!(expected, Some(&written["v"]), "{}.{}", section.name, entry.key);
            }
        }
    }

    #[test]
    fn every_node_says_what_it_is() {
        fn walk(path: &str, node: &Value) {
            let kind = node["type"].as_str().unwrap_or_else(|| panic!("{path} has no type"));
            assert!(node.get("$ref").is_none() && node.get("anyOf").is_none(), "{path}");
            match kind {
                "object" if node["properties"].is_null() => {
                    walk(&format!("{path}{{key}}"), &node["propertyNames"]);
                    walk(&format!("{path}{{}}"), &node["additionalProperties"]);
                }
                "object" => {
                    assert_eq!(node["additionalProperties"], false, "{path}");
                    for (key, inner) in node["properties"].as_object().unwrap() {
                        walk(&format!("{path}.{key}"), inner);
                        assert!(inner["description"].is_string(), "{path}.{key}");
                    }
                }
                "array" => walk(&format!("{path}[]"), &node["items"]),
                "string" | "integer" | "boolean" => {}
                other => panic!("{path}: {other}"),
            }
            if let Some(format) = node["format"].as_str().filter(|_| kind == "string") {
                assert!(super::super::Kind::of_format(format).is_some(), "{path}: {format}");
            }
        }
        walk("", schema());
    }
}
