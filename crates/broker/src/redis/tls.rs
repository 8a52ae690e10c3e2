//! TLS to Redis: whose certificates are trusted, and which one is shown.

use std::error::Error;
use std::sync::Arc;
use std::{fmt, io};

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, RedisError, RedisResult,
    TlsCertificates,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore};

/// Makes ring the one provider of cryptography in this process. Must be called before the
/// first `rediss://` URL is dialled, which otherwise panics; a second call changes nothing.
pub fn install_tls_provider() {
    let _ = ring::default_provider().install_default();
}

/// What a TLS connection to Redis trusts and shows; by default it trusts what the system
/// trusts, and shows nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RedisTls {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// What TLS can't be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct RedisTlsError {
    /// Which part is wrong.
    pub part: RedisTlsPart,
    /// What is wrong with it; the end of a sentence that names its file.
    pub why: String,
}

/// A part of what TLS is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisTlsPart {
    /// The certificates that are trusted.
    Ca,
    /// The certificate that is shown.
    Cert,
    /// Its private key.
    Key,
}

// A key is a secret, so the derived form must not exist.
impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTls")
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}

impl RedisTls {
    /// Reads PEM (RFC 7468): `ca` replaces what the system trusts, `identity` is a
    /// certificate, with its chain, and its key.
    pub fn new(
        ca: Option<Vec<u8>>,
        identity: Option<(Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, RedisTlsError> {
        if let Some(ca) = &ca {
            check_ca(ca).map_err(|why| RedisTlsError { part: RedisTlsPart::Ca, why })?;
        }
        if let Some((cert, key)) = &identity {
            check_identity(cert, key)?;
        }
        Ok(Self { ca, identity })
    }

    /// Whether it is what the system gives, and nothing else.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The certificates that are trusted instead of the system's, as PEM.
    pub fn ca(&self) -> Option<&[u8]> {
        self.ca.as_deref()
    }

    /// The certificate that is shown and its key, as PEM.
    pub fn identity(&self) -> Option<(&[u8], &[u8])> {
        self.identity.as_ref().map(|(cert, key)| (cert.as_slice(), key.as_slice()))
    }

    /// `info` with this, where it is reached by TLS.
    pub(super) fn apply(&self, info: ConnectionInfo) -> RedisResult<ConnectionInfo> {
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return Ok(info);
        }
        let client_tls = self
            .identity
            .clone()
            .map(|(cert, key)| ClientTlsConfig { client_cert: cert, client_key: key });
        let certificates = TlsCertificates { client_tls, root_cert: self.ca.clone() };
        Ok(Client::build_with_tls(info, certificates)?.get_connection_info().clone())
    }
}

/// What TLS found wrong, in words that name what to mend; none if it was not TLS.
pub(super) fn words(error: &RedisError) -> Option<String> {
    // The client library's box, the one of a socket's errors, and what is in it.
    let shared = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    let error = shared.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(wrong) => in_our_words(wrong),
        rustls::Error::InvalidMessage(_) => "it does not speak TLS".to_owned(),
        rustls::Error::AlertReceived(alert) => {
            format!("it ended TLS ({alert:?}); it may want a certificate: redis.tls.cert_file")
        }
        other => format!("TLS failed: {other}"),
    })
}

fn in_our_words(wrong: &CertificateError) -> String {
    match wrong {
        // The latter where another authority has the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "nobody that is trusted vouches for its certificate; set redis.tls.ca_file".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name than redis.url has".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        other => format!("its certificate is wrong: {other}"),
    }
}

fn check_ca(text: &[u8]) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text)? {
        roots.add(certificate).map_err(|_| "it has a certificate that can't be read".to_owned())?;
    }
    Ok(())
}

fn check_identity(cert: &[u8], key: &[u8]) -> Result<(), RedisTlsError> {
    let wrong = |part| move |why| RedisTlsError { part, why };
    let chain = certificates(cert).map_err(wrong(RedisTlsPart::Cert))?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| in_words(&error, "private key without a passphrase"))
        .map_err(wrong(RedisTlsPart::Key))?;
    let whole = CertifiedKey::from_der(chain, key, &ring::default_provider());
    whole.map(|_| ()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            wrong(RedisTlsPart::Key)("it is not the key of the certificate".to_owned())
        }
        rustls::Error::InvalidCertificate(_) => {
            wrong(RedisTlsPart::Cert)("it has a certificate that can't be read".to_owned())
        }
        _ => wrong(RedisTlsPart::Key)("it is of a kind that can't be used".to_owned()),
    })
}

/// At least one certificate.
fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match read {
        Ok(found) if found.is_empty() => Err(in_words(&pem::Error::NoItemsFound, "certificate")),
        Ok(found) => Ok(found),
        Err(error) => Err(in_words(&error, "certificate")),
    }
}

/// Never the text itself, which may hold a key.
fn in_words(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("it holds no {what} in PEM"),
        _ => "it is not PEM".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(ca: Option<&str>, identity: Option<(&str, &str)>) -> (RedisTlsPart, String) {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let identity = identity.map(|(cert, key)| (bytes(cert), bytes(key)));
        let error = RedisTls::new(ca.map(bytes), identity).unwrap_err();
        (error.part, error.to_string())
    }

    #[test]
    fn what_is_no_certificate_is_told_by_its_part() {
        let none = "it holds no certificate in PEM".to_owned();
        assert_eq!(wrong(Some(""), None), (RedisTlsPart::Ca, none.clone()));
        assert_eq!(wrong(Some("hunter2"), None), (RedisTlsPart::Ca, none.clone()));
        let cut = "-----BEGIN CERTIFICATE-----\nhunter2\n";
        assert_eq!(wrong(Some(cut), None), (RedisTlsPart::Ca, "it is not PEM".to_owned()));
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let (part, why) = wrong(Some(empty), None);
        assert_eq!(
            (part, why.as_str()),
            (RedisTlsPart::Ca, "it has a certificate that can't be read")
        );
        assert_eq!(wrong(None, Some(("", ""))), (RedisTlsPart::Cert, none));
        let (part, why) = wrong(None, Some((empty, "")));
        assert_eq!(part, RedisTlsPart::Key);
        assert_eq!(why, "it holds no private key without a passphrase in PEM");
    }

    #[test]
    fn no_debug_text_tells_a_key() {
        let tls = RedisTls { ca: None, identity: Some((b"hunter2".to_vec(), b"hunter2".to_vec())) };
        assert!(!format!("{tls:?}").contains("hunter2"));
    }
}
