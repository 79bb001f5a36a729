//! The conductor that puts an incident's news into the outbox, inside the transaction that made the news.
//! It never talks to Slack; the outbox's own loop does.

use std::time::Duration;

use chrono::Utc;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::incident::store::{self, Record};
use crate::investigation::store as investigations;
use crate::report::Report;
use crate::slack::blocks::{self, IncidentView, Standing};
use crate::slack::outbox::{self, News};
use crate::workload::Workload;

/// Where incidents are announced, and the address for links.
#[derive(Debug, Clone)]
pub struct Audience {
    pub channel: String,
    /// `server.public_url`, "" leaves links out.
    pub public_url: String,
    /// How long the message of another bot is waited for before an incident gets its own; `None`: not at all.
    pub thread_wait: Option<Duration>,
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
        let mut news = Vec::new();
        for incident in store::read(&mut *transaction, incidents).await? {
            let message = blocks::parent(&view(&incident, None), Standing::Investigating);
            news.push(News::parent(incident.id, message).after_looking(self.thread_wait));
        }
        self.enqueue(transaction, &news).await
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
        let turn = format!("reopened:{}", Utc::now().timestamp_micros());
        let mut news = Vec::new();
        for incident in store::read(&mut *transaction, incidents).await? {
            let message = blocks::parent(&view(&incident, None), Standing::FiringAgain);
            news.push(News::update(incident.id, &turn, message));
        }
        self.enqueue(transaction, &news).await
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
                    let summary = if let Some(muted) = &report.muted {
                        blocks::muted(workload, report, muted, url.as_deref())
                    } else if previous.is_some_and(|previous| report.agrees_with(previous)) {
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
            let mut news = vec![News::summary((incident.id, investigation), summary)];
            // An incident that was resolved meanwhile keeps its last word.
            if incident.open {
                let message = blocks::parent(&view(&incident, url.as_deref()), standing);
                let update = News::update(incident.id, &format!("report:{investigation}"), message);
                news.push(update.said_in_thread());
            }
            self.enqueue(transaction, &news).await?;
        }
        Ok(())
    }

    /// Incidents that have a thread are told of elsewhere from now on.
    ///
    /// # Errors
    /// The database's.
    pub async fn folded(
        &self,
        transaction: &mut PgConnection,
        incidents: &[Uuid],
        into: &Workload,
    ) -> Result<(), sqlx::Error> {
        let mut news = Vec::new();
        for incident in store::read(&mut *transaction, incidents).await? {
            let message = blocks::parent(&view(&incident, None), Standing::Folded(into));
            news.push(News::update(incident.id, &format!("folded:{}", into.key()), message));
        }
        self.enqueue(transaction, &news).await
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
        let parent = blocks::parent(&view(guessed, None), Standing::Joined(&other.workload));
        let taken_in = blocks::taken_in(&guessed.workload, &guessed.alert_names);
        let turn = format!("joined:{}", Utc::now().timestamp_micros());
        let news = [
            News::resolved(guessed.id, &turn, note),
            News::update(guessed.id, &turn, parent).said_in_thread(),
            News::resolved(into, &turn, taken_in),
        ];
        self.enqueue(transaction, &news).await
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
        let mut reports = investigations::last_reports(&mut *transaction, incidents).await?;
        let mut news = Vec::new();
        for incident in store::read(&mut *transaction, incidents).await? {
            let at = incident.resolved_at.unwrap_or_else(Utc::now);
            let view = view(&incident, None);
            let report = reports.remove(&incident.id);
            let parent = blocks::parent(&view, Standing::Resolved { at, report: report.as_ref() });
            let turn = at.timestamp_micros().to_string();
            news.push(News::resolved(incident.id, &turn, blocks::resolved(&view, at)));
            news.push(News::update(incident.id, &format!("resolved:{turn}"), parent).said_in_thread());
        }
        self.enqueue(transaction, &news).await
    }

    async fn enqueue(&self, transaction: &mut PgConnection, news: &[News]) -> Result<(), sqlx::Error> {
        outbox::enqueue(transaction, &self.channel, news).await.map(|_| ())
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
