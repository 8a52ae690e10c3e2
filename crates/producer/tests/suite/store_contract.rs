//! The contract of `Store`: one suite, run against the memory store and against a real
//! Redis.

use std::time::Duration;

use crate::support::{Rig, at, referred, view};
use serde_json::{Value, json};

const NOON: &str = "2025-12-08T12:00:30Z";

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn minutes(count: u64) -> Duration {
    seconds(60 * count)
}

/// Thirty counts, oldest first, all 0 but those named by how many minutes ago.
fn row(counts: &[(usize, u64)]) -> Value {
    let mut row = vec![0; 30];
    for &(ago, count) in counts {
        row[29 - ago] = count;
    }
    json!(row)
}

async fn before_the_first_view_there_are_zeros(rig: Rig) {
    let now = at(NOON);
    let expected = json!({
        "current_visitors": 0, "visitors_last_5_minutes": 0, "unique_today": 0, "total_events": 0, "events_today": 0,
        "views_last_minute": 0, "last_30_minutes": row(&[]), "top_pages": [],
        "top_referrers": [], "timestamp": 1_765_195_230_u64,
    });
    assert_eq!(rig.document(now).await, expected);
}

async fn a_view_is_counted_published_and_documented(mut rig: Rig) {
    let now = at(NOON);
    let first = view("ada", "/pricing?\"\\/\u{e9}");
    let second = referred("ada", "https://search.example/find");
    let third = referred("bob", "https://acme.example/");
    rig.record(&[first.clone(), second.clone()], now).await;
    rig.record(std::slice::from_ref(&third), now + seconds(1)).await;
    for view in [first, second, third] {
        let expected: Value = serde_json::from_slice(&view.encode().unwrap()).unwrap();
        assert_eq!(rig.next_event().await, expected);
    }
    let expected = json!({
        "current_visitors": 2, "visitors_last_5_minutes": 2, "unique_today": 2, "total_events": 3, "events_today": 3,
        "views_last_minute": 3, "last_30_minutes": row(&[(0, 3)]),
        "top_pages": [
            { "path": "/", "views": 2 },
            { "path": "/pricing?\"\\/\u{e9}", "views": 1 },
        ],
        // A link from the site itself refers nobody.
        "top_referrers": [{ "referrer": "search.example", "views": 1 }],
        "timestamp": 1_765_195_232_u64,
    });
    assert_eq!(rig.document(now + seconds(2)).await, expected);
}

async fn visitors_leave_after_five_minutes_and_stay_unique_all_day(rig: Rig) {
    let now = at(NOON);
    rig.record(&[view("ada", "/"), view("bob", "/")], now).await;
    rig.record(&[view("ada", "/")], now + minutes(3)).await;
    let present = async |after| rig.document(now + after).await["current_visitors"].clone();
    assert_eq!(present(minutes(4)).await, 2);
    assert_eq!(present(minutes(5) + seconds(1)).await, 1, "bob has left");
    assert_eq!(present(minutes(8) + seconds(1)).await, 0, "so has ada");
    let evening = rig.document(at("2025-12-08T23:59:59Z")).await;
    assert_eq!((&evening["unique_today"], &evening["events_today"]), (&json!(2), &json!(3)));
    let midnight = rig.document(at("2025-12-09T00:00:00Z")).await;
    assert_eq!((&midnight["unique_today"], &midnight["events_today"]), (&json!(0), &json!(0)));
    assert_eq!(midnight["total_events"], 3, "the total is for ever");
}

async fn views_leave_the_last_minute_and_the_last_thirty(rig: Rig) {
    let now = at(NOON);
    rig.record(&[view("ada", "/"), view("ada", "/a")], now).await;
    rig.record(&[view("ada", "/a")], now + seconds(40)).await;
    let figures = async |after| {
        let document = rig.document(now + after).await;
        (document["views_last_minute"].clone(), document["last_30_minutes"].clone())
    };
    assert_eq!(figures(seconds(41)).await, (json!(3), row(&[(1, 2), (0, 1)])));
    assert_eq!(figures(seconds(61)).await, (json!(1), row(&[(1, 2), (0, 1)])));
    assert_eq!(figures(seconds(101)).await, (json!(0), row(&[(2, 2), (1, 1)])));
    assert_eq!(figures(minutes(29)).await, (json!(0), row(&[(29, 2), (28, 1)])));
    assert_eq!(figures(minutes(30)).await, (json!(0), row(&[(29, 1)])));
    assert_eq!(figures(minutes(31)).await, (json!(0), row(&[])));
}

