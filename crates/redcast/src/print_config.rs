//! `redcast print-config`: what is in effect, and where each value comes from.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use config::{Value, ValueKind};
use serde_json::{Map, Value as Json, json};

use crate::app::BadConfig;
use crate::cli::ServeFlags;
use crate::escape::escaped;
use crate::layers;
use crate::settings::{DEFAULTS, HIDDEN, Kind, schema};
use crate::terminal::{print, warn};

/// Flags of `print-config`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  redcast print-config --config redcast.toml\n  \
    redcast print-config --defaults > redcast.toml\n\n\
    Secrets are shown as ***. Exit codes: 0, 78 where the configuration is wrong.")]
pub(crate) struct PrintConfigFlags {
    #[command(flatten)]
    serve: ServeFlags,
    /// Print the built-in settings instead, with what each of them means
    #[arg(long)]
    defaults: bool,
    /// Print JSON: each key with its value and its source
    #[arg(long, conflicts_with = "defaults")]
    json: bool,
}

/// Prints the configuration that `serve` would run with here.
pub(crate) fn run(flags: &PrintConfigFlags) -> Result<u8> {
    if flags.defaults {
        print(DEFAULTS)?;
        return Ok(0);
    }
    let loaded = layers::read(&flags.serve).map_err(|problems| BadConfig(problems.into()))?;
    for warning in &loaded.warnings {
        warn(warning);
    }
    if flags.json {
        print(format!("{:#}\n", as_json(&loaded.values)))?;
    } else {
        print(as_toml(&loaded.values))?;
    }
    Ok(0)
}

/// The values as a file that reads as the same settings, but for hidden secrets.
fn as_toml(values: &Value) -> String {
    let mut text = String::new();
    for (section, value) in entries(values) {
        let schema = &schema()["properties"][section];
        match &value.kind {
            ValueKind::Array(tables) => {
                for table in tables {
                    write_table(&mut text, &format!("[[{section}]]"), table, &schema["items"]);
                }
            }
            _ => write_table(&mut text, &format!("[{section}]"), value, schema),
        }
    }
    text
}

fn write_table(text: &mut String, header: &str, table: &Value, schema: &Json) {
    if !text.is_empty() {
        text.push('\n');
    }
    // To write to a String can't fail.
    let _ = writeln!(text, "{header}");
    let (tables, values): (Vec<_>, Vec<_>) =
        entries(table).partition(|(key, _)| is_section(&schema["properties"][key]));
    for (key, value) in values {
        let shown = toml_of(&shown(value, &schema["properties"][key]));
        // A file may have a line feed in its name, which would end the comment.
        let _ = writeln!(text, "{key} = {shown} # {}", escaped(source(value)));
    }
    // Behind the section's own keys, which would be theirs else.
    for (key, value) in tables {
        let header = format!("{}.{key}]", header.trim_end_matches(']'));
        write_table(text, &header, value, &schema["properties"][key]);
    }
}

/// Whether a table's keys are ours, and not values themselves.
fn is_section(schema: &Json) -> bool {
    schema["properties"].is_object()
}

fn as_json(values: &Value) -> Json {
    let mut all = Map::new();
    flatten("", values, schema(), &mut all);
    Json::Object(all)
}

fn flatten(path: &str, value: &Value, schema: &Json, all: &mut Map<String, Json>) {
    match &value.kind {
        // Not one whose keys are values themselves.
        ValueKind::Table(table) if schema["additionalProperties"] == false => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, &schema["properties"][key], all);
            }
        }
        ValueKind::Array(items) if schema["items"]["type"] == "object" => {
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), item, &schema["items"], all);
            }
        }
        _ => {
            let entry = json!({ "value": shown(value, schema), "source": source(value) });
            all.insert(path.to_owned(), entry);
        }
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let table = match &value.kind {
        ValueKind::Table(table) => Some(table),
        _ => None,
    };
    table.into_iter().flatten()
}

fn source(value: &Value) -> &str {
    value.origin().unwrap_or("default")
}

