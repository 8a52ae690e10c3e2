//! Streams from clients, good and bad.

use flate2::FlushCompress;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::testing::{compressed, deflated, noise};

const LIMIT: usize = 4096;

fn inflate_up_to(payload: &[u8], limit: usize) -> Result<Vec<u8>, WireError> {
    Inflater::new().inflate(payload, limit, |message| Ok(message.to_vec()))
}

fn inflate(payload: &[u8]) -> Result<Vec<u8>, WireError> {
    inflate_up_to(payload, LIMIT)
}

#[test]
fn the_examples_of_the_rfc_say_hello() {
    for payload in [
        // 7.2.3.1: one block.
        &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..],
        // 7.2.3.3: a stored block.
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        // 7.2.3.4: a last block, and then one more.
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        // 7.2.3.5: two blocks.
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    ] {
        assert_eq!(inflate(payload).as_deref(), Ok(&b"Hello"[..]), "{payload:x?}");
    }
    // 7.2.3.6: the empty message.
    assert_eq!(inflate(b"\x00").as_deref(), Ok(&b""[..]));
    // 7.2.3.2: a second Hello, which refers to the first: nobody was to do that.
    let mut inflater = Inflater::new();
    let mut say = |payload: &[u8]| inflater.inflate(payload, LIMIT, |bytes| Ok(bytes.to_vec()));
    assert_eq!(say(b"\xf2\x48\xcd\xc9\xc9\x07\x00").as_deref(), Ok(&b"Hello"[..]));
    assert_eq!(say(b"\xf2\x00\x11\x00\x00"), Err(WireError::NotDeflate));
}