async fn the_lists_rank_the_last_thirty_minutes(rig: Rig) {
    let now = at(NOON);
    let many = |path: &str, count| vec![view("ada", path); count];
    rig.record(&many("/old", 5), now).await;
    rig.record(&many("/new", 3), now + minutes(10)).await;
    rig.record(&many("/old", 1), now + minutes(20)).await;
    let pages = async |after| rig.document(now + after).await["top_pages"].clone();
    let [old, new] =
        ["/old", "/new"].map(|path| move |views| json!({"path": path, "views": views}));
    assert_eq!(pages(minutes(29)).await, json!([old(6), new(3)]));
    // Asked again and again: a minute is taken out once.
    for second in 0..3 {
        let expected = json!([new(3), old(1)]);
        assert_eq!(pages(minutes(30) + seconds(second)).await, expected);
    }
    assert_eq!(pages(minutes(40)).await, json!([old(1)]));
    assert_eq!(pages(minutes(50)).await, json!([]));
}

async fn after_a_long_silence_the_lists_are_empty(rig: Rig) {
    for silence in [30, 31, 58, 59, 60, 61, 119, 500] {
        let start = at("2025-12-08T00:00:30Z") + minutes(silence * 10);
        rig.record(&[view("ada", "/"), referred("ada", "https://news.example/")], start).await;
        let later = start + minutes(silence);
        rig.record(&[view("ada", "/later")], later).await;
        let document = rig.document(later).await;
        let expected = json!([{ "path": "/later", "views": 1 }]);
        assert_eq!(document["top_pages"], expected, "after {silence} minutes");
        assert_eq!(document["top_referrers"], json!([]), "after {silence} minutes");
        // Whatever the silence left behind is gone before the next.
        let empty = rig.document(later + minutes(30)).await;
        assert_eq!(empty["top_pages"], json!([]), "after {silence} minutes");
    }
}

async fn the_lists_have_ten_rows_of_hosts_and_paths(rig: Rig) {
    let now = at(NOON);
    let mut views = Vec::new();
    for number in 1..=15 {
        let one = view("ada", &format!("/{number}"));
        views.extend(std::iter::repeat_n(one, number));
    }
    views.extend([
        referred("ada", "https://Search.example:8443/?q=1"),
        referred("bob", "http://search.example/other"),
        referred("bob", "https://news.example"),
    ]);
    rig.record(&views, now).await;
    let document = rig.document(now).await;
    let rows = document["top_pages"].as_array().unwrap();
    let expected: Vec<Value> =
        (6..=15).rev().map(|n| json!({"path": format!("/{n}"), "views": n})).collect();
    assert_eq!(*rows, expected);
    let expected = json!([
        { "referrer": "search.example", "views": 2 },
        { "referrer": "news.example", "views": 1 },
    ]);
    assert_eq!(document["top_referrers"], expected);
}

async fn made_up_paths_do_not_push_real_ones_out(rig: Rig) {
    let now = at(NOON);
    rig.record(&[view("ada", "/real")], now).await;
    let made_up: Vec<_> = (0..3_000).map(|n| view("eve", &format!("/made-up/{n}"))).collect();
    rig.record(&made_up, now).await;
    rig.record(&[view("ada", "/real"), view("ada", "/real")], now).await;
    let document = rig.document(now + seconds(1)).await;
    assert_eq!(document["top_pages"][0], json!({ "path": "/real", "views": 3 }));
    assert_eq!(document["total_events"], 3_003, "what no list has room for counts all the same");
    assert_eq!(document["last_30_minutes"], row(&[(0, 3_003)]));
}

async fn many_visitors_are_counted_closely(rig: Rig) {
    let now = at(NOON);
    let views: Vec<_> = (0..5_000).map(|n| view(&format!("visitor-{n}"), "/")).collect();
    rig.record(&views, now).await;
    rig.record(&views, now + seconds(1)).await;
    let document = rig.document(now + seconds(1)).await;
    assert_eq!(document["current_visitors"], 5_000);
    // A HyperLogLog is 0.81 % off at most times, three times that hardly ever.
    let unique = document["unique_today"].as_u64().unwrap();
    assert!((4_870..=5_130).contains(&unique), "{unique} of 5,000");
    assert_eq!(document["total_events"], 10_000);
}

async fn no_views_are_no_news(rig: Rig) {
    rig.record(&[], at(NOON)).await;
    assert_eq!(rig.document(at(NOON)).await["total_events"], 0);
}

/// Each test of the suite once for each store.
macro_rules! suite {
    ($($test:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test] async fn $test() { super::$test(super::Rig::memory().await).await; })+
        }
        mod redis {
            $(#[tokio::test] async fn $test() { super::$test(super::Rig::redis().await).await; })+
        }
    };
}

suite! {
    before_the_first_view_there_are_zeros,
    a_view_is_counted_published_and_documented,
    visitors_leave_after_five_minutes_and_stay_unique_all_day,
    views_leave_the_last_minute_and_the_last_thirty,
    the_lists_rank_the_last_thirty_minutes,
    after_a_long_silence_the_lists_are_empty,
    the_lists_have_ten_rows_of_hosts_and_paths,
    made_up_paths_do_not_push_real_ones_out,
    many_visitors_are_counted_closely,
    no_views_are_no_news,
}
