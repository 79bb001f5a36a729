//! An incident's news for outlets beside Slack: what happened goes in, deliveries come out into their outbox. It never
//! talks to an outlet; the outbox's own loop does.

use std::sync::Arc;

use chrono::Utc;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Common, Known, Told};
use crate::incident::store::{self, Record};
use crate::investigation::store as investigations;
use crate::outlet::queue;
use crate::outlet::{Event, Outlets, What};
use crate::report::{Before, Ending, Report};
use crate::slack::blocks;

/// Who is told beside Slack.
#[derive(Debug, Clone)]
pub struct Receivers {
    pub outlets: Arc<Outlets>,
    pub common: Common,
}

impl Receivers {
    pub(super) async fn opened(&self, transaction: &mut PgConnection, incidents: &[Uuid]) -> Told {
        for incident in store::read(&mut *transaction, incidents).await? {
            let event = of(&incident, What::Opened);
            self.tell(transaction, &Event { at: incident.opened_at, ..event }).await?;
        }
        Ok(())
    }

    pub(super) async fn reopened(&self, transaction: &mut PgConnection, incidents: &[Uuid]) -> Told {
        for incident in store::read(&mut *transaction, incidents).await? {
            let before = self.common.before(&mut *transaction, &incident, None).await?;
            let event = Event { before: before.as_ref(), ..of(&incident, What::Reopened) };
            self.tell(transaction, &event).await?;
        }
        Ok(())
    }

    pub(super) async fn ended(
        &self,
        transaction: &mut PgConnection,
        incident: Uuid,
        investigation: Uuid,
        ending: Ending<'_>,
    ) -> Told {
        let url = blocks::investigation_url(&self.common.public_url, investigation);
        for incident in store::read(&mut *transaction, &[incident]).await? {
            let before: Option<Before> =
                self.common.before(&mut *transaction, &incident, Some(incident.id)).await?;
            let event = of(&incident, What::Finished { investigation, ending });
            self.tell(transaction, &Event { url: url.as_deref(), before: before.as_ref(), ..event }).await?;
        }
        Ok(())
    }

    /// The incident of a guessed workload is over; its alerts go on with another's.
    pub(super) async fn joined(&self, transaction: &mut PgConnection, guessed: Uuid, into: Uuid) -> Told {
        self.over(transaction, &[guessed], Some(into)).await
    }

    pub(super) async fn resolved(&self, transaction: &mut PgConnection, incidents: &[Uuid]) -> Told {
        self.over(transaction, incidents, None).await
    }

    async fn over(&self, transaction: &mut PgConnection, incidents: &[Uuid], joined: Option<Uuid>) -> Told {
        let mut reports = investigations::last_reports(&mut *transaction, incidents).await?;
        for incident in store::read(&mut *transaction, incidents).await? {
            let report: Option<Report> = reports.remove(&incident.id);
            let event = of(&incident, What::Resolved { report: report.as_ref(), joined });
            let at = incident.resolved_at.unwrap_or(event.at);
            self.tell(transaction, &Event { at, ..event }).await?;
        }
        Ok(())
    }

    async fn tell(&self, transaction: &mut PgConnection, event: &Event<'_>) -> Told {
        let known = match self.outlets.choose() {
            true => self.common.known(&mut *transaction, event.incident).await,
            false => Known::default(),
        };
        let news = self.outlets.news(self.common.words, event, known.about(event.incident));
        queue::enqueue(transaction, &news).await.map(|_| ())
    }
}

fn of<'a>(incident: &'a Record, what: What<'a>) -> Event<'a> {
    Event { incident, what, at: Utc::now(), url: None, before: None }
}
