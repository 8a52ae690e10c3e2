//! The simulation of sequencer, resume and failover, which is a test of its own rooms:
//! this runs it at full size and tells how it went.

use std::process::Stdio;

use tokio::process::Command;

use super::findings::Findings;
use super::scene::{Scale, say};

pub(super) const BAR: &str = "\"no silent hole, no duplicate\" holds in ≥ 10^5 schedules";
const SCHEDULES: u32 = 100_000;

pub(super) async fn simulation(scale: &Scale, findings: &mut Findings) {
    let schedules = if scale.is_full { SCHEDULES } else { SCHEDULES / 100 };
    say(&format!("{schedules} schedules"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["test", "--release", "--locked", "-p", "redcast-node", "--lib", "--", "simulation"])
        .arg("--nocapture")
        .env("SIMULATION_SCHEDULES", schedules.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let ran = text.lines().find_map(|line| line.strip_prefix("schedules: "));
    findings.at_least("schedules", ran.and_then(|ran| ran.parse().ok()).unwrap_or(0), schedules);
    findings.holds("it passed", output.status.success());
}
