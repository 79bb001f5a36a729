//! An incident's news for outlets beside Slack: what happened goes in, deliveries come out into their outbox. It never
//! talks to an outlet; the outbox's own loop does.

use std::sync::Arc;

use chrono::Utc;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Common, Known, Told};
use crate::incident::store::{self, Record};
use crate::investigation::store as investigations;
use crate::outlet::{Event, News, Outlets, What, queue};
use crate::report::Ending;
use crate::slack::blocks;

/// Who is told beside Slack.
#[derive(Debug, Clone)]
pub struct Receivers {
    pub outlets: Arc<Outlets>,
    pub common: Common,
}

impl Receivers {
    pub(super) async fn opened(&self, transaction: &mut PgConnection, incidents: &[Uuid]) -> Told {
        let mut news = Vec::new();
        for incident in store::read(&mut *transaction, incidents).await? {
            let event = Event { at: incident.opened_at, ..of(&incident, What::Opened) };
            news.extend(self.news(transaction, &event).await);
        }
        queue::enqueue(transaction, &news).await.map(|_| ())
    }

    pub(super) async fn reopened(&self, transaction: &mut PgConnection, incidents: &[Uuid]) -> Told {
        let mut news = Vec::new();
        for incident in store::read(&mut *transaction, incidents).await? {
            let before = self.common.before(&mut *transaction, &incident, None).await?;
            let event = Event { before: before.as_ref(), ..of(&incident, What::Reopened) };
            news.extend(self.news(transaction, &event).await);
        }
        queue::enqueue(transaction, &news).await.map(|_| ())
    }

    pub(super) async fn ended(
        &self,
        transaction: &mut PgConnection,
        incident: Uuid,
        investigation: Uuid,
        ending: Ending<'_>,
    ) -> Told {
        let url = blocks::investigation_url(&self.common.public_url, investigation);
        let mut news = Vec::new();
        for incident in store::read(&mut *transaction, &[incident]).await? {
            let before = self.common.before(&mut *transaction, &incident, Some(incident.id)).await?;
            let event = of(&incident, What::Finished { investigation, ending });
            let event = Event { url: url.as_deref(), before: before.as_ref(), ..event };
            news.extend(self.news(transaction, &event).await);
        }
        queue::enqueue(transaction, &news).await.map(|_| ())
    }

    /// `joined`: the incident of a guessed workload is over, and its alerts go on with another's.
    pub(super) async fn resolved(
        &self,
        transaction: &mut PgConnection,
        incidents: &[Uuid],
        joined: Option<Uuid>,
    ) -> Told {
        let reports = investigations::last_reports(&mut *transaction, incidents).await?;
        let mut news = Vec::new();
        for incident in store::read(&mut *transaction, incidents).await? {
            let event = of(&incident, What::Resolved { report: reports.get(&incident.id), joined });
            let event = Event { at: incident.resolved_at.unwrap_or(event.at), ..event };
            news.extend(self.news(transaction, &event).await);
        }
        queue::enqueue(transaction, &news).await.map(|_| ())
    }

    async fn news(&self, transaction: &mut PgConnection, event: &Event<'_>) -> Vec<News> {
        let known = match self.outlets.is_selective() {
            true => self.common.known(transaction, event.incident).await,
            false => Known::default(),
        };
        self.outlets.news(self.common.words, event, known.about(event.incident))
    }
}

fn of<'a>(incident: &'a Record, what: What<'a>) -> Event<'a> {
    Event { incident, what, at: Utc::now(), url: None, before: None }
}
