//! Where settings come from: built-in defaults < file < environment < flags.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use config::{Config, Environment, File, FileFormat};

use crate::cli::ServeFlags;
use crate::settings::Settings;

const DEFAULTS: &str = include_str!("defaults.toml");
/// Names the configuration file; no setting of its own.
const CONFIG_VARIABLE: &str = "REDCAST_CONFIG";
const FILE_IN_PLACE: &str = "redcast.toml";

/// Reads every layer. The error says which key is wrong and what is wrong with it.
pub(crate) fn load(flags: &ServeFlags) -> Result<Settings> {
    let (variables, ignored) = split_variables(env::vars());
    for name in ignored {
        eprintln!("redcast: {name} is a Kubernetes service link, no setting; ignored");
    }
    from_layers(flags, config_file(flags).as_deref(), variables)
}

fn from_layers(
    flags: &ServeFlags,
    file: Option<&Path>,
    variables: HashMap<String, String>,
) -> Result<Settings> {
    // With a prefix separator, or config-rs would ask for REDCAST__REDIS__URL and
    // ignore the documented form without a word.
    let environment = Environment::with_prefix("REDCAST")
        .prefix_separator("_")
        .separator("__")
        .try_parsing(true)
        .source(Some(variables));
    let mut layers = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    if let Some(file) = file {
        layers = layers.add_source(File::from(file).format(FileFormat::Toml));
    }
    layers = layers.add_source(environment);
    for (key, value) in flags.overrides() {
        layers = layers.set_override(key, value).with_context(|| format!("--{key}"))?;
    }
    let settings = layers.build().and_then(Config::try_deserialize);
    settings.with_context(|| match file {
        Some(file) => format!("configuration ({} and REDCAST_ variables)", file.display()),
        None => "configuration (no file; REDCAST_ variables and flags)".to_owned(),
    })
}

fn config_file(flags: &ServeFlags) -> Option<PathBuf> {
    let named = flags.config.clone().or_else(|| env::var_os(CONFIG_VARIABLE).map(PathBuf::from));
    named.or_else(|| Path::new(FILE_IN_PLACE).exists().then(|| FILE_IN_PLACE.into()))
}

/// Our variables, and the names of those that Kubernetes sets for a Service that
/// is called redcast.
fn split_variables(
    variables: impl Iterator<Item = (String, String)>,
) -> (HashMap<String, String>, Vec<String>) {
    let ours = variables
        .filter(|(name, _)| name.starts_with("REDCAST_") && name.as_str() != CONFIG_VARIABLE);
    let (links, ours): (Vec<_>, Vec<_>) = ours.partition(|(name, _)| is_service_link(name));
    (ours.into_iter().collect(), links.into_iter().map(|(name, _)| name).collect())
}

fn is_service_link(name: &str) -> bool {
    name == "REDCAST_PORT"
        || name.starts_with("REDCAST_PORT_")
        || name.starts_with("REDCAST_SERVICE_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::BrokerSettings;
    use std::io::Write;

    fn variables(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, Option<PathBuf>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().to_owned();
        (file, Some(path))
    }

    #[test]
    fn later_layers_win() {
        let (_kept, path) = file(
            "[http]\nlisten = \"127.0.0.1:1\"\n[admin]\nlisten = \"127.0.0.1:2\"\n[log]\nlevel = \"warn\"",
        );
        let environment = variables(&[
            ("REDCAST_ADMIN__LISTEN", "127.0.0.1:3"),
            ("REDCAST_LOG__LEVEL", "debug"),
            ("REDCAST_LIMITS__MAX_CONNECTIONS", "77"),
        ]);
        let flags = ServeFlags { log_level: Some("trace".to_owned()), ..ServeFlags::default() };
        let settings = from_layers(&flags, path.as_deref(), environment).unwrap();
        assert_eq!(settings.http.listen.port(), 1);
        assert_eq!(settings.admin.listen.port(), 3);
        assert_eq!(settings.log.level, "trace");
        assert_eq!(settings.node(1000).unwrap().max_connections, 77);
        assert!(matches!(settings.broker(), BrokerSettings::Memory(_)));
    }

    #[test]
    fn the_defaults_alone_are_a_configuration() {
        let settings = from_layers(&ServeFlags::default(), None, HashMap::new()).unwrap();
        assert_eq!(settings.node(1000).unwrap().max_connections, 744);
        let edge = settings.edge(false).unwrap();
        assert_eq!(edge.endpoints[0].path, "/ws/analytics");
        assert_eq!(edge.max_event_size, 1 << 20);
    }

    #[track_caller]
    fn refused(text: &str, environment: &[(&str, &str)]) -> String {
        let (_kept, path) = file(text);
        let loaded = from_layers(&ServeFlags::default(), path.as_deref(), variables(environment));
        let checked = loaded.and_then(|settings| {
            settings.node(1000)?;
            settings.edge(false)
        });
        format!("{:#}", checked.expect_err(text))
    }

    #[test]
    fn names_the_key_that_is_wrong() {
        for (text, environment, part) in [
            ("[http]\nport = 1", vec![], "port"),
            ("[htp]", vec![], "htp"),
            ("[http]\nlisten = 5", vec![], "http.listen"),
            ("[http]\nhandshake_timeout = \"soon\"", vec![], "http.handshake_timeout"),
            ("nonsense", vec![], "TOML"),
            ("", vec![("REDCAST_HTTP__PORT", "1")], "port"),
            ("", vec![("REDCAST_URL", "1")], "url"),
            ("[[endpoints]]\npath = \"ws\"", vec![], "\"ws\""),
            ("[[endpoints]]\npath = \"/a\"\n[[endpoints]]\npath = \"/a\"", vec![], "used twice"),
            ("[[endpoints]]\npath = \"/a\"\nchannels = [\"a b\"]", vec![], "channels"),
            ("[[endpoints]]\npath = \"/a\"\nsubscribe = [\"a[b]\"]", vec![], "subscribe"),
            ("[[channels]]\npattern = \"\"", vec![], "pattern"),
            ("[[channels]]\npattern = \"a\"\nslow_consumer = \"wait\"", vec![], "slow_consumer"),
            ("[api]\nkey = \"a\"\nkey_file = \"b\"", vec![], "api.key_file"),
            ("[api]\nkey_file = \"/nowhere/key\"", vec![], "/nowhere/key"),
        ] {
            let message = refused(text, &environment);
            assert!(message.contains(part), "{text:?}: {message}");
        }
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let path = Path::new("/nowhere/redcast.toml");
        let error = from_layers(&ServeFlags::default(), Some(path), HashMap::new()).unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere/redcast.toml"));
    }

    #[test]
    fn service_links_are_told_apart() {
        let all = [
            "REDCAST_PORT",
            "REDCAST_PORT_8080_TCP",
            "REDCAST_SERVICE_HOST",
            "REDCAST_LOG__LEVEL",
            "REDCAST_CONFIG",
            "PATH",
        ];
        let (ours, links) =
            split_variables(all.into_iter().map(|name| (name.to_owned(), String::new())));
        assert_eq!(ours.into_keys().collect::<Vec<_>>(), ["REDCAST_LOG__LEVEL"]);
        assert_eq!(links, ["REDCAST_PORT", "REDCAST_PORT_8080_TCP", "REDCAST_SERVICE_HOST"]);
    }
}
