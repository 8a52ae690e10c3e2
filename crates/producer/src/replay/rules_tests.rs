//! Page views pass, and each other line is skipped for its own reason.

use super::*;
use crate::replay::line::parse;

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// A line of the combined format.
fn line(request: &str, status: u16, referrer: &str, agent: &str) -> String {
    format!(
        "192.0.2.1 - - [08/Dec/2025:12:34:56 +0000] \"{request}\" {status} 5 \"{referrer}\" \"{agent}\""
    )
}

fn judge(line: &str, all: bool) -> Result<Opened, Skip> {
    page_view(&parse(line.as_bytes()).expect("the line is readable"), all)
}

fn path_of(target: &str) -> Result<String, Skip> {
    judge(&line(&format!("GET {target} HTTP/1.1"), 200, "-", AGENT), false).map(|view| view.path)
}

#[test]
fn pages_are_views_and_queries_are_left_out() {
    for (target, path) in [
        ("/", "/"),
        ("/blog/post.html", "/blog/post.html"),
        ("/index.php?id=7", "/index.php"),
        ("/docs/v1.2", "/docs/v1.2"),
        ("/user/john.doe", "/user/john.doe"),
        ("/a#b", "/a"),
        ("/?token=secret", "/"),
        ("/b%C3%BCcher/", "/b%C3%BCcher/"),
        ("https://acme.example/pricing?x", "/pricing"),
        ("http://acme.example", "/"),
    ] {
        assert_eq!(path_of(target).as_deref(), Ok(path), "{target}");
    }
}

#[test]
fn assets_are_told_by_their_names() {
    for target in [
        "/app.js",
        "/style.CSS?v=3",
        "/robots.txt",
        "/favicon.ico",
        "/img/a.b.png",
        "/report.pdf",
        "/.well-known/security",
    ] {
        assert_eq!(path_of(target), Err(Skip::Asset), "{target}");
    }
}

#[test]
fn each_other_line_has_its_reason_and_all_keeps_every_get() {
    let get = "GET / HTTP/1.1";
    let bot = "Mozilla/5.0 (compatible; ExampleBot/1.0)";
    for (line, why, kept) in [
        (line("-", 400, "-", "-"), Skip::NoRequest, false),
        (line("GET * HTTP/1.1", 200, "-", AGENT), Skip::NoRequest, false),
        (line("POST / HTTP/1.1", 200, "-", AGENT), Skip::Method, false),
        (line("HEAD / HTTP/1.1", 200, "-", AGENT), Skip::Method, false),
        (line(get, 301, "-", AGENT), Skip::Status, true),
        (line(get, 404, "-", AGENT), Skip::Status, true),
        (line(get, 499, "-", AGENT), Skip::Status, true),
        (line(get, 101, "-", AGENT), Skip::Status, true),
        (line("GET /a.js HTTP/1.1", 200, "-", AGENT), Skip::Asset, true),
        (line(get, 200, "-", bot), Skip::Bot, true),
        (line(get, 200, "-", "-"), Skip::Bot, true),
    ] {
        assert_eq!(judge(&line, false), Err(why), "{line}");
        assert_eq!(judge(&line, true).is_ok(), kept, "{line}");
    }
    for status in [200, 206, 304] {
        assert!(judge(&line(get, status, "-", AGENT), false).is_ok(), "{status}");
    }
}

#[test]
fn a_line_of_the_common_format_is_a_view_of_nobody_knows_whom() {
    let common = "192.0.2.1 - - [08/Dec/2025:12:34:56 +0000] \"GET / HTTP/1.1\" 200 5";
    let view = judge(common, false).unwrap();
    assert_eq!((view.referrer, view.device), (None, "desktop"));
}

#[test]
fn of_a_referrer_its_origin_is_kept() {
    for (referrer, origin) in [
        ("https://search.example/?q=secret", Some("https://search.example/")),
        ("https://search.example", Some("https://search.example/")),
        ("http://news.example:8080/private/page#top", Some("http://news.example:8080/")),
        ("https://user:secret@news.example/", Some("https://news.example/")),
        ("android-app://org.example.reader/x", Some("android-app://org.example.reader/")),
        ("-", None),
        ("", None),
        ("https:///nowhere", None),
        ("nonsense", None),
        (&format!("https://{}/", "a".repeat(600)), None),
    ] {
        let view = judge(&line("GET / HTTP/1.1", 200, referrer, AGENT), false).unwrap();
        assert_eq!(view.referrer.as_deref(), origin, "{referrer}");
    }
}

#[test]
fn a_long_path_is_cut_at_a_whole_character() {
    let path = path_of(&format!("/{}", "é".repeat(400))).unwrap();
    assert_eq!(path, format!("/{}", "é".repeat(255)));
}

#[test]
fn reasons_are_counted_each_for_itself() {
    let mut skipped = Skipped::default();
    for (count, why) in [
        (1, Skip::NoRequest),
        (2, Skip::Method),
        (3, Skip::Status),
        (4, Skip::Asset),
        (5, Skip::Bot),
    ] {
        (0..count).for_each(|_| skipped.count(why));
    }
    let expected = Skipped { no_request: 1, methods: 2, statuses: 3, assets: 4, bots: 5 };
    assert_eq!((skipped, skipped.total()), (expected, 15));
    skipped.add(&expected);
    assert_eq!(skipped.total(), 30);
}