#[test]
fn forms_beyond_the_rfc_that_leave_no_doubt_are_taken() {
    for (payload, expected) in [
        // The tail was not removed.
        (&b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff"[..], &b"Hello"[..]),
        // A last block without the byte that should follow it.
        (b"\xf3\x48\xcd\xc9\xc9\x07\x00", b"Hello"),
        // Nothing at all.
        (b"", b""),
        (b"\x00\x00\x00\xff\xff", b""),
        (b"\x03\x00", b""),
        (b"\x03\x00\x00", b""),
    ] {
        assert_eq!(inflate(payload).as_deref(), Ok(expected), "{payload:x?}");
    }
}

#[test]
fn blocks_of_every_kind_may_follow_each_other() {
    let parts: [Vec<u8>; 4] = [vec![b'a'; 300], noise(200, 1), b"grass".repeat(30), Vec::new()];
    let flushes = [FlushCompress::Sync, FlushCompress::Full, FlushCompress::Finish];
    let mut stream = Vec::new();
    let mut expected = Vec::new();
    for level in [0, 1, 6, 9] {
        for (part, flush) in parts.iter().zip(flushes.iter().cycle()) {
            stream.extend(deflated(part, level, *flush));
            expected.extend(part);
        }
    }
    stream.push(0);
    assert_eq!(inflate(&stream), Ok(expected));
}

#[test]
fn what_is_not_whole_blocks_is_refused() {
    for payload in [
        // Rubbish: a block type that does not exist, a length that contradicts itself.
        &b"\xff"[..],
        b"\x07",
        b"Hello",
        b"\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00",
        // A distance to before the beginning.
        b"\x02\x00\x11\x00\x00",
        // Rubbish behind a whole message, and behind a last block.
        b"\xf2\x48\xcd\xc9\xc9\x07\x00Hello",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00Hello",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x07",
        // The tail sent in part.
        b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff",
        b"\x00\x00\xff\xff",
    ] {
        assert_eq!(inflate(payload), Err(WireError::NotDeflate), "{payload:x?}");
    }
}

#[test]
fn a_message_that_ends_inside_a_block_is_refused_wherever_it_is_cut() {
    let data = [noise(300, 1), b"and something that comes again and again".repeat(20)].concat();
    for level in [0, 1, 6] {
        let whole = compressed(&data, level);
        assert_eq!(inflate(&whole).as_ref(), Ok(&data));
        // The first byte of a stored block alone is the empty message, the tail stands
        // in for a stored block's last four, and the last byte of all may be nothing
        // but bits that are zero anyway.
        for end in 2..whole.len() - 5 {
            let cut = inflate(&whole[..end]);
            assert_eq!(cut, Err(WireError::NotDeflate), "level {level}, cut at {end}");
        }
    }
}

#[test]
fn the_limit_is_what_comes_out_and_is_met_exactly() {
    for data in [vec![b'a'; LIMIT], noise(LIMIT, 1)] {
        for level in [0, 1, 9] {
            let message = compressed(&data, level);
            assert_eq!(inflate_up_to(&message, LIMIT).as_ref(), Ok(&data));
            let size = LIMIT as u64;
            let too_big = Err(WireError::TooBig { size, limit: LIMIT - 1 });
            assert_eq!(inflate_up_to(&message, LIMIT - 1), too_big);
            assert!(message.len() <= super::super::longest_compressed(LIMIT));
        }
    }
    assert_eq!(inflate_up_to(&compressed(b"", 6), 0).as_deref(), Ok(&b""[..]));
    let too_big = Err(WireError::TooBig { size: 1, limit: 0 });
    assert_eq!(inflate_up_to(&compressed(b"a", 6), 0), too_big);
    assert!(inflate_up_to(&compressed(noise(300_000, 1), 6), usize::MAX).is_ok());
}

#[test]
fn a_message_may_end_where_a_chunk_does() {
    for len in (1..=5).map(|i| i * CHUNK / 2).chain([KEPT_OUTPUT, 2 * KEPT_OUTPUT]) {
        for data in [vec![0; len], noise(len, 1), b"grass ".repeat(len)[..len].to_vec()] {
            for level in [0, 1, 6] {
                let bare = deflated(&data, level, FlushCompress::Finish);
                assert!(inflate_up_to(&bare, 1 << 20).as_ref() == Ok(&data), "{len}, last");
                let usual = compressed(&data, level);
                assert!(inflate_up_to(&usual, 1 << 20).as_ref() == Ok(&data), "{len}");
            }
        }
    }
}

/// A stream of about 102 kB that inflates to 100 MiB.
fn bomb() -> Vec<u8> {
    let bomb = deflated(&vec![0; 1 << 20], 9, FlushCompress::Sync).repeat(100);
    assert!((90_000..110_000).contains(&bomb.len()), "{}", bomb.len());
    bomb
}

#[test]
fn a_bomb_goes_off_no_further_than_the_limit() {
    let bomb = bomb();
    for limit in [0, 100, LIMIT, 128 << 10, 1 << 20] {
        let mut inflater = Inflater::new();
        for _ in 0..3 {
            let Err(WireError::TooBig { size, .. }) = inflater.fill(&bomb, limit) else {
                panic!("a bomb of 100 MiB passed a limit of {limit}");
            };
            assert!(size > limit as u64);
            assert!(inflater.output.capacity() <= limit + CHUNK, "limit {limit}");
            inflater.output.clear();
        }
        // The same, and nothing is left of it.
        let result = inflater.inflate(&bomb, limit, |_| Ok(()));
        assert!(matches!(result, Err(WireError::TooBig { .. })));
        assert!(inflater.output.capacity() <= KEPT_OUTPUT);
        assert!(inflater.output.is_empty());
    }
}

#[test]
fn many_small_last_blocks_are_copied_no_more_often_than_one_large() {
    const COUNT: usize = 100_000;
    let block = deflated(b"a", 9, FlushCompress::Finish);
    let (mut stream, mut output) = (Decompress::new(false), Vec::new());
    let mut growths = 0;
    for _ in 0..COUNT {
        let before = output.capacity();
        assert_eq!(push(&mut stream, &block, &mut output, 1 << 20), Ok(true));
        growths += u32::from(output.capacity() > before);
    }
    // Each time by as much as there is.
    assert_eq!(growths, 1 + (COUNT / CHUNK).next_power_of_two().ilog2());
    let whole = inflate_up_to(&block.repeat(COUNT), 1 << 20);
    assert!(whole == Ok(output), "one message of them is the same");
}

#[test]
fn memory_is_taken_at_the_first_message_and_mostly_given_back() {
    let mut inflater = Inflater::new();
    assert!(inflater.stream.is_none() && inflater.output.capacity() == 0);
    let large = compressed(noise(1 << 20, 1), 1);
    let len = inflater.inflate(&large, usize::MAX, |bytes| Ok(bytes.len()));
    assert_eq!(len, Ok(1 << 20));
    assert!(inflater.output.capacity() <= KEPT_OUTPUT);
    let small = compressed(b"a usual command", 1);
    inflater.inflate(&small, LIMIT, |_| Ok(())).unwrap();
    let kept = inflater.output.as_ptr();
    inflater.inflate(&small, LIMIT, |_| Ok(())).unwrap();
    assert_eq!(inflater.output.as_ptr(), kept);
}

#[test]
fn what_was_refused_leaves_no_trace_in_the_next_message() {
    let good = compressed(b"grass is green and green is grass", 6);
    let mut inflater = Inflater::new();
    let cut = &compressed(noise(3000, 1), 0)[..100];
    for bad in [&b"\xff"[..], b"Hello", cut, &bomb()] {
        inflater.inflate(bad, LIMIT, |_| Ok(())).unwrap_err();
        assert!(inflater.stream.is_none(), "it was left in the middle of a message");
        let read = inflater.inflate(&good, LIMIT, |bytes| Ok(bytes.to_vec()));
        assert_eq!(read.as_deref(), Ok(&b"grass is green and green is grass"[..]));
        assert!(inflater.stream.is_some(), "a message takes no new one");
    }
    let refused = inflater.inflate(&good, LIMIT, |_| Err::<(), _>(WireError::InvalidUtf8));
    assert_eq!(refused, Err(WireError::InvalidUtf8));
    assert!(inflater.output.is_empty());
}

#[test]
fn a_reader_that_panics_leaves_nothing_to_the_next() {
    let mut inflater = Inflater::new();
    let secret = compressed("said by one client", 6);
    let read = |_: &[u8]| -> Result<(), WireError> { panic!("on purpose") };
    let mut panicking = || inflater.inflate(&secret, LIMIT, read);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut panicking)).unwrap_err();
    let said = inflater.inflate(&compressed("by another", 6), LIMIT, |bytes| Ok(bytes.to_vec()));
    assert_eq!(said.as_deref(), Ok(&b"by another"[..]));
}

