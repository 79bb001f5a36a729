//! Where a run writes itself down while it goes on: Postgres for the service, nothing for the command line. Steps
//! come in and are kept before anything follows from them; it decides nothing.

mod store;

use anyhow::{Context, bail};
use sqlx::PgPool;

use super::agent::Opening;
use super::ledger::Step;
use super::queue::Claim;
use crate::facts::{Facts, Observation};

pub(super) use store::lock_day;
pub use store::{Left, usd_of_the_day};

/// Whether the next call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    Granted,
    DayIsSpent,
    Resolved,
}

pub enum Journal {
    /// `whodunit investigate`: nobody goes on with it, and there is no day to count.
    Nowhere,
    Postgres {
        pool: PgPool,
        claim: Claim,
    },
}

impl Journal {
    /// What an earlier attempt left.
    ///
    /// # Errors
    /// The database's.
    pub async fn take_over(&self) -> anyhow::Result<Option<Left>> {
        let Self::Postgres { pool, claim } = self else { return Ok(None) };
        let mut transaction = pool.begin().await?;
        let left =
            store::take_over(&mut transaction, claim).await.context("an earlier run could not be read")?;
        transaction.commit().await?;
        Ok(left)
    }

    /// # Errors
    /// The database's, or that the lease is lost.
    pub async fn begin(&self, opening: &Opening, facts: &Facts) -> anyhow::Result<()> {
        let Self::Postgres { pool, claim } = self else { return Ok(()) };
        let mut transaction = pool.begin().await?;
        if !store::begin_run(&mut transaction, claim, opening, facts).await? {
            bail!("the lease was lost before the agent began");
        }
        Ok(transaction.commit().await?)
    }

    /// # Errors
    /// The database's, or that the lease is lost.
    pub async fn reserve(&self, usd: f64, usd_per_day: f64) -> anyhow::Result<Leave> {
        let Self::Postgres { pool, claim } = self else { return Ok(Leave::Granted) };
        let mut transaction = pool.begin().await?;
        let leave = store::reserve(&mut transaction, claim, usd, usd_per_day).await?;
        transaction.commit().await?;
        Ok(match leave {
            store::Leave::Granted => Leave::Granted,
            store::Leave::DayIsSpent => Leave::DayIsSpent,
            store::Leave::Resolved => Leave::Resolved,
            store::Leave::Lost => bail!("the lease was lost while the agent was at work"),
        })
    }

    /// # Errors
    /// The database's, or that the lease is lost.
    pub async fn write(&self, step: &Step, observations: &[Observation]) -> anyhow::Result<()> {
        let Self::Postgres { pool, claim } = self else { return Ok(()) };
        let mut transaction = pool.begin().await?;
        if !store::write_step(&mut transaction, claim, step, observations).await? {
            bail!("the lease was lost while the agent was at work");
        }
        Ok(transaction.commit().await?)
    }
}
