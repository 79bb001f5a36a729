//! While a model is at work, the head of the incident's thread says how far it has come. The turns that were written
//! down go in, an announcement goes out now and then. It holds up nobody, and what fails here is tried again.

use std::convert::Infallible;
use std::time::Duration;

use chrono::TimeDelta;

use super::Worker;
use crate::announce::Audience;
use crate::investigation::queue::Claim;
use crate::investigation::store;
use crate::slack::blocks::Progress;

/// How often the turns are counted.
const INTERVAL: Duration = Duration::from_secs(5);

impl Worker {
    /// Goes on until it is dropped.
    pub(super) async fn tell_progress(&self, claim: &Claim) -> Infallible {
        let hears = |audience: &&Audience| audience.hears_of_progress();
        let Some(audience) = self.audience.as_ref().filter(hears) else {
            return std::future::pending().await;
        };
        let mut told = 0;
        loop {
            tokio::time::sleep(INTERVAL).await;
            match self.tell(audience, claim, told).await {
                Ok(step) => told = step,
                Err(error) => tracing::debug!(investigation = %claim.id, %error, "progress was not told"),
            }
        }
    }

    async fn tell(&self, audience: &Audience, claim: &Claim, told: i32) -> Result<i32, sqlx::Error> {
        let Some(turns) = store::turns(&self.pool, claim.id).await? else { return Ok(told) };
        if turns.count <= told {
            return Ok(told);
        }
        let mut transaction = self.pool.begin().await?;
        let since = TimeDelta::try_milliseconds((turns.seconds * 1000.0) as i64).unwrap_or_default();
        let progress = Progress { step: turns.count, tools: &turns.tools, since };
        audience.at_work(&mut transaction, claim, progress).await?;
        transaction.commit().await?;
        Ok(turns.count)
    }
}
