//! One call of the script.

use std::time::SystemTime;

use redis::{Cmd, RedisError, ServerErrorKind};

use super::link::Lent;
use super::names::milliseconds;
use crate::batch::Batch;

/// The script's text.
pub(super) const RECORD: &str = include_str!("record.lua");

/// What the script is given; it can be made any number of times.
pub(super) struct Call<'a> {
    pub(super) keys: &'a [String],
    pub(super) channel: &'a str,
    pub(super) now: SystemTime,
    pub(super) batch: &'a Batch<'a>,
}

impl Call<'_> {
    /// Calls it by its hash, or with its text where Redis does not know it any more.
    pub(super) async fn run(&self, lent: &mut Lent) -> Result<(), RedisError> {
        let by_hash = self.command("EVALSHA", &lent.script);
        match by_hash.query_async(&mut lent.connection).await {
            Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
                self.command("EVAL", RECORD).query_async(&mut lent.connection).await
            }
            answer => answer,
        }
    }

    /// The arguments stand in the order that record.lua tells of.
    fn command(&self, name: &str, script: &str) -> Cmd {
        let Batch { payloads, visitors, pages, referrers } = self.batch;
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(self.keys);
        command.arg(milliseconds(self.now)).arg(self.channel).arg(payloads.len());
        command.arg(payloads).arg(visitors);
        command.arg(pages.len());
        for (path, views) in pages {
            command.arg(path).arg(views);
        }
        command.arg(referrers.len());
        for (host, views) in referrers {
            command.arg(host.as_ref()).arg(views);
        }
        command
    }
}
