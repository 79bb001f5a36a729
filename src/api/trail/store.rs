//! Mutes in force and lines of the audit trail, as they are answered. It writes nothing.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgExecutor;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::access::Reach;
use crate::api::filter::Cursor;

const MAX_MUTES: i64 = 500;

/// A cause that is no problem on a workload, for a time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Mute {
    pub id: Uuid,
    pub workload: String,
    pub cause_id: String,
    /// The object at fault; "": whichever it is.
    pub object: String,
    pub until: DateTime<Utc>,
    pub reason: String,
    pub author: String,
    /// api, slack or page.
    pub via: String,
    /// That it was said about; null: forgotten.
    pub investigation_id: Option<Uuid>,
    pub created_at: DateTime<Utc>,
}

/// One action.
#[derive(Debug, Serialize, ToSchema)]
pub struct Line {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub actor: String,
    /// api, slack or page.
    pub via: String,
    /// rate, mute, unmute, rerun or investigate.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    #[schema(value_type = Object)]
    pub detail: Value,
    #[schema(value_type = Object)]
    pub result: Value,
}

impl Line {
    pub fn cursor(&self) -> Cursor {
        Cursor { at: self.at, id: self.id }
    }
}

pub async fn mutes(db: impl PgExecutor<'_>, reach: &Reach) -> sqlx::Result<Vec<Mute>> {
    // A workload's last three parts hold no slash, its cluster may.
    sqlx::query_as!(
        Mute,
        "select id, workload, cause_id, object, until, reason, author, via, investigation_id, created_at from mutes
         where lifted_at is null and until > now()
           and (cardinality($1::text[]) = 0 or substring(workload from '^(.*)(?:/[^/]*){3}$') ~ any($1))
           and (cardinality($2::text[]) = 0 or substring(workload from '([^/]*)(?:/[^/]*){2}$') ~ any($2))
         order by until desc, id limit $3",
        &reach.clusters,
        &reach.namespaces,
        MAX_MUTES
    )
    .fetch_all(db)
    .await
}

pub async fn audit(db: impl PgExecutor<'_>, after: Option<Cursor>, limit: i64) -> sqlx::Result<Vec<Line>> {
    sqlx::query_as!(
        Line,
        "select id, at, actor, via, action, subject, detail, result from audit
         where ($1::timestamptz is null or (at, id) < ($1, $2::uuid))
         order by at desc, id desc limit $3",
        after.map(|after| after.at),
        after.map(|after| after.id),
        limit
    )
    .fetch_all(db)
    .await
}
