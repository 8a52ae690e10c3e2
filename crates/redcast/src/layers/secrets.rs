//! Secrets in files: `redis.url_file` and its like name the file that holds `redis.url`.

use std::path::Path;

use redcast_broker::{RedisTls, RedisTlsPart};

use super::file::read_text;
use crate::settings::{Parsed, RedisUrl, Settings, Tls, Written, wrong_nodes};

/// Reads the files that the settings name; the errors go with the keys.
pub(super) fn read_files(settings: &mut Settings) -> Vec<(&'static str, String)> {
    let (redis, auth, api) = (&mut settings.redis, &mut settings.auth, &mut settings.api);
    let read = [
        ("redis.url_file", read(redis.url_file.as_deref(), &mut redis.url)),
        ("redis.nodes_file", read_nodes(redis.nodes_file.as_deref(), &mut redis.nodes)),
        (
            "redis.sentinel_password_file",
            read(redis.sentinel_password_file.as_deref(), &mut redis.sentinel_password),
        ),
        ("auth.forward_url_file", read(auth.forward_url_file.as_deref(), &mut auth.forward_url)),
        ("api.key_file", read(api.key_file.as_deref(), &mut api.key)),
    ];
    let mut wrong: Vec<_> =
        read.into_iter().filter_map(|(key, read)| Some((key, read.err()?))).collect();
    wrong.extend(read_tls(&mut redis.tls).err());
    wrong
}

/// Reads the files of TLS; that two of them go together has been checked.
fn read_tls(tls: &mut Tls) -> Result<(), (&'static str, String)> {
    let (ca_key, cert_key, key_key) =
        ("redis.tls.ca_file", "redis.tls.cert_file", "redis.tls.key_file");
    let ca = read_pem(ca_key, tls.ca_file.as_deref())?;
    let cert = read_pem(cert_key, tls.cert_file.as_deref())?;
    let key = read_pem(key_key, tls.key_file.as_deref())?;
    tls.read = RedisTls::new(ca, cert.zip(key)).map_err(|error| {
        let (key, file) = match error.part {
            RedisTlsPart::Ca => (ca_key, &tls.ca_file),
            RedisTlsPart::Cert => (cert_key, &tls.cert_file),
            RedisTlsPart::Key => (key_key, &tls.key_file),
        };
        let file = file.as_deref().unwrap_or(Path::new(""));
        (key, format!("{}: {error}", file.display()))
    })?;
    Ok(())
}

fn read_pem(
    key: &'static str,
    file: Option<&Path>,
) -> Result<Option<Vec<u8>>, (&'static str, String)> {
    let Some(file) = file else { return Ok(None) };
    if file.as_os_str().is_empty() {
        return Err((key, "the path is empty; leave the key out".to_owned()));
    }
    let text = read_text(file).map_err(|why| (key, format!("{}: {why}", file.display())))?;
    Ok(Some(text.into_bytes()))
}

fn read<T: Written>(file: Option<&Path>, value: &mut Option<Parsed<T>>) -> Result<(), String> {
    let Some(file) = file else { return Ok(()) };
    let text = text_of(file)?;
    let secret = T::read(&text).map_err(|why| {
        let why = if why.is_empty() { why } else { format!(": {why}") };
        named(file, &format!("what this file holds is not {}{why}", T::EXPECTED))
    })?;
    *value = Some(Parsed(secret));
    Ok(())
}

/// One URL in each line that is not empty.
fn read_nodes(
    file: Option<&Path>,
    value: &mut Option<Vec<Parsed<RedisUrl>>>,
) -> Result<(), String> {
    let Some(file) = file else { return Ok(()) };
    let text = text_of(file)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let nodes = lines.map(|(number, line)| {
        let url = RedisUrl::read(line.trim()).map_err(|why| {
            let what = format!("line {} is not {}: {why}", number + 1, RedisUrl::EXPECTED);
            named(file, &what)
        })?;
        Ok(Parsed(url))
    });
    let nodes = nodes.collect::<Result<Vec<_>, String>>()?;
    if let Some(why) = wrong_nodes(&nodes) {
        return Err(named(file, &why));
    }
    *value = Some(nodes);
    Ok(())
}

/// What the file holds, without the line feed that editors and `echo` end it with.
fn text_of(file: &Path) -> Result<String, String> {
    if file.as_os_str().is_empty() {
        return Err("the path is empty; leave the key out".to_owned());
    }
    let text = read_text(file).map_err(|why| named(file, &why))?;
    match text.trim() {
        "" => Err(named(file, "this file is empty")),
        text => Ok(text.to_owned()),
    }
}

fn named(file: &Path, why: &str) -> String {
    format!("{}: {why}", file.display())
}
