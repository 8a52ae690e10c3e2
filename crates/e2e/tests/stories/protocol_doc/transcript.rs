//! The notation of the transcripts in docs/PROTOCOL.md, which the page itself explains.

/// One transcript of the page.
#[derive(Debug, Clone)]
pub(super) struct Transcript {
    /// What it shows: its first line.
    pub(super) title: String,
    /// The configuration shown last above it.
    pub(super) config: String,
    /// Its lines, each with its number in the page.
    pub(super) steps: Vec<(usize, Step)>,
}

/// One line of a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A client connects, under a name of its own.
    Connect {
        name: String,
        path: String,
        /// `key=value` pairs behind the path.
        options: Vec<(String, String)>,
    },
    /// A client sends, so many times in one write.
    Say { name: String, times: usize, said: Said },
    /// A client gets, so many times.
    Hear { name: String, times: usize, heard: Heard },
    /// Words typed at redis-cli.
    Redis(Vec<Vec<u8>>),
    /// The gateway gets SIGTERM.
    Terminate,
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Text(String),
    Close(Option<(u16, String)>),
    /// Any frame: its first byte and its payload, before the mask.
    Frame(u8, Vec<u8>),
}

/// What a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// A text message; in what the page expects, `…` stands for one or more characters.
    Text(String),
    /// A text message that came compressed.
    Deflated(String),
    Binary(Vec<u8>),
    Close(Option<u16>, String),
    /// The extension that a handshake's answer agrees to.
    Agreed(String),
    /// A refused handshake.
    Status(u16),
    /// Nothing so far.
    Nothing,
}

/// All transcripts of a page.
pub(super) fn read_page(page: &str) -> Vec<Transcript> {
    let mut transcripts = Vec::new();
    let mut config = String::new();
    let mut lines = page.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        let block: Vec<(&str, usize)> =
            lines.by_ref().take_while(|(line, _)| *line != "```").collect();
        match kind {
            "toml" => config = block.iter().map(|(line, _)| format!("{line}\n")).collect(),
            "transcript" => transcripts.push(read_block(&block, &config, number)),
            _ => {}
        }
    }
    transcripts
}

fn read_block(block: &[(&str, usize)], config: &str, number: usize) -> Transcript {
    let title = block.first().and_then(|(line, _)| line.strip_prefix("# "));
    let title =
        title.unwrap_or_else(|| panic!("line {number}: a transcript begins with its title"));
    let steps = block.iter().filter(|(line, _)| !line.starts_with('#'));
    let steps = steps.map(|(line, number)| {
        let step = read_step(line);
        (*number, step.unwrap_or_else(|| panic!("line {number}: no step: {line}")))
    });
    Transcript { title: title.to_owned(), config: config.to_owned(), steps: steps.collect() }
}

fn read_step(line: &str) -> Option<Step> {
    if line == "! SIGTERM" {
        return Some(Step::Terminate);
    }
    if let Some(command) = line.strip_prefix("$ ") {
        return Some(Step::Redis(redis_words(command)));
    }
    let (first, rest) = line.split_once(' ')?;
    let (name, verb, rest) = match first {
        "connect" | ">" | "<" => (String::new(), first, rest),
        name => {
            let (verb, rest) = rest.split_once(' ')?;
            (name.to_owned(), verb, rest)
        }
    };
    match verb {
        "connect" => connect(name, rest),
        ">" => {
            let (times, rest) = times(rest);
            Some(Step::Say { name, times, said: said(rest)? })
        }
        "<" => {
            let (times, rest) = times(rest);
            Some(Step::Hear { name, times, heard: heard(rest)? })
        }
        _ => None,
    }
}

fn connect(name: String, rest: &str) -> Option<Step> {
    let mut words = rest.split(' ');
    let path = words.next()?.to_owned();
    let options = words.map(|word| {
        let (key, value) = word.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    });
    Some(Step::Connect { name, path, options: options.collect::<Option<_>>()? })
}

fn times(text: &str) -> (usize, &str) {
    let counted = text.split_once(" × ").and_then(|(n, rest)| Some((n.parse().ok()?, rest)));
    counted.unwrap_or((1, text))
}