/// The value as it may be shown.
fn shown(value: &Value, schema: &Json) -> Json {
    let secret = schema["writeOnly"] == true;
    match &value.kind {
        ValueKind::String(text) if secret => {
            let kind = schema["format"].as_str().and_then(Kind::of_format);
            json!(kind.map_or_else(|| HIDDEN.to_owned(), |kind| (kind.masked)(text)))
        }
        ValueKind::String(text) => json!(text),
        ValueKind::Boolean(value) => json!(value),
        ValueKind::I64(number) => json!(number),
        ValueKind::Array(items) => {
            items.iter().map(|item| shown(item, &schema["items"])).collect::<Vec<_>>().into()
        }
        ValueKind::Table(table) => {
            let schema = &schema["additionalProperties"];
            let shown = table.iter().map(|(key, value)| (key.clone(), shown(value, schema)));
            Json::Object(shown.collect())
        }
        _ => json!(HIDDEN),
    }
}

/// JSON's escapes are TOML's, too, but for one character that TOML wants escaped.
fn toml_of(value: &Json) -> String {
    match value {
        Json::Array(items) => {
            format!("[{}]", items.iter().map(toml_of).collect::<Vec<_>>().join(", "))
        }
        Json::Object(members) => {
            let member = |(key, value): (&String, &Json)| {
                format!("{} = {}", toml_of(&json!(key)), toml_of(value))
            };
            format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string().replace('\u{7f}', "\\u007f"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::check_values;

    #[test]
    fn what_is_printed_reads_as_the_same_settings() {
        let text = "[http]\nlisten = \"[::1]:1\"\nunsent_limit = \"1.5MiB\"\n\
            trusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n[redis]\nurl = \"redis://host/1\"\n\
            prefix = \"a\\\"\\\\\\u007f\\n\\t#ä\"\n[limits]\nhandshakes_per_second = 7\n\
            [[endpoints]]\npath = \"/a\"\nchannels = [\"b\"]\nnotices = false\n\
            [[endpoints]]\npath = \"/c\"\nallowed_origins = [\"https://a.example\"]\n\
            [[channels]]\npattern = \"b*\"\nslow_consumer = \"keep_latest\"\n\
            [[snapshots]]\nname = \"s\"\nkey = \"k\"\n\
            merge = { \"/data/a.b[0]\" = \"now\", '/data/\"\\' = \"now_ms\" }\n";
        let (settings, values) = check_values(text).unwrap();
        let printed = as_toml(&values);
        let (again, values_again) = check_values(&printed).unwrap();
        assert_eq!(settings, again, "{printed}");
        assert!(printed.contains("listen = \"[::1]:1\" # redcast.toml:2:1\n"), "{printed}");
        assert!(printed.contains("max_message_size = \"4KiB\" # default\n"), "{printed}");
        assert!(printed.contains("ping_every = \"30s\" # default\n"), "{printed}");
        // Sections stand in the order of the defaults, however the file has them.
        let headers = printed.lines().filter(|line| line.starts_with('[')).collect::<Vec<_>>();
        assert_eq!(headers[0], "[http]");
        assert_eq!(
            headers[headers.len() - 4..],
            ["[[endpoints]]", "[[endpoints]]", "[[channels]]", "[[snapshots]]"]
        );
        assert_eq!(as_json(&values)["endpoints[1].path"]["value"], "/c");
        assert_eq!(as_json(&values_again)["http.listen"]["value"], "[::1]:1");
        let merge = json!({ "/data/a.b[0]": "now", "/data/\"\\": "now_ms" });
        assert_eq!(as_json(&values_again)["snapshots[0].merge"]["value"], merge);
    }

    #[test]
    fn secrets_are_not_shown() {
        // A key may look like a URL.
        let text = "[redis]\nurl = \"redis://user:hunter2@host\"\n[api]\nkey = \"k1://hunter2\"\n\
            [auth]\nforward_url = \"http://127.0.0.1/hunter2?hunter2\"\n\
            forward_headers = [\"authorization\"]";
        let (_, values) = check_values(text).unwrap();
        let printed = as_toml(&values);
        let nodes = "[redis]\nnodes = [\"redis://:hunter2@a\", \"redis://b\"]\n\
            sentinel_password = \"hunter2\"";
        let (_, nodes) = check_values(nodes).unwrap();
        let printed_nodes = as_toml(&nodes);
        assert!(
            printed_nodes.contains("nodes = [\"redis://:***@a\", \"redis://b\"] # redcast.toml:2"),
            "{printed_nodes}"
        );
        assert!(!printed_nodes.contains("hunter2"), "{printed_nodes}");
        assert!(
            printed.contains("url = \"redis://user:***@host\" # redcast.toml:2:1"),
            "{printed}"
        );
        assert!(printed.contains("key = \"***\" # redcast.toml:4:1"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(!as_json(&values).to_string().contains("hunter2"));
    }
}
