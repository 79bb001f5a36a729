//! An incident's news for Slack: what happened goes in, messages of its thread come out into Slack's outbox. It never
//! talks to Slack; the outbox's own loop does.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use sqlx::PgConnection;
use tokio::sync::watch;
use uuid::Uuid;

use super::Common;
use crate::incident::selector::About;
use crate::incident::store::{self, Record};
use crate::investigation::queue::Claim;
use crate::investigation::store as investigations;
use crate::policy::{About as PolicyAbout, Policies};
use crate::report::Ending;
use crate::slack::Routes;
use crate::slack::blocks::{self, IncidentView, Progress, Standing, Telling};
use crate::slack::outbox::{self, News};
use crate::slack::route::Routed;
use crate::workload::Workload;

/// Where incidents are announced.
#[derive(Debug, Clone)]
pub struct Thread {
    pub routes: Arc<Routes>,
    /// A policy's channel comes before all routes.
    pub policies: watch::Receiver<Arc<Policies>>,
    /// How long the message of another bot is waited for before an incident gets its own; `None`: not at all.
    pub thread_wait: Option<Duration>,
    /// Presses of buttons reach us.
    pub has_buttons: bool,
    pub common: Common,
}

impl Thread {
    /// A thread begins: one parent message for each incident.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn opened(
        &self,
        transaction: &mut PgConnection,
        incidents: &[Uuid],
    ) -> Result<(), sqlx::Error> {
        let mut news = Vec::new();
        for incident in store::read(&mut *transaction, incidents).await? {
            let message = blocks::parent(self.telling(), &view(&incident), Standing::Investigating);
            let routed = self.route(&mut *transaction, &incident).await?;
            news.push(News::parent(incident.id, message).after_looking(self.thread_wait).to(routed));
        }
        self.enqueue(transaction, &news).await
    }

    /// A resolved incident fires again: its old parent says so.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn reopened(
        &self,
        transaction: &mut PgConnection,
        incidents: &[Uuid],
    ) -> Result<(), sqlx::Error> {
        let turn = format!("reopened:{}", Utc::now().timestamp_micros());
        let mut news = Vec::new();
        for incident in store::read(&mut *transaction, incidents).await? {
            let before = self.common.before(&mut *transaction, &incident, None).await?;
            let standing = Standing::FiringAgain(before.as_ref());
            let message = blocks::parent(self.telling(), &view(&incident), standing);
            news.push(News::update(incident.id, &turn, message));
        }
        self.enqueue(transaction, &news).await
    }

    /// The summary in the thread, and the parent with the verdict.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn ended(
        &self,
        transaction: &mut PgConnection,
        incident: Uuid,
        investigation: Uuid,
        ending: Ending<'_>,
    ) -> Result<(), sqlx::Error> {
        outbox::forget_progress(&mut *transaction, incident).await?;
        let url = blocks::investigation_url(&self.common.public_url, investigation);
        for incident in store::read(&mut *transaction, &[incident]).await? {
            let before = self.common.before(&mut *transaction, &incident, Some(incident.id)).await?;
            let telling = Telling {
                url: url.as_deref(),
                read_at: Some(Utc::now()),
                before: before.as_ref(),
                buttons: Some(investigation).filter(|_| self.has_buttons),
                ..self.telling()
            };
            let workload = &incident.workload;
            let (summary, standing) = match ending {
                Ending::Reported { report, previous, reason } => {
                    let summary = if let Some(muted) = &report.muted {
                        blocks::muted(telling, workload, report, muted)
                    } else if previous.is_some_and(|previous| report.agrees_with(previous)) {
                        blocks::unchanged(telling, workload, report, reason)
                    } else {
                        blocks::summary(telling, workload, report)
                    };
                    (summary, Standing::Reported(report))
                }
                Ending::GaveUp(error) => (blocks::gave_up(telling, workload, error), Standing::GaveUp),
            };
            let mut news = vec![News::summary((incident.id, investigation), summary)];
            // An incident that was resolved meanwhile keeps its last word.
            if incident.open {
                let message = blocks::parent(telling, &view(&incident), standing);
                let update = News::update(incident.id, &format!("report:{investigation}"), message);
                news.push(update.said_in_thread());
            }
            self.enqueue(transaction, &news).await?;
        }
        Ok(())
    }

    /// How far the model has come: the head is replaced, if nothing else is to be said and nothing was said lately.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn at_work(
        &self,
        transaction: &mut PgConnection,
        claim: &Claim,
        progress: Progress<'_>,
    ) -> Result<(), sqlx::Error> {
        for incident in store::read(&mut *transaction, &[claim.incident_id]).await? {
            let message = blocks::parent(self.telling(), &view(&incident), Standing::AtWork(progress));
            let of = (claim.id, claim.attempt, progress.step);
            outbox::progress(&mut *transaction, incident.id, of, &message).await?;
        }
        Ok(())
    }

    /// Incidents that have a thread are told of elsewhere from now on.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn folded(
        &self,
        transaction: &mut PgConnection,
        incidents: &[Uuid],
        into: &Workload,
    ) -> Result<(), sqlx::Error> {
        let mut news = Vec::new();
        for incident in store::read(&mut *transaction, incidents).await? {
            let message = blocks::parent(self.telling(), &view(&incident), Standing::Folded(into));
            news.push(News::update(incident.id, &format!("folded:{}", into.key()), message));
        }
        self.enqueue(transaction, &news).await
    }

    /// An incident of a guessed workload turned out to be about another's: both threads say so.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn joined(
        &self,
        transaction: &mut PgConnection,
        guessed: &Record,
        into: Uuid,
    ) -> Result<(), sqlx::Error> {
        let Some(other) = store::read(&mut *transaction, &[into]).await?.pop() else { return Ok(()) };
        let note = blocks::joined(self.common.words, &guessed.workload, &other.workload);
        let parent = blocks::parent(self.telling(), &view(guessed), Standing::Joined(&other.workload));
        let taken_in = blocks::taken_in(self.common.words, &guessed.workload, &guessed.alert_names);
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
    pub(super) async fn resolved(
        &self,
        transaction: &mut PgConnection,
        incidents: &[Uuid],
    ) -> Result<(), sqlx::Error> {
        let mut reports = investigations::last_reports(&mut *transaction, incidents).await?;
        let mut news = Vec::new();
        for incident in store::read(&mut *transaction, incidents).await? {
            let at = incident.resolved_at.unwrap_or_else(Utc::now);
            let view = view(&incident);
            let report = reports.remove(&incident.id);
            let parent =
                blocks::parent(self.telling(), &view, Standing::Resolved { at, report: report.as_ref() });
            let turn = at.timestamp_micros().to_string();
            news.push(News::resolved(incident.id, &turn, blocks::resolved(self.common.words, &view, at)));
            news.push(News::update(incident.id, &format!("resolved:{turn}"), parent).said_in_thread());
        }
        self.enqueue(transaction, &news).await
    }

    async fn enqueue(&self, transaction: &mut PgConnection, news: &[News]) -> Result<(), sqlx::Error> {
        outbox::enqueue(transaction, self.routes.default_channel(), news).await.map(|_| ())
    }

    fn telling(&self) -> Telling<'static> {
        Telling::new(self.common.words)
    }

    /// The channel of an incident, by what is known now. Its runbook is chosen as its investigation will choose it,
    /// from the alerts that came so far.
    async fn route(&self, transaction: &mut PgConnection, incident: &Record) -> Result<Routed, sqlx::Error> {
        let (workload, severity) = (&incident.workload, incident.severity);
        let policies = Arc::clone(&self.policies.borrow());
        if self.routes.is_empty() && policies.is_empty() {
            return Ok(self.routes.choose(About { workload, severity, alerts: &[], owner: "" }));
        }
        let known = self.common.known(transaction, incident).await;
        let (alerts, at) = (known.alerts.as_slice(), Utc::now());
        let chosen = policies.choose(&PolicyAbout { workload, severity, alerts, at });
        if let Some((channel, reason)) = chosen.channel() {
            return Ok(Routed { channel: channel.to_owned(), reason });
        }
        Ok(self.routes.choose(known.about(incident)))
    }
}

fn view(incident: &Record) -> IncidentView<'_> {
    IncidentView {
        workload: &incident.workload,
        severity: incident.severity,
        title: &incident.title,
        alert_names: &incident.alert_names,
        alerts: incident.alerts,
        opened_at: incident.opened_at,
    }
}
