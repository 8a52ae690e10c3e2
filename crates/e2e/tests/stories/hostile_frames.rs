//! Bytes that RFC 6455 forbids, and floods of such as it allows: each ends in a close
//! frame with its exact code, which the sender can really read, and costs nobody else
//! anything.

use std::time::Duration;

use redcast_e2e::{ClientFrame, Frame, Message, Opcode, RawClient, Siege, turn};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
/// `max_message_size`, by default.
const MAX_MESSAGE: usize = 4 << 10;
/// What memory may grow by during an attack, whatever it announces: no more than some
/// buffers, and far less than the smallest of the floods sends.
const MEMORY: u64 = 2 << 20;

/// What is wrong, the bytes, and the close code that answers.
type Case = (&'static str, Vec<u8>, u16);

fn case(name: &'static str, frame: &ClientFrame, code: u16) -> Case {
    (name, frame.bytes(), code)
}

fn frames(name: &'static str, frames: &[ClientFrame], code: u16) -> Case {
    (name, frames.iter().flat_map(ClientFrame::bytes).collect(), code)
}

fn headers() -> Vec<Case> {
    let ping = |length| ClientFrame::new(Opcode::Ping, vec![0; length]);
    let mut not_minimal = ClientFrame::text("").declaring(5).bytes();
    not_minimal.extend(b"short");
    let mut cases = vec![
        case("no mask", &ClientFrame::text("hello").unmasked(), 1002),
        case("no mask on a ping", &ping(1).unmasked(), 1002),
        case("reserved bit 1", &ClientFrame::text("hello").reserved(0x40), 1002),
        case("reserved bit 2", &ClientFrame::text("hello").reserved(0x20), 1002),
        case("reserved bit 3", &ClientFrame::text("hello").reserved(0x10), 1002),
        case("reserved bits on a ping", &ping(1).reserved(0x70), 1002),
        case("a control frame of 126 bytes", &ping(126), 1002),
        case("a control frame of 64 KiB", &ping(1 << 16), 1002),
        case("a control frame that announces 2^63 bytes", &ping(0).declaring(1 << 63), 1002),
        case("a close frame of 126 bytes", &ClientFrame::close(1000, [b'x'; 124]), 1002),
        case("a ping in pieces", &ping(1).unfinished(), 1002),
        case("a close in pieces", &ClientFrame::close(1000, "").unfinished(), 1002),
        case("a continuation of nothing", &ClientFrame::continuation("x"), 1002),
        ("a length in more bytes than it needs", not_minimal, 1002),
        frames(
            "a message inside another one",
            &[ClientFrame::text("a").unfinished(), ClientFrame::text("b")],
            1002,
        ),
    ];
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push(case("a reserved opcode", &ClientFrame::with_bits(opcode, "x"), 1002));
    }
    cases
}

fn sizes() -> Vec<Case> {
    let announcing = |length| ClientFrame::text("").declaring(length);
    let begun = ClientFrame::text(&"x".repeat(MAX_MESSAGE)).unfinished();
    vec![
        case("a text that announces 2^62 bytes", &announcing(1 << 62), 1009),
        case("a text that announces 2^63 bytes", &announcing(1 << 63), 1009),
        case("a text that announces 2^64-1 bytes", &announcing(u64::MAX), 1009),
        case("a text one byte too long", &ClientFrame::text(&"x".repeat(MAX_MESSAGE + 1)), 1009),
        case("a text of 64 KiB", &ClientFrame::text(&"x".repeat(1 << 16)), 1009),
        frames("a fragment too much", &[begun.clone(), ClientFrame::continuation("x")], 1009),
        frames(
            "lengths that overflow when they are added",
            &[begun, ClientFrame::continuation("").declaring(u64::MAX)],
            1009,
        ),
        case("binary", &ClientFrame::new(Opcode::Binary, "x"), 1003),
        case("binary, empty", &ClientFrame::new(Opcode::Binary, ""), 1003),
    ]
}

