//! Where names are, by an implementation that is not ours.

use super::*;

/// How many nodes the vectors are about.
const NODES: [usize; 7] = [1, 2, 3, 4, 5, 8, 16];

/// Computed by the Python of docs/REDIS_NODES.md, which shares nothing with this one.
const VECTORS: [(&str, u64, [usize; 7]); 6] = [
    ("analytics", 0x6126_b604_5920_531a, [0, 1, 1, 3, 4, 4, 14]),
    ("orders:1", 0xbcfb_39c8_7b27_8e78, [0; 7]),
    ("orders:2", 0x88d3_3620_de52_626c, [0, 1, 1, 1, 1, 6, 6]),
    ("live:analytics", 0x469e_3641_21c2_c221, [0, 0, 2, 3, 3, 3, 10]),
    ("chat:room@7", 0x6ebf_96ff_d55f_d23f, [0, 1, 1, 1, 1, 1, 1]),
    ("a", 0xd24e_c4f1_a98c_6e5b, [0, 1, 1, 1, 1, 6, 8]),
];

fn channel(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}

#[test]
fn a_channel_is_where_others_find_it() {
    for (name, hash, places) in VECTORS {
        assert_eq!(xxh64(name.as_bytes(), 0), hash, "{name}");
        for (nodes, place) in NODES.into_iter().zip(places) {
            assert_eq!(Route::new("", nodes).channel(&channel(name)), place, "{name} of {nodes}");
        }
    }
    let prefixed = Route::new("live:", 16);
    assert_eq!(prefixed.channel(&channel("analytics")), 10, "the prefix counts");
}

#[test]
fn the_page_about_nodes_has_these_vectors() {
    let page = include_str!("../../../../docs/REDIS_NODES.md");
    for (name, hash, places) in VECTORS {
        let places: Vec<String> = places.iter().map(ToString::to_string).collect();
        let row = format!("| `{name}` | `{hash:016x}` | {} |", places.join(" | "));
        assert!(page.lines().any(|line| line == row), "not there: {row}");
    }
}

#[test]
fn a_key_with_braces_is_with_the_channel_of_that_name() {
    for (key, name) in [
        ("{analytics}:stats", "analytics"),
        ("stats:{orders:2}:{other}", "orders:2"),
        ("analytics", "analytics"),
    ] {
        for (prefix, nodes) in [("", 5), ("live:", 16)] {
            let route = Route::new(prefix, nodes);
            assert_eq!(route.key(key), route.channel(&channel(name)), "{key}");
        }
    }
    // An empty pair of braces is no tag.
    assert_eq!(hash_tag("{}:stats"), None);
    assert_eq!(hash_tag("{open"), None);
    assert_eq!(hash_tag("shut}"), None);
}

#[test]
fn a_node_that_is_added_takes_its_share_and_moves_nothing_else() {
    let names = || (0..10_000u64).map(|n| channel(&format!("orders:{n}")));
    for nodes in 1..16 {
        let (before, after) = (Route::new("", nodes), Route::new("", nodes + 1));
        let mut moved = 0;
        for name in names() {
            let (old, new) = (before.channel(&name), after.channel(&name));
            if old != new {
                assert_eq!(new, nodes, "{name} moves between old nodes");
                moved += 1;
            }
        }
        let share = 10_000 / (nodes + 1);
        assert!((share * 9 / 10..share * 11 / 10).contains(&moved), "{moved}, not about {share}");
    }
}
