//! The load generator against collectors that lose, stall, refuse and hang up.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::collect::pace::DRAIN;

const PLAN: Plan = Plan {
    rate: 500,
    lead_in: Duration::from_millis(100),
    window: Duration::from_millis(900),
    patience: Duration::from_secs(20),
};

const ACCEPTED: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// A collector whose connections each answer view number `n` of theirs with `answer(n)`;
/// nothing ends the connection.
fn collector(answer: impl Fn(u64) -> Option<&'static str> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = std::sync::Arc::clone(&answer);
            thread::spawn(move || serve(stream, &*answer));
        }
    });
    address
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(u64) -> Option<&'static str>) {
    let mut buffer = [0; 4096];
    for number in 0.. {
        // A visitor sends its next view after the answer alone.
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => {}
            _ => return,
        }
        let Some(text) = answer(number) else { return };
        if stream.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn run(address: SocketAddr, visitors: usize, plan: &Plan) -> (Visitors, Outcome, u64) {
    let mut visitors = Visitors::open(address, visitors).unwrap();
    let accepted = AtomicU64::new(0);
    let outcome = visitors.run(plan, &accepted).unwrap();
    (visitors, outcome, accepted.into_inner())
}

fn ms(outcome: &Outcome, quantile: f64) -> u64 {
    outcome.latency.quantile(quantile).unwrap() / 1_000_000
}

#[test]
fn every_view_due_in_the_window_is_asked_for_and_every_204_counted() {
    let (visitors, outcome, accepted) = run(collector(|_| Some(ACCEPTED)), 20, &PLAN);
    assert_eq!((outcome.asked, outcome.accepted), (450, 450));
    assert_eq!((accepted, visitors.ledger.accepted.sum()), (500, 500));
    assert_eq!((visitors.ledger.unknown.sum(), outcome.closed), (0, 0));
    assert!(outcome.kept_up(Duration::from_secs(60)));
}

/// One stall of 300 ms at 500 a second delays 150 of 450 views: a generator that waited
/// for answers would have sent 20 and seen 20 slow ones.
#[test]
fn a_stall_shows_in_every_view_that_it_delays() {
    let end = std::sync::OnceLock::new();
    let stall = move |number: u64| {
        // From the tenth view of a visitor on, which is in the window.
        if number >= 10 {
            let end = end.get_or_init(|| Instant::now() + Duration::from_millis(300));
            thread::sleep(end.saturating_duration_since(Instant::now()));
        }
        Some(ACCEPTED)
    };
    let (_, outcome, _) = run(collector(stall), 20, &PLAN);
    assert_eq!((outcome.asked, outcome.accepted), (450, 450));
    // A third of the views waited; half of that third waited at least half of the stall.
    assert!(ms(&outcome, 0.99) >= 280, "{} ms", ms(&outcome, 0.99));
    assert!(ms(&outcome, 0.85) >= 100, "{} ms", ms(&outcome, 0.85));
    assert!(!outcome.kept_up(Duration::from_millis(200)));
}

#[test]
fn slow_answers_move_the_percentile_that_they_belong_to() {
    let slow_each = |each: u64| {
        let count = AtomicU64::new(0);
        collector(move |_| {
            if count.fetch_add(1, Relaxed) % each == each - 1 {
                thread::sleep(Duration::from_millis(2_000));
            }
            Some(ACCEPTED)
        })
    };
    // More visitors than views, so that nobody waits for somebody else's answer.
    let (_, outcome, _) = run(slow_each(20), 600, &PLAN);
    assert!(ms(&outcome, 0.99) >= 2_000 && !outcome.kept_up(Duration::from_millis(1_500)));
    let (_, outcome, _) = run(slow_each(450), 600, &PLAN);
    assert!(ms(&outcome, 0.99) < 2_000 && ms(&outcome, 1.0) >= 2_000);
}

#[test]
fn refusals_are_no_acceptances_and_errors_leave_the_view_unknown() {
    let answer = |number| match number % 5 {
        0 => Some("HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\nno"),
        1 => Some("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"),
        _ => Some(ACCEPTED),
    };
    let plan = Plan { lead_in: Duration::ZERO, window: Duration::from_secs(1), ..PLAN };
    let (visitors, outcome, accepted) = run(collector(answer), 20, &plan);
    assert_eq!((outcome.asked, outcome.accepted, accepted), (500, 300, 300));
    assert_eq!(outcome.refusals, BTreeMap::from([(429, 100), (503, 100)]));
    assert_eq!(visitors.ledger.accepted.sum(), 300);
    assert_eq!(visitors.ledger.unknown.sum(), 100);
    assert!(!outcome.kept_up(Duration::from_secs(60)));
}

#[test]
fn a_connection_that_is_closed_is_counted_and_its_visitor_comes_back() {
    let hang_up = |number| (number < 5).then_some(ACCEPTED);
    let plan = Plan { lead_in: Duration::ZERO, window: Duration::from_secs(1), ..PLAN };
    let (visitors, outcome, accepted) = run(collector(hang_up), 20, &plan);
    // Each connection takes five views and swallows the sixth.
    let (sent, swallowed) = (500, visitors.ledger.unknown.sum());
    assert_eq!(accepted + swallowed, sent);
    assert_eq!((outcome.asked, outcome.accepted), (sent, accepted));
    assert_eq!((outcome.closed, swallowed), (80, 80));
}

#[test]
fn who_falls_behind_beyond_patience_is_given_up_and_the_views_count_as_late() {
    let plan = Plan { patience: Duration::from_millis(200), lead_in: Duration::ZERO, ..PLAN };
    let start = Instant::now();
    let silent = collector(|_| {
        thread::sleep(Duration::from_secs(60));
        None
    });
    let (visitors, outcome, accepted) = run(silent, 20, &plan);
    assert!(start.elapsed() < DRAIN, "it waited for the whole window and the answers");
    assert_eq!((outcome.accepted, accepted, visitors.ledger.unknown.sum()), (0, 0, 20));
    assert!(!outcome.kept_up(Duration::from_secs(60)));
    assert!(outcome.latency.max().is_some());
}

#[test]
fn each_visitor_has_an_address_of_its_own() {
    let all: std::collections::HashSet<_> =
        (0..1_000).map(|index| source(index).unwrap()).collect();
    assert_eq!(all.len(), 1_000);
    assert!(all.iter().all(|one| one.is_loopback() && *one != Ipv4Addr::LOCALHOST));
    assert!(source(70_000).is_err());
}
