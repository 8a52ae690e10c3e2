//! Compression as a weapon: bombs, data that is none, and frames that break the agreement.
//! Each ends in its close code, costs little memory, and nobody else notices.

use futures_util::future::join_all;
use redcast_e2e::{
    ClientFrame, Dial, GatewayOptions, Opcode, RawClient, Siege, bomb, deflated,
    raise_descriptor_limit, turn,
};
use tokio::io::AsyncWriteExt;

use super::hostile_frames::{flood, last_words};

const SMALL: &str = "/small";
/// An endpoint whose clients may send much.
const LARGE: &str = "/large";
const LARGE_MESSAGE: usize = 128 << 10;
const RSV1: u8 = 0x40;
const MEBIBYTE: u64 = 1 << 20;
/// What memory may grow by during an attack with little messages.
const MEMORY: u64 = 4 * MEBIBYTE;
const CROWD: usize = 1000;
/// What memory may grow by with so many connections at once, and the allocator keep.
const FLAT: u64 = 16 * MEBIBYTE;
/// The most that a crowd may send to the large endpoint before it is all refused.
const SENT: u64 = (CROWD * LARGE_MESSAGE) as u64;
const ROUNDS: usize = 3;

async fn siege() -> Siege {
    let endpoint = |path: &str, size: usize| {
        format!(
            "\n[[endpoints]]\npath = \"{path}\"\nsubscribe = [\"*\"]\ndeflate = true\n\
             max_message_size = \"{size}B\"\n"
        )
    };
    let config = [endpoint(SMALL, 4 << 10), endpoint(LARGE, LARGE_MESSAGE)].concat();
    Siege::with(GatewayOptions { config, ..Default::default() }).await
}

async fn attacker(siege: &Siege, path: &str) -> RawClient {
    let extensions = Some("permessage-deflate");
    let how = Dial { extensions, ..Dial::default() };
    let client = RawClient::dial(siege.gateway.public(), path, how).await.unwrap();
    assert!(client.agreed().is_some());
    client
}

fn compressed(data: impl Into<Vec<u8>>) -> ClientFrame {
    ClientFrame::new(Opcode::Text, data).reserved(RSV1)
}

/// Sends `bytes` and answers with which code the server ends the connection.
async fn attack(mut client: RawClient, bytes: &[u8]) -> u16 {
    // Our own refusal may come before the rest is sent.
    let _ = client.stream().write_all(bytes).await;
    last_words(client).await
}

/// All at once, on a connection each.
async fn crowd(siege: &Siege, path: &str, bytes: &[u8]) -> Vec<u16> {
    let clients = join_all((0..CROWD).map(|_| attacker(siege, path))).await;
    join_all(clients.into_iter().map(|client| attack(client, bytes))).await
}

#[tokio::test]
async fn a_bomb_is_cut_at_the_endpoints_limit_with_1009() {
    let _turn = turn().await;
    let siege = siege().await;
    let hundred_megabytes = compressed(bomb(100 << 20)).bytes();
    println!("{} bytes that inflate to 100 MiB", hundred_megabytes.len());
    let just_too_much = compressed(deflated(&vec![b'x'; LARGE_MESSAGE + 1])).bytes();
    let vitals = siege.watch();
    for (path, bytes) in [
        (SMALL, &hundred_megabytes),
        (LARGE, &hundred_megabytes),
        (LARGE, &just_too_much),
        (SMALL, &compressed(bomb(3 << 20)).bytes()),
    ] {
        for _ in 0..20 {
            assert_eq!(attack(attacker(&siege, path).await, bytes).await, 1009);
        }
    }
    let cpu = vitals.cpu_seconds();
    assert!(cpu <= 2.0, "80 bombs cost {cpu} s of CPU");
    vitals.assert_flat("80 bombs", MEMORY, MEMORY).await;
    siege.end("80 bombs").await;
}

#[tokio::test]
async fn a_thousand_bombs_at_once_cost_what_their_senders_may_send() {
    let _turn = turn().await;
    raise_descriptor_limit();
    let siege = siege().await;
    let hundred_megabytes = compressed(bomb(100 << 20)).bytes();
    let small = compressed(bomb(3 << 20)).bytes();
    assert!(small.len() < 4 << 10);
    // Connections alone, so that what they cost is not taken for what bombs cost.
    let goodbye = ClientFrame::close(1000, "").bytes();
    assert_eq!(crowd(&siege, SMALL, &goodbye).await, [1000; CROWD]);
    siege.gateway.until_metric("redcast_connections", 1.0).await;
    for (what, bytes) in [
        // Refused by the length that its frame announces.
        ("1,000 × 102 kB at 4 KiB", &hundred_megabytes),
        // Refused while it inflates.
        ("1,000 × 3 kB that are 3 MiB at 4 KiB", &small),
    ] {
        let vitals = siege.watch();
        assert_eq!(crowd(&siege, SMALL, bytes).await, [1009; CROWD], "{what}");
        siege.gateway.until_metric("redcast_connections", 1.0).await;
        vitals.assert_flat(what, FLAT, FLAT).await;
    }
    // What came of each one is kept until it is whole, as with any message, and no round
    // leaves that behind for the next.
    let vitals = siege.watch();
    for _ in 0..ROUNDS {
        assert_eq!(crowd(&siege, LARGE, &hundred_megabytes).await, [1009; CROWD]);
        siege.gateway.until_metric("redcast_connections", 1.0).await;
    }
    vitals.assert_flat("3 × 1,000 × 102 kB at 128 KiB", SENT, SENT).await;
    siege.until_closed(1009, (2 + ROUNDS) * CROWD).await;
    siege.end_within("5,000 bombs", SENT + 2 * FLAT, SENT + 2 * FLAT).await;
}

