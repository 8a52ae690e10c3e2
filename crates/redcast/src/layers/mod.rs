//! Where settings come from: built-in defaults < file < environment < flags. Each
//! layer is judged by itself, so that what is wrong is told with its place; then they
//! are merged, every value keeps its origin, and the whole is checked once more.

mod blame;
mod file;
mod judge;
mod problem;
mod secrets;
mod set_by;
mod twins;
mod variables;

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;
use config::{Config, ConfigError, Map, Source, Value, ValueKind};
use serde_json::Value as Json;

use self::blame::{blamed, origin_of};
pub(crate) use self::problem::{Problem, Problems};
pub(crate) use self::variables::variable_of;
use self::variables::{CONFIG_VARIABLE, Variables};
use crate::cli::ServeFlags;
use crate::demo::EXAMPLE;
use crate::settings::{DEFAULTS, Finding, Settings, schema};

const FILE_IN_PLACE: &str = "redcast.toml";

/// A configuration that can be run, and where it came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// Every effective value with its origin (none: a built-in default), in the order
    /// of the defaults; as written, before secrets were read from their files.
    pub(crate) values: Value,
    pub(crate) file: Option<PathBuf>,
    /// How many variables and flags set something.
    pub(crate) variables: usize,
    pub(crate) flags: usize,
    /// What works, but not as it says.
    pub(crate) warnings: Vec<String>,
}

/// One value from outside the file.
#[derive(Debug, Clone)]
struct Setting {
    key: String,
    value: Value,
}

/// Values of one origin, judged.
#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Reads every layer, with warnings on standard error. The error says where each
/// wrong key stands and what is wrong.
pub(crate) fn load(flags: &ServeFlags) -> Result<Settings> {
    let loaded = read(flags)?;
    for warning in &loaded.warnings {
        crate::terminal::warn(warning);
    }
    Ok(loaded.settings)
}

/// Reads every layer of this process.
pub(crate) fn read(flags: &ServeFlags) -> Result<Loaded, Problems> {
    let (variables, links) = variables::ours(env::vars_os());
    let ignored = links
        .iter()
        .map(|name| format!("{name} is a Kubernetes service link, no setting; ignored"));
    let mut loaded = from_layers(flags, named_file(flags), &variables)?;
    loaded.warnings.extend(ignored);
    Ok(loaded)
}

/// Reads `text` as a configuration file over the defaults, and judges all of it. Files
/// that it names are not opened.
pub(crate) fn check_text(text: &str) -> Result<(), Problems> {
    check_values(text).map(|_| ())
}

/// [`check_text`], with what the text sets.
pub(crate) fn check_values(text: &str) -> Result<(Settings, Value), Problems> {
    let mut problems = Vec::new();
    let layers = [Some(defaults()?), file_layer(FILE_IN_PLACE, text, &mut problems)];
    merged(layers.into_iter().flatten(), problems)
}

fn from_layers(
    flags: &ServeFlags,
    file: Option<(PathBuf, Option<&'static str>)>,
    variables: &Variables,
) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut layers = vec![defaults()?];
    if flags.demo {
        layers.push(demo()?);
    }
    if let Some((path, named_by)) = &file {
        let name = path.display().to_string();
        match file::read_text(path) {
            Ok(text) => layers.extend(file_layer(&name, &text, &mut problems)),
            Err(why) => {
                let by = named_by.map(|by| format!(" (named by {by})")).unwrap_or_default();
                problems.push(Problem::new(name, format!("{why}{by}")));
            }
        }
    }
    let from_variables = variables::settings(variables, &mut problems);
    let mut from_flags = Vec::new();
    for (flag, key, text) in flags.overrides() {
        match variables::setting(flag, key, &text) {
            Ok(setting) => from_flags.push(setting),
            Err(wrong) => problems.extend(wrong),
        }
    }
    let counts = (from_variables.len(), from_flags.len());
    layers.push(Layer::of(from_variables));
    layers.push(Layer::of(from_flags));
    let (mut settings, values) = merged(layers.into_iter(), problems)?;
    let unread = secrets::read_files(&mut settings);
    let unread = unread.into_iter();
    let findings = unread.map(|(key, why)| Finding(vec![(key.into(), why)]));
    let findings = findings.chain(settings.check_use_of_tls()).chain(settings.check_cluster());
    let findings: Vec<_> = findings.collect();
    if !findings.is_empty() {
        return Err(Problems(findings.iter().map(|finding| blamed(finding, &values)).collect()));
    }
    let (_, descriptors) = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap_or((0, u64::MAX));
    let warnings = settings.warnings(descriptors);
    let warnings = warnings.iter().map(|finding| blamed(finding, &values).to_string()).collect();
    let file = file.map(|(path, _)| path);
    Ok(Loaded { settings, values, file, variables: counts.0, flags: counts.1, warnings })
}

impl Layer {
    fn of(settings: Vec<Setting>) -> Self {
        Self(settings.into_iter().map(|setting| (setting.key, setting.value)).collect())
    }
}

/// The weakest layer. That it is right is tested; a value of it has no origin.
fn defaults() -> Result<Layer, Problems> {
    let read = file::parse("defaults", DEFAULTS).map_err(|problem| Problems(vec![problem]))?;
    Ok(Layer(read.into_iter().map(|(key, value)| (key, without_origin(value))).collect()))
}