#[test]
fn a_stream_that_panics_is_not_used_again() {
    let mut inflater = Inflater::new();
    let message = compressed("grass", 6);
    inflater.inflate(&message, LIMIT, |_| Ok(())).unwrap();
    let mut panicking = || inflater.with_stream(|_, _| panic!("on purpose"));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut panicking)).unwrap_err();
    assert!(inflater.stream.is_none());
    let said = inflater.inflate(&message, LIMIT, |bytes| Ok(bytes.to_vec()));
    assert_eq!(said.as_deref(), Ok(&b"grass"[..]));
}

proptest! {
    #[test]
    fn what_a_client_deflates_is_what_is_read(
        data in vec(0..9_u8, 0..30_000),
        level in 0..=9_u32,
        is_last: bool,
    ) {
        let message = match is_last {
            true => [deflated(&data, level, FlushCompress::Finish), vec![0]].concat(),
            false => compressed(&data, level),
        };
        prop_assert_eq!(inflate_up_to(&message, data.len()), Ok(data));
    }

    #[test]
    fn rubbish_is_refused_or_within_the_limit(bytes: Vec<u8>, limit in 0..2000_usize) {
        if let Ok(message) = inflate_up_to(&bytes, limit) {
            prop_assert!(message.len() <= limit);
        }
    }
}
