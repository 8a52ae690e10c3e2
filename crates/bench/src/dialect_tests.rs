//! Events found inside Socket.IO packets and NATS streams, however they are cut.

use super::*;
use crate::payload::Kind;

fn stamped(sequence: u64) -> (Said, Vec<u8>) {
    let stamp = Stamp { kind: Kind::Event, sequence, sent_ns: 5 };
    let mut payload = payload::blank(200);
    payload::write(&mut payload, stamp);
    (Said::Event(stamp), payload)
}

fn hear_all(session: &mut Session, mut payload: &[u8]) -> Vec<Said> {
    let mut said: Vec<Said> = session.hear(&mut payload).into_iter().collect();
    while !payload.is_empty() {
        said.extend(session.hear(&mut payload));
    }
    said
}

#[test]
fn a_plain_frame_is_one_event_or_something_else() {
    let (event, payload) = stamped(7);
    let mut session = Session::new(Dialect::Plain);
    assert!(session.is_ready_at_once());
    assert_eq!(hear_all(&mut session, &payload), [event]);
    for other in [&b"{\"type\":\"welcome\"}"[..], b""] {
        assert_eq!(hear_all(&mut session, other), [Said::Other]);
    }
}

#[test]
fn a_socket_io_client_opens_answers_pings_and_finds_the_event() {
    let (event, payload) = stamped(7);
    let mut session = Session::new(Dialect::SocketIo);
    assert!(!session.is_ready_at_once());
    let packet = [b"42[\"event\",", &payload[..], b"]"].concat();
    for (packet, expected) in [
        (&b"0{\"sid\":\"x\",\"upgrades\":[]}"[..], Said::Asked("40")),
        (b"40{\"sid\":\"y\"}", Said::Ready),
        (b"2", Said::Asked("3")),
        (&packet, event),
        (b"42[\"other\",1]", Said::Other),
        (b"6", Said::Noise),
        (b"44{\"message\":\"no\"}", Said::Goodbye),
        (b"1", Said::Goodbye),
    ] {
        assert_eq!(hear_all(&mut session, packet), [expected]);
    }
}

/// A NATS server's whole conversation, and what a client hears in it.
fn nats() -> (Vec<u8>, Vec<Said>) {
    let mut stream = b"INFO {\"server_id\":\"x\"}\r\nPONG\r\n".to_vec();
    let mut expected = vec![Said::Asked(NATS_OPENING), Said::Ready];
    for sequence in 0..3 {
        let (event, payload) = stamped(sequence);
        stream.extend_from_slice(b"MSG analytics 1 200\r\n");
        stream.extend_from_slice(&payload);
        stream.extend_from_slice(b"\r\nPING\r\n");
        expected.extend([event, Said::Asked("PONG\r\n")]);
    }
    stream.extend_from_slice(b"-ERR 'Slow Consumer'\r\n");
    expected.push(Said::Goodbye);
    (stream, expected)
}

#[test]
fn a_nats_stream_says_the_same_wherever_frames_cut_it() {
    let (stream, expected) = nats();
    for size in [1, 2, 3, 7, 200, 229, 230, stream.len()] {
        let mut session = Session::new(Dialect::Nats);
        let heard: Vec<Said> =
            stream.chunks(size).flat_map(|part| hear_all(&mut session, part)).collect();
        assert_eq!(heard, expected, "frames of {size} bytes");
    }
}

#[test]
fn a_nats_frame_is_heard_while_it_still_arrives() {
    let (stream, expected) = nats();
    let length = u16::try_from(stream.len()).unwrap().to_be_bytes();
    let mut wire = vec![0x82, 126, length[0], length[1]];
    wire.extend_from_slice(&stream);
    // A ping of the WebSocket layer, then a frame short enough for seven bits.
    wire.extend_from_slice(&[0x89, 1, b'x', 0x82, 6]);
    wire.extend_from_slice(b"PONG\r\n");
    for size in [1, 3, 100, wire.len()] {
        let mut session = Session::new(Dialect::Nats);
        let (mut kept, mut heard, mut pings) = (Vec::new(), Vec::new(), 0);
        for part in wire.chunks(size) {
            kept.extend_from_slice(part);
            let mut bytes = &kept[..];
            while let Split::Frame { opcode, payload, rest, .. } = session.split(bytes) {
                match opcode {
                    frame::PING => pings += 1,
                    _ => heard.extend(hear_all(&mut session, payload)),
                }
                bytes = rest;
            }
            kept = bytes.to_vec();
            assert!(kept.len() < 10, "{} bytes kept, read {size} at a time", kept.len());
        }
        assert_eq!((heard.len(), pings), (expected.len() + 1, 1), "read {size} at a time");
        assert_eq!(heard[..expected.len()], expected);
        assert_eq!(heard.last(), Some(&Said::Ready));
    }
}

#[test]
fn a_compressed_frame_is_not_handed_on_in_parts() {
    let mut session = Session::new(Dialect::Nats);
    assert_eq!(session.split(&[0xC2, 5, b'x']), Split::Partial);
}
