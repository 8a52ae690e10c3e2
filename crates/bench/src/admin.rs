//! What a gateway says of itself on its admin listener.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// A gateway that is asked whether it is ready has nothing else to do.
const READY_PATIENCE: Duration = Duration::from_secs(2);

/// A gateway whose core is full is late, not gone.
const METRIC_PATIENCE: Duration = Duration::from_secs(15);

/// Whether `GET /readyz` at `admin` (`HOST:PORT`) is answered 200.
pub fn is_ready(admin: &str) -> bool {
    get(admin, "/readyz", READY_PATIENCE).is_ok_and(|(status, _)| status == 200)
}

/// The value of the metric `name`, one without labels, at `GET /metrics`.
pub fn metric(admin: &str, name: &str) -> Result<f64> {
    let answer = get(admin, "/metrics", METRIC_PATIENCE);
    let (status, body) = answer.with_context(|| format!("{admin} tells no metrics"))?;
    ensure!(status == 200, "{admin} answered {status} when it was asked for its metrics");
    find(&body, name).with_context(|| format!("{admin} has no metric {name}"))
}

fn find(exposition: &str, name: &str) -> Option<f64> {
    let value = exposition.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value?.trim().parse().ok()
}

fn get(admin: &str, path: &str, patience: Duration) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of headers")?;
    let status = head.split(' ').nth(1).context("the answer has no status")?.parse()?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let text = "# HELP redcast_connections Open.\nredcast_connections_limit 7\n\
                    redcast_connections 16667\n";
        assert_eq!(find(text, "redcast_connections"), Some(16_667.0));
        assert_eq!(find(text, "redcast_connection"), None);
    }
}
