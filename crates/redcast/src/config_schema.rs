//! `redcast config-schema`: the schema of a configuration file, and the reference for
//! people that is made of the same source.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use serde_json::Value as Json;

use crate::layers::{check_text, variable_of};
use crate::settings::{Section, catalogue, schema};
use crate::terminal::print;

/// The hand-written part of docs/CONFIGURATION.md.
const TEMPLATE: &str = include_str!("configuration.md.in");

/// Mistakes that are easily made: in words, and as the file that makes them.
const MISTAKES: &[(&str, &str)] = &[
    ("a key was misspelt", "[http]\nlisen = \"0.0.0.0:9000\"\n"),
    ("a duration has no unit", "[keepalive]\nping_every = 30\n"),
    (
        "an origin was copied from the address bar",
        "[[endpoints]]\npath = \"/ws/shop\"\nallowed_origins = [\"https://shop.example/\"]\n",
    ),
    (
        "two endpoints have one path",
        "[[endpoints]]\npath = \"/ws/shop\"\n[[endpoints]]\npath = \"/ws/shop\"\n",
    ),
];

/// Flags of `config-schema`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  redcast config-schema > redcast.schema.json")]
pub(crate) struct ConfigSchemaFlags {
    /// Print docs/CONFIGURATION.md instead
    #[arg(long, hide = true)]
    markdown: bool,
}

/// Prints the schema.
pub(crate) fn run(flags: &ConfigSchemaFlags) -> Result<u8> {
    if flags.markdown {
        print(reference())?;
    } else {
        print(format!("{:#}\n", schema()))?;
    }
    Ok(0)
}

/// The whole of docs/CONFIGURATION.md.
fn reference() -> String {
    TEMPLATE.replace("{{mistakes}}\n", &mistakes()).replace("{{settings}}\n", &tables())
}

fn mistakes() -> String {
    let mut text = "| what happened | the file | what it says |\n|---|---|---|\n".to_owned();
    for (what, file) in MISTAKES {
        let says = check_text(file).err().map(|told| told.to_string()).unwrap_or_default();
        let lines: Vec<_> = file.lines().filter(|line| !line.is_empty()).map(code).collect();
        // To write to a String can't fail.
        let _ = writeln!(text, "| {what} | {} | {} |", lines.join("<br>"), code(&says));
    }
    text
}

fn tables() -> String {
    let mut text = String::new();
    for section in catalogue() {
        let (open, close) = if section.is_list { ("[[", "]]") } else { ("[", "]") };
        let _ = writeln!(text, "### {open}{}{close}\n\n{}\n", section.name, section.description);
        let _ = match section.is_list {
            true => writeln!(text, "| key | type | default | meaning |\n|---|---|---|---|"),
            false => writeln!(
                text,
                "| key | type | default | variable | meaning |\n|---|---|---|---|---|"
            ),
        };
        rows(&mut text, &section);
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn rows(text: &mut String, section: &Section) {
    let names = section.name.split('.');
    let schema = names.fold(schema(), |schema, name| &schema["properties"][name]);
    let schema = if section.is_list { &schema["items"] } else { schema };
    for entry in &section.entries {
        let key = &schema["properties"][entry.key];
        let required = schema["required"].as_array().into_iter().flatten();
        let default = match key.get("default") {
            Some(default) => code(&default.to_string()),
            None if required.into_iter().any(|each| each == entry.key) => "must be set".to_owned(),
            None => format!("not set; {} for example", code(entry.value)),
        };
        let (name, kind) = (code(entry.key), type_of(key));
        let variable = match section.is_list {
            true => String::new(),
            false => {
                format!("{} | ", code(&variable_of(&format!("{}.{}", section.name, entry.key))))
            }
        };
        let meaning = entry.description.replace('|', "\\|");
        let _ = writeln!(text, "| {name} | {kind} | {default} | {variable}{meaning} |");
    }
}

fn type_of(schema: &Json) -> String {
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().map(|value| code(&value.to_string())).collect();
        return values.join(", ");
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("array"), _) => format!("list of {}s", type_of(&schema["items"])),
        (Some("string"), Some(format)) => {
            let kind = crate::settings::Kind::of_format(format);
            kind.map_or("text", |kind| kind.name).to_owned()
        }
        (Some("integer"), _) => "number".to_owned(),
        (Some("boolean"), _) => "true or false".to_owned(),
        (Some("object"), _) => {
            let (key, value) = (&schema["propertyNames"], &schema["additionalProperties"]);
            format!("table of {}s with {}", type_of(key), type_of(value))
        }
        _ => "text".to_owned(),
    }
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_committed(file: &str, made: &str) {
        let path = format!("{}/../../docs/{file}", env!("CARGO_MANIFEST_DIR"));
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == made, "docs/{file} is stale; `make docs` renews it");
    }

    #[test]
    fn the_committed_schema_is_the_one_of_this_code() {
        check_committed("config.schema.json", &format!("{:#}\n", schema()));
    }

    #[test]
    fn the_committed_reference_is_the_one_of_this_code() {
        check_committed("CONFIGURATION.md", &reference());
    }

    #[test]
    fn every_example_in_the_reference_is_a_configuration() {
        let blocks: Vec<_> = TEMPLATE.split("```toml\n").skip(1).collect();
        assert!(blocks.len() >= 2);
        for block in blocks {
            let example = block.split("```").next().unwrap();
            assert_eq!(check_text(example).map_err(|told| told.to_string()), Ok(()), "{example}");
        }
    }

    #[test]
    fn every_mistake_is_one_and_told_in_one_sentence() {
        for (what, file) in MISTAKES {
            let told = check_text(file).expect_err(what).to_string();
            assert_eq!(told.lines().count(), 1, "{told}");
            assert!(told.starts_with("redcast.toml:"), "{told}");
        }
    }
}
