//! The simulation of sequencer, resume and failover, which is a test of its own rooms:
//! this runs it at full size and tells how it went.

use std::process::Stdio;

use tokio::process::Command;

use super::findings::Findings;
use super::scene::{Scale, say};

pub(super) const BAR: &str = "\"no silent hole, no duplicate\" holds in ≥ 10^5 schedules";
/// Ten times what `make test` plays.
const SCHEDULES: u32 = 1_000_000;

pub(super) async fn simulation(scale: &Scale, findings: &mut Findings) {
    let schedules = if scale.is_full { SCHEDULES } else { SCHEDULES / 100 };
    say(&format!("{schedules} schedules"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        // Not as a release: with checks of overflow it finds more, and it is fast enough.
        .args(["test", "--locked", "-p", "redcast-node", "--lib", "--", "stream::simulation"])
        .arg("--nocapture")
        .env("SCHEDULES", schedules.to_string())
        // One seed alone would be played in the place of all.
        .env_remove("SEED")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let ran = line("schedules: ").and_then(|ran| ran.parse().ok()).unwrap_or(0);
    if let Some(seed) = line("seed ") {
        findings.note("found by seed", seed.trim_end_matches(':'));
    }
    findings.at_least("schedules", ran, schedules);
    findings.holds("it passed", output.status.success());
}