fn texts() -> Vec<Case> {
    let text = |bytes: &[u8]| ClientFrame::new(Opcode::Text, bytes);
    vec![
        case("a byte that is never UTF-8", &text(b"\xff"), 1007),
        case("a character cut off", &text(b"\xe2\x82"), 1007),
        case("a slash in two bytes", &text(b"\xc0\xaf"), 1007),
        case("half a surrogate pair", &text(b"\xed\xa0\x80"), 1007),
        case("past the last character", &text(b"\xf4\x90\x80\x80"), 1007),
        // The rest of the message is not waited for.
        case("in the first of many fragments", &text(b"\xff").unfinished(), 1007),
        case("a reason that is not UTF-8", &ClientFrame::close(1000, b"\xff"), 1007),
    ]
}

fn closes() -> Vec<Case> {
    let mut cases = vec![
        case("half a close code", &ClientFrame::new(Opcode::Close, [3]), 1002),
        // Not forbidden, and answered by what was said.
        case("a goodbye", &ClientFrame::close(1000, "bye"), 1000),
        case("a goodbye without a code", &ClientFrame::new(Opcode::Close, ""), 1005),
        frames("words after a goodbye", &[ClientFrame::close(1000, ""), text_command()], 1000),
        frames(
            "nonsense after a goodbye",
            &[ClientFrame::close(1001, ""), ClientFrame::with_bits(7, "x").reserved(0x70)],
            1001,
        ),
    ];
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535] {
        cases.push(case("a close code that may not be sent", &ClientFrame::close(code, ""), 1002));
    }
    cases
}