fn said(text: &str) -> Option<Said> {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match first {
        "close" if rest.is_empty() => Said::Close(None),
        "close" => {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            Said::Close(Some((code.parse().ok()?, reason.to_owned())))
        }
        "frame" => {
            let bytes = hex(rest)?;
            let (first, payload) = bytes.split_first()?;
            Said::Frame(*first, payload.to_vec())
        }
        _ => Said::Text(spelled_out(text)),
    })
}

fn heard(text: &str) -> Option<Heard> {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match first {
        "(nothing)" => Heard::Nothing,
        "HTTP" => Heard::Status(rest.parse().ok()?),
        "close" if rest.is_empty() => Heard::Close(None, String::new()),
        "close" => {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            Heard::Close(Some(code.parse().ok()?), reason.to_owned())
        }
        "binary" => Heard::Binary(hex(rest)?),
        "agreed" => Heard::Agreed(rest.to_owned()),
        "deflated" => Heard::Deflated(spelled_out(rest)),
        _ => Heard::Text(spelled_out(text)),
    })
}

/// `(4097 bytes)` stands for so many letters.
fn spelled_out(text: &str) -> String {
    let size = text.strip_prefix('(').and_then(|text| text.strip_suffix(" bytes)"));
    let size = size.and_then(|size| size.parse().ok());
    size.map_or_else(|| text.to_owned(), |size| "x".repeat(size))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    text.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

/// Splits as redis-cli does: words, 'as it stands', "with \xff and \"".
fn redis_words(command: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = command.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, left) = match first {
            '\'' => {
                let (word, left) = rest[1..].split_once('\'').expect("a closing quote");
                (word.as_bytes().to_vec(), left)
            }
            '"' => quoted(&rest[1..]),
            '(' => {
                let (word, left) = rest.split_at(rest.find(')').expect("a closing bracket") + 1);
                (spelled_out(word).into_bytes(), left)
            }
            _ => {
                let (word, left) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
                (word.as_bytes().to_vec(), left)
            }
        };
        words.push(word);
        rest = left.trim_start();
    }
    words
}

fn quoted(text: &str) -> (Vec<u8>, &str) {
    let mut word = Vec::new();
    let mut rest = text;
    loop {
        let first = rest.chars().next().expect("a closing quote");
        match (first, rest.get(1..2)) {
            ('"', _) => return (word, &rest[1..]),
            ('\\', Some("x")) => {
                word.push(u8::from_str_radix(&rest[2..4], 16).expect("two hex digits"));
                rest = &rest[4..];
            }
            ('\\', Some(other)) => {
                word.extend_from_slice(other.as_bytes());
                rest = &rest[2..];
            }
            _ => {
                word.extend_from_slice(&rest.as_bytes()[..first.len_utf8()]);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
}

/// Whether a text is what a page expects, where `…` stands for one or more characters.
pub(super) fn fits(expected: &str, text: &str) -> bool {
    match expected.split_once('…') {
        None => expected == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, first)| at + first.len_utf8());
            ends.into_iter().any(|end| fits(after, &rest[end..]))
        }),
    }
}

#[test]
fn words_are_split_as_redis_cli_does() {
    let words = redis_words(r#"PUBLISH a:1 '{"a": "b c"}' "\xff\"é" (3 bytes)"#);
    let expected: [&[u8]; 5] = [b"PUBLISH", b"a:1", br#"{"a": "b c"}"#, b"\xff\"\xc3\xa9", b"xxx"];
    assert_eq!(words, expected);
}

#[test]
fn an_ellipsis_stands_for_something() {
    assert!(fits(r#"{"from":…,"to":…}"#, r#"{"from":1,"to":22}"#));
    assert!(!fits(r#"{"from":…,"to":…}"#, r#"{"from":,"to":22}"#));
    assert!(!fits(r#"{"from":…,"to":…}"#, r#"{"from":1,"till":22}"#));
    assert!(!fits(r#"{"type":"pong"}"#, r#"{"type":"pong"} "#));
}
