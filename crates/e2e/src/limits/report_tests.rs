//! The tables are what the rounds gave, and go where they belong.

use super::*;
use crate::limits::row;

fn carried(busiest_us: f64) -> Figures {
    Figures::Carried(Carried {
        published: 10_000,
        delivered: vec![10_000, 10_000],
        seconds: 5.0,
        servers_us: vec![busiest_us, 1.0],
        gateways_us: vec![20.0, 30.0],
    })
}

fn setting() -> Setting {
    Setting { scale: Scale::full(), redis: "7.0.15".to_owned(), cores: 2 }
}

fn rows(rounds: Vec<Result<Figures, String>>) -> Vec<Measured> {
    let followed =
        Followed { redis_percent: 1.25, gateway_percent: 2.5, gateway_bytes: 20_000_000 };
    vec![
        Measured { row: row("nodes-2").unwrap(), rounds },
        Measured { row: row("idle-40").unwrap(), rounds: vec![Ok(Figures::Followed(followed))] },
    ]
}

#[test]
fn each_row_has_its_medians_and_its_ceiling() {
    let rows = rows(vec![Ok(carried(90.0)), Ok(carried(4.3)), Ok(carried(4.0))]);
    let table = table(&rows, &setting());
    assert!(table.contains("| 10,000 | 5.3 | 4.3 | 25.0 | 230,000 |\n"), "{table}");
    assert!(table.contains("| 1.25 | 2.50 | 20.0 MB |\n"), "{table}");
    assert!(table.contains("Redis 7.0.15 on 2 cores"), "{table}");
}

#[test]
fn every_line_of_a_table_has_as_many_cells_as_its_head() {
    let table = table(&rows(vec![Ok(carried(4.0))]), &setting());
    for block in table.split("\n\n").skip(1) {
        let cells: Vec<usize> = block.lines().map(|line| line.matches('|').count()).collect();
        assert!(cells.len() == 3 && cells.iter().all(|&count| count == cells[0]), "{block}");
    }
}

#[test]
fn a_row_that_lost_something_once_is_in_no_table() {
    let rows = rows(vec![Ok(carried(4.0)), Err("lost".to_owned())]);
    assert!(!rows[0].is_whole());
    assert!(!table(&rows, &setting()).contains("nodes-2"));
    assert_eq!(json(&rows, &setting())["rows"][0]["rounds"][1]["failed"], "lost");
}

#[test]
fn tables_replace_what_stood_between_the_marks_alone() {
    let text = "a\n<!-- limits: begin; made -->\nold\nolder\n<!-- limits: end -->\nz\n";
    let filled = document(text, "new\n").unwrap();
    assert_eq!(filled, "a\n<!-- limits: begin; made -->\nnew\n<!-- limits: end -->\nz\n");
    assert_eq!(document(&filled, "new").as_ref(), Some(&filled));
    assert_eq!(document("no marks\n", "new"), None);
}

#[test]
fn a_ceiling_has_two_digits() {
    let told = [0.7, 4.3, 130.0, 0.0].map(ceiling);
    assert_eq!(told, ["1,400,000", "230,000", "7,700", "not to be told"]);
}
