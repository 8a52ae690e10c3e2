//! What is read of a log: its views, and a count of everything else.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::replay::lines::Lines;

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

fn view(address: &str, second: u32, path: &str) -> String {
    format!(
        "{address} - - [08/Dec/2025:12:34:{second:02} +0000] \"GET {path} HTTP/1.1\" 200 5 \"-\" \"{AGENT}\"\n"
    )
}

fn reader(source: impl Read + Send + 'static) -> Reader {
    let input = Input {
        lines: Lines::new(Box::new(source), Position::default()),
        is_gzip: false,
        size: None,
        read: Arc::new(AtomicU64::new(0)),
        file: None,
    };
    let salt = Salt::random().unwrap();
    Reader {
        name: "the log".to_owned(),
        input,
        salt,
        all: false,
        leaves_cut_line: false,
        failed: None,
    }
}

/// All chunks, and how the input ended.
fn chunks(mut reader: Reader) -> (Vec<Chunk>, Option<String>) {
    let mut all = Vec::new();
    loop {
        match reader.next_chunk() {
            Ok(Some(chunk)) => all.push(chunk),
            Ok(None) => return (all, None),
            Err(error) => return (all, Some(error.to_string())),
        }
    }
}

/// All that a text says.
fn read(text: &str) -> Chunk {
    let (all, error) = chunks(reader(std::io::Cursor::new(text.to_owned())));
    assert_eq!(error, None);
    let join = |mut chunk: Chunk, next: Chunk| {
        chunk.views.extend(next.views);
        chunk.unreadable += next.unreadable;
        chunk.after = next.after;
        chunk
    };
    all.into_iter().reduce(join).expect("some lines")
}

#[test]
fn views_are_read_and_all_else_is_counted() {
    let text = [
        &view("192.0.2.1", 1, "/a"),
        "broken\n",
        &view("192.0.2.1", 2, "/b.png"),
        &view("192.0.2.1", 3, "/c"),
        "\n",
        "\u{1}\n",
        "broken\n",
        &view("192.0.2.2", 4, "/a"),
    ]
    .concat();
    let chunk = read(&text);
    let paths: Vec<_> = chunk.views.iter().map(|due| &*due.view.path).collect();
    assert_eq!(paths, ["/a", "/c", "/a"]);
    let lines: Vec<_> = chunk.views.iter().map(|due| due.after.lines).collect();
    assert_eq!(lines, [1, 4, 8]);
    let visitors: Vec<_> = chunk.views.iter().map(|due| &due.view.visitor_id).collect();
    assert!(visitors[0] == visitors[1] && visitors[1] != visitors[2]);
    assert_eq!((chunk.skipped.assets, chunk.skipped.total()), (1, 1));
    assert_eq!((chunk.unreadable, chunk.unreadable_lines), (4, vec![2, 5, 6]));
    assert_eq!(chunk.after, Position { lines: 8, bytes: text.len() as u64 });
}

#[test]
fn no_event_holds_an_address() {
    let chunk = read(&[view("192.0.2.77", 1, "/"), view("2001:db8::77", 1, "/")].concat());
    for due in chunk.views {
        let event = String::from_utf8(due.view.encode().unwrap()).unwrap();
        assert!(!event.contains("192.0.2.77") && !event.contains("2001:db8"), "{event}");
    }
}

#[test]
fn views_of_one_second_are_spread_over_it() {
    let times = [1, 1, 1, 1, 2, 3, 3].map(|second| view("192.0.2.1", second, "/")).concat();
    let chunk = read(&times);
    let begin = chunk.views[0].view.at;
    let due = chunk.views.iter().map(|due| due.at.duration_since(begin).unwrap().as_millis());
    assert_eq!(due.collect::<Vec<_>>(), [0, 250, 500, 750, 1_000, 2_000, 2_500]);
}

#[test]
fn the_last_line_counts_without_its_end_but_half_a_line_is_not_behind() {
    let (first, second) = (view("192.0.2.1", 1, "/"), view("192.0.2.1", 2, "/b"));
    let chunk = read(&format!("{first}{}", second.trim_end()));
    assert_eq!((chunk.views.len(), chunk.after.lines), (2, 2));
    let chunk = read(&format!("{first}{}", &second[..40]));
    assert_eq!((chunk.views.len(), chunk.unreadable), (1, 1));
    assert_eq!(chunk.after, Position { lines: 1, bytes: first.len() as u64 });
}

/// Gives one line at each call.
struct Pipe(Vec<String>);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(line) = self.0.pop() else { return Ok(0) };
        buffer[..line.len()].copy_from_slice(line.as_bytes());
        Ok(line.len())
    }
}

#[test]
fn a_line_does_not_wait_for_the_next_one() {
    let pipe = Pipe(vec![view("192.0.2.1", 2, "/b"), view("192.0.2.1", 1, "/a")]);
    let (all, error) = chunks(reader(pipe));
    let paths: Vec<_> = all.iter().map(|chunk| &*chunk.views[0].view.path).collect();
    assert_eq!((paths.as_slice(), error), (&["/a", "/b"][..], None));
}

#[test]
fn what_was_read_comes_before_the_error_that_ended_it() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let cut = format!("{}{}", view("192.0.2.1", 1, "/a"), &view("192.0.2.1", 2, "/b")[..90]);
    let (all, error) = chunks(reader(std::io::Cursor::new(cut).chain(Broken)));
    assert_eq!((all.len(), all[0].views.len(), all[0].unreadable), (1, 1, 0));
    assert_eq!(error.as_deref(), Some("the log can't be read behind line 1: the disk is gone"));
}

#[test]
fn bytes_that_no_text_has_are_no_log() {
    let (all, error) = chunks(reader(&b"\x7fELF\x02\0\0\0\n"[..]));
    assert!(all.is_empty());
    assert_eq!(error.as_deref(), Some("the log is binary, no access log"));
}
