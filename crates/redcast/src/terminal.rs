//! What commands say: results on standard output, everything else in sentences on
//! standard error. A reader that went away is no reason to panic.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write, stderr, stdout};

use crate::escape::escaped;

/// A sentence for a person, on standard error.
pub(crate) fn say(text: impl Display) {
    // There is nowhere left to complain to.
    let _ = writeln!(stderr(), "redcast: {}", escaped(text));
}

/// What works, but not as it says: no error.
pub(crate) fn warn(text: impl Display) {
    say(format_args!("warning: {text}"));
}

/// A result, on standard output. A pipe that was closed has had enough.
pub(crate) fn print(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = stdout().lock();
    let printed = out.write_all(text.as_ref()).and_then(|()| out.flush());
    match printed {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}
