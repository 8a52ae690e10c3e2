//! Text that came from outside, made harmless: what could start a new line, move the
//! cursor of a terminal or turn the direction of writing is shown as an escape.

use std::fmt::{self, Display, Write};

/// Whether a log or a terminal must not get this character as it is.
pub(crate) fn is_unsafe(c: char) -> bool {
    // Line and paragraph separators, and what turns the direction of writing: a reader
    // would see another text than a program.
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Passes text on with its unsafe characters as `\n`, `\u{1b}` and the like.
pub(crate) struct Escaped<W>(pub(crate) W);

impl<W: Write> Write for Escaped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, bad)) = rest.char_indices().find(|(_, c)| is_unsafe(*c)) {
            self.0.write_str(&rest[..at])?;
            write!(self.0, "{}", bad.escape_default())?;
            rest = &rest[at + bad.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// The text with its unsafe characters escaped.
pub(crate) fn escaped(text: impl Display) -> String {
    let mut safe = Escaped(String::new());
    // Writing to a String does not fail.
    let _ = write!(safe, "{text}");
    safe.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_harmless_passes() {
        assert_eq!(escaped("Grüße, \u{1f30d} \"a\\b\""), "Grüße, \u{1f30d} \"a\\b\"");
        assert_eq!(escaped("a\r\n\tb\0"), "a\\r\\n\\tb\\u{0}");
        assert_eq!(escaped("\u{1b}[2J\u{9b}0m\u{7f}"), "\\u{1b}[2J\\u{9b}0m\\u{7f}");
        assert_eq!(escaped("\u{2028}\u{202e}x\u{2066}"), "\\u{2028}\\u{202e}x\\u{2066}");
        assert_eq!(escaped(""), "");
    }
}
