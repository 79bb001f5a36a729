//! Counts of alerts that survive their rows: how many were received, and what became of those that retention
//! deleted. With the rows that still stand they add up, always. The only writer of `tallies`.

use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;

/// Rows that one name's count is spread over.
const SLOTS: i16 = 16;

/// What became of every alert that was ever accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Tally {
    /// Accepted with a 2xx, counted when they were committed.
    pub received: i64,
    /// The same occurrence again.
    pub repeated: i64,
    /// Stored, and that was all.
    pub ignored: i64,
    /// Joined an incident without asking for a look of their own, or the look was not needed any more.
    pub attached: i64,
    /// Their investigation waits or is being worked on.
    pub queued: i64,
    /// Their investigation has a report.
    pub done: i64,
    /// Their investigation was given up; people were told.
    pub dead: i64,
}

impl Tally {
    /// What is accounted for; must be `received`.
    pub fn sum(&self) -> i64 {
        self.repeated + self.ignored + self.attached + self.queued + self.done + self.dead
    }

    /// Each count by its name, `received` first.
    pub fn states(&self) -> [(&'static str, i64); 7] {
        [
            ("received", self.received),
            ("repeated", self.repeated),
            ("ignored", self.ignored),
            ("attached", self.attached),
            ("queued", self.queued),
            ("done", self.done),
            ("dead", self.dead),
        ]
    }

    /// Every alert that was received is in exactly one place.
    pub fn adds_up(&self) -> bool {
        self.sum() == self.received
    }
}

/// Counts alerts that are about to be committed.
///
/// # Errors
/// The database's.
pub async fn received(transaction: &mut PgConnection, alerts: usize) -> Result<(), sqlx::Error> {
    let slot = i16::try_from(std::process::id() % SLOTS.unsigned_abs() as u32).unwrap_or_default();
    sqlx::query!(
        "insert into tallies (name, slot, count) values ('received', $1, $2)
         on conflict (name, slot) do update set count = tallies.count + excluded.count",
        slot,
        i64::try_from(alerts).unwrap_or(i64::MAX)
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// One look at everything, in one snapshot.
///
/// # Errors
/// The database's.
pub async fn read(executor: impl PgExecutor<'_>) -> Result<Tally, sqlx::Error> {
    sqlx::query_as!(
        Tally,
        r#"with stand as (
             select coalesce(sum(a.repeats), 0)::bigint as repeated,
                    count(*) filter (where a.decision = 'ignore') as ignored,
                    count(*) filter (where v.state in ('queued', 'running')) as queued,
                    count(*) filter (where v.state = 'done') as done,
                    count(*) filter (where v.state = 'dead') as dead,
                    count(*) as alerts
             from alerts a left join investigations v on v.id = a.investigation_id),
           gone as (
             select coalesce(sum(count) filter (where name = 'received'), 0)::bigint as received,
                    coalesce(sum(count) filter (where name = 'repeated'), 0)::bigint as repeated,
                    coalesce(sum(count) filter (where name = 'ignored'), 0)::bigint as ignored,
                    coalesce(sum(count) filter (where name = 'attached'), 0)::bigint as attached,
                    coalesce(sum(count) filter (where name = 'done'), 0)::bigint as done,
                    coalesce(sum(count) filter (where name = 'dead'), 0)::bigint as dead
             from tallies)
           select gone.received as "received!", gone.repeated + stand.repeated as "repeated!",
                  gone.ignored + stand.ignored as "ignored!",
                  gone.attached + stand.alerts - stand.ignored - stand.queued - stand.done - stand.dead
                    as "attached!",
                  stand.queued as "queued!", gone.done + stand.done as "done!", gone.dead + stand.dead as "dead!"
           from stand, gone"#
    )
    .fetch_one(executor)
    .await
}
