//! A configuration file for one test.

use tempfile::NamedTempFile;

/// Writes a file that lives as long as what is answered first; second is its path.
pub fn config_file(content: impl AsRef<[u8]>) -> (NamedTempFile, String) {
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), content).expect("the configuration is written");
    let path = file.path().to_str().expect("a path that is text").to_owned();
    (file, path)
}
