//! The contract of `SnapshotStore`: one suite, run against the memory broker and against
//! a real Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{LIMIT, config, operator, snapshot_store};
use bytes::Bytes;
use prometheus::Registry;
use redcast_broker::{
    BrokerMetrics, MemoryBroker, MemoryConfig, RedisConfig, SnapshotError, SnapshotStore, Stored,
};
use redcast_e2e::RedisServer;
use redis::aio::MultiplexedConnection;
use tokio::time::sleep;

const MAX_SIZE: usize = 64 << 10;
/// Short enough to wait for; longer than two calls in a row take on a busy machine.
const LIFETIME: Duration = Duration::from_secs(3);

/// What is tested, and somebody who writes what it reads.
struct Rig {
    store: Arc<dyn SnapshotStore>,
    producer: Producer,
}

enum Producer {
    Memory(Arc<MemoryBroker>),
    Redis(MultiplexedConnection),
}

impl Producer {
    /// Replaces what is under `key`, to which a producer adds the prefix itself.
    async fn store(&mut self, key: &str, stored: Stored) {
        let connection = match self {
            Self::Memory(broker) => return broker.store(key, stored),
            Self::Redis(connection) => connection,
        };
        let key = format!("test:{key}");
        let mut write = redis::pipe();
        write.atomic().cmd("DEL").arg(&key).ignore();
        match stored {
            Stored::Text(text) => {
                write.cmd("SET").arg(&key).arg(text.as_ref()).ignore();
            }
            Stored::Hash(pairs) if pairs.is_empty() => {}
            Stored::Hash(pairs) => {
                write.cmd("HSET").arg(&key);
                for (field, value) in &pairs {
                    write.arg(field.as_ref()).arg(value.as_ref());
                }
                write.ignore();
            }
        }
        write.query_async::<()>(connection).await.unwrap();
    }
}

fn text(content: impl AsRef<[u8]>) -> Stored {
    Stored::Text(Bytes::copy_from_slice(content.as_ref()))
}

fn hash(pairs: &[(&[u8], &[u8])]) -> Stored {
    let bytes = |&(field, value): &(&[u8], &[u8])| {
        (Bytes::copy_from_slice(field), Bytes::copy_from_slice(value))
    };
    Stored::Hash(pairs.iter().map(bytes).collect())
}

/// The order of a hash's fields means nothing.
fn sorted(stored: Option<Stored>) -> Option<Stored> {
    stored.map(|stored| match stored {
        Stored::Hash(mut pairs) => {
            pairs.sort();
            Stored::Hash(pairs)
        }
        text @ Stored::Text(_) => text,
    })
}

async fn a_string_is_read_byte_for_byte(mut rig: Rig) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let large = vec![b'x'; MAX_SIZE];
    let texts: [&[u8]; 4] = [b"{\"current_visitors\":12}", b"", &every_byte, &large];
    for content in texts {
        rig.producer.store("stats", text(content)).await;
        assert_eq!(rig.store.read("stats").await, Ok(Some(text(content))));
    }
}

async fn a_hash_is_read_whole_and_byte_for_byte(mut rig: Rig) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let stored = hash(&[
        (b"", b"a field without a name"),
        (b"\xff\xfe\0", &every_byte),
        (b"current_visitors", b"12"),
        (b"empty", b""),
    ]);
    rig.producer.store("{analytics}:stats", stored.clone()).await;
    let read = rig.store.read("{analytics}:stats").await.unwrap();
    assert_eq!(sorted(read), sorted(Some(stored)));
}

async fn a_key_that_is_not_there_is_none(mut rig: Rig) {
    assert_eq!(rig.store.read("stats").await, Ok(None));
    rig.producer.store("stats:other", text("1")).await;
    assert_eq!(rig.store.read("stats").await, Ok(None));
    rig.producer.store("stats", text("1")).await;
    rig.producer.store("stats", hash(&[])).await;
    assert_eq!(rig.store.read("stats").await, Ok(None), "a hash without fields is no key");
}

async fn what_was_stored_last_is_read(mut rig: Rig) {
    for stored in [text("1"), hash(&[(b"a", b"1")]), hash(&[(b"b", b"2")]), text("2")] {
        rig.producer.store("stats", stored.clone()).await;
        assert_eq!(rig.store.read("stats").await, Ok(Some(stored)));
    }
}

