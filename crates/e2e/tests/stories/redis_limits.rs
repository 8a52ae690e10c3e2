//! `make bench-redis`, in small: what it measures was all delivered, and is something.

use std::process::Stdio;

use redcast_e2e::{redcast, turn};
use serde_json::Value;
use tokio::process::Command;

const PAGE: &str = "# A page\n<!-- limits: begin -->\nold\n<!-- limits: end -->\nthe rest\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cost_of_events_is_measured_where_all_were_delivered() {
    let _turn = turn().await;
    let folder = tempfile::tempdir().unwrap();
    let (json, page) = (folder.path().join("redis.json"), folder.path().join("page.md"));
    std::fs::write(&page, PAGE).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_redis-limits"))
        .args(["--quick", "--rows", "nodes-2,streams-1,idle-40", "--json"])
        .arg(&json)
        .arg("--markdown")
        .arg(&page)
        .env("GATEWAY_BIN", redcast().as_std().get_program())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));

    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let published = report["events"].as_u64().unwrap();
    for (row, gateways) in [(0, 2), (1, 1)] {
        let row = &report["rows"][row];
        let round = &row["rounds"][0];
        assert_eq!(round["published"], published, "{row}");
        assert_eq!(round["delivered"], Value::from(vec![published; gateways]), "{row}");
        for figure in ["redis_us", "busiest_us", "gateway_us"] {
            assert!(row[figure].as_f64().unwrap() > 0.0, "{figure}: {row}");
        }
        // Each of the servers carried a part.
        for server in round["servers_us"].as_array().unwrap() {
            assert!(server.as_f64().unwrap() > 0.0, "{row}");
        }
    }
    let idle = &report["rows"][2];
    for figure in ["redis_percent", "gateway_percent", "gateway_bytes"] {
        assert!(idle[figure].as_f64().unwrap() > 0.0, "{figure}: {idle}");
    }
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.starts_with("# A page\n") && page.ends_with("\nthe rest\n"), "{page}");
    for row in ["nodes-2", "streams-1", "idle-40"] {
        assert!(page.contains(&format!("(`{row}`)")) && !page.contains("old"), "{page}");
    }
}
