//! Secrets in files: `redis.url_file` and its like name the file that holds `redis.url`.

use std::path::Path;

use super::file::read_text;
use crate::settings::{Parsed, Settings, Written};

/// Reads the files that the settings name; the errors go with the keys.
pub(super) fn read_files(settings: &mut Settings) -> Vec<(&'static str, String)> {
    let (redis, auth, api) = (&mut settings.redis, &mut settings.auth, &mut settings.api);
    let read = [
        ("redis.url_file", read(redis.url_file.as_deref(), &mut redis.url)),
        ("auth.forward_url_file", read(auth.forward_url_file.as_deref(), &mut auth.forward_url)),
        ("api.key_file", read(api.key_file.as_deref(), &mut api.key)),
    ];
    read.into_iter().filter_map(|(key, read)| Some((key, read.err()?))).collect()
}

fn read<T: Written>(file: Option<&Path>, value: &mut Option<Parsed<T>>) -> Result<(), String> {
    let Some(file) = file else { return Ok(()) };
    if file.as_os_str().is_empty() {
        return Err("the path is empty; leave the key out".to_owned());
    }
    let named = |why: String| format!("{}: {why}", file.display());
    let text = read_text(file).map_err(named)?;
    // Editors and `echo` end a file with a line feed that is no part of the secret.
    let text = text.trim();
    if text.is_empty() {
        return Err(named("this file is empty".to_owned()));
    }
    let secret = T::read(text).map_err(|why| {
        let why = if why.is_empty() { why } else { format!(": {why}") };
        named(format!("what this file holds is not {}{why}", T::EXPECTED))
    })?;
    *value = Some(Parsed(secret));
    Ok(())
}
