//! A real redis-server that speaks TLS, with certificates of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::redis_server::{RedisServer, free_port};

/// The kinds of certificates. A leaf is good for both ends, as its name says.
const CONFIG: &str = "[req]\ndistinguished_name = dn\nprompt = no\n[dn]\nCN = nobody\n\
    [ca]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n\
    subjectKeyIdentifier = hash\n\
    [leaf]\nbasicConstraints = critical,CA:FALSE\nextendedKeyUsage = serverAuth,clientAuth\n\
    subjectAltName = DNS:localhost,IP:127.0.0.1\n\
    [elsewhere]\nbasicConstraints = critical,CA:FALSE\nextendedKeyUsage = serverAuth\n\
    subjectAltName = DNS:redis.elsewhere.example\n";

/// Certificates and keys in a folder of their own, as PEM: `NAME.pem` and `NAME.key`.
///
/// `ca` has signed `server` and `client`, which are good for localhost, and `elsewhere`,
/// which names another host; `other-ca` has signed nothing.
pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    /// Makes all of them.
    pub fn new() -> Self {
        let certificates = Self { dir: TempDir::new().expect("a temporary folder") };
        std::fs::write(certificates.path("openssl.cnf"), CONFIG).expect("it can be written");
        certificates.make("ca", "ca", None);
        certificates.make("other-ca", "ca", None);
        for (name, kind) in [("server", "leaf"), ("client", "leaf"), ("elsewhere", "elsewhere")] {
            certificates.make(name, kind, Some("ca"));
        }
        certificates
    }

    /// The path of a file.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// What a file holds.
    pub fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path(file)).expect("a file of ours")
    }

    fn make(&self, name: &str, kind: &str, signer: Option<&str>) {
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]);
        openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-extensions", kind]);
        let file = |name: &str, end: &str| self.path(&format!("{name}.{end}"));
        openssl.arg("-subj").arg(format!("/CN={name}"));
        openssl.arg("-config").arg(self.path("openssl.cnf"));
        openssl.arg("-keyout").arg(file(name, "key")).arg("-out").arg(file(name, "pem"));
        if let Some(signer) = signer {
            openssl.arg("-CA").arg(file(signer, "pem")).arg("-CAkey").arg(file(signer, "key"));
        }
        let output = openssl.output().expect("openssl runs (apt-get install openssl)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

/// A server with a port for TLS, and beside it one without for the test itself.
pub struct TlsRedis {
    /// The server.
    pub redis: RedisServer,
    port: u16,
}

impl TlsRedis {
    /// Starts one that shows `certificate`; `more` options go on its command line.
    pub fn start(certificates: &Certificates, certificate: &str, more: &[&str]) -> Self {
        let file = |name: String| certificates.path(&name).display().to_string();
        let (cert, key) = (file(format!("{certificate}.pem")), file(format!("{certificate}.key")));
        let ca = file("ca.pem".to_owned());
        let files = ["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
        // Another process may take the port between the look and the bind.
        for _ in 0..5 {
            let port = free_port();
            let text = port.to_string();
            let options = [&["--tls-port", &text], &files[..], more].concat();
            if let Ok(redis) = RedisServer::try_start(&options) {
                return Self { redis, port };
            }
        }
        panic!("redis-server does not start with TLS");
    }

    /// The port that speaks TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `rediss://localhost:PORT`.
    pub fn url(&self) -> String {
        format!("rediss://localhost:{}", self.port)
    }
}

/// `path` as TOML writes it.
pub fn toml_path(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}
