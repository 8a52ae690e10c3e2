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
    /// Whether the link is for a shard's channels.
    pub(super) sharded: bool,
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
        let channel = self.proof.channel();
        let (command, mut connection) = match self.sharded {
            true => ("SPUBLISH", self.pool.get_for(&channel).await?),
            false => ("PUBLISH", self.pool.get_near(&channel).await?),
        };
        let mut publish = redis::cmd(command);
        publish.arg(&channel).arg(payload);
        let published = publish.query_async::<i64>(&mut connection).await;
        let what = format!("a {command} to the canary's channel {channel}");
        published.map(|_| ()).map_err(|error| self.pool.failed(&what, &error))
    }
}
