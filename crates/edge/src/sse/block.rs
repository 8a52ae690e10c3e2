//! The event-stream format: blocks of `field: value` lines, each ended by an empty line
//! (HTML Living Standard, section 9.2.5).

/// The blocks of a stream, as text.
#[derive(Debug, Default)]
pub(crate) struct Blocks(Vec<u8>);

impl Blocks {
    /// A comment, which clients skip: it tells them and proxies that the stream lives.
    pub(crate) fn comment(&mut self, text: &str) {
        self.line(": ", text);
        self.end_block();
    }

    /// How long to wait before connecting again, milliseconds.
    pub(crate) fn retry(&mut self, after_ms: u64) {
        self.line("retry: ", &after_ms.to_string());
    }

    /// What to give back as `Last-Event-ID`. Empty means: nothing.
    pub(crate) fn id(&mut self, id: &str) {
        self.line("id: ", id);
    }

    /// The event's type; without one it is a `message`.
    pub(crate) fn event(&mut self, kind: &str) {
        // A line end would begin another field.
        let kind: String = kind.chars().filter(|c| !c.is_control()).collect();
        self.line("event: ", &kind);
    }

    /// The event's data: any text, which arrives with its line ends as `\n`.
    pub(crate) fn data(&mut self, text: &str) {
        let mut rest = text;
        while let Some(end) = rest.find(['\r', '\n']) {
            self.line("data: ", &rest[..end]);
            let after = &rest[end..];
            let length = if after.starts_with("\r\n") { 2 } else { 1 };
            rest = &after[length..];
        }
        self.line("data: ", rest);
    }

    /// Ends the block. With data it is an event; with an id alone, clients note the id.
    pub(crate) fn end_block(&mut self) {
        self.0.push(b'\n');
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    // The space is the one that readers take off, so that a value's own stays.
    fn line(&mut self, field: &str, value: &str) {
        self.0.extend_from_slice(field.as_bytes());
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Blocks)) -> String {
        let mut blocks = Blocks::default();
        write(&mut blocks);
        String::from_utf8(blocks.into_bytes()).unwrap()
    }

    #[test]
    fn each_line_of_data_is_a_field_of_its_own() {
        for (text, lines) in [
            ("", "data: \n"),
            ("one", "data: one\n"),
            (" a space stays", "data:  a space stays\n"),
            ("one\ntwo", "data: one\ndata: two\n"),
            ("one\r\ntwo\rthree\n", "data: one\ndata: two\ndata: three\ndata: \n"),
            ("\n\r", "data: \ndata: \ndata: \n"),
            ("id: forged\n\nevent: forged", "data: id: forged\ndata: \ndata: event: forged\n"),
        ] {
            assert_eq!(written(|blocks| blocks.data(text)), lines, "{text:?}");
        }
    }

    #[test]
    fn no_value_begins_another_field() {
        assert_eq!(written(|blocks| blocks.event("a\nid: 1")), "event: aid: 1\n");
        let whole = written(|blocks| {
            blocks.comment("ping");
            blocks.id("a:1-2.0000000a");
            blocks.retry(5);
            blocks.end_block();
        });
        assert_eq!(whole, ": ping\n\nid: a:1-2.0000000a\nretry: 5\n\n");
    }
}
