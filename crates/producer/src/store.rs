//! Where page views are counted and published.

use async_trait::async_trait;

use crate::page_view::PageView;

/// Counts page views, publishes each, and keeps the statistics that the gateway reads as
/// a snapshot: all of it, or none.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Takes in these views, in this order. Returns once they are counted and published;
    /// after an error none of them is, unless it is [`StoreError::Unknown`].
    async fn record(&self, views: &[PageView]) -> Result<(), StoreError>;
}

/// Why views were not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store is away; nothing was counted. The sentence names it.
    #[error("{0}")]
    Unavailable(String),
    /// The store said no, and will again until somebody changes what it permits.
    #[error("{0}")]
    Refused(String),
    /// The store did not answer in time; whether the views are counted is not known.
    #[error("{0}")]
    Unknown(String),
}
