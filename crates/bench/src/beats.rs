//! The heartbeats of a snapshot: which there were, and which of them each client got.

use std::time::Instant;

use crate::checker::Checker;

/// What a gateway that is set up by [`Setup`](crate::setup::Setup) says of itself in each
/// frame of a snapshot.
const GREETING: &[u8] = br#""type":"initial_stats""#;
const BEAT: &[u8] = br#""type":"heartbeat""#;
const STALE: &[u8] = br#""stale":true"#;
const TIME: &[u8] = br#""now_ms":"#;

/// All heartbeats that came to any client, numbered in the order they were first seen.
#[derive(Debug, Default)]
pub struct Beats {
    /// The time that each counted beat carries.
    known: Vec<u64>,
    /// When a beat was last seen that no client had seen before, and the time it carries.
    latest: Option<(Instant, u64)>,
    /// Whether beats that are new now count.
    pub counting: bool,
    /// Greetings, over all clients.
    pub greetings: u64,
    /// Frames that said they were out of date.
    pub stale: u64,
}

impl Beats {
    /// Takes in what one client got besides events.
    pub fn hear(&mut self, payload: &[u8], client: &mut Checker) {
        self.stale += u64::from(find(payload, STALE).is_some());
        if find(payload, GREETING).is_some() {
            self.greetings += 1;
        } else if find(payload, BEAT).is_some()
            && let Some(time) = time_of(payload)
        {
            self.take(time, client);
        }
    }

    fn take(&mut self, time: u64, client: &mut Checker) {
        // Two beats are never alike, because each carries its time; clients get the same.
        if self.latest.is_none_or(|(_, latest)| latest < time) {
            self.latest = Some((Instant::now(), time));
            if self.counting {
                self.known.push(time);
            }
        }
        if let Ok(number) = self.known.binary_search(&time) {
            client.saw(number as u64);
        }
    }

    /// How many counted.
    pub fn count(&self) -> u64 {
        self.known.len() as u64
    }

    /// When the last new beat came.
    pub fn last_seen(&self) -> Option<Instant> {
        self.latest.map(|(seen, _)| seen)
    }
}

fn time_of(payload: &[u8]) -> Option<u64> {
    let digits = &payload[find(payload, TIME)? + TIME.len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Verdict;

    fn beat(time: u64) -> Vec<u8> {
        format!(r#"{{"type":"heartbeat","data":{{"now_ms":{time},"total_events":7}}}}"#).into()
    }

    fn heard(beats: &mut Beats, client: &mut Checker, times: &[u64]) {
        times.iter().for_each(|&time| beats.hear(&beat(time), client));
    }

    #[test]
    fn a_client_that_misses_a_beat_or_gets_one_twice_is_found() {
        let mut beats = Beats { counting: true, ..Beats::default() };
        let mut clients = [const { None }; 3].map(|none: Option<Checker>| none.unwrap_or_default());
        heard(&mut beats, &mut clients[0], &[10, 20, 30]);
        heard(&mut beats, &mut clients[1], &[10, 30]);
        heard(&mut beats, &mut clients[2], &[10, 20, 20, 30]);
        assert_eq!(beats.count(), 3);
        let verdicts = clients.map(|client| client.verdict(beats.count()));
        let verdict = |lost, duplicated| Verdict { lost, duplicated, reordered: 0 };
        assert_eq!(verdicts, [verdict(0, 0), verdict(1, 0), verdict(0, 1)]);
    }

    #[test]
    fn a_beat_from_before_the_window_does_not_count_and_a_late_one_of_it_does() {
        let (mut beats, mut client) = (Beats::default(), Checker::default());
        heard(&mut beats, &mut client, &[10]);
        beats.counting = true;
        heard(&mut beats, &mut client, &[10, 20]);
        beats.counting = false;
        let mut slow = Checker::default();
        heard(&mut beats, &mut slow, &[20, 30]);
        assert_eq!(beats.count(), 1);
        assert_eq!([client, slow].map(|client| client.verdict(1)), [Verdict::default(); 2]);
    }

    #[test]
    fn other_frames_are_no_beats_and_stale_ones_are_told() {
        let (mut beats, mut client) =
            (Beats { counting: true, ..Beats::default() }, Checker::default());
        beats.hear(br#"{"type":"initial_stats","data":{"now_ms":5}}"#, &mut client);
        beats.hear(br#"{"type":"gap","channel":"analytics","from":1,"to":2}"#, &mut client);
        beats.hear(br#"{"type":"heartbeat","data":{"now_ms":9},"stale":true}"#, &mut client);
        assert_eq!((beats.greetings, beats.stale, beats.count()), (1, 1, 1));
    }
}
