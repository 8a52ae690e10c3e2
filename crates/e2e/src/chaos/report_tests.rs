//! Rows of several runs become one table, and a document takes it.

use super::*;
use crate::chaos::Findings;

fn judged(name: &str, commit: &str, lost: usize) -> Judged {
    let row = crate::chaos::row(name).unwrap();
    let mut findings = Findings::new(1);
    findings.note("received", 7);
    findings.exactly("lost", lost, 0);
    Judged::new(row, findings.all(), 1.5, (42, "2026-11-22", commit))
}

#[test]
fn rows_of_several_runs_of_one_commit_come_together() {
    let mut report = Report::default();
    report.add(judged("freeze", "a", 0));
    report = Report::read(&report.json());
    report.add(judged("kill-3s", "a", 1));
    report.add(judged("freeze", "a", 2));
    let names: Vec<&str> = report.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["kill-3s", "freeze"]);
    assert!(report.rows.iter().all(|row| !row.is_met()));
    report.add(judged("kill-3s", "b", 0));
    assert_eq!(report.rows.len(), 1, "of two commits");
    assert!(report.rows[0].is_met());
}

#[test]
fn a_document_takes_the_table_between_its_markers() {
    let mut report = Report::default();
    report.add(judged("freeze", "a", 3));
    let document = "before\n<!-- chaos: begin; so -->\nold\n<!-- chaos: end -->\nafter\n";
    let made = report.within(document).unwrap();
    let row = crate::chaos::row("freeze").unwrap();
    let expected = format!(
        "before\n<!-- chaos: begin; so -->\n| fault | bar | measured |\n|---|---|---|\n\
         | {} (`freeze`) | {} | lost: 3 (**MISSED**, 0) (seed 42, 2026-11-22) |\n\
         <!-- chaos: end -->\nafter\n",
        row.fault, row.bar
    );
    assert_eq!(made, expected);
    assert_eq!(report.within(&made), Some(made));
    assert_eq!(report.within("nothing here"), None);
}

#[test]
fn knows_the_day() {
    for (unix, expected) in [
        (0, "1970-01-01"),
        (951_782_400, "2000-02-29"),
        (951_868_800, "2000-03-01"),
        (1_795_320_000, "2026-11-22"),
        (4_107_542_399, "2100-02-28"),
        (4_107_542_400, "2100-03-01"),
    ] {
        assert_eq!(day(unix), expected);
    }
}

#[test]
fn what_a_row_found_outlives_it() {
    let mut findings = Findings::new(1);
    let mut written = findings.clone();
    let row = std::thread::spawn(move || {
        written.note("received", 7);
        panic!("on purpose");
    });
    assert!(row.join().is_err());
    findings.broken("on purpose");
    let all = findings.all();
    assert_eq!((all.len(), all[0].is_met, all[1].is_met), (2, true, false));
    assert_eq!(all[1].value, "no: on purpose");
}
