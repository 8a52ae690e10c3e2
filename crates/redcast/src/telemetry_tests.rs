use std::panic::{catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::dispatcher::with_default;

use super::*;

/// What was logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs to where it can be looked at.
fn logged(lines: Lines, level: &str, work: impl FnOnce()) -> String {
    let kept = Kept::default();
    let writer = kept.clone();
    let dispatch = dispatch(lines, EnvFilter::new(level), move || writer.clone());
    with_default(&dispatch, work);
    let bytes = std::mem::take(&mut *kept.0.lock().unwrap());
    String::from_utf8(bytes).unwrap()
}

const PRETTY: Lines = Lines::Pretty { colours: false };
/// What a client could hope to write into a log with.
const NASTY: &str = "a\r\nINFO forged\u{1b}[2J\0\u{2028}b\u{202e}c\u{9b}d\u{7f}";

fn log_nasty_things() {
    let error = io::Error::other(NASTY);
    tracing::warn!(text = NASTY, shown = %NASTY, debugged = ?NASTY, %error, "{NASTY}");
    tracing::warn!(error = &error as &dyn std::error::Error, "again");
}

#[test]
fn a_line_is_one_line_whatever_it_holds() {
    let text = logged(PRETTY, "info", log_nasty_things);
    assert_eq!(text.lines().count(), 2, "{text:?}");
    assert!(!text.contains(|c| is_unsafe(c) && c != '\n'), "{text:?}");
    assert_eq!(text.matches("forged").count(), 6, "all of it is there: {text:?}");

    let text = logged(Lines::Json, "info", log_nasty_things);
    assert_eq!(text.lines().count(), 2, "{text:?}");
    assert!(!text.contains(|c| is_unsafe(c) && c != '\n'), "{text:?}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for key in ["text", "shown", "error", "message"] {
        assert_eq!(lines[0][key], NASTY, "JSON gives back what was put in");
    }
}

#[test]
fn colours_are_ours_alone() {
    let text = logged(Lines::Pretty { colours: true }, "info", log_nasty_things);
    let clear: String = text
        .split("\u{1b}[")
        .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()))
        .collect();
    assert!(text.contains("\u{1b}["), "{text:?}");
    assert!(!clear.contains(|c| is_unsafe(c) && c != '\n'), "{clear:?}");
    assert!(!text.contains("\u{1b}[2J"), "{text:?}");
}

#[test]
fn no_level_makes_a_library_log_what_it_hears() {
    for level in ["trace", "hyper=trace", "trace,redis=debug"] {
        let text = logged(Lines::Json, level, || {
            tracing::trace!(target: "hyper::proto", "a token");
            tracing::debug!(target: "redis", "a password");
            tracing::info!(target: "redis", "an address");
        });
        assert!(!text.contains("token") && !text.contains("password"), "{level}: {text}");
        assert!(text.contains("an address") || level == "hyper=trace", "{level}: {text}");
    }
    let text = logged(Lines::Json, "redcast_edge=trace", || {
        tracing::trace!(target: "redcast_edge::session", "ours");
    });
    assert!(text.contains("ours"), "{text}");
}

#[test]
fn a_panic_is_one_line_with_its_place_and_without_its_message() {
    // The hook is the whole process's: other tests that panic meanwhile have theirs told
    // in the same way, and fail all the same.
    let usual = take_hook();
    set_hook(Box::new(crate::panics::tell));
    let panicking = || {
        std::thread::Builder::new()
            .name("victim".to_owned())
            .spawn(|| {
                logged(Lines::Json, "info", || {
                    assert!(catch_unwind(|| panic!("secret {}", NASTY)).is_err());
                })
            })
            .unwrap()
            .join()
    };
    let text = panicking();
    set_hook(usual);
    let text = text.unwrap();
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"ERROR".into(), &"panic".into()), "{text}");
    assert_eq!(line["thread"], "victim");
    assert!(line["location"].as_str().unwrap().contains("telemetry_tests.rs:"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}
