//! What is told of each mistake that a file can have.

use super::check_text;
use super::tests::refused;
use crate::cli::ServeFlags;

/// Files, and what is told of them.
const WRONG_FILES: &[(&str, &str)] = &[
    ("[http]\nport = 1", "FILE:2:1: http.port: there is no such key; known here: "),
    (
        "[http]\nlistn = \"1\"",
        "FILE:2:1: http.listn: there is no such key; did you mean \"listen\"?",
    ),
    (
        "[http]\nlisten = 99999999999999999999",
        "FILE:2:1: http.listen: this number is too large for a 64-bit integer",
    ),
    (
        "[[endpoints]]\npath = \"/a\"\nchannels = [\"a\", 99999999999999999999]",
        "FILE:3:18: endpoints[0].channels[1]: this number is too large",
    ),
    (
        "listen = \"127.0.0.1:1\"",
        "FILE:1:1: listen: there is no such section; this key belongs below [admin] or [http]",
    ),
    ("notices = false", "this key belongs below [[endpoints]]"),
    ("[htp]", "FILE:1:2: htp: there is no such section; did you mean \"http\"?"),
    ("http = 5", "FILE:1:1: http: a number is not a section: write [http], and its keys below"),
    (
        "[http]\nlisten = 5",
        "FILE:2:1: http.listen: 5 is not an IP address with a port, such as \"0.0.0.0:8080\" or \"[::1]:8080\", in quotes",
    ),
    ("[http]\nlisten = 1979-05-27", "FILE:2:1: http.listen: a date is not an IP address"),
    (
        "[http]\nlisten = \"localhost:80\"",
        "\"localhost:80\" is not an IP address with a port, such as \"0.0.0.0:8080\" or \"[::1]:8080\": names are not looked up",
    ),
    (
        "[http]\nhandshake_timeout = \"soon\"",
        "http.handshake_timeout: \"soon\" is not a duration such as \"30s\" or \"500ms\"",
    ),
    (
        "[http]\nhandshake_timeout = 5",
        "5 is not a duration such as \"30s\" or \"500ms\", in quotes",
    ),
    ("[http]\nhandshake_timeout = \"5\"", "the unit is missing: write \"5s\" or \"5ms\""),
    ("[http]\nhandshake_timeout = \"9999999y\"", "more than a year"),
    ("[limits]\noutbox = 1024", "1024 is not a size such as \"64KiB\" or \"1MiB\", in quotes"),
    ("[limits]\noutbox = \"1024\"", "the unit is missing: write \"1024B\" or \"1024KiB\""),
    ("[limits]\noutbox = \"much\"", "FILE:2:1: limits.outbox: \"much\" is not a size"),
    ("[limits]\nmax_connections = -1", "-1 is not a whole number from 0 to 4294967295"),
    (
        "[limits]\nmax_connections = \"9\"",
        "\"9\" is not a whole number from 0 to 4294967295, without quotes",
    ),
    ("[limits]\nmax_connections = 1.5", "1.5 is not a whole number"),
    ("[limits]\nmax_subscriptions = 0", "0 is not a whole number from 1 to"),
    ("[deflate]\nlevel = 10", "10 is not a whole number from 1 to 9"),
    (
        "[log]\nformat = \"jsn\"",
        "\"jsn\" is not one of \"auto\", \"json\", \"pretty\"; did you mean \"json\"?",
    ),
    ("[log]\nlevel = \"loud\"", "FILE:2:1: log.level: \"loud\" is not one of off, error"),
    (
        "[redis]\nurl = \"host:6379\"",
        "FILE:2:1: redis.url: the value is not a URL such as \"redis://127.0.0.1:6379\": it has no scheme",
    ),
    (
        "[auth]\nforward_url = \"ftp://a\"",
        "FILE:2:1: auth.forward_url: the value is not a URL such as",
    ),
    (
        "[auth]\nforward_headers = [\"cookie:\"]",
        "auth.forward_headers[0]: \"cookie:\" is not the name of a header to pass on, such as \"authorization\": leave out the colon",
    ),
    (
        "[http]\ntrusted_proxies = [\"10.0.0.0/8\",\n\"10.0.0.0/33\"]",
        "FILE:3:1: http.trusted_proxies[1]: \"10.0.0.0/33\" is not an address or a network",
    ),
    ("[endpoints]", "endpoints: a table is not a list of tables: write [[endpoints]] above each"),
    ("endpoints = []", "FILE:1:1: endpoints: at least one endpoint is needed"),
    (
        "[[endpoints]]\nchannels = [\"a\"]",
        "FILE:1:1: endpoints[0]: \"path\" is missing; write path = \"/ws/analytics\"",
    ),
    (
        "[[endpoints]]\npath = \"/a\"\ncolour = 1",
        "FILE:3:1: endpoints[0].colour: there is no such key",
    ),
    (
        "[[endpoints]]\npath = \"/a\"\nchannels = \"a\"",
        "\"a\" is not a list of text: write [\"…\", \"…\"]",
    ),
    (
        "[[endpoints]]\npath = \"/a\"\nnotices = \"no\"",
        "endpoints[0].notices: \"no\" is not true or false, without quotes",
    ),
    (
        "[[endpoints]]\npath = \"/a\"\nchannels = [\"a b\"]",
        "endpoints[0].channels[0]: \"a b\" is not a channel name such as",
    ),
    (
        "[[endpoints]]\npath = \"/a\"\nsubscribe = [\"a[b]\"]",
        "endpoints[0].subscribe[0]: \"a[b]\" is not a pattern of channel names such as \"orders:*\"",
    ),
    (
        "[[endpoints]]\npath = \"ws\"",
        "endpoints[0].path: \"ws\" is not a path such as \"/ws/orders\"",
    ),
    ("[[endpoints]]\npath = \"/a/{b}\"", "is not a path such as"),
    (
        "[[endpoints]]\npath = \"/api/info\"",
        "\"/api/info\" is Redcast's own: leave out /api/ and /sse/",
    ),
    (
        "[[endpoints]]\npath = \"/sse/live\"",
        "\"/sse/live\" is Redcast's own: leave out /api/ and /sse/",
    ),
    ("[[endpoints]]\npath = \"/\"", "\"/\" is Redcast's own page"),
    (
        "[page]\ncollector = \"collect.example\"",
        "FILE:2:1: page.collector: \"collect.example\" is not \"/\" (the gateway's own address) or an origin such as \"https://collect.example\": the scheme is missing: write \"https://collect.example\"",
    ),
    (
        "[page]\ncollector = \"wss://collect.example\"",
        "page.collector: \"wss://collect.example\" is not",
    ),
    (
        "[page]\ncollector = \"https://collect.example/r.js\"",
        "leave out the path: write \"https://collect.example\"",
    ),
    ("[page]\ncollector = \"https://*.a.example\"", "it is one address, without a wildcard"),
    ("[page]\ncollector = \"https://a.example; script-src b\"", "no host has"),
    (
        "[[endpoints]]\npath = \"/a\"\n[[endpoints]]\npath = \"/a\"",
        "FILE:4:1: endpoints[1].path: \"/a\" is the path of endpoints[0] already",
    ),
    (
        "[[endpoints]]\npath = \"/a\"\nallowed_origins = [\"*\", \"https://a.example\"]",
        "FILE:3:1: endpoints[0].allowed_origins: \"*\" allows all pages, so nothing may stand beside it",
    ),
    (
        "[[endpoints]]\npath = \"/a\"\nmax_message_size = \"0B\"",
        "endpoints[0].max_message_size: must be more than 0",
    ),
    ("[[channels]]\npattern = \"\"", "channels[0].pattern: \"\" is not a pattern"),
    (
        "[[channels]]\npattern = \"a\"\nslow_consumer = \"drop\"",
        "\"drop\" is not one of \"disconnect\", \"drop_oldest\", \"keep_latest\"",
    ),
    (
        "[[channels]]\npattern = \"a\"\nflush_every = \"0s\"",
        "FILE:3:1: channels[0].flush_every: must be from 1ms to 60s",
    ),
    (
        "[[channels]]\npattern = \"a\"\n[[channels]]\npattern = \"b\"\nflush_every = \"61s\"",
        "FILE:5:1: channels[1].flush_every: must be from 1ms to 60s",
    ),
    (
        "[[channels]]\npattern = \"a\"\nflush_every = \"999us\"",
        "channels[0].flush_every: must be from 1ms to 60s",
    ),
    (
        "[[channels]]\npattern = \"a\"\nflush_every = 100",
        "FILE:3:1: channels[0].flush_every: 100 is not a duration such as \"30s\" or \"500ms\", in quotes",
    ),
    (
        "[[channels]]\npattern = \"a\"\nslow_consumer = \"keep_latest\"\nlatest_by = \"data.id\"",
        "FILE:4:1: channels[0].latest_by: \"data.id\" is not a JSON pointer such as \"/data/id\": it must begin with \"/\"",
    ),
    (
        "[[channels]]\npattern = \"a\"\nslow_consumer = \"keep_latest\"\nlatest_by = \"/a~b\"",
        "\"/a~b\" is not a JSON pointer such as \"/data/id\": \"~\" is written \"~0\"",
    ),
    (
        "[[channels]]\npattern = \"a\"\nlatest_by = \"/id\"",
        "FILE:3:1: channels[0].latest_by: needs slow_consumer = \"keep_latest\" in the same rule",
    ),
    (
        "[[channels]]\npattern = \"a\"\nlatest_by = \"/id\"\nslow_consumer = \"drop_oldest\"",
        "FILE:3:1: channels[0].latest_by: needs slow_consumer = \"keep_latest\" in the same rule",
    ),
    (
        "[[endpoints]]\npath = \"/a\"\nsnapshot = \"stats\"",
        "FILE:3:1: endpoints[0].snapshot: there is no snapshot \"stats\"; write a [[snapshots]] with name = \"stats\"",
    ),
    (
        "[[endpoints]]\npath = \"/a\"\nsnapshot = \"stat\"\n[[snapshots]]\nname = \"stats\"\nkey = \"k\"",
        "FILE:3:1: endpoints[0].snapshot: there is no snapshot \"stat\"; known here: stats",
    ),
    (
        "[[snapshots]]\nkey = \"k\"",
        "FILE:1:1: snapshots[0]: \"name\" is missing; write name = \"analytics\"",
    ),
    (
        "[[snapshots]]\nname = \"a\"",
        "FILE:1:1: snapshots[0]: \"key\" is missing; write key = \"{analytics}:stats\"",
    ),
    (
        "[[snapshots]]\nname = \"a b\"\nkey = \"k\"",
        "FILE:2:1: snapshots[0].name: \"a b\" is not the name of a snapshot such as \"analytics\": it has 1 to 64 of",
    ),
    (
        "[[snapshots]]\nname = \"a\"\nkey = \"k\"\n[[snapshots]]\nname = \"a\"\nkey = \"l\"",
        "FILE:5:1: snapshots[1].name: \"a\" is the name of snapshots[0] already",
    ),
    ("[[snapshots]]\nname = \"a\"\nkey = \"\"", "FILE:3:1: snapshots[0].key: must not be empty"),
    (
        "[[snapshots]]\nname = \"a\"\nkey = \"k\"\nevery = \"99ms\"",
        "FILE:4:1: snapshots[0].every: must be from 100ms to 1h",
    ),
    (
        "[[snapshots]]\nname = \"a\"\nkey = \"k\"\nevery = \"61m\"",
        "FILE:4:1: snapshots[0].every: must be from 100ms to 1h",
    ),
    (
        "[[snapshots]]\nname = \"a\"\nkey = \"k\"\non_connect = \"pong\"",
        "FILE:4:1: snapshots[0].on_connect: \"pong\" is a message of Redcast's own",
    ),
    (
        "[[snapshots]]\nname = \"a\"\nkey = \"k\"\non_tick = \"close\"",
        "FILE:4:1: snapshots[0].on_tick: \"close\" is a message of Redcast's own",
    ),
    (
        "[[snapshots]]\nname = \"a\"\nkey = \"k\"\non_tick = \"\"",
        "FILE:4:1: snapshots[0].on_tick: must not be empty",
    ),
    (
        "[[snapshots]]\nname = \"a\"\nkey = \"k\"\nmerge = { \"data/x\" = \"now\" }",
        "FILE:4:11: snapshots[0].merge.data/x: \"data/x\" is not a JSON pointer into the frame such as \"/data/connections\": it must begin with \"/\"",
    ),
    (
        "[[snapshots]]\nname = \"a\"\nkey = \"k\"\nmerge = { \"/type\" = \"now\" }",
        "snapshots[0].merge./type: \"/type\" is not a JSON pointer into the frame such as \"/data/connections\": `type`, `data` and `stale` are set already",
    ),
    (
        "[[snapshots]]\nname = \"a\"\nkey = \"k\"\n[snapshots.merge]\n\"/data/x\" = \"time\"",
        "FILE:5:1: snapshots[0].merge./data/x: \"time\" is not one of \"connections\", \"instance_connections\", \"now\", \"now_ms\"",
    ),
    (
        "[[snapshots]]\nname = \"a\"\nkey = \"k\"\nmerge = { \"/data/x\" = 1 }",
        "snapshots[0].merge./data/x: 1 is not text, in quotes",
    ),
    (
        "[[snapshots]]\nname = \"a\"\nkey = \"k\"\nmerge = { \"/data/x/y\" = \"now\", \"/data/x\" = \"now\" }",
        "FILE:4:1: snapshots[0].merge: \"/data/x/y\" is inside \"/data/x\", which is a number",
    ),
    (
        "[[snapshots]]\nname = \"a\"\nkey = \"k\"\nmerge = [\"/data/x\"]",
        "FILE:4:1: snapshots[0].merge: a list is not a table: write { ",
    ),
    (
        "[api]\nkey = \"a\"\nkey_file = \"b\"",
        "FILE:3:1: api.key_file: api.key is set, too (FILE:2:1); set one, not both",
    ),
    (
        "[redis]\nurl_file = \"b\"\nurl = \"redis://a\"",
        "FILE:2:1: redis.url_file: redis.url is set, too (FILE:3:1); set one",
    ),
    (
        "[redis]\nurl = \"redis://a\"\nnodes = [\"redis://b\"]",
        "FILE:3:1: redis.nodes: redis.url is set, too (FILE:2:1); set one, not both",
    ),
    ("[redis]\nnodes = []", "FILE:2:1: redis.nodes: names no node; leave it out"),
    (
        "[redis]\nnodes = [\"redis://a\", \"redis://b\", \"redis://a\"]",
        "FILE:2:1: redis.nodes: node 2 (counted from 0) stands there twice",
    ),
    (
        "[redis]\nnodes = [\"redis://a\", \"redis://:hunter2\"]",
        "redis.nodes[1]: the value is not a URL such as",
    ),
    (
        "[redis]\nurl = \"redis+sentinel://:hunter2@a,b\"",
        "redis.url: the value is not a URL such as \"redis://127.0.0.1:6379\": it does not name",
    ),
    ("[redis]\nsentinel_password = \" \"", "the value is not a password: it is empty"),
    ("[api]\nkey = \"\"", "api.key: the value is not a key: it is empty"),
    ("[limits]\nmax_event_size = \"33MiB\"", "FILE:2:1: limits.max_event_size: at most 32MiB"),
    ("[http]\nunsent_limit = \"4GiB\"", "http.unsent_limit: must be less than 4GiB"),
    (
        "[limits]\nmax_subscriptions = 1\n[[endpoints]]\npath = \"/a\"\nchannels = [\"a\", \"b\"]",
        "FILE:5:1: endpoints[0].channels: 2 channels are more than limits.max_subscriptions (1)",
    ),
    (
        "[keepalive]\nidle_timeout = \"30s\"",
        "FILE:2:1: keepalive.idle_timeout: must be longer than keepalive.ping_every (30s)",
    ),
    (
        "[keepalive]\nping_every = \"2m\"",
        "FILE:2:1: keepalive.ping_every: must be shorter than keepalive.idle_timeout (1m)",
    ),
    (
        "[http]\nlisten = \"0.0.0.0:9464\"",
        "FILE:2:1: http.listen: port 9464 is admin.listen's, too",
    ),
];

#[test]
fn a_file_is_told_what_is_wrong_and_where() {
    for (text, told) in WRONG_FILES {
        let message = refused(text, &[], &ServeFlags::default());
        assert!(message.contains(told), "{text:?}\n got {message}\nwant {told}");
        assert_eq!(message.lines().count(), 1, "{message}");
        // Whoever judges a text alone hears the same.
        let alone = check_text(text).unwrap_err().to_string();
        assert_eq!(alone.replace("redcast.toml", "FILE"), message);
    }
}
