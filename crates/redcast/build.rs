//! Finds out which commit is built, for `--version`: `$REDCAST_COMMIT` where a build has
//! no repository around it (containers), else what git says, else "unknown".

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=REDCAST_COMMIT");
    let (commit, date) = given().or_else(from_git).unwrap_or_else(|| ("unknown".into(), None));
    let build = date.map_or_else(|| commit.clone(), |date| format!("{commit} {date}"));
    println!("cargo:rustc-env=REDCAST_BUILD_COMMIT={commit}");
    println!("cargo:rustc-env=REDCAST_BUILD={build}");
}

/// The hash and, where it is known, the day.
type Commit = (String, Option<String>);

fn given() -> Option<Commit> {
    let commit = env::var("REDCAST_COMMIT").ok()?;
    let commit = commit.trim();
    // It becomes a metric's label and a line on a terminal.
    let plain = !commit.is_empty() && commit.chars().all(|c| c.is_ascii_alphanumeric());
    // A whole hash is as good as a short one.
    plain.then(|| (commit.chars().take(12).collect(), None))
}

fn from_git() -> Option<Commit> {
    let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).ancestors().nth(2)?.to_owned();
    // Sources that were unpacked inside of somebody else's repository have no commit.
    let top = PathBuf::from(git(&root, &["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != root.canonicalize().ok()? {
        return None;
    }
    watch(&root);
    let shown = git(&root, &["log", "-1", "--abbrev=10", "--format=%h %cs"])?;
    let (hash, date) = shown.split_once(' ')?;
    Some((hash.to_owned(), Some(date.to_owned())))
}

/// Names the files that change with the commit: HEAD, its branch, and the log that is
/// written also when the branch had been packed away. A file that is not there would
/// make cargo build again each time.
fn watch(root: &Path) {
    let branch = git(root, &["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let Some(path) = git(root, &["rev-parse", "--git-path", name]) else { continue };
        let path = root.join(path);
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
