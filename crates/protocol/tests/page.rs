//! docs/PROTOCOL.md lists the codes that there are: it and the types agree both ways.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use redcast_protocol::{CloseCode, ErrorCode};

/// The first two cells of each table row in a section, those of the head left out.
fn rows(section: &str) -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/PROTOCOL.md");
    let page = std::fs::read_to_string(path).unwrap();
    let begin = page.find(&format!("\n## {section}\n")).unwrap();
    let section = &page[begin + 1..];
    let section = &section[..section.find("\n## ").unwrap_or(section.len())];
    let table = section.lines().skip_while(|line| !line.starts_with("| code |"));
    let table = table.skip(2).take_while(|line| line.starts_with('|'));
    let cells = table.map(|line| line.split('|').skip(1).map(|cell| cell.trim().to_owned()));
    cells.map(|mut cells| (cells.next().unwrap(), cells.next().unwrap())).collect()
}

#[test]
fn the_page_lists_every_close_code_with_its_reason() {
    // Any other code is a client's own and has no row.
    let known = CloseCode::ALL.into_iter().filter(|code| *code != CloseCode::Other);
    let known = known.map(|code| (code.code().to_string(), code.reason().to_owned()));
    assert_eq!(rows("Closing"), known.collect::<Vec<_>>());
}

#[test]
fn the_page_lists_every_error_code() {
    let told: Vec<String> = rows("Errors").into_iter().map(|(code, _)| code).collect();
    assert_eq!(told, ErrorCode::ALL.map(|code| format!("`{}`", code.label())));
}
