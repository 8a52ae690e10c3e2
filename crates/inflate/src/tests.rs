//! Streams written by hand. That it reads what others compress is tested where others
//! are at hand, in crates/e2e and crates/fuzz.

use super::*;

const LIMIT: usize = 600;

/// The RFC's examples, 7692 7.2.3.1 and 7.2.3.3 to 7.2.3.5, without their tail.
const HELLO: [&[u8]; 4] = [
    &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
    &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
    &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
    &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
];

fn read(payload: &[u8]) -> Inflated {
    inflate(payload, LIMIT).unwrap()
}

#[test]
fn the_examples_of_the_rfc() {
    for payload in HELLO {
        let exact = Inflated { bytes: b"Hello".into(), farthest: 0, is_exact: true };
        assert_eq!(read(payload), exact, "{payload:x?}");
    }
    assert_eq!(read(&[0]), Inflated { bytes: Vec::new(), farthest: 0, is_exact: true });
}

#[test]
fn forms_beyond_the_rfc_are_read_and_told_from_its_own() {
    for payload in [&b""[..], &[0, 0, 0, 0xff, 0xff], &[3, 0]] {
        assert_eq!(read(payload), Inflated { bytes: Vec::new(), farthest: 0, is_exact: false });
    }
    let with_tail = [HELLO[0], &TAIL].concat();
    let without_a_byte = &HELLO[2][..7];
    for payload in [&with_tail[..], without_a_byte] {
        let hello = read(payload);
        assert_eq!((&hello.bytes[..], hello.is_exact), (&b"Hello"[..], false), "{payload:x?}");
    }
}

#[test]
fn the_limit_is_met_exactly() {
    for payload in HELLO {
        assert!(inflate(payload, 5).is_ok());
        assert_eq!(inflate(payload, 4), Err(Refusal::TooLong));
    }
}

#[test]
fn what_is_no_deflate_is_refused() {
    for payload in [
        // A block of no kind, and a length that contradicts itself.
        &[0xff][..],
        &[0x00, 0x05, 0x00, 0x05, 0x00],
        // A look back to before the beginning.
        &[0x02, 0x00, 0x11, 0x00, 0x00],
        // The end is inside of a block.
        &[0xf2, 0x48],
        // Rubbish behind a last block.
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x07],
    ] {
        assert_eq!(inflate(payload, LIMIT), Err(Refusal::NotDeflate), "{payload:x?}");
    }
}
