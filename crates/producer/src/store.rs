//! Where page views are counted and published.

use async_trait::async_trait;

use crate::page_view::PageView;
use crate::salts::{self, Day, Salt};

/// Counts page views, publishes each, and keeps the statistics that the gateway reads as
/// a snapshot: all of it, or none.
///
/// A view counts for the moment at which it is recorded; its own time stands in the
/// event alone. So a log of last week that is replayed now shows up now.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Takes in these views, in this order. Returns once they are counted and published;
    /// after an error none of them is, unless it is [`StoreError::Unknown`].
    async fn record(&self, views: &[PageView]) -> Result<(), StoreError>;

    /// Brings the statistics up to date while nobody comes: visitors leave the figures by
    /// the clock, not by a view. To be called about once a second by whoever records for
    /// a longer time; it costs little where another process has just done it.
    async fn refresh(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The salt of visitors' ids on this day, the same for all who share the store; a
    /// store that shares nothing has that of this process. `known` is what it answered
    /// before for this day: a store that has lost it takes it back.
    async fn salt(&self, day: Day, known: Option<&Salt>) -> Result<Salt, StoreError> {
        let _ = known;
        salts::of_this_process(day)
    }
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
