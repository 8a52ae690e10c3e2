//! The fuzz bodies without a fuzzer: each file of the corpus, changed copies of
//! them, and malformed frames.
//!
//! - `FUZZ_FRAMES`: how many malformed frames, 20,000 by default.
//! - `FUZZ_SEED`: where they begin, 0 by default; a failure names its own.
//!
//! An input that failed is kept; copied into the corpus it fails again here.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::{env, fs};

use fastrand::Rng;
use redcast_fuzz::{TARGETS, differential, malformed, mutate, wire};

const USUAL_FRAMES: u64 = 20_000;
/// Which of `wire::LIMITS` are `malformed::LIMITS`, as a control byte that also
/// asks for two lengths of pieces and for a stop at each second message.
const CONTROL: u8 = 0b0100_1001;

fn number(variable: &str, usual: u64) -> u64 {
    match env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => usual,
    }
}

fn frames() -> u64 {
    number("FUZZ_FRAMES", USUAL_FRAMES)
}

/// The seeds of a run of `count`.
fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let first = number("FUZZ_SEED", 0);
    (0..count).map(move |i| first.wrapping_add(i))
}

/// Runs a body; keeps the input that it fails on, and says how to have it again.
fn try_input(target: &str, body: fn(&[u8]), input: &[u8], origin: &str) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(input))) else { return };
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}-failed"));
    fs::write(&kept, input).unwrap();
    eprintln!(
        "{target} failed on {origin}.\nThe input is {0}; to replay it:\n\
         cp {0} crates/fuzz/corpus/{target}/NAME && cargo test -p redcast-fuzz",
        kept.display()
    );
    resume_unwind(panic);
}

/// The corpus of a target, by file name.
fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "corpus", target].iter().collect();
    let files = fs::read_dir(&folder).unwrap_or_else(|_| panic!("no {}", folder.display()));
    let files = files.map(|file| file.unwrap());
    let named = |file: fs::DirEntry| {
        (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())
    };
    files.map(named).collect()
}

#[test]
fn every_input_of_the_corpus_passes() {
    for (target, body) in TARGETS {
        let corpus = corpus(target);
        assert!(corpus.len() >= 20, "{target}: {} inputs", corpus.len());
        for (name, input) in corpus {
            try_input(target, body, &input, &name);
        }
    }
}

#[test]
fn changed_copies_of_the_corpus_pass() {
    for (target, body) in TARGETS {
        // A whole configuration takes as long as many commands.
        let count = if target == "config" { frames() / 40 } else { frames() / 4 };
        let inputs: Vec<Vec<u8>> = corpus(target).into_values().collect();
        for seed in seeds(count) {
            let mut rng = Rng::with_seed(seed);
            let [one, other] = [0; 2].map(|_| &inputs[rng.usize(..inputs.len())]);
            let input = mutate::mutate(&mut rng, one, other);
            try_input(target, body, &input, &format!("a copy, seed {seed}"));
        }
    }
}

#[test]
fn malformed_frames_are_refused_with_their_code_and_break_nothing() {
    assert_eq!(wire::LIMITS[usize::from(CONTROL & 3)], malformed::LIMITS);
    let mut refused: BTreeMap<u16, u64> = BTreeMap::new();
    let count = frames();
    for seed in seeds(count) {
        let malformed = malformed::stream(seed);
        let origin = format!("a malformed frame, seed {seed}");
        let lengths = seed.to_le_bytes();
        let input = [&[CONTROL, lengths[0], lengths[1] | 1][..], &malformed.stream].concat();
        try_input("wire", wire::run, &input, &origin);
        try_input("differential", differential::run, &malformed.stream, &origin);

        let outcome = wire::decode(&malformed.stream, &malformed::LIMITS);
        let code = outcome.error.as_ref().map(|error| error.close_code().code());
        if malformed.close_code.is_some() {
            assert_eq!(code, malformed.close_code, "seed {seed}: {outcome:?}");
        }
        *refused.entry(code.unwrap_or(0)).or_default() += 1;
    }
    println!("{count} malformed frames; refused, by close code (0: not at all): {refused:?}");
    // The generator is worth nothing if most of what it makes is legal.
    let spared = refused.remove(&0).unwrap_or(0);
    assert!(spared < count / 5, "{spared} of {count} were not refused");
    assert_eq!(refused.into_keys().collect::<Vec<_>>(), [1002, 1007, 1008, 1009]);
}
