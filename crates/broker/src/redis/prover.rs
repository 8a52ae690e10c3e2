//! The task that publishes the canaries, over the connections of any other publish: what
//! it proves is the whole way of an event.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::pool::{Pool, Trouble};
use super::proof::Proof;
use super::status::Status;

/// Publishes to one Redis.
pub(super) struct Prover {
    /// The connections that publishes use.
    pub(super) pool: Pool,
    /// What is to be proven.
    pub(super) proof: Arc<Proof>,
    /// What the link says of itself.
    pub(super) status: Arc<Status>,
}

impl Prover {
    /// Runs until `cancel`.
    pub(super) async fn run(self, cancel: CancellationToken) {
        while cancel.run_until_cancelled(self.round()).await.is_some() {}
    }

    async fn round(&self) {
        self.proof.due().await;
        let sent = Instant::now();
        if let Some(payload) = self.proof.next(sent) {
            let late = "it did not answer a PUBLISH in time";
            let outcome = self.pool.in_time(late, self.publish(&payload)).await;
            if let Err(Trouble::Refused(why) | Trouble::Unavailable(why)) = &outcome {
                self.status.error(why);
            }
            self.proof.published(sent, outcome);
        }
        // Whoever asks for health asks seldom; what was lost in between must show.
        self.status.judge(&self.proof, Instant::now());
    }

    async fn publish(&self, payload: &str) -> Result<(), Trouble> {
        let mut connection = self.pool.get().await?;
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(self.proof.channel()).arg(payload);
        let published = publish.query_async::<i64>(&mut connection).await;
        let what = format!("a PUBLISH to the canary's channel {}", self.proof.channel());
        published.map(|_| ()).map_err(|error| self.pool.failed(&what, &error))
    }
}
