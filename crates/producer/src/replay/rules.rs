//! Which lines are page views, and what such a line becomes.
//!
//! A page view is a GET that was answered with 2xx or 304, of a path that is no asset, by
//! what calls itself a browser. docs/PRODUCERS.md tells these rules to their users.

use serde::Serialize;

use super::line::LogLine;
use crate::collect::agent::{Agent, shorten};

/// The longest path and referrer of a page view, bytes.
const MAX_TEXT: usize = 512;

/// What a page or a person does not ask for by its address, in lower case.
const ASSETS: [&str; 58] = [
    "css",
    "js",
    "mjs",
    "map",
    "json",
    "xml",
    "txt",
    "ico",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "avif",
    "bmp",
    "tif",
    "tiff",
    "woff",
    "woff2",
    "ttf",
    "otf",
    "eot",
    "mp3",
    "m4a",
    "ogg",
    "wav",
    "flac",
    "mp4",
    "webm",
    "mov",
    "avi",
    "mkv",
    "m3u8",
    "ts",
    "pdf",
    "zip",
    "gz",
    "tgz",
    "bz2",
    "xz",
    "7z",
    "rar",
    "tar",
    "iso",
    "exe",
    "msi",
    "dmg",
    "apk",
    "deb",
    "rpm",
    "csv",
    "rss",
    "atom",
    "wasm",
    "webmanifest",
    "yaml",
    "yml",
];

/// Why a line that could be read is no page view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skip {
    NoRequest,
    Method,
    Status,
    Asset,
    Bot,
}

/// How many lines were no page views, by the first reason that applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The client did not speak HTTP, or asked for nothing that has a path.
    pub no_request: u64,
    /// Other methods than GET.
    pub methods: u64,
    /// Other answers than 2xx and 304.
    pub statuses: u64,
    /// Style sheets, scripts, pictures, fonts, downloads and the like.
    pub assets: u64,
    /// User agents that name a program, or nothing.
    pub bots: u64,
}

impl Skipped {
    /// One line more.
    pub(super) fn count(&mut self, why: Skip) {
        *match why {
            Skip::NoRequest => &mut self.no_request,
            Skip::Method => &mut self.methods,
            Skip::Status => &mut self.statuses,
            Skip::Asset => &mut self.assets,
            Skip::Bot => &mut self.bots,
        } += 1;
    }

    /// Adds what was counted elsewhere.
    pub(super) fn add(&mut self, more: &Self) {
        self.no_request += more.no_request;
        self.methods += more.methods;
        self.statuses += more.statuses;
        self.assets += more.assets;
        self.bots += more.bots;
    }

    /// Lines in all.
    pub fn total(&self) -> u64 {
        self.no_request + self.methods + self.statuses + self.assets + self.bots
    }
}

/// What was opened, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) path: String,
    pub(super) referrer: Option<String>,
    pub(super) device: &'static str,
}

/// Judges a line; with `all`, every GET that has a path is a page view.
pub(super) fn page_view(line: &LogLine<'_>, all: bool) -> Result<Opened, Skip> {
    let request = line.request.as_ref().ok_or(Skip::NoRequest)?;
    if request.method != "GET" {
        return Err(Skip::Method);
    }
    let path = path(&request.target).ok_or(Skip::NoRequest)?;
    let agent = line.browser.as_ref().map(|browser| Agent::new(shorten(&browser.agent)));
    if !all {
        if !(200..300).contains(&line.status) && line.status != 304 {
            return Err(Skip::Status);
        }
        if is_asset(path) {
            return Err(Skip::Asset);
        }
        // A log in the common format does not say who looked.
        if agent.as_ref().is_some_and(Agent::is_robot) {
            return Err(Skip::Bot);
        }
    }
    let referrer = line.browser.as_ref().and_then(|browser| origin(&browser.referrer));
    Ok(Opened {
        path: shortened(path).to_owned(),
        referrer,
        device: agent.map_or("desktop", |agent| agent.device()),
    })
}

/// The path of a request's target; none of one that has none (`*`).
fn path(target: &str) -> Option<&str> {
    let absolute = ["http://", "https://"].iter().find_map(|scheme| target.strip_prefix(scheme));
    let path = match absolute {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    path.starts_with('/').then(|| without_query(path))
}

/// Queries may hold what is nobody's business, such as tokens and search words.
fn without_query(text: &str) -> &str {
    text.find(['?', '#']).map_or(text, |at| &text[..at])
}

/// As much of a referrer as a collector keeps too: which site it was, and no more.
fn origin(referrer: &str) -> Option<String> {
    let (scheme, rest) = referrer.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    // Some put a name and a password in front of the host.
    let host = authority.rsplit('@').next().filter(|host| !host.is_empty())?;
    let origin = format!("{scheme}://{host}/");
    (origin.len() <= MAX_TEXT).then_some(origin)
}

fn is_asset(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| ASSETS.contains(&&*extension))
        || path.starts_with("/.well-known/")
}

fn shortened(text: &str) -> &str {
    // Every character has a boundary within four bytes.
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
