//! Where settings come from: built-in defaults < file < environment < flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, iter};

use anyhow::{Result, anyhow};
use config::{Config, ConfigError, Environment, File, FileFormat};

use crate::cli::ServeFlags;
use crate::settings::Settings;

const DEFAULTS: &str = include_str!("defaults.toml");
/// Names the configuration file; no setting of its own.
const CONFIG_VARIABLE: &str = "REDCAST_CONFIG";
const FILE_IN_PLACE: &str = "redcast.toml";

/// Environment variables by name.
type Variables = BTreeMap<String, String>;

/// Reads every layer. The error says where the wrong key stands and what is wrong.
pub(crate) fn load(flags: &ServeFlags) -> Result<Settings> {
    let (variables, ignored) = split_variables(text_variables(env::vars_os())?);
    for name in ignored {
        eprintln!("redcast: {name} is a Kubernetes service link, no setting; ignored");
    }
    from_layers(flags, config_file(flags).as_deref(), &variables)
}

/// Reads `text` as a configuration file over the defaults, and judges all of it.
pub(crate) fn check_text(text: &str) -> Result<()> {
    let layers = Config::builder()
        .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
        .add_source(File::from_str(text, FileFormat::Toml));
    let read = layers.build().and_then(Config::try_deserialize::<Settings>);
    let settings = read.map_err(|error| anyhow!("{}", one_line(&error)))?;
    settings.check()?;
    settings.node(u64::MAX)?;
    settings.edge(false).map(|_| ())
}

/// Foreign variables may hold what is no text; ours may not.
fn text_variables(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>> {
    let ours = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let ours = ours.filter(|(name, _)| name.starts_with("REDCAST_"));
    let texts = ours.map(|(name, value)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(anyhow!("{name}: the value is not UTF-8 text")),
    });
    texts.collect()
}

fn from_layers(flags: &ServeFlags, file: Option<&Path>, variables: &Variables) -> Result<Settings> {
    let settings = read(flags.overrides(), file, variables)
        .map_err(|error| anyhow!("{}: {}", culprit(file, variables), one_line(&error)))?;
    settings.check()?;
    Ok(settings)
}

