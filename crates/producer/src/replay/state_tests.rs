//! The state names its log, and no other log passes for it.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::replay::ReplayInput;
use crate::replay::input::tests::gzip;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Opens the state for a log; answers where it stands and the next line.
    fn open(&self, log: &str) -> Result<(State, Salt, String), String> {
        let path = self.path(log);
        let mut input = Input::open(&ReplayInput::File(path)).unwrap();
        let opened = State::open(&self.path("state"), "the log", &mut input);
        let (state, salt) = opened.map_err(|error| error.to_string())?;
        assert_eq!(input.lines.position(), state.position());
        let next = String::from_utf8(input.lines.peek().unwrap().to_vec()).unwrap();
        Ok((state, salt, next))
    }

    /// Why the state does not open for a log.
    fn refused(&self, log: &str) -> String {
        self.open(log).err().expect("it does not open")
    }
}

const LOG: &[u8] = b"one\ntwo\nthree\n";
const BEHIND_TWO: Position = Position { lines: 2, bytes: 8 };

/// A folder with a log of which two lines are done.
fn begun() -> (Folder, Salt) {
    let folder = Folder::new();
    folder.write("log", LOG);
    let (mut state, salt, next) = folder.open("log").unwrap();
    assert_eq!(next, "one");
    state.save(BEHIND_TWO).unwrap();
    (folder, salt)
}

#[test]
fn another_run_goes_on_behind_the_last_position_with_the_same_salt() {
    let (folder, salt) = begun();
    for _ in 0..2 {
        let (state, again, next) = folder.open("log").unwrap();
        assert_eq!((state.position(), next.as_str()), (BEHIND_TWO, "three"));
        assert!(again == salt);
    }
    let mode = fs::metadata(folder.path("state")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!folder.path("state.new").exists());
}

#[test]
fn a_log_that_grew_was_renamed_or_compressed_is_still_the_same() {
    let (folder, _) = begun();
    folder.write("log", b"one\ntwo\nthree\nfour\n");
    assert_eq!(folder.open("log").unwrap().2, "three");
    folder.write("log.1", b"one\ntwo\nthree\nfour\n");
    assert_eq!(folder.open("log.1").unwrap().2, "three");
    folder.write("log.2.gz", &gzip(b"one\ntwo\nthree\nfour\n"));
    assert_eq!(folder.open("log.2.gz").unwrap().2, "three");
}

#[test]
fn another_log_is_refused() {
    let (folder, _) = begun();
    folder.write("other", b"uno\ntwo\nthree\n");
    assert!(folder.refused("other").contains("belongs to another log: the log has another first"));
    folder.write("empty", b"");
    assert!(folder.refused("empty").contains("belongs to another log"));
    folder.write("cut", b"one\n");
    assert!(folder.refused("cut").contains("shorter than it was"));
    // It still holds the position, but it held more.
    folder.write("cut", b"one\ntwo\nthre");
    assert!(folder.refused("cut").contains("shorter than it was"));
    folder.write("cut.gz", &gzip(b"one\n"));
    assert!(folder.refused("cut.gz").contains("shorter than it was"));
}

#[test]
fn a_log_that_was_empty_may_get_its_first_line() {
    let folder = Folder::new();
    folder.write("log", b"");
    folder.open("log").unwrap();
    folder.write("log", LOG);
    assert_eq!(folder.open("log").unwrap().2, "one");
}

#[test]
fn what_is_no_state_is_named_and_left_alone() {
    let (folder, _) = begun();
    let good = fs::read_to_string(folder.path("state")).unwrap();
    for (bad, reason) in [
        ("".to_owned(), "is no state file of replay (EOF"),
        ("\0\0\0\0".to_owned(), "is no state file of replay ("),
        ("[]".to_owned(), "is no state file of replay ("),
        (good[..good.len() / 2].to_owned(), "is no state file of replay (EOF"),
        (good.replace("\"lines\":2", "\"lines\":-2"), "is no state file of replay (invalid value"),
        (good.replace("\"version\":1", "\"version\":2"), "it is of another version"),
        (good.replace("\"lines\"", "\"rows\""), "unknown field `rows`"),
        (good.replace("\"salt\":\"", "\"salt\":\"x"), "no salt"),
    ] {
        assert_ne!(bad, good);
        folder.write("state", bad.as_bytes());
        let error = folder.refused("log");
        assert!(error.contains(reason), "{error}");
        assert_eq!(fs::read(folder.path("state")).unwrap(), bad.as_bytes());
    }
    fs::remove_file(folder.path("state")).unwrap();
    fs::create_dir(folder.path("state")).unwrap();
    assert!(folder.refused("log").contains("can't be read"));
}

#[test]
fn a_state_that_can_not_be_kept_is_told_at_once() {
    let folder = Folder::new();
    folder.write("log", LOG);
    let mut input = Input::open(&ReplayInput::File(folder.path("log"))).unwrap();
    let error = State::open(&folder.path("none/state"), "the log", &mut input).err().unwrap();
    assert!(error.to_string().contains("can't be written: No such file"), "{error}");
}
