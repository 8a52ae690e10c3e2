//! One PUBLISH reaches the clients of every instance, once each, byte for byte.

use redcast_e2e::{Gateway, Incoming, RedisServer};

#[tokio::test]
async fn one_publish_reaches_clients_of_both_instances_byte_for_byte() {
    let redis = RedisServer::start();
    let gateways = [Gateway::over(&redis.url()).await, Gateway::over(&redis.url()).await];
    let mut clients = Vec::new();
    for gateway in &gateways {
        for _ in 0..2 {
            let mut client = gateway.connect("/ws/analytics").await;
            client.settled().await;
            clients.push(client);
        }
    }
    let payloads: Vec<Vec<u8>> = vec![
        br#"{"type":"page_view","path":"/a \"b\""}"#.to_vec(),
        b"two\nlines\r\nand spaces  ".to_vec(),
        "four bytes: 😀 𝄞".as_bytes().to_vec(),
        Vec::new(),
        vec![0xff, 0x00, 0xfe, b'x'],
        vec![b'm'; 1 << 20],
    ];
    let mut producer = redis.connection().await;
    for payload in &payloads {
        let listeners: u64 = redis::cmd("PUBLISH")
            .arg("analytics")
            .arg(payload)
            .query_async(&mut producer)
            .await
            .unwrap();
        assert_eq!(listeners, 2, "one subscription per instance");
    }
    for client in &mut clients {
        for payload in &payloads {
            let expected = match String::from_utf8(payload.clone()) {
                Ok(text) => Incoming::Text(text),
                Err(_) => Incoming::Binary(payload.clone()),
            };
            assert_eq!(client.next().await, expected);
        }
        // Nothing came twice: the next thing is the answer to the next command.
        client.settled().await;
    }
}
