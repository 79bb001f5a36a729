//! The first alert of a fresh process costs a quarter of a second: PostgreSQL reads its catalogue and plans each
//! statement on each connection, and the expressions of the redaction are compiled. So the intake goes once through all
//! it does with an invented alert, on each of its connections, and rolls it back. Nothing of it is ever to be seen.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Connection;
use uuid::Uuid;

use super::commit::Books;
use crate::alert::{Alert, Severity, Source, Status};
use crate::incident::book::Placed;
use crate::incident::store;
use crate::postgres::OWN_CONNECTIONS;
use crate::workload::Workload;

/// A database that is slower than this keeps nobody from starting.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Ends when all connections are ready, or cannot be made so now: a fault of the database is found by the next webhook
/// as well.
pub(super) async fn rehearse(books: &Books) {
    match tokio::time::timeout(TIMEOUT, on_all(books)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the intake's statements could not be made ready"),
        Err(_) => tracing::debug!("the intake's statements were not ready within {TIMEOUT:?}"),
    }
}

async fn on_all(books: &Books) -> Result<(), sqlx::Error> {
    let mut connections = Vec::new();
    // All at once, so that none is the same as another.
    for _ in 0..OWN_CONNECTIONS {
        connections.push(books.pool.acquire().await?);
    }
    let name = Uuid::now_v7().to_string();
    let requests = [Status::Firing, Status::Resolved].map(|status| vec![invented(&name, status)]);
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

fn invented(name: &str, status: Status) -> Placed {
    let annotations = BTreeMap::from([("summary".to_owned(), format!("Alert {name} was invented."))]);
    let mut alert = Alert {
        source: Source::Manual,
        status,
        fingerprint: name.to_owned(),
        starts_at: DateTime::<Utc>::UNIX_EPOCH,
        ends_at: None,
        severity: Severity::Warning,
        labels: BTreeMap::new(),
        annotations,
        generator_url: String::new(),
        receiver: String::new(),
        group_key: String::new(),
        subject: None,
        truncated_alerts: 0,
    };
    alert.redact();
    Placed { alert, workload: Workload::new("", "", "Rehearsal", name), confident: true }
}