fn read(
    flags: impl Iterator<Item = (&'static str, String)>,
    file: Option<&Path>,
    variables: &Variables,
) -> Result<Settings, ConfigError> {
    // With a prefix separator, or config-rs would ask for REDCAST__REDIS__URL and
    // ignore the documented form without a word.
    let environment = Environment::with_prefix("REDCAST")
        .prefix_separator("_")
        .separator("__")
        // Numbers are read where a number is due; parsed here, a key of digits
        // alone would lose its leading zeros.
        .try_parsing(false)
        .source(Some(variables.clone().into_iter().collect()));
    let mut layers = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
    if let Some(file) = file {
        layers = layers.add_source(File::from(file).format(FileFormat::Toml));
    }
    layers = layers.add_source(environment);
    for (key, value) in flags {
        layers = layers.set_override(key, value)?;
    }
    layers.build().and_then(Config::try_deserialize)
}

/// Which layer is to blame, found by reading without the later ones.
fn culprit(file: Option<&Path>, variables: &Variables) -> String {
    let fails = |variables: &Variables| read(iter::empty(), file, variables).is_err();
    if let Some(file) = file
        && fails(&Variables::new())
    {
        return file.display().to_string();
    }
    let mut each = variables.iter().map(|(name, value)| (name.clone(), value.clone()));
    let guilty = each.find(|variable| fails(&Variables::from([variable.clone()])));
    guilty.map_or_else(|| "command line".to_owned(), |(name, _)| name)
}

/// The error without the picture of the place, which takes several lines, and
/// without the file's name, which stands before it.
fn one_line(error: &ConfigError) -> String {
    let text = error.to_string();
    let margin = |c: char| c.is_whitespace() || c.is_ascii_digit();
    let is_picture = |line: &&str| line.trim_start_matches(margin).starts_with('|');
    let lines = text.lines().filter(|line| !is_picture(line)).map(str::trim);
    lines.filter(|line| !line.starts_with("in ")).collect::<Vec<_>>().join(": ")
}

fn config_file(flags: &ServeFlags) -> Option<PathBuf> {
    let named = flags.config.clone().or_else(|| env::var_os(CONFIG_VARIABLE).map(PathBuf::from));
    named.or_else(|| Path::new(FILE_IN_PLACE).exists().then(|| FILE_IN_PLACE.into()))
}

/// Our variables, and the names of those that Kubernetes sets for Services whose
/// names begin with redcast, such as redcast-redis.
fn split_variables(
    variables: impl IntoIterator<Item = (String, String)>,
) -> (Variables, Vec<String>) {
    let ours = variables
        .into_iter()
        .filter(|(name, _)| name.starts_with("REDCAST_") && name.as_str() != CONFIG_VARIABLE);
    let (links, ours): (Vec<_>, Vec<_>) =
        ours.partition(|(name, value)| is_service_link(name, value));
    (ours.into_iter().collect(), links.into_iter().map(|(name, _)| name).collect())
}

fn is_service_link(name: &str, value: &str) -> bool {
    let shaped = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT_"].iter().any(|part| name.contains(part))
        // A bare number is somebody who wanted to set the port, and should be told.
        || (name.ends_with("_PORT") && value.contains("://"));
    // Every setting has a section, so its variable has two underscores in a row.
    shaped && !name.contains("__")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::BrokerSettings;
    use std::io::Write;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
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
        let settings = from_layers(&flags, path.as_deref(), &environment).unwrap();
        assert_eq!(settings.http.listen.port(), 1);
        assert_eq!(settings.admin.listen.port(), 3);
        assert_eq!(settings.log.level, "trace");
        assert_eq!(settings.node(1000).unwrap().max_connections, 77);
        assert!(matches!(settings.broker(), BrokerSettings::Memory(_)));
    }

    #[test]
    fn the_defaults_alone_are_a_configuration() {
        let settings = from_layers(&ServeFlags::default(), None, &Variables::new()).unwrap();
        assert_eq!(settings.node(1000).unwrap().max_connections, 744);
        let edge = settings.edge(false).unwrap();
        assert_eq!(edge.endpoints[0].path, "/ws/analytics");
        assert_eq!(edge.max_event_size, 1 << 20);
    }

    #[track_caller]
    fn refused(text: &str, environment: &[(&str, &str)]) -> String {
        let (_kept, path) = file(text);
        let loaded = from_layers(&ServeFlags::default(), path.as_deref(), &variables(environment));
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
            ("nonsense", vec![], "line 1, column 9: key with no value"),
            ("", vec![("REDCAST_HTTP__PORT", "1")], "REDCAST_HTTP__PORT: unknown field `port`"),
            ("", vec![("REDCAST_URL", "1")], "REDCAST_URL: unknown field `url`"),
            ("", vec![("REDCAST_LIMITS__MAX_CONNECTIONS", "-1")], "limits.max_connections"),
            ("", vec![("REDCAST_LIMITS__OUTBOX", "0")], "limits.outbox: must be more than 0"),
            ("", vec![("REDCAST_KEEPALIVE__PING_EVERY", "0s")], "keepalive.ping_every"),
            ("", vec![("REDCAST_KEEPALIVE__IDLE_TIMEOUT", "9s")], "keepalive.idle_timeout"),
            ("[[endpoints]]\npath = \"/a\"\nmax_message_size = 0", vec![], "max_message_size"),
            ("[[endpoints]]\npath = \"ws\"", vec![], "\"ws\""),
            ("[[endpoints]]\npath = \"/a\"\n[[endpoints]]\npath = \"/a\"", vec![], "used twice"),
            ("[[endpoints]]\npath = \"/a\"\nchannels = [\"a b\"]", vec![], "channels"),
            ("[[endpoints]]\npath = \"/a\"\nsubscribe = [\"a[b]\"]", vec![], "subscribe"),
            ("[[channels]]\npattern = \"\"", vec![], "pattern"),
            ("[[channels]]\npattern = \"a\"\nslow_consumer = \"wait\"", vec![], "slow_consumer"),
            ("[api]\nkey = \"a\"\nkey_file = \"b\"", vec![], "api.key_file"),
            ("[api]\nkey_file = \"/nowhere/key\"", vec![], "/nowhere/key"),
            ("[limits]\nmax_event_size = \"33MiB\"", vec![], "limits.max_event_size"),
            (
                "[limits]\nmax_subscriptions = 1\n[[endpoints]]\npath = \"/a\"\nchannels = [\"a\", \"b\"]",
                vec![],
                "limits.max_subscriptions",
            ),
        ] {
            let message = refused(text, &environment);
            assert!(message.contains(part), "{text:?}: {message}");
        }
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let path = Path::new("/nowhere/redcast.toml");
        let error = from_layers(&ServeFlags::default(), Some(path), &Variables::new()).unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere/redcast.toml"));
    }

    #[test]
    fn only_our_own_variables_must_be_text() {
        use std::os::unix::ffi::OsStringExt;
        let variable = |name: &str| (OsString::from(name), OsString::from_vec(vec![0xff]));
        assert!(text_variables([variable("FOREIGN")].into_iter()).unwrap().is_empty());
        let error = text_variables([variable("REDCAST_LOG__LEVEL")].into_iter()).unwrap_err();
        assert!(error.to_string().contains("REDCAST_LOG__LEVEL"), "{error}");
    }

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
        let ours = [("REDCAST_LOG__LEVEL", "info"), ("REDCAST_PORT", "8080")];
        let others = [("REDCAST_CONFIG", "x"), ("PATH", "y"), ("REDIS_PORT", "tcp://10.0.0.2:1")];
        for group in [&links[..], &ours, &others] {
            let named = group.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            let (settings, ignored) = split_variables(named);
            let expected = |of: &[(&str, &str)]| if of == group { group.len() } else { 0 };
            assert_eq!((settings.len(), ignored.len()), (expected(&ours), expected(&links)));
        }
    }
}
