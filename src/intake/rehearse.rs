//! The first statements of a fresh connection cost a quarter of a second together: PostgreSQL reads its catalogue and
//! plans each. So the intake goes once through all it does with an invented alert, on each of its connections, and
//! rolls it back. Nothing of it is ever to be seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::Connection;

use super::commit::Books;
use crate::alert::{Alert, Severity, Source, Status};
use crate::incident::book::Placed;
use crate::incident::store;
use crate::postgres::OWN_CONNECTIONS;
use crate::workload::Workload;

/// Goes through it in the background; a fault of the database is found by the next webhook as well.
pub(super) fn begin(books: Arc<Books>) {
    tokio::spawn(async move {
        if let Err(error) = on_all(&books).await {
            tracing::debug!(%error, "the intake's statements could not be made ready");
        }
    });
}

async fn on_all(books: &Books) -> Result<(), sqlx::Error> {
    let mut connections = Vec::new();
    // All at once, so that none is the same as another.
    for _ in 0..OWN_CONNECTIONS {
        connections.push(books.pool.acquire().await?);
    }
    let requests = vec![vec![invented(Status::Firing)], vec![invented(Status::Resolved)]];
    for mut connection in connections {
        let mut transaction = connection.begin().await?;
        for request in &requests {
            store::known(&mut *transaction, request.iter().map(|placed| &placed.alert)).await?;
            books.enter(&mut transaction, std::slice::from_ref(request)).await?;
        }
        transaction.rollback().await?;
    }
    Ok(())
}

fn invented(status: Status) -> Placed {
    let name = uuid::Uuid::now_v7().to_string();
    let alert = Alert {
        source: Source::Manual,
        status,
        fingerprint: name.clone(),
        starts_at: DateTime::<Utc>::UNIX_EPOCH,
        ends_at: None,
        severity: Severity::Warning,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        generator_url: String::new(),
        receiver: String::new(),
        group_key: String::new(),
        subject: None,
        truncated_alerts: 0,
    };
    Placed { alert, workload: Workload::new("", "", "Rehearsal", name), confident: true }
}
