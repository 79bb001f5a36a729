//! The transaction of the intake: what waits is entered into the book, and its alerts, incidents, investigations
//! and words are committed together. One request that cannot be stored fails alone. It asks no cluster.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::{PgConnection, PgPool};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::desk::{Receipt, Shared};
use crate::announce::Audience;
use crate::incident::book::{Book, Change, Entered, Placed};
use crate::incident::decide::Rules;
use crate::incident::{store, tally};
use crate::investigation::queue;
use crate::policy::Policies;
use crate::postgres;
use crate::telemetry;

/// What a commit needs.
pub(super) struct Books {
    pub(super) pool: PgPool,
    pub(super) rules: Rules,
    /// In force now; the rules of each commit have them.
    pub(super) policies: watch::Receiver<Arc<Policies>>,
    /// `None` where nobody is told.
    pub(super) audience: Option<Audience>,
    pub(super) wake: Arc<Notify>,
}

/// Commits all requests together, or each by itself where what one of them holds cannot be stored.
pub(super) async fn commit_all(books: &Books, requests: Vec<Vec<Placed>>) -> Vec<Shared<Receipt>> {
    match books.commit(&requests).await {
        Ok(receipts) => receipts.into_iter().map(Ok).collect(),
        Err(error) if requests.len() > 1 && is_about_data(&error) => {
            tracing::warn!(%error, requests = requests.len(), "not stored together; trying each alone");
            let mut answers = Vec::with_capacity(requests.len());
            for request in &requests {
                let answer = books.commit(std::slice::from_ref(request)).await;
                answers.push(answer.map(|mut alone| alone.pop().unwrap_or_default()).map_err(arc));
            }
            answers
        }
        Err(error) => {
            let error = arc(error);
            requests.iter().map(|_| Err(Arc::clone(&error))).collect()
        }
    }
}

fn arc(error: sqlx::Error) -> Arc<anyhow::Error> {
    Arc::new(anyhow::Error::new(error))
}

/// SQLSTATE classes 22 and 23: a value that the database refuses. Everything else hits whoever comes.
fn is_about_data(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

impl Books {
    async fn commit(&self, requests: &[Vec<Placed>]) -> Result<Vec<Receipt>, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let done = self.enter(&mut transaction, requests).await?;
        transaction.commit().await?;
        self.tell(&done);
        Ok(done.receipts)
    }

    /// Everything that stands in the transaction.
    pub(super) async fn enter(
        &self,
        transaction: &mut PgConnection,
        requests: &[Vec<Placed>],
    ) -> Result<Done, sqlx::Error> {
        let (mut book, now) = store::open(transaction, requests.iter().flatten()).await?;
        let rules = self.rules.clone().with_policies(Arc::clone(&self.policies.borrow()));
        let mut receipts = Vec::with_capacity(requests.len());
        for request in requests {
            let entered = request.iter().map(|placed| book.enter(placed, &rules, now));
            receipts.push(receipt(entered));
        }
        store::write_incidents(transaction, &book).await?;
        let queued = queue::enqueue(&mut *transaction, &waiting(&book)).await?;
        store::write_alerts(transaction, &book, &queued).await?;
        tally::received(transaction, requests.iter().map(Vec::len).sum()).await?;
        let opened = changed(&book, Change::Opened);
        let reopened = changed(&book, Change::Reopened);
        let over: Vec<Uuid> = changed(&book, Change::Resolved);
        queue::cancel(&mut *transaction, &over).await?;
        if let Some(audience) = &self.audience {
            audience.opened(transaction, &opened).await?;
            audience.reopened(transaction, &reopened).await?;
            audience.resolved(transaction, &over).await?;
        }
        let work = !queued.is_empty() || !over.is_empty();
        Ok(Done { receipts, opened: opened.len(), reopened: reopened.len(), work })
    }

    /// Counts what was committed, and wakes who has work from it.
    fn tell(&self, done: &Done) {
        for (count, word) in [(done.opened, "open"), (done.reopened, "reopen")] {
            metrics::counter!(telemetry::INCIDENTS, "decision" => word).increment(count as u64);
        }
        if done.work {
            self.wake.notify_waiters();
            let pool = self.pool.clone();
            // The sender need not wait for it.
            tokio::spawn(async move { postgres::wake(&pool).await });
        }
    }
}

/// What a transaction wrote.
pub(super) struct Done {
    receipts: Vec<Receipt>,
    opened: usize,
    reopened: usize,
    /// Something was queued or cancelled.
    work: bool,
}

fn receipt(all: impl Iterator<Item = Entered>) -> Receipt {
    let mut incidents = BTreeSet::new();
    let mut receipt = Receipt::default();
    for entered in all {
        incidents.extend(entered.incident);
        receipt.alerts += 1;
        receipt.repeats += usize::from(entered.repeat);
        receipt.new += usize::from(!entered.repeat);
        receipt.ignored += usize::from(!entered.repeat && entered.incident.is_none());
    }
    receipt.incidents = incidents.into_iter().collect();
    receipt
}

fn changed(book: &Book, change: Change) -> Vec<Uuid> {
    book.entries.values().filter(|entry| entry.change == change).map(|entry| entry.id).collect()
}

fn waiting(book: &Book) -> Vec<queue::Waiting> {
    let queued = book.entries.values().filter_map(|entry| Some((entry, entry.enqueue.as_ref()?)));
    queued
        .map(|(entry, (enqueue, alert_name, severity))| queue::Waiting {
            incident_id: entry.id,
            workload: entry.workload.clone(),
            alert_name: alert_name.clone(),
            reason: enqueue.why.as_str().to_owned(),
            priority: *severity as i32,
            after: enqueue.after,
        })
        .collect()
}
