//! Which server has a key: asked of sentinels, or of a cluster.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, Value};
use tokio::time::timeout;

/// A sentinel or a node that is silent is passed over.
const ANSWER: Duration = Duration::from_millis(500);
/// Redis Cluster has this many slots.
const SLOTS: u16 = 16_384;

/// What sentinels say: the primary as a Redis URL. `url` is theirs
/// (`redis+sentinel://:PASSWORD@HOST:PORT,HOST:PORT/MASTER`).
pub(super) async fn primary(url: &str) -> Option<String> {
    let rest = url.strip_prefix("redis+sentinel://").expect("a URL of sentinels");
    let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (places, master) = rest.split_once('/').expect("the name of a primary");
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    for place in places.split(',') {
        if let Some((host, port)) =
            ask::<(String, u16)>(&format!("redis://{place}"), &command).await
        {
            return Some(format!("redis://{user}@{host}:{port}"));
        }
    }
    None
}

/// Which node has which slots, as any of these nodes (`HOST:PORT`) sees it.
pub(super) async fn slots(nodes: &[String]) -> Option<Vec<(u16, u16, String)>> {
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    for node in nodes {
        if let Some(ranges) = ask::<Vec<Vec<Value>>>(&format!("redis://{node}"), &command).await {
            return ranges.iter().map(|range| slot_range(range)).collect();
        }
    }
    None
}

fn slot_range(range: &[Value]) -> Option<(u16, u16, String)> {
    let bound = |at: usize| redis::from_redis_value_ref::<u16>(range.get(at)?).ok();
    let node: Vec<Value> = redis::from_redis_value_ref(range.get(2)?).ok()?;
    let host: String = redis::from_redis_value_ref(node.first()?).ok()?;
    let port: u16 = redis::from_redis_value_ref(node.get(1)?).ok()?;
    Some((bound(0)?, bound(1)?, format!("{host}:{port}")))
}

/// The slot of a key without a hash tag: CRC16/XMODEM, as the cluster specification says.
pub(super) fn slot(key: &str) -> u16 {
    let crc = key.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
        })
    });
    crc % SLOTS
}

async fn ask<T: FromRedisValue>(url: &str, command: &Cmd) -> Option<T> {
    let asking = async {
        let client = redis::Client::open(url).ok()?;
        let mut link = client.get_multiplexed_async_connection().await.ok()?;
        command.query_async::<T>(&mut link).await.ok()
    };
    timeout(ANSWER, asking).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::slot;

    #[test]
    fn knows_the_slots_of_the_specification() {
        // The check value of CRC16/XMODEM, and two keys as redis-cli tells them.
        assert_eq!(slot("123456789"), 0x31c3);
        assert_eq!((slot("foo"), slot("bar")), (12_182, 5_061));
    }
}
