//! Workloads that were guessed when the webhook came: asked for again when their investigation begins, and
//! later while the incident is open. What the cluster says moves the incident to its right key, or joins it to
//! the one that is open there. It never guesses itself.

use std::time::Duration;

use sqlx::PgConnection;

use super::Worker;
use crate::incident::guess::{self, Corrected};
use crate::incident::store::{self as incidents, Record};
use crate::investigation::queue::{self, Claim};
use crate::investigation::store;
use crate::workload::Workload;

/// For all that is asked about one alert.
pub(super) const RESOLVE_DEADLINE: Duration = Duration::from_secs(5);
/// Time between two looks at guesses that stayed guesses.
pub(super) const INTERVAL: Duration = Duration::from_secs(30);
/// A guess that the cluster did not confirm within this is left as it is.
const MAX_AGE: Duration = Duration::from_secs(6 * 3600);
/// Incidents asked about in one look.
const MAX_INCIDENTS: i64 = 10;

impl Worker {
    /// For an investigation that begins. `false`: its incident has joined another one, or the lease is lost:
    /// there is nothing left to do here.
    pub(super) async fn correct(
        &self,
        claim: &Claim,
        incident: &Record,
        workload: &Workload,
    ) -> anyhow::Result<bool> {
        let mut transaction = self.pool.begin().await?;
        let corrected = self.move_to(&mut transaction, incident, workload, &claim.alert_name).await?;
        if let Corrected::Merged { into, .. } = corrected {
            let why = format!("the alerts are about {workload}, whose incident {into} was open already");
            if !queue::supersede(&mut *transaction, claim, &why).await? {
                return Ok(false);
            }
        }
        transaction.commit().await?;
        self.wake.notify_waiters();
        Ok(!matches!(corrected, Corrected::Merged { .. }))
    }

    /// For open incidents that were investigated while the cluster was away: what was found then was found
    /// blindly, so they are looked at again.
    pub(super) async fn check_guesses(&self) -> anyhow::Result<()> {
        let guessed = guess::guessed(&self.pool, MAX_AGE, MAX_INCIDENTS).await?;
        for incident in incidents::read(&self.pool, &guessed).await? {
            let alerts = store::alerts(&mut *self.pool.acquire().await?, incident.id).await?;
            let Some(alert) = alerts.first() else { continue };
            let resolved = self.resolver.resolve(alert, RESOLVE_DEADLINE).await;
            if !resolved.confident {
                continue;
            }
            let workload = resolved.workload;
            let mut transaction = self.pool.begin().await?;
            let corrected = self.move_to(&mut transaction, &incident, &workload, alert.name()).await?;
            if corrected == Corrected::Kept {
                let reason = "the cluster answers again, and names the workload";
                let again = again(&incident, incident.id, &workload, (alert.name(), reason));
                queue::enqueue(&mut *transaction, &[again]).await?;
            }
            transaction.commit().await?;
            tracing::info!(incident = %incident.id, %workload, ?corrected, "a guessed workload is known");
            self.wake.notify_waiters();
        }
        Ok(())
    }

    async fn move_to(
        &self,
        transaction: &mut PgConnection,
        incident: &Record,
        workload: &Workload,
        alert_name: &str,
    ) -> Result<Corrected, sqlx::Error> {
        let corrected = guess::correct(transaction, incident, workload).await?;
        if let Corrected::Merged { into, look_again } = corrected {
            queue::cancel(&mut *transaction, &[incident.id]).await?;
            if look_again {
                let reason = "alerts of a guessed workload joined this incident";
                let again = again(incident, into, workload, (alert_name, reason));
                queue::enqueue(&mut *transaction, &[again]).await?;
            }
            if let Some(audience) = &self.audience {
                audience.joined(transaction, incident, into).await?;
            }
        }
        Ok(corrected)
    }
}

fn again(
    guessed: &Record,
    incident_id: uuid::Uuid,
    workload: &Workload,
    (alert_name, reason): (&str, &str),
) -> queue::Waiting {
    queue::Waiting {
        incident_id,
        workload: workload.clone(),
        alert_name: alert_name.to_owned(),
        reason: reason.to_owned(),
        priority: guessed.severity as i32,
        after: Duration::ZERO,
    }
}
