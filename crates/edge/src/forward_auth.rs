//! Forward auth: another service is asked, over HTTP, whether to admit a handshake.

use std::time::Duration;

/// Whom to ask, and how.
#[derive(Clone, Debug)]
pub struct ForwardAuthConfig {
    /// How long an answer may take. Default 2 s.
    pub timeout: Duration,
    /// Headers of the handshake that are passed on.
    pub headers: Vec<String>,
}

/// A setting with which nobody could be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardAuthConfigError {
    /// Not a URL of this kind.
    #[error("forward_url: not an http:// URL with a host")]
    BadUrl,
}

impl ForwardAuthConfig {
    /// Checks the settings.
    pub fn new(
        url: &str,
        timeout: Duration,
        headers: &[String],
    ) -> Result<Self, ForwardAuthConfigError> {
        if !url.starts_with("http://") {
            return Err(ForwardAuthConfigError::BadUrl);
        }
        Ok(Self { timeout, headers: headers.to_vec() })
    }
}
