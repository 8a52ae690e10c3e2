//! Takes the files of Swagger UI out of the archive that a crate brings, for the page that
//! shows the API (src/api_docs). Nothing is downloaded.
//!
//! They stay compressed: an entry of a ZIP archive and a gzip file hold the same data with
//! other words around it, so none is inflated here, nor in the gateway, but in the browser.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

/// What the page loads, and nothing else of the archive.
const WANTED: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];

/// The signature of an entry of the archive's directory (APPNOTE.TXT, 4.3.12), and its length
/// without the three texts behind it.
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_LEN: usize = 46;
/// The signature of the directory's end (4.3.16).
const END: &[u8] = b"PK\x05\x06";
/// The length of an entry's own header (4.3.7), without the two texts behind it.
const HEADER_LEN: usize = 30;
const DEFLATED: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let archive = utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
    let folder = env::var("OUT_DIR")?;
    for name in WANTED {
        let path = format!("dist/{name}");
        let gzip = gzip_of(archive, &path).ok_or(format!("no {path} in Swagger UI's archive"))?;
        fs::write(Path::new(&folder).join(format!("{name}.gz")), gzip)?;
    }
    Ok(())
}

/// The file at `path`, below the one folder that holds everything, as gzip (RFC 1952).
fn gzip_of(archive: &[u8], path: &str) -> Option<Vec<u8>> {
    let end = archive.windows(END.len()).rposition(|window| window == END)?;
    let (entries, mut at) = (number(archive, end + 10, 2)?, number(archive, end + 16, 4)?);
    for _ in 0..entries {
        let entry = archive.get(at..)?;
        let texts = [number(entry, 28, 2)?, number(entry, 30, 2)?, number(entry, 32, 2)?];
        let name = entry.get(ENTRY_LEN..ENTRY_LEN + texts[0])?;
        // The folder in front of it has the version in its name.
        let inner = name.iter().position(|byte| *byte == b'/').and_then(|at| name.get(at + 1..));
        let found = inner == Some(path.as_bytes());
        if entry.starts_with(ENTRY) && found && number(entry, 10, 2)? == DEFLATED {
            return wrap(archive, entry);
        }
        at += ENTRY_LEN + texts.iter().sum::<usize>();
    }
    None
}

/// An entry's deflated data between the header and the trailer of a gzip file.
fn wrap(archive: &[u8], entry: &[u8]) -> Option<Vec<u8>> {
    let header = number(entry, 42, 4)?;
    let texts = number(archive, header + 26, 2)? + number(archive, header + 28, 2)?;
    let from = header + HEADER_LEN + texts;
    let data = archive.get(from..from + number(entry, 20, 4)?)?;
    // No flags, no time, no hint at how it was made, on no system that matters.
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    gzip.extend_from_slice(data);
    // The same checksum and the same length, in the same order of bytes.
    gzip.extend_from_slice(entry.get(16..20)?);
    gzip.extend_from_slice(entry.get(24..28)?);
    Some(gzip)
}

/// A number of `len` bytes, the least first.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + len)?.iter().rev();
    Some(bytes.fold(0, |number, byte| (number << 8) | usize::from(*byte)))
}