/// What the demo shows, a little stronger than the defaults: the endpoint and the snapshot
/// of the example that is shipped, and a page that counts its own visitors.
fn demo() -> Result<Layer, Problems> {
    let read = file::parse("demo", EXAMPLE).map_err(|problem| Problems(vec![problem]))?;
    let lists = ["endpoints", "snapshots"];
    let shown = read.into_iter().filter(|(key, _)| lists.contains(&key.as_str()));
    let mut layer: Map<_, _> = shown.map(|(key, value)| (key, without_origin(value))).collect();
    let collector = Map::from([("collector".to_owned(), Value::new(None, "/"))]);
    layer.insert("page".to_owned(), Value::new(None, ValueKind::Table(collector)));
    Ok(Layer(layer))
}

fn without_origin(value: Value) -> Value {
    let kind = match value.kind {
        ValueKind::Table(table) => ValueKind::Table(
            table.into_iter().map(|(key, value)| (key, without_origin(value))).collect(),
        ),
        ValueKind::Array(items) => {
            ValueKind::Array(items.into_iter().map(without_origin).collect())
        }
        kind => kind,
    };
    Value::new(None, kind)
}

fn file_layer(name: &str, text: &str, problems: &mut Vec<Problem>) -> Option<Layer> {
    match file::parse(name, text) {
        Ok(tables) => {
            let whole = Value::new(Some(&name.to_owned()), tables.clone());
            judge::judge(&whole, schema(), "", problems);
            Some(Layer(tables))
        }
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// Merges judged layers, and checks what no layer shows by itself.
fn merged(
    layers: impl Iterator<Item = Layer>,
    problems: Vec<Problem>,
) -> Result<(Settings, Value), Problems> {
    if !problems.is_empty() {
        return Err(Problems::in_order(problems));
    }
    // Every value was judged by the schema of the same types, so that this can't fail
    // but by a mistake of ours.
    let ours =
        |error: ConfigError| Problems(vec![Problem::new("configuration", error.to_string())]);
    let builder = layers.fold(Config::builder(), |builder, layer| builder.add_source(layer));
    let mut values = builder.build().map_err(ours)?.cache;
    let unclear = twins::settle(&mut values);
    // Before it is filled in what nobody wrote.
    let own_endpoints = origin_of(&values, "endpoints").is_some();
    complete(&mut values, schema());
    let settings: Settings = values.clone().try_deserialize().map_err(ours)?;
    let findings = settings.check(own_endpoints);
    let wrong = findings.iter().map(|finding| blamed(finding, &values));
    let problems: Vec<_> = unclear.into_iter().chain(wrong).collect();
    match problems.is_empty() {
        true => Ok((settings, values)),
        false => Err(Problems::in_order(problems)),
    }
}

/// Fills in what the tables of a list leave out, so that it is seen.
fn complete(value: &mut Value, schema: &Json) {
    match &mut value.kind {
        ValueKind::Table(table) => {
            for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
                if !table.contains_key(key)
                    && let Some(default) = schema.get("default")
                {
                    table.insert(key.clone(), from_json(default));
                }
                if let Some(value) = table.get_mut(key) {
                    complete(value, schema);
                }
            }
        }
        ValueKind::Array(items) => {
            items.iter_mut().for_each(|item| complete(item, &schema["items"]));
        }
        _ => {}
    }
}

fn from_json(json: &Json) -> Value {
    let kind = match json {
        Json::Bool(value) => ValueKind::Boolean(*value),
        Json::Number(number) => ValueKind::I64(number.as_i64().unwrap_or_default()),
        Json::String(text) => ValueKind::String(text.clone()),
        Json::Array(items) => ValueKind::Array(items.iter().map(from_json).collect()),
        Json::Object(table) => ValueKind::Table(
            table.iter().map(|(key, value)| (key.clone(), from_json(value))).collect(),
        ),
        Json::Null => ValueKind::Nil,
    };
    Value::new(None, kind)
}

/// What the schema says of a key that is no list of tables and in none.
fn schema_of(key: &str) -> Option<&'static Json> {
    let (section, key) = key.rsplit_once('.')?;
    let section = section.split('.').fold(schema(), |schema, name| &schema["properties"][name]);
    section["properties"].get(key)
}

/// The file to read, and what named it.
fn named_file(flags: &ServeFlags) -> Option<(PathBuf, Option<&'static str>)> {
    if let Some(path) = &flags.config {
        return Some((path.clone(), Some("--config")));
    }
    // Compose files set what they don't have to nothing.
    let variable = env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty());
    if let Some(path) = variable {
        return Some((path.into(), Some(CONFIG_VARIABLE)));
    }
    is_there(Path::new(FILE_IN_PLACE)).then(|| (FILE_IN_PLACE.into(), None))
}

/// Whether there is something by this name, even if it can't be opened: to start without
/// a file that somebody wrote would be worse than not to start.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().map_or_else(|error| error.kind() != ErrorKind::NotFound, |_| true)
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "wrong_files_tests.rs"]
mod wrong_files_tests;

#[cfg(test)]
#[path = "nodes_tests.rs"]
mod nodes_tests;