/// What is wrong, the bytes, and the close code that answers.
type Case = (&'static str, Vec<u8>, u16);

fn case(name: &'static str, frame: &ClientFrame, code: u16) -> Case {
    (name, frame.bytes(), code)
}

fn bad_data() -> Vec<Case> {
    let cut = deflated(&b"a command ".repeat(20));
    let binary = ClientFrame::new(Opcode::Binary, deflated(b"x")).reserved(RSV1);
    vec![
        case("a block of no kind", &compressed([0xff; 20]), 1007),
        case("a stored block with a false length", &compressed([0, 5, 0, 5, 0]), 1007),
        case("text as if it were compressed", &compressed(*br#"{"type":"ping"}"#), 1007),
        case("a look before the beginning", &compressed([0x02, 0x23, 0x00]), 1007),
        case("data that is cut off", &compressed(&cut[..cut.len() / 2]), 1007),
        case("text that is not UTF-8", &compressed(deflated(b"\xff\xfe")), 1007),
        case("binary", &binary, 1003),
    ]
}

fn bad_frames() -> Vec<Case> {
    let after_a_fragment = |frame: &ClientFrame| {
        let begun = compressed(&deflated(b"hello")[..2]).unfinished();
        [begun.bytes(), frame.bytes()].concat()
    };
    let ping = ClientFrame::new(Opcode::Ping, "").reserved(RSV1);
    let pong = ClientFrame::new(Opcode::Pong, "").reserved(RSV1);
    let close = ClientFrame::close(1000, "").reserved(RSV1);
    let again = ClientFrame::continuation("x").reserved(RSV1);
    let endless = ClientFrame::continuation("").declaring(u64::MAX);
    let good = || compressed(deflated(b"{}"));
    vec![
        ("RSV1 on a continuation", after_a_fragment(&again), 1002),
        ("RSV1 on a ping between fragments", after_a_fragment(&ping), 1002),
        ("a compressed message inside another one", after_a_fragment(&good()), 1002),
        ("a length of 2^64-1 after a fragment", after_a_fragment(&endless), 1009),
        case("RSV1 on a ping", &ping, 1002),
        case("RSV1 on a pong", &pong, 1002),
        case("RSV1 on a close", &close, 1002),
        case("RSV2", &ClientFrame::text("{}").reserved(0x20), 1002),
        case("RSV3", &ClientFrame::text("{}").reserved(0x10), 1002),
        case("RSV1 and RSV2", &good().reserved(0x60), 1002),
        case("no mask", &good().unmasked(), 1002),
        case("a length of 2^63", &compressed("").declaring(1 << 63), 1009),
    ]
}

#[tokio::test]
async fn what_breaks_the_agreement_ends_with_its_close_code() {
    let _turn = turn().await;
    let siege = siege().await;
    let mut wrong = Vec::new();
    for (name, bytes, expected) in [bad_data(), bad_frames()].concat() {
        // At once, and byte by byte: where it is cut makes no difference.
        for piece in [bytes.len(), 1] {
            let mut client = attacker(&siege, SMALL).await;
            client.stream().set_nodelay(true).unwrap();
            for piece in bytes.chunks(piece) {
                let _ = client.stream().write_all(piece).await;
            }
            let code = last_words(client).await;
            if code != expected {
                wrong.push(format!("{name}, in pieces of {piece}: {code}, not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    siege.end("broken agreements").await;
}

#[tokio::test]
async fn without_an_agreement_a_compressed_message_is_1002() {
    let siege = siege().await;
    let frame = compressed(deflated(b"{}")).bytes();
    let without = RawClient::connect(siege.gateway.public(), SMALL).await;
    assert_eq!(attack(without, &frame).await, 1002);
    // Offered, and not agreed to.
    let how = Dial { extensions: Some("permessage-deflate"), ..Dial::default() };
    let declined = RawClient::dial(siege.gateway.public(), Siege::PATH, how).await.unwrap();
    assert_eq!(declined.agreed(), None);
    assert_eq!(attack(declined, &frame).await, 1002);
    siege.end("no agreement").await;
}

#[tokio::test]
async fn a_million_compressed_fragments_are_cut_with_1008() {
    let _turn = turn().await;
    let siege = siege().await;
    let begin = compressed("").unfinished().bytes();
    let empty = ClientFrame::continuation("").unfinished().bytes();
    let tiny = ClientFrame::continuation([0]).unfinished().bytes();
    for (what, frame) in [("10^6 empty fragments", &empty), ("10^6 fragments of a byte", &tiny)] {
        let vitals = siege.watch();
        let client = attacker(&siege, SMALL).await;
        assert_eq!(flood(client, &begin, frame, 1_000_000).await, 1008, "{what}");
        siege.gateway.until_metric("redcast_connections", 1.0).await;
        let cpu = vitals.cpu_seconds();
        assert!(cpu <= 1.0, "{what} cost {cpu} s of CPU");
        vitals.assert_flat(what, MEMORY, MEMORY).await;
    }
    siege.end("compressed fragments").await;
}
