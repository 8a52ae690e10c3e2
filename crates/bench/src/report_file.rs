//! The file for the figures of a run: opened before the run, so that a place that can't
//! be written to is told before minutes are spent.

use std::fs::{File, OpenOptions, remove_file};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

/// A file that will hold the figures. What it held stays as it is until then.
#[derive(Debug)]
pub struct ReportFile {
    file: File,
    path: PathBuf,
    /// It was made for this run, and goes with it if nothing is written.
    new: bool,
}

impl ReportFile {
    /// Opens `path` for writing.
    pub fn open(path: &Path) -> Result<Self> {
        let new = !path.exists();
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("can't write {}", path.display()))?;
        Ok(Self { file, path: path.to_owned(), new })
    }

    /// Replaces what it holds.
    pub fn write(mut self, report: &Value) -> Result<()> {
        let mut text = serde_json::to_string_pretty(report)?;
        text.push('\n');
        self.replace(&text).with_context(|| format!("can't write {}", self.path.display()))?;
        self.new = false;
        Ok(())
    }

    fn replace(&mut self, text: &str) -> std::io::Result<()> {
        // A pipe or a terminal has no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(text.as_bytes())
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        if self.new {
            // What can't be removed is empty.
            let _ = remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_file_is_replaced_at_the_end_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.json");
        std::fs::write(&path, "the figures of an earlier run, longer than the new ones").unwrap();
        drop(ReportFile::open(&path).unwrap());
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("the figures"));
        ReportFile::open(&path).unwrap().write(&json!({"a": 1})).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\n  \"a\": 1\n}\n");
    }

    #[test]
    fn a_run_that_fails_leaves_no_empty_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.json");
        drop(ReportFile::open(&path).unwrap());
        assert!(!path.exists());
        ReportFile::open(&path).unwrap().write(&json!([])).unwrap();
        assert!(path.exists());
    }
}
