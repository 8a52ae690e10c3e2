//! What a client offers in its handshake, and what is made of it: an agreement that both
//! keep, or none, and the connection works either way.

use Answer::{Named, Unnamed};
use redcast_e2e::{Dial, Gateway, GatewayOptions, RawClient, RedisServer, inflated};

const SMALL: &str = "/ws/small";
const PLAIN: &str = "/ws/plain";
const EVENT_SIZE: usize = 2000;

/// Offers that are agreed to, with the bits of the window in which we then compress, and
/// whether the answer must name them: a client that asks for a window may count on it only
/// if the answer says so (RFC 7692 section 7.1.2.1).
const GOOD: [(&str, u8, Answer); 14] = [
    ("permessage-deflate", 15, Unnamed),
    ("permessage-deflate; client_max_window_bits", 15, Unnamed),
    ("permessage-deflate; client_max_window_bits=8", 15, Unnamed),
    ("permessage-deflate;client_max_window_bits=15;server_max_window_bits=15", 15, Named),
    ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", 15, Unnamed),
    ("permessage-deflate; server_max_window_bits=9", 9, Named),
    ("permessage-deflate; server_max_window_bits=\"10\"", 9, Named),
    ("permessage-deflate; server_max_window_bits=14; client_max_window_bits", 9, Named),
    ("x-webkit-deflate-frame, permessage-deflate", 15, Unnamed),
    ("permessage-bzip2; level=9, permessage-deflate; server_max_window_bits=12", 9, Named),
    // The first offer that can be kept counts.
    ("permessage-deflate; server_max_window_bits=8, permessage-deflate", 15, Unnamed),
    ("permessage-deflate; server_max_window_bits=9, permessage-deflate", 9, Named),
    (
        "permessage-deflate; no_such_parameter, permessage-deflate; server_max_window_bits=11",
        9,
        Named,
    ),
    (", permessage-deflate", 15, Unnamed),
];

/// Whether an answer names the window in which we compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Named,
    Unnamed,
}

/// Offers that are declined.
const BAD: [&str; 20] = [
    "permessage-deflate; server_max_window_bits=8",
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; server_max_window_bits=0",
    "permessage-deflate; server_max_window_bits=-9",
    "permessage-deflate; server_max_window_bits=09",
    "permessage-deflate; server_max_window_bits=99999999999999999999",
    "permessage-deflate; server_max_window_bits=",
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; server_max_window_bits=nine",
    "permessage-deflate; client_max_window_bits=7",
    "permessage-deflate; client_max_window_bits=16",
    "permessage-deflate; client_max_window_bits=",
    "permessage-deflate; server_no_context_takeover=1",
    "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
    "permessage-deflate; no_such_parameter",
    "permessage-deflate-2",
    "x-webkit-deflate-frame",
    "permessage-deflate;;; =; \"",
];

struct Feed {
    redis: RedisServer,
    gateway: Gateway,
}

impl Feed {
    async fn begin() -> Self {
        let config = format!(
            r#"
            [[endpoints]]
            path = "{SMALL}"
            channels = ["feed"]
            deflate = true
            [[endpoints]]
            path = "{PLAIN}"
            channels = ["feed"]
            deflate = false
            "#
        );
        let redis = RedisServer::start();
        let options = GatewayOptions { redis_url: Some(redis.url()), config, ..Default::default() };
        let gateway = Gateway::ready(options).await;
        Self { redis, gateway }
    }

    async fn offering(&self, path: &str, extensions: &'static str) -> RawClient {
        let how = Dial { extensions: Some(extensions), ..Dial::default() };
        let client = RawClient::dial(self.gateway.public(), path, how).await;
        client.unwrap_or_else(|error| panic!("{extensions}: {error}"))
    }

    /// Publishes an event, which must reach each of these clients as it was agreed.
    async fn reaches(&self, clients: Vec<(&'static str, RawClient)>) {
        let event = "an event ".repeat(EVENT_SIZE / 9);
        let mut producer = self.redis.connection().await;
        let mut clients = clients;
        for (_, client) in &mut clients {
            client.settled().await;
        }
        let publish = redis::cmd("PUBLISH").arg("feed").arg(&event).to_owned();
        publish.query_async::<()>(&mut producer).await.unwrap();
        for (offer, mut client) in clients {
            let frame = client.frame().await.unwrap().unwrap();
            assert_eq!(frame.compressed, client.agreed().is_some(), "{offer}");
            let content = match frame.compressed {
                true => inflated(&frame.payload, client.window_bits()).expect(offer),
                false => frame.payload,
            };
            assert!(content == event.as_bytes(), "{offer}: another event");
            client.settled().await;
            assert_eq!(client.close().await, 1000, "{offer}");
        }
    }
}

#[tokio::test]
async fn an_offer_that_can_be_kept_is_agreed_to_in_its_window() {
    let feed = Feed::begin().await;
    let mut clients = Vec::new();
    for (offer, bits, answer) in GOOD {
        let client = feed.offering(SMALL, offer).await;
        let agreed = client.agreed().unwrap_or_else(|| panic!("declined: {offer}"));
        let mut parameters = agreed.split(';').map(str::trim);
        assert_eq!(parameters.next(), Some("permessage-deflate"), "{offer}");
        let parameters: Vec<&str> = parameters.collect();
        for takeover in ["server_no_context_takeover", "client_no_context_takeover"] {
            assert!(parameters.contains(&takeover), "{offer}: {agreed}");
        }
        assert!(!agreed.contains("client_max_window_bits"), "{offer}: {agreed}");
        let named = agreed.contains("server_max_window_bits=");
        assert_eq!(named, answer == Named, "{offer}: {agreed}");
        assert_eq!(client.window_bits(), bits, "{offer}: {agreed}");
        clients.push((offer, client));
    }
    feed.reaches(clients).await;
}

#[tokio::test]
async fn an_offer_that_can_not_be_kept_is_declined_and_the_connection_works() {
    let feed = Feed::begin().await;
    let mut clients = Vec::new();
    for offer in BAD {
        let client = feed.offering(SMALL, offer).await;
        assert_eq!(client.agreed(), None, "{offer}");
        clients.push((offer, client));
    }
    feed.reaches(clients).await;
}

#[tokio::test]
async fn an_endpoint_without_compression_declines_every_offer() {
    let feed = Feed::begin().await;
    let mut clients = Vec::new();
    for offer in GOOD.iter().map(|(offer, ..)| *offer).chain(BAD) {
        let client = feed.offering(PLAIN, offer).await;
        assert_eq!(client.agreed(), None, "{offer}");
        clients.push((offer, client));
    }
    feed.reaches(clients).await;
}
