//! Logs are opened in the forms that servers leave them in, and others are named.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

pub(in crate::replay) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// A log with these bytes, and the folder that it is in.
fn log(bytes: &[u8]) -> (tempfile::TempDir, ReplayInput) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    std::fs::write(&path, bytes).unwrap();
    (folder, ReplayInput::File(path))
}

/// All lines, and how the input ended.
fn lines(input: &mut Input) -> (Vec<String>, Result<(), ReplayError>) {
    let (mut all, mut line) = (Vec::new(), Vec::new());
    loop {
        match input.lines.next(&mut line) {
            Ok(Some(_)) => all.push(String::from_utf8(line.clone()).unwrap()),
            Ok(None) => return (all, Ok(())),
            Err(error) => return (all, Err(input.broken("it", error))),
        }
    }
}

fn numbered(count: u32) -> String {
    (0..count)
        .map(|number| format!("line {number} {}\n", number.wrapping_mul(0x9e37_79b9)))
        .collect()
}

#[test]
fn plain_and_gzip_and_several_members_in_a_row_are_the_same_lines() {
    let text = numbered(20_000);
    let (first, second) = text.as_bytes().split_at(100_001);
    let members = [gzip(first), gzip(b""), gzip(second)].concat();
    for bytes in [text.clone().into_bytes(), gzip(text.as_bytes()), members] {
        let (_folder, log) = log(&bytes);
        let mut input = Input::open(&log).unwrap();
        assert_eq!(input.size, Some(bytes.len() as u64));
        let (found, end) = lines(&mut input);
        end.unwrap();
        assert!(found.iter().map(String::as_str).eq(text.lines()));
        assert_eq!(input.read.load(Ordering::Relaxed), bytes.len() as u64);
    }
}

#[test]
fn cut_gzip_data_gives_what_it_has_and_says_where_it_ends() {
    let text = numbered(20_000);
    let whole = gzip(text.as_bytes());
    for (cut, least) in [(whole.len() - 4, 19_999), (whole.len() / 2, 5_000), (20, 0), (5, 0)] {
        let (_folder, log) = log(&whole[..cut]);
        let (found, end) = lines(&mut Input::open(&log).unwrap());
        let Err(ReplayError::Truncated { byte, lines, .. }) = end else { panic!("{end:?}") };
        assert_eq!((byte, lines), (cut as u64, found.len() as u64));
        assert!(found.len() >= least, "{} lines of {cut} bytes", found.len());
        assert!(found.iter().map(String::as_str).zip(text.lines()).all(|(a, b)| a == b));
    }
    // The second member alone is cut.
    let cut = [&whole[..], &whole[..whole.len() / 2]].concat();
    let (_folder, log) = log(&cut);
    let (found, end) = lines(&mut Input::open(&log).unwrap());
    assert!(matches!(end, Err(ReplayError::Truncated { .. })), "{end:?}");
    assert!(found.len() > 20_000, "{}", found.len());
}

#[test]
fn damaged_gzip_data_is_told_apart_from_cut_data() {
    let text = numbered(20_000);
    let mut flipped = gzip(text.as_bytes());
    let middle = flipped.len() / 2;
    flipped[middle..middle + 40].fill(0xff);
    let mut sum = gzip(text.as_bytes());
    let at = sum.len() - 8;
    sum[at] ^= 1;
    let trailing = [&gzip(text.as_bytes())[..], b"no member, but some more text"].concat();
    for bytes in [flipped, sum, trailing] {
        let (_folder, log) = log(&bytes);
        let (_, end) = lines(&mut Input::open(&log).unwrap());
        assert!(matches!(end, Err(ReplayError::Corrupt { .. })), "{end:?}");
    }
}

#[test]
fn what_is_no_file_of_lines_is_named() {
    let opened = |input: &ReplayInput| Input::open(input).err().map(|error| error.to_string());
    let folder = tempfile::tempdir().unwrap();
    let error = opened(&ReplayInput::File(folder.path().into())).unwrap();
    assert!(error.contains("is a directory"), "{error}");
    let error = opened(&ReplayInput::File(folder.path().join("none"))).unwrap();
    assert!(error.contains("none can't be opened: No such file"), "{error}");
    for (magic, format) in FOREIGN {
        let (_folder, log) = log(&[magic, b"more"].concat());
        let error = opened(&log).unwrap();
        assert!(error.contains(&format!("compressed with {format};")), "{error}");
    }
    for short in [&b""[..], b"\n", b"a"] {
        let (_folder, log) = log(short);
        assert_eq!(opened(&log), None);
    }
}

#[test]
fn any_place_can_be_gone_to() {
    let text = numbered(20_000);
    let bytes = text.lines().take(15_000).map(|line| line.len() as u64 + 1).sum();
    let there = Position { lines: 15_000, bytes };
    let past_the_end = Position { lines: 20_001, bytes: text.len() as u64 + 1 };
    for bytes in [text.clone().into_bytes(), gzip(text.as_bytes())] {
        let (_folder, log) = log(&bytes);
        let mut input = Input::open(&log).unwrap();
        input.lines.peek().unwrap();
        assert!(input.skip_to(there).unwrap());
        let (found, end) = lines(&mut input);
        end.unwrap();
        assert!(found.iter().map(String::as_str).eq(text.lines().skip(15_000)));
        assert_eq!(input.lines.position().lines, 20_000);
        assert!(!Input::open(&log).unwrap().skip_to(past_the_end).unwrap());
    }
}
