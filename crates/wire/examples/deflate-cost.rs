//! What compressing one event costs and what is left of it, by level and window; the
//! table of docs/PERFORMANCE.md.
//!
//! `cargo run --release -p redcast-wire --example deflate-cost`

use std::time::{Duration, Instant};

use redcast_wire::{Deflater, Window, frame_len};

/// Events of each kind; all differ, and each is compressed on its own.
const EVENTS: usize = 200;
/// Each event is compressed so often, and the quickest time counts: others are the
/// machine's.
const PASSES: usize = 9;
const LEVELS: [u32; 5] = [1, 2, 3, 6, 9];

fn main() {
    println!("events of                       window  level  µs/event  bytes left");
    for (name, views) in [("1 KiB, five page views", 5), ("16 KiB, eighty page views", 80)] {
        let mut random = 0x9e37_79b9_7f4a_7c15;
        let events: Vec<String> = (0..EVENTS).map(|_| event(&mut random, views)).collect();
        let before: usize = events.iter().map(|event| frame_len(event.len())).sum();
        for window in [Window::Wide, Window::Narrow] {
            for level in LEVELS {
                let (took, after) = measure(&events, level, window);
                let micros = took.as_secs_f64() * 1e6 / EVENTS as f64;
                let left = after as f64 / before as f64 * 100.0;
                let window = format!("{window:?}");
                println!("{name:<30}  {window:<6}  {level:>5}  {micros:>8.1}  {left:>8.1} %");
            }
        }
    }
}

/// The time of all events and the bytes of their frames.
fn measure(events: &[String], level: u32, window: Window) -> (Duration, usize) {
    let mut deflater = Deflater::new(level);
    let mut pass = || {
        let begun = Instant::now();
        let mut after = 0;
        for event in events {
            let frame = deflater.text_frame(event.as_bytes(), window);
            after += frame.map_or(frame_len(event.len()), |frame| frame.len());
        }
        (begun.elapsed(), after)
    };
    (0..PASSES).map(|_| pass()).min().unwrap_or_default()
}

/// Page views with random identifiers, times and one of 500 paths.
fn event(random: &mut u64, views: usize) -> String {
    let view = |random: &mut u64| {
        let (high, low, path) = (next(random), next(random), next(random) % 500);
        format!(
            r#"{{"type":"page_view","visitor_id":"{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}","timestamp":"2026-01-{:02}T{:02}:{:02}:{:02}.{:03}Z","data":{{"path":"/docs/page-{path}","referrer":"https://example.com/","country":"DE","device":"mobile"}}}}"#,
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff,
            1 + high % 28,
            low % 24,
            high % 60,
            low % 60,
            path * 2,
        )
    };
    let views: Vec<String> = (0..views).map(|_| view(random)).collect();
    format!("[{}]", views.join(","))
}

/// Xorshift: the same events in every run.
fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}
