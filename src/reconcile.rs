//! The conductor that asks Alertmanagers what fires, at the start and every few minutes: alerts that an outage lost
//! are taken in like any other, and those that ended without a word are resolved. One replica asks at a time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{TimeDelta, Utc};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::alert::{Alert, Status};
use crate::incident::cluster::Belonging;
use crate::incident::{listed as book, store};
use crate::intake::Desk;
use crate::postgres::chore;
use crate::source::alertmanager::Alertmanager;
use crate::telemetry;
use crate::webhook::{Listed, listed};

/// Alerts handed to the desk at once.
const CHUNK: usize = 1_000;
/// A younger alert's webhook is on its way: Alertmanager waits to group it.
const YOUNG: TimeDelta = TimeDelta::seconds(60);
/// An Alertmanager that started within this may not have heard of everything yet, so nothing is over by its word.
const SETTLED: TimeDelta = TimeDelta::minutes(5);

/// One Alertmanager to compare with.
pub struct Peer {
    pub alertmanager: Alertmanager,
    /// Alerts routed to one of these are ours. Empty: those under which its webhooks came.
    pub receivers: Vec<String>,
    pub every: Duration,
    /// All its alerts belong to it; None: by their labels.
    pub cluster: Option<String>,
}

/// What comparing needs.
pub struct Reconciler {
    pub pool: PgPool,
    pub desk: Arc<Desk>,
    pub belonging: Arc<Belonging>,
    pub peers: Vec<Peer>,
}

impl Reconciler {
    /// Compares until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let loops = self.peers.iter().map(|peer| async {
            loop {
                match self.compare(peer).await {
                    Ok(Some((taken, ended))) if taken + ended > 0 => {
                        tracing::info!(alertmanager = peer.alertmanager.url(), taken, ended, "reconciled");
                    }
                    Ok(_) => {}
                    Err(error) => tracing::warn!(
                        alertmanager = peer.alertmanager.url(),
                        error = format!("{error:#}"),
                        "alerts could not be compared; it will be tried again"
                    ),
                }
                tokio::time::sleep(peer.every).await;
            }
        });
        shutdown.run_until_cancelled(futures::future::join_all(loops)).await;
    }

    /// How many were taken in and how many had ended; `None`: another replica has asked.
    async fn compare(&self, peer: &Peer) -> anyhow::Result<Option<(usize, usize)>> {
        let url = peer.alertmanager.url();
        // A little less than the interval, or every second turn would come too early.
        if !chore::turn(&self.pool, &format!("reconcile {url}"), peer.every.mul_f64(0.9)).await? {
            return Ok(None);
        }
        let started_at = peer.alertmanager.started_at().await.context("asking for its status")?;
        let bytes = peer.alertmanager.alerts().await.context("asking for its alerts")?;
        let mut all = listed(&bytes).context("reading its alerts")?;
        all.iter_mut().for_each(|one| {
            self.belonging.settle(&mut one.alert, peer.cluster.as_deref());
            store::normalise(&mut one.alert);
        });
        let receivers = match peer.receivers.as_slice() {
            [] => book::receivers(&self.pool).await?,
            named => named.to_vec(),
        };
        let taken = self.take_in(url, &all, &receivers).await?;
        let ended = if Utc::now() - started_at > SETTLED { self.end(url, &all).await? } else { 0 };
        metrics::counter!(telemetry::RECONCILED, "what" => "taken_in").increment(taken as u64);
        metrics::counter!(telemetry::RECONCILED, "what" => "ended").increment(ended as u64);
        Ok(Some((taken, ended)))
    }

    async fn take_in(&self, url: &str, all: &[Listed], receivers: &[String]) -> anyhow::Result<usize> {
        let refs: Vec<&Alert> = all.iter().map(|one| &one.alert).collect();
        let missing = book::missing(&mut *self.pool.acquire().await?, url, &refs).await?;
        let now = Utc::now();
        let lost: Vec<Alert> = missing
            .into_iter()
            .filter_map(|place| all.get(place))
            .filter(|one| one.active && now - one.alert.starts_at > YOUNG)
            .filter_map(|one| {
                let receiver = one.receivers.iter().find(|name| receivers.contains(name))?;
                Some(Alert { receiver: receiver.clone(), ..one.alert.clone() })
            })
            .collect();
        self.hand_in(lost).await
    }

    async fn end(&self, url: &str, all: &[Listed]) -> anyhow::Result<usize> {
        let refs: Vec<&Alert> = all.iter().map(|one| &one.alert).collect();
        let now = Utc::now();
        let ended = book::ended(&self.pool, url, &refs).await?;
        let resolved =
            ended.into_iter().map(|alert| Alert { status: Status::Resolved, ends_at: Some(now), ..alert });
        self.hand_in(resolved.collect()).await
    }

    async fn hand_in(&self, mut alerts: Vec<Alert>) -> anyhow::Result<usize> {
        let count = alerts.len();
        while !alerts.is_empty() {
            let rest = alerts.split_off(alerts.len().min(CHUNK));
            self.desk.take_in(alerts).await?;
            alerts = rest;
        }
        Ok(count)
    }
}
