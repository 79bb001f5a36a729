//! What must hold, one file each. A scenario starts what it needs, does harm, waits until all is quiet, and says
//! what it found.

mod commits;
mod fold;
mod kill;
mod postgres;
mod replicas;
mod slack;
mod soak;
mod storm;
mod upgrade;

use anyhow::Result;

use crate::house::Ground;
use crate::verdict::Outcome;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// kill -9 of whodunit between the 202 and the announcement
    Kill,
    /// PostgreSQL killed, restarted, its sessions cut, and away; Alertmanager sends
    Postgres,
    /// The connection is cut after COMMIT, before its answer
    Commits,
    /// Three replicas that are stopped for longer than their leases
    Replicas,
    /// A storm of alerts over many workloads
    Storm,
    /// A storm over one namespace, which folds into one incident
    Fold,
    /// Slack that limits, refuses, and takes messages without an answer
    Slack,
    /// A long time with 1 % faults everywhere
    Soak,
    /// An older version (--old) and this one side by side
    Upgrade,
}

impl Scenario {
    pub const ALL: [Self; 9] = [
        Self::Kill,
        Self::Postgres,
        Self::Commits,
        Self::Replicas,
        Self::Storm,
        Self::Fold,
        Self::Slack,
        Self::Soak,
        Self::Upgrade,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Postgres => "postgres",
            Self::Commits => "commits",
            Self::Replicas => "replicas",
            Self::Storm => "storm",
            Self::Fold => "fold",
            Self::Slack => "slack",
            Self::Soak => "soak",
            Self::Upgrade => "upgrade",
        }
    }

    pub async fn run(self, ground: &mut Ground) -> Result<Outcome> {
        match self {
            Self::Kill => kill::run(ground).await,
            Self::Postgres => postgres::run(ground).await,
            Self::Commits => commits::run(ground).await,
            Self::Replicas => replicas::run(ground).await,
            Self::Storm => storm::run(ground).await,
            Self::Fold => fold::run(ground).await,
            Self::Slack => slack::run(ground).await,
            Self::Soak => soak::run(ground).await,
            Self::Upgrade => upgrade::run(ground).await,
        }
    }
}