async fn too_large_a_document_is_refused_with_its_size(mut rig: Rig) {
    let too_large = Err(SnapshotError::TooLarge { size: MAX_SIZE + 1, limit: MAX_SIZE });
    rig.producer.store("stats", text(vec![b'x'; MAX_SIZE + 1])).await;
    assert_eq!(rig.store.read("stats").await, too_large);
    // Fields count like values.
    let (field, value) = (vec![b'f'; MAX_SIZE / 2], vec![b'v'; MAX_SIZE / 2 - 1]);
    rig.producer.store("stats", hash(&[(&field, &value), (b"a", b"1")])).await;
    assert_eq!(rig.store.read("stats").await, too_large);
    let largest = hash(&[(&field, &value), (b"a", b"")]);
    rig.producer.store("stats", largest.clone()).await;
    assert_eq!(sorted(rig.store.read("stats").await.unwrap()), sorted(Some(largest)));
}

async fn a_hash_of_too_many_fields_is_refused(mut rig: Rig) {
    let fields = |count: usize| {
        Stored::Hash((0..count).map(|n| (Bytes::from(n.to_string()), Bytes::new())).collect())
    };
    rig.producer.store("stats", fields(4_097)).await;
    let why = "a snapshot has at most 4096 fields, this one has 4097".to_owned();
    assert_eq!(rig.store.read("stats").await, Err(SnapshotError::Refused(why)));
    rig.producer.store("stats", fields(4_096)).await;
    assert_eq!(sorted(rig.store.read("stats").await.unwrap()), sorted(Some(fields(4_096))));
}

async fn counts_of_two_instances_are_summed(rig: Rig) {
    let share = |instance, count| rig.store.share("analytics", instance, count);
    assert_eq!(share("a", 0).await, Ok(0));
    assert_eq!(share("a", 3).await, Ok(3));
    assert_eq!(share("b", 4).await, Ok(7));
    assert_eq!(share("a", 10).await, Ok(14), "told again, not added");
    assert_eq!(share("b", 0).await, Ok(10), "0 is forgotten at once");
    assert_eq!(share("b", 1 << 40).await, Ok((1 << 40) + 10));
}

async fn figures_and_instances_may_have_any_name(rig: Rig) {
    let names = ["a", "A", "", "a b", "a%20b", "a:b", "{a}", "*", "a\n\u{e9}"];
    for (name, count) in names.into_iter().zip(1..) {
        for (instance, sum) in names.into_iter().zip(1..) {
            let shared = rig.store.share(name, instance, count).await;
            assert_eq!(shared, Ok(sum * count), "{instance:?} of {name:?}");
        }
    }
}

async fn an_instance_that_falls_silent_is_forgotten(rig: Rig) {
    let start = Instant::now();
    rig.store.share("analytics", "silent", 5).await.unwrap();
    assert_eq!(rig.store.share("analytics", "here", 2).await, Ok(7));
    while rig.store.share("analytics", "here", 2).await.unwrap() == 7 {
        assert!(start.elapsed() < LIFETIME + LIMIT, "still remembered");
        sleep(Duration::from_millis(5)).await;
    }
    // Redis reads its clock in whole milliseconds.
    assert!(start.elapsed() + Duration::from_millis(1) >= LIFETIME, "{:?}", start.elapsed());
    assert_eq!(rig.store.share("analytics", "here", 2).await, Ok(2), "who speaks is remembered");
}

async fn memory() -> (Rig, ()) {
    let config = MemoryConfig {
        max_snapshot_size: MAX_SIZE,
        share_lifetime: LIFETIME,
        ..MemoryConfig::default()
    };
    let metrics = BrokerMetrics::register(&Registry::new()).unwrap();
    let (broker, _) = MemoryBroker::new(&config, metrics);
    (Rig { store: broker.clone(), producer: Producer::Memory(broker) }, ())
}

async fn redis_server() -> (Rig, impl Sized) {
    let server = RedisServer::start();
    let config = RedisConfig {
        max_snapshot_size: MAX_SIZE,
        share_lifetime: LIFETIME,
        // Nothing here is about being late, and the machine may be busy.
        publish_timeout: LIMIT,
        ..config(&server)
    };
    let (store, stop) = snapshot_store(config);
    (Rig { store, producer: Producer::Redis(operator(&server).await) }, (server, stop))
}

contract! {
    a_string_is_read_byte_for_byte
    a_hash_is_read_whole_and_byte_for_byte
    a_key_that_is_not_there_is_none
    what_was_stored_last_is_read
    too_large_a_document_is_refused_with_its_size
    a_hash_of_too_many_fields_is_refused
    counts_of_two_instances_are_summed
    figures_and_instances_may_have_any_name
    an_instance_that_falls_silent_is_forgotten
}