fn text_command() -> ClientFrame {
    ClientFrame::text(r#"{"type":"ping"}"#)
}

/// Reads until the end of the socket; the close frame must be there, once, and last.
pub(crate) async fn last_words(mut client: RawClient) -> u16 {
    let reading = async {
        let mut closed = None;
        loop {
            match client.frame().await.expect("whole frames and an orderly end") {
                Some(frame) if closed.is_some() => panic!("behind the close frame: {frame:?}"),
                Some(Frame { opcode: Opcode::Ping | Opcode::Pong, .. }) => {}
                Some(frame) if frame.opcode == Opcode::Close => closed = Some(frame.close().0),
                Some(frame) => panic!("{frame:?}"),
                None => return closed.expect("a close frame before the end"),
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("the server ends the connection")
}

#[tokio::test]
async fn each_breach_is_answered_by_its_close_code() {
    let _turn = turn().await;
    let siege = Siege::begin("").await;
    let vitals = siege.watch();
    let cases = [headers(), sizes(), texts(), closes()].concat();
    let mut wrong = Vec::new();
    for (name, bytes, expected) in &cases {
        // At once, and byte by byte: where it is cut makes no difference.
        for piece in [bytes.len(), 1] {
            if piece == 1 && bytes.len() > 10_000 {
                continue;
            }
            let mut client = siege.attacker().await;
            client.stream().set_nodelay(true).unwrap();
            for piece in bytes.chunks(piece) {
                // Our own refusal may come before the rest is sent.
                let _ = client.stream().write_all(piece).await;
            }
            let code = last_words(client).await;
            if code != *expected {
                wrong.push(format!("{name}, in pieces of {piece}: {code}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{} breaches of the protocol", cases.len());
    vitals.assert_flat("breaches of the protocol", MEMORY, MEMORY).await;
    siege.end("breaches of the protocol").await;
}

/// Sends `count` times the same frame, as fast as the server takes it, and answers the
/// code of its close frame.
pub(crate) async fn flood(client: RawClient, opening: &[u8], frame: &[u8], count: usize) -> u16 {
    const AT_ONCE: usize = 10_000;
    let (stream, reader) = client.into_parts();
    let (reading, mut writing) = stream.into_split();
    let opening = opening.to_vec();
    let many = frame.repeat(AT_ONCE);
    let writing = tokio::spawn(async move {
        writing.write_all(&opening).await.unwrap();
        for _ in 0..count / AT_ONCE {
            writing.write_all(&many).await.expect("what comes after the close frame is discarded");
        }
        writing
    });
    let code = timeout(PATIENCE, closed_with(reading, reader)).await.expect("a close frame");
    drop(writing.await.unwrap());
    code
}

async fn closed_with(
    mut reading: tokio::net::tcp::OwnedReadHalf,
    mut reader: redcast_e2e::FrameReader,
) -> u16 {
    use tokio::io::AsyncReadExt;
    let mut scratch = vec![0; 16 << 10];
    loop {
        while let Some(frame) = reader.next_frame().unwrap() {
            match frame.opcode {
                Opcode::Pong => {}
                Opcode::Close => return frame.close().0,
                _ => panic!("{frame:?}"),
            }
        }
        let count = reading.read(&mut scratch).await.expect("the close frame comes first");
        assert_ne!(count, 0, "the end of the socket without a close frame");
        reader.feed(&scratch[..count]);
    }
}

#[tokio::test]
async fn floods_are_cut_with_1008_and_cost_little() {
    let _turn = turn().await;
    let siege = Siege::begin("").await;
    let begin = ClientFrame::text("").unfinished().bytes();
    let empty = ClientFrame::continuation("").unfinished().bytes();
    let tiny = ClientFrame::continuation("x").unfinished().bytes();
    let ping = ClientFrame::new(Opcode::Ping, [b'x'; 125]).bytes();
    let pong = ClientFrame::new(Opcode::Pong, "").bytes();
    let both = [ClientFrame::new(Opcode::Ping, "").bytes(), empty.clone()].concat();
    for (what, opening, frame, count) in [
        ("10^6 empty continuations", &begin[..], &empty, 1_000_000),
        ("10^6 fragments of a byte", &begin, &tiny, 1_000_000),
        ("10^5 pings", &[], &ping, 100_000),
        ("10^5 pongs", &[], &pong, 100_000),
        ("10^5 pings between fragments", &begin, &both, 100_000),
    ] {
        let vitals = siege.watch();
        let attacker = siege.attacker().await;
        assert_eq!(flood(attacker, opening, frame, count).await, 1008, "{what}");
        siege.gateway.until_metric("redcast_connections", 1.0).await;
        let cpu = vitals.cpu_seconds();
        assert!(cpu <= 1.0, "{what} cost {cpu} s of CPU");
        vitals.assert_flat(what, MEMORY, MEMORY).await;
    }
    siege.until_closed(1008, 5).await;
    siege.end("floods").await;
}

#[tokio::test]
async fn a_hundred_pings_are_no_flood_and_the_largest_message_is_none_too_many() {
    let siege = Siege::begin("").await;
    let mut client = siege.attacker().await;
    let pings: Vec<u8> =
        (0..100_u8).flat_map(|number| ClientFrame::new(Opcode::Ping, [number]).bytes()).collect();
    client.stream().write_all(&pings).await.unwrap();
    client.settled().await;
    // As long as it may be, in as many pieces as it may come.
    let filler = " ".repeat(MAX_MESSAGE - r#"{"type":"ping"}"#.len());
    let command = format!(r#"{{"type":"ping"{filler}}}"#);
    let pieces = command.as_bytes().chunks(4);
    let last = pieces.len() - 1;
    assert_eq!(last, 1023);
    for (index, piece) in pieces.enumerate() {
        let opcode = if index == 0 { Opcode::Text.bits() } else { 0 };
        let frame = ClientFrame::with_bits(opcode, piece);
        let frame = if index == last { frame } else { frame.unfinished() };
        client.stream().write_all(&frame.bytes()).await.unwrap();
    }
    assert_eq!(client.message().await, Message::Text(r#"{"type":"pong"}"#.to_owned()));
    assert_eq!(client.close().await, 1000);
    siege.end("honest extremes").await;
}
