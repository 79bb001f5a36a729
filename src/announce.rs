//! The conductor that tells an incident's news, inside the transaction that made them: `thread` puts them into Slack's
//! outbox, `receivers` into that of the other outlets. It talks to nobody; the outboxes' own loops do.

mod receivers;
mod thread;

use std::sync::Arc;

use sqlx::PgConnection;
use tokio::sync::watch;
use uuid::Uuid;

use crate::alert::Alert;
use crate::feedback::store as feedback;
use crate::incident::selector::About;
use crate::incident::store::Record;
use crate::investigation::queue::Claim;
use crate::investigation::store as investigations;
use crate::report::Before;
pub use crate::report::Ending;
use crate::runbook::Catalogue;
use crate::slack::blocks::{self, Progress};
use crate::words::Words;
use crate::workload::Workload;
pub use receivers::Receivers;
pub use thread::Thread;

/// Whom incidents are told to.
#[derive(Debug, Clone)]
pub struct Audience {
    /// `None` without Slack.
    pub thread: Option<Thread>,
    /// `None` without any other outlet.
    pub receivers: Option<Receivers>,
}

/// What all who are told have in common.
#[derive(Debug, Clone)]
pub struct Common {
    /// The runbooks in force: where an incident is told may depend on its runbook's owner.
    pub runbooks: watch::Receiver<Arc<Catalogue>>,
    /// `server.public_url`, "" leaves links out.
    pub public_url: String,
    pub words: &'static Words,
}

type Told = Result<(), sqlx::Error>;

impl Audience {
    /// Incidents began.
    ///
    /// # Errors
    /// The database's.
    pub async fn opened(&self, transaction: &mut PgConnection, incidents: &[Uuid]) -> Told {
        if let Some(thread) = &self.thread {
            thread.opened(transaction, incidents).await?;
        }
        match &self.receivers {
            Some(receivers) => receivers.opened(transaction, incidents).await,
            None => Ok(()),
        }
    }

    /// Resolved incidents fire again.
    ///
    /// # Errors
    /// The database's.
    pub async fn reopened(&self, transaction: &mut PgConnection, incidents: &[Uuid]) -> Told {
        if let Some(thread) = &self.thread {
            thread.reopened(transaction, incidents).await?;
        }
        match &self.receivers {
            Some(receivers) => receivers.reopened(transaction, incidents).await,
            None => Ok(()),
        }
    }

    /// An investigation is over.
    ///
    /// # Errors
    /// The database's.
    pub async fn ended(
        &self,
        transaction: &mut PgConnection,
        incident: Uuid,
        investigation: Uuid,
        ending: Ending<'_>,
    ) -> Told {
        if let Some(thread) = &self.thread {
            thread.ended(transaction, incident, investigation, ending).await?;
        }
        match &self.receivers {
            Some(receivers) => receivers.ended(transaction, incident, investigation, ending).await,
            None => Ok(()),
        }
    }

    /// Whether anybody is told how far an investigation has come.
    pub fn hears_of_progress(&self) -> bool {
        self.thread.is_some()
    }

    /// How far the model has come.
    ///
    /// # Errors
    /// The database's.
    pub async fn at_work(
        &self,
        transaction: &mut PgConnection,
        claim: &Claim,
        progress: Progress<'_>,
    ) -> Told {
        match &self.thread {
            Some(thread) => thread.at_work(transaction, claim, progress).await,
            None => Ok(()),
        }
    }

    /// Incidents that have a thread are told of elsewhere from now on. Other outlets hear of each incident's end.
    ///
    /// # Errors
    /// The database's.
    pub async fn folded(&self, transaction: &mut PgConnection, incidents: &[Uuid], into: &Workload) -> Told {
        match &self.thread {
            Some(thread) => thread.folded(transaction, incidents, into).await,
            None => Ok(()),
        }
    }

    /// An incident of a guessed workload turned out to be about another's, and is over.
    ///
    /// # Errors
    /// The database's.
    pub async fn joined(&self, transaction: &mut PgConnection, guessed: &Record, into: Uuid) -> Told {
        if let Some(thread) = &self.thread {
            thread.joined(transaction, guessed, into).await?;
        }
        match &self.receivers {
            Some(receivers) => receivers.resolved(transaction, &[guessed.id], Some(into)).await,
            None => Ok(()),
        }
    }

    /// The trouble is over.
    ///
    /// # Errors
    /// The database's.
    pub async fn resolved(&self, transaction: &mut PgConnection, incidents: &[Uuid]) -> Told {
        if let Some(thread) = &self.thread {
            thread.resolved(transaction, incidents).await?;
        }
        match &self.receivers {
            Some(receivers) => receivers.resolved(transaction, incidents, None).await,
            None => Ok(()),
        }
    }
}

/// What is known of an incident beyond itself.
#[derive(Debug, Default)]
struct Known {
    alerts: Vec<Alert>,
    owner: String,
}

impl Known {
    fn about<'a>(&'a self, incident: &'a Record) -> About<'a> {
        let (workload, severity) = (&incident.workload, incident.severity);
        About { workload, severity, alerts: &self.alerts, owner: &self.owner }
    }
}

impl Common {
    /// By what is known now. The runbook is chosen as the incident's investigation will choose it, from the alerts that
    /// came so far.
    async fn known(&self, transaction: &mut PgConnection, incident: &Record) -> Known {
        let alerts = investigations::alerts(transaction, incident.id).await.unwrap_or_else(|error| {
            tracing::warn!(incident = %incident.id, %error, "where an incident is told is chosen without its alerts");
            Vec::new()
        });
        let choice = self.runbooks.borrow().choose(&alerts, &incident.workload);
        let owner = choice.runbook.as_deref().map(|runbook| runbook.owner.clone()).unwrap_or_default();
        Known { alerts, owner }
    }

    /// The last time that the workload was investigated, for `except` in another incident.
    async fn before(
        &self,
        transaction: &mut PgConnection,
        incident: &Record,
        except: Option<Uuid>,
    ) -> Result<Option<Before>, sqlx::Error> {
        let key = incident.workload.key();
        let Some(last) = investigations::last_time(&mut *transaction, &key, except).await? else {
            return Ok(None);
        };
        Ok(Some(Before {
            at: last.at,
            report: last.report,
            lasted: last.lasted,
            note: feedback::note(&mut *transaction, last.id).await?,
            url: blocks::investigation_url(&self.public_url, last.id),
        }))
    }
}
