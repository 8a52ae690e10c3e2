//! Snapshots for pollers that keep no connection: `/api/state`.

use redcast_e2e::{Gateway, GatewayOptions, RedisServer, get, request};
use redis::AsyncCommands;
use serde_json::{Value, json};

const CONFIG: &str = "[[endpoints]]\npath = \"/ws\"\nsnapshot = \"open\"\n\
    [[endpoints]]\npath = \"/shop\"\nsnapshot = \"closed\"\n\
    allowed_origins = [\"https://shop.example\"]\n\
    [[snapshots]]\nname = \"open\"\nkey = \"a\"\nevery = \"100ms\"\n\
    merge = { \"/n\" = \"now\", \"/data/clients\" = \"connections\" }\n\
    [[snapshots]]\nname = \"closed\"\nkey = \"b\"\n\
    [[snapshots]]\nname = \"unused\"\nkey = \"a\"\n";

async fn start(redis: &RedisServer, more: &str) -> Gateway {
    let config = CONFIG.to_owned() + more;
    Gateway::ready(GatewayOptions { redis_url: Some(redis.url()), config, ..Default::default() })
        .await
}

async fn get_if_none(gateway: &Gateway, path: &str, tag: &str) -> redcast_e2e::Response {
    let address = gateway.public();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nIf-None-Match: {tag}\r\n\r\n");
    request(address, head).await
}

#[tokio::test]
async fn the_document_has_a_tag_and_is_sent_once() {
    let redis = RedisServer::start();
    let mut producer = redis.connection().await;
    let () = producer.set("a", r#"{"x": 1.50}"#).await.unwrap();
    let gateway = start(&redis, "").await;
    let first = get(gateway.public(), "/api/state/open").await;
    assert_eq!((first.status, first.body.as_str()), (200, r#"{"x":1.50,"clients":0}"#));
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    assert_eq!(first.header("access-control-allow-origin"), Some("*"));
    assert_eq!(first.header("redcast-stale"), None);
    let tag = first.header("etag").unwrap();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    for known in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let again = get_if_none(&gateway, "/api/state/open", &known).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{known}");
        assert_eq!(again.header("etag"), Some(tag));
    }
    let () = producer.set("a", r#"{"x": 2}"#).await.unwrap();
    gateway
        .until("the new document", async || {
            let answer = get_if_none(&gateway, "/api/state/open", tag).await;
            answer.status == 200 && answer.body == r#"{"x":2,"clients":0}"#
        })
        .await;
    // The other may be had by the shop's pages alone, which no such request proves to be.
    let () = producer.set("b", "[1]").await.unwrap();
    let closed = get(gateway.public(), "/api/state/closed").await;
    assert_eq!((closed.status, closed.body.as_str()), (200, "[1]"));
    assert_eq!(closed.header("access-control-allow-origin"), None);
    for path in ["/api/state/nobody", "/api/state/unused", "/api/state/", "/api/state/a/b"] {
        assert_eq!(get(gateway.public(), path).await.status, 404, "{path}");
    }
    assert_eq!(get(gateway.public(), "/api/state/%ff").await.status, 400);
    let post = redcast_e2e::post(gateway.public(), "/api/state", None, "{}").await;
    assert_eq!(post.status, 405);
}

#[tokio::test]
async fn all_documents_at_once_and_what_is_stale() {
    let mut redis = RedisServer::start();
    let () = redis.connection().await.set("a", r#"{"x":1}"#).await.unwrap();
    let gateway = start(&redis, "").await;
    let begun = redcast_e2e::unix_ms();
    let _client = gateway.connect("/ws").await;
    let state = async || -> Value {
        let answer = get(gateway.public(), "/api/state").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), None, "one of them is not open");
        serde_json::from_str(&answer.body).unwrap()
    };
    gateway
        .until("the client is counted", async || {
            state().await["snapshots"]["open"]["data"]["clients"] == 1
        })
        .await;
    let all = state().await;
    let read_at = all["snapshots"]["open"]["read_at"].as_u64().unwrap();
    assert!((begun..=redcast_e2e::unix_ms()).contains(&read_at), "{read_at}");
    let expected = json!({"snapshots":{
        "closed":{"data":{},"stale":true,"read_at":null},
        "open":{"data":{"x":1,"clients":1},"stale":false,"read_at":read_at},
    }});
    assert_eq!(all, expected);
    redis.kill();
    gateway
        .until("it is stale", async || {
            let answer = get(gateway.public(), "/api/state/open").await;
            answer.status == 200
                && answer.body == r#"{"x":1,"clients":1}"#
                && answer.header("redcast-stale") == Some("true")
        })
        .await;
    let old = state().await["snapshots"]["open"].clone();
    assert_eq!((&old["stale"], old["data"]["x"].as_u64()), (&json!(true), Some(1)));
}

#[tokio::test]
async fn where_somebody_decides_who_may_connect_there_is_no_way_around() {
    let redis = RedisServer::start();
    let more = "[auth]\nforward_url = \"http://127.0.0.1:9/\"\nforward_headers = []\n";
    let gateway = start(&redis, more).await;
    for path in ["/api/state", "/api/state/open", "/api/state/nobody"] {
        let answer = get(gateway.public(), path).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.body.contains("auth.forward_url"), "{}", answer.body);
    }
}
