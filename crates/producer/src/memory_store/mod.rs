//! The store for one process that has no Redis: it counts in memory and writes events
//! and statistics to an [`Outlet`].
//!
//! Everything it has counted is gone when the process ends.

mod outlet;
mod tally;

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use parking_lot::Mutex;

pub use self::outlet::{Outlet, OutletError};

use self::tally::Tally;
use crate::batch::Batch;
use crate::page_view::PageView;
use crate::store::{Store, StoreError};

/// Settings of a [`MemoryStore`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryStoreConfig {
    /// The statistics are kept under `{<namespace>}:stats`. Default: `analytics`.
    pub namespace: String,
    /// The channel to which each view is published. Default: `analytics`.
    pub channel: String,
    /// Hosts of the site itself, which are no referrers: `acme.example`, or
    /// `*.acme.example` for everything below it. Default: none.
    pub own_hosts: Vec<String>,
}

impl Default for MemoryStoreConfig {
    fn default() -> Self {
        Self {
            namespace: "analytics".to_owned(),
            channel: "analytics".to_owned(),
            own_hosts: Vec::new(),
        }
    }
}

/// Page views counted in this process.
pub struct MemoryStore {
    config: MemoryStoreConfig,
    key: String,
    outlet: Arc<dyn Outlet>,
    tally: Mutex<Tally>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new(config: MemoryStoreConfig, outlet: Arc<dyn Outlet>) -> Self {
        let key = format!("{{{}}}:stats", config.namespace);
        Self { config, key, outlet, tally: Mutex::default() }
    }

    /// [`Store::record`] as if it were `now`.
    pub async fn record_at(&self, views: &[PageView], now: SystemTime) -> Result<(), StoreError> {
        for (number, view) in views.iter().enumerate() {
            let batch = Batch::of(std::slice::from_ref(view), &self.config.own_hosts)?;
            for payload in &batch.payloads {
                let published = self.outlet.publish(&self.config.channel, payload.clone()).await;
                published.map_err(|error| match number {
                    0 => StoreError::Unavailable(error.to_string()),
                    _ => StoreError::Unknown(format!("some of the views are counted; {error}")),
                })?;
            }
            self.tally.lock().add(&batch, now);
        }
        let document = self.tally.lock().document_if_due(now);
        if let Some(document) = document {
            self.outlet.store(&self.key, document).await;
        }
        Ok(())
    }

    /// [`Store::refresh`] as if it were `now`.
    pub async fn refresh_at(&self, now: SystemTime) -> Result<(), StoreError> {
        let document = self.tally.lock().document(now);
        self.outlet.store(&self.key, document).await;
        Ok(())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn record(&self, views: &[PageView]) -> Result<(), StoreError> {
        self.record_at(views, SystemTime::now()).await
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        self.refresh_at(SystemTime::now()).await
    }
}
