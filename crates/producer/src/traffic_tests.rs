//! The traffic is repeatable, plausible, and as dense as it was asked to be.

use std::collections::{HashMap, HashSet};

use super::*;

fn views(seed: u64, count: usize) -> Vec<(Duration, PageView)> {
    let mut traffic = Traffic::new(seed, 5.0);
    (0..count).map(|_| traffic.next_view()).collect()
}

#[test]
fn the_same_seed_gives_the_same_views_and_another_seed_others() {
    assert_eq!(views(7, 500), views(7, 500));
    assert_ne!(views(7, 500), views(8, 500));
}

#[test]
fn times_never_go_back_and_the_rate_is_the_one_asked_for() {
    let views = views(1, 30_000);
    assert!(views.is_sorted_by_key(|(due, _)| *due));
    let rate = views.len() as f64 / views.last().unwrap().0.as_secs_f64();
    assert!((4.5..5.5).contains(&rate), "{rate} views a second");
}

#[test]
fn the_first_seconds_are_as_busy_as_any_others() {
    let early: usize = (0..50)
        .map(|seed| views(seed, 200).iter().filter(|(due, _)| due.as_secs() < 10).count())
        .sum();
    assert!((2_000..3_000).contains(&early), "{early} views in 50 times 10 seconds");
}

#[test]
fn the_rate_varies_from_second_to_second() {
    let mut per_second: HashMap<u64, usize> = HashMap::new();
    for (due, _) in views(2, 5_000) {
        *per_second.entry(due.as_secs()).or_default() += 1;
    }
    let different: HashSet<usize> = per_second.into_values().collect();
    assert!(different.len() > 8, "{different:?}");
}

#[test]
fn a_visitor_keeps_country_and_device_and_follows_links_of_the_page_before() {
    let mut last: HashMap<String, PageView> = HashMap::new();
    let mut followed = 0;
    for (_, view) in views(3, 5_000) {
        if let Some(before) = last.get(&view.visitor_id) {
            followed += 1;
            assert_eq!((&view.country, view.device), (&before.country, before.device));
            assert!(site::links(&before.path).contains(&&*view.path));
            let linked_from = format!("{}{}", site::ORIGIN, before.path);
            assert_eq!(view.referrer, Some(linked_from.into()));
        }
        last.insert(view.visitor_id.clone(), view);
    }
    assert!(followed > 3_000, "{followed} of 5,000 views followed another");
    assert!(last.len() > 1_000, "{} visitors", last.len());
}

#[test]
fn each_choice_comes_as_often_as_its_weight_says() {
    let mut traffic = Traffic::new(4, 5.0);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for _ in 0..10_000 {
        *seen.entry(traffic.pick(&[("a", 1), ("b", 3)])).or_default() += 1;
    }
    assert!((2_200..2_800).contains(&seen["a"]), "{seen:?}");
}

#[test]
fn visitor_ids_are_version_4_uuids() {
    for (_, view) in views(5, 200) {
        let id = view.visitor_id;
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert!(id.chars().all(|c| matches!(c, '-' | '0'..='9' | 'a'..='f')), "{id}");
        assert_eq!(&id[14..15], "4", "version of {id}");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "variant of {id}");
    }
}
