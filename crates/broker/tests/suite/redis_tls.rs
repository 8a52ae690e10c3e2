//! TLS to a real Redis: subscription, publishes and snapshots go over it; whoever shows
//! the wrong certificate is not spoken to, and what is wrong is told.

use crate::support::{LIMIT, Rig, channel, snapshot_store, until};
use redcast_broker::{RedisConfig, RedisTls, RedisTlsPart, Subscribed, install_tls_provider};
use redcast_e2e::{Certificates, TlsRedis};

/// What every client must show to these.
const MUTUAL: [&str; 2] = ["--tls-auth-clients", "yes"];
const ONE_SIDED: [&str; 2] = ["--tls-auth-clients", "no"];

fn tls(certificates: &Certificates, ca: &str, identity: Option<&str>) -> RedisTls {
    let pair = |name: &str| {
        (certificates.read(&format!("{name}.pem")), certificates.read(&format!("{name}.key")))
    };
    RedisTls::new(Some(certificates.read(ca)), identity.map(pair)).unwrap()
}

fn config(url: String, tls: RedisTls) -> RedisConfig {
    install_tls_provider();
    RedisConfig { url, tls, prefix: "test:".to_owned(), ..RedisConfig::default() }
}

/// A broker that must not come up, and why it says it does not.
async fn complaint(config: RedisConfig) -> String {
    let rig = Rig::redis_unconnected(config);
    let told = until(LIMIT, || rig.broker.health().last_error.is_some()).await;
    told.expect("a reason is told");
    assert!(!rig.broker.health().connected);
    rig.broker.health().complaint().unwrap()
}

/// Everything that a broker does works.
async fn all_is_done_by(config: RedisConfig) {
    let mut rig = Rig::redis(config.clone()).await;
    let a = channel("a");
    assert_eq!(rig.broker.subscribe(&a).await, Ok(Subscribed::Live));
    rig.publish(&a, b"over TLS").await;
    assert_eq!(rig.inbox.event().await.payload, "over TLS");
    let (store, _stop) = snapshot_store(config);
    assert_eq!(store.read("nothing").await, Ok(None));
    assert_eq!(store.share("n", "me", 3).await, Ok(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_goes_over_tls_by_name_and_by_address() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &ONE_SIDED);
    let trusting = || tls(&certificates, "ca.pem", None);
    all_is_done_by(config(server.url(), trusting())).await;
    let by_address = format!("rediss://127.0.0.1:{}", server.port());
    all_is_done_by(config(by_address, trusting())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_wants_a_certificate_is_shown_one() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &MUTUAL);
    all_is_done_by(config(server.url(), tls(&certificates, "ca.pem", Some("client")))).await;

    let without = complaint(config(server.url(), tls(&certificates, "ca.pem", None))).await;
    assert!(without.contains("localhost"), "{without}");
    assert!(without.contains("ertificate"), "{without}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_nobody_vouches_for_or_of_another_name_is_refused() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &ONE_SIDED);
    let strange = complaint(config(server.url(), tls(&certificates, "other-ca.pem", None))).await;
    assert!(strange.contains("redis.tls.ca_file"), "{strange}");
    // What the system trusts does not vouch for it either.
    let unknown = complaint(config(server.url(), RedisTls::default())).await;
    assert!(unknown.contains("redis.tls.ca_file"), "{unknown}");

    let server = TlsRedis::start(&certificates, "elsewhere", &ONE_SIDED);
    let named = complaint(config(server.url(), tls(&certificates, "ca.pem", None))).await;
    assert!(named.contains("another name"), "{named}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_without_tls_and_a_url_without_it_are_told() {
    let certificates = Certificates::new();
    let server = TlsRedis::start(&certificates, "server", &ONE_SIDED);
    let plain_port = format!("rediss://localhost:{}", server.redis.port());
    let told = complaint(config(plain_port, tls(&certificates, "ca.pem", None))).await;
    // Redis takes the beginning of TLS for a command that has not ended yet.
    assert!(told.contains("timed out"), "{told}");

    let plain_url = server.url().replace("rediss://", "redis://");
    let told = complaint(config(plain_url.clone(), RedisTls::default())).await;
    assert!(told.contains("localhost"), "{told}");
    let unused = config(plain_url, tls(&certificates, "ca.pem", None)).check().unwrap_err();
    assert_eq!(unused.to_string(), "redis.tls: needs a redis.url that begins with rediss://");
}

#[tokio::test]
async fn what_does_not_go_together_is_told_by_its_part() {
    let certificates = Certificates::new();
    let read = |file: &str| certificates.read(file);
    let mixed = RedisTls::new(None, Some((read("client.pem"), read("server.key"))));
    let error = mixed.unwrap_err();
    assert_eq!(
        (error.part, error.to_string().as_str()),
        (RedisTlsPart::Key, "it is not the key of the certificate")
    );
    let swapped = RedisTls::new(None, Some((read("client.key"), read("client.pem"))));
    assert_eq!(swapped.unwrap_err().part, RedisTlsPart::Cert);
    let chain = [read("client.pem"), read("ca.pem")].concat();
    assert!(RedisTls::new(Some(read("ca.pem")), Some((chain, read("client.key")))).is_ok());
}
