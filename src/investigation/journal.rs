//! Where a run writes itself down while it goes on: Postgres for the service, nothing for the command line. Steps
//! come in and are kept before anything follows from them; it decides nothing.

mod store;

use anyhow::{Context, bail};
use sqlx::PgPool;

use super::agent::Opening;
use super::ledger::Step;
use super::money::store as money;
use super::queue::Claim;
use crate::facts::{Facts, Observation};
use crate::policy::Purse;
use crate::report::HeldBack;

pub use super::money::store::usd_of_the_day;
pub use store::Left;

/// Whether the next call may be made.
#[derive(Debug, Clone, PartialEq)]
pub enum Leave {
    Granted,
    DayIsSpent,
    /// The money of its namespace or policy is spent.
    Held(HeldBack),
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

    /// Why no model is asked at all, where its namespace or policy has had its share of the day.
    ///
    /// # Errors
    /// The database's.
    pub async fn admit(&self, purse: &Purse) -> anyhow::Result<Option<HeldBack>> {
        let Self::Postgres { pool, claim } = self else { return Ok(None) };
        let mut transaction = pool.begin().await?;
        let held = money::admit(&mut transaction, claim, purse).await?;
        transaction.commit().await?;
        Ok(held)
    }

    /// # Errors
    /// The database's, or that the lease is lost.
    pub async fn reserve(&self, usd: f64, purse: &Purse) -> anyhow::Result<Leave> {
        let Self::Postgres { pool, claim } = self else { return Ok(Leave::Granted) };
        let mut transaction = pool.begin().await?;
        let leave = money::reserve(&mut transaction, claim, usd, purse).await?;
        transaction.commit().await?;
        Ok(match leave {
            money::Leave::Granted => Leave::Granted,
            money::Leave::DayIsSpent => Leave::DayIsSpent,
            money::Leave::Held(held) => Leave::Held(held),
            money::Leave::Resolved => Leave::Resolved,
            money::Leave::Lost => bail!("the lease was lost while the agent was at work"),
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
