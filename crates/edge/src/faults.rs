//! Faults on purpose: what a test needs to see that one connection's fault stays its
//! own. Not part of any release (cargo feature `faults`).

/// Panics where a client asks for it.
#[expect(clippy::panic, reason = "to panic is all this is for")]
pub(crate) fn provoke(command: &str) {
    if command == r#"{"type":"fault","kind":"panic"}"# {
        panic!("a client asked for this panic");
    }
}
