//! A secret that no log may ever hold, and the watch over that.
//!
//! Every client and every request of this harness carries it in a cookie, and every
//! gateway that a harness connects to a Redis without a password gets it as the
//! password. A story puts it also where its own secrets and payloads are.

/// Stands for tokens, passwords and payloads; fit for a header, a URL and a channel's
/// name.
const CANARY: &str = "canary-5c1f0e7a9b3d";

/// The secret.
pub const fn canary() -> &'static str {
    CANARY
}

/// The lines that hold it, in whatever case.
pub(crate) fn leaks(lines: &[String]) -> Vec<&String> {
    let holds = |line: &&String| line.to_ascii_lowercase().contains(CANARY);
    lines.iter().filter(holds).collect()
}

/// A URL that logs in with the canary. A server whose default user has no password
/// takes any, as long as a user is named.
pub(crate) fn with_password(redis_url: &str) -> String {
    match redis_url.strip_prefix("redis://") {
        Some(rest) if !rest.contains('@') => format!("redis://default:{CANARY}@{rest}"),
        _ => redis_url.to_owned(),
    }
}
