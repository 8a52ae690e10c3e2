//! What this program is called when somebody asks which one it is.

/// The release.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit's short hash, or "unknown" (build.rs).
pub(crate) const COMMIT: &str = env!("REDCAST_BUILD_COMMIT");
/// All of it, for `--version`: the commit's day too, where it is known.
pub(crate) const LONG: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("REDCAST_BUILD"), ")");
