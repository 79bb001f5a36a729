//! The conductor that puts an incident's news into the outbox, inside the transaction that made the news.
//! It never talks to Slack; the outbox's own loop does.

use chrono::Utc;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::incident::store::{self, Record};
use crate::report::Report;
use crate::slack::blocks::{self, IncidentView, Standing};
use crate::slack::outbox;

/// Where incidents are announced, and the address for links.
#[derive(Debug, Clone)]
pub struct Audience {
    pub channel: String,
    /// `server.public_url`, "" leaves links out.
    pub public_url: String,
}

/// How an investigation ended.
#[derive(Debug, Clone, Copy)]
pub enum Ending<'a> {
    Reported {
        report: &'a Report,
        /// What the thread says already.
        previous: Option<&'a Report>,
        /// Why this look was taken.
        reason: &'a str,
    },
    GaveUp(&'a str),
}

impl Audience {
    /// A thread begins: one parent message for each incident.
    ///
    /// # Errors
    /// The database's.
    pub async fn opened(
        &self,
        transaction: &mut PgConnection,
        incidents: &[Uuid],
    ) -> Result<(), sqlx::Error> {
        for incident in store::read(&mut *transaction, incidents).await? {
            let message = blocks::parent(&view(&incident, None), Standing::Investigating);
            outbox::enqueue_parent(&mut *transaction, incident.id, &self.channel, &message).await?;
        }
        Ok(())
    }

    /// A resolved incident fires again: its old parent says so.
    ///
    /// # Errors
    /// The database's.
    pub async fn reopened(
        &self,
        transaction: &mut PgConnection,
        incidents: &[Uuid],
    ) -> Result<(), sqlx::Error> {
        for incident in store::read(&mut *transaction, incidents).await? {
            let message = blocks::parent(&view(&incident, None), Standing::FiringAgain);
            let turn = format!("reopened:{}", Utc::now().timestamp_micros());
            outbox::enqueue_update(&mut *transaction, incident.id, &turn, &self.channel, &message).await?;
        }
        Ok(())
    }

    /// The summary in the thread, and the parent with the verdict.
    ///
    /// # Errors
    /// The database's.
    pub async fn ended(
        &self,
        transaction: &mut PgConnection,
        incident: Uuid,
        investigation: Uuid,
        ending: Ending<'_>,
    ) -> Result<(), sqlx::Error> {
        let url = blocks::investigation_url(&self.public_url, investigation);
        for incident in store::read(&mut *transaction, &[incident]).await? {
            let (summary, standing) = match ending {
                Ending::Reported { report, previous, reason } => {
                    let workload = &incident.workload;
                    let summary = if previous.is_some_and(|previous| report.agrees_with(previous)) {
                        blocks::unchanged(workload, report, reason, url.as_deref())
                    } else {
                        blocks::summary(workload, report, url.as_deref())
                    };
                    (summary, Standing::Reported(report))
                }
                Ending::GaveUp(error) => {
                    (blocks::gave_up(&incident.workload, error, url.as_deref()), Standing::GaveUp)
                }
            };
            let ids = (incident.id, investigation);
            outbox::enqueue_summary(&mut *transaction, ids, &self.channel, &summary).await?;
            // An incident that was resolved meanwhile keeps its last word.
            if incident.open {
                let message = blocks::parent(&view(&incident, url.as_deref()), standing);
                let turn = format!("report:{investigation}");
                outbox::enqueue_update(&mut *transaction, incident.id, &turn, &self.channel, &message)
                    .await?;
            }
        }
        Ok(())
    }

    /// An incident of a guessed workload turned out to be about another's: both threads say so.
    ///
    /// # Errors
    /// The database's.
    pub async fn joined(
        &self,
        transaction: &mut PgConnection,
        guessed: &Record,
        into: Uuid,
    ) -> Result<(), sqlx::Error> {
        let Some(other) = store::read(&mut *transaction, &[into]).await?.pop() else { return Ok(()) };
        let note = blocks::joined(&guessed.workload, &other.workload);
        let turn = format!("joined:{}", Utc::now().timestamp_micros());
        outbox::enqueue_resolved(&mut *transaction, guessed.id, &turn, &self.channel, &note).await?;
        let parent = blocks::parent(&view(guessed, None), Standing::Joined(&other.workload));
        outbox::enqueue_update(&mut *transaction, guessed.id, &turn, &self.channel, &parent).await?;
        let note = blocks::taken_in(&guessed.workload, &guessed.alert_names);
        outbox::enqueue_resolved(&mut *transaction, into, &turn, &self.channel, &note).await.map(|_| ())
    }

    /// The trouble is over: a note in the thread, and the parent says so.
    ///
    /// # Errors
    /// The database's.
    pub async fn resolved(
        &self,
        transaction: &mut PgConnection,
        incidents: &[Uuid],
    ) -> Result<(), sqlx::Error> {
        for incident in store::read(&mut *transaction, incidents).await? {
            let at = incident.resolved_at.unwrap_or_else(Utc::now);
            let turn = at.timestamp_micros().to_string();
            let view = view(&incident, None);
            let report = crate::investigation::store::last_report(&mut *transaction, incident.id).await?;
            let parent = blocks::parent(&view, Standing::Resolved { at, report: report.as_ref() });
            let note = blocks::resolved(&view, at);
            outbox::enqueue_resolved(&mut *transaction, incident.id, &turn, &self.channel, &note).await?;
            let turn = format!("resolved:{turn}");
            outbox::enqueue_update(&mut *transaction, incident.id, &turn, &self.channel, &parent).await?;
        }
        Ok(())
    }
}

fn view<'a>(incident: &'a Record, url: Option<&'a str>) -> IncidentView<'a> {
    IncidentView {
        workload: &incident.workload,
        severity: incident.severity,
        title: &incident.title,
        alert_names: &incident.alert_names,
        alerts: incident.alerts,
        opened_at: incident.opened_at,
        url,
    }
}
