//! Forgets old alerts and incidents, a batch a transaction, so that no lock is held long and vacuum keeps up.
//! What is deleted stays counted in `tallies`. Open incidents and their alerts are never touched.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// Deletes up to `limit` alerts that were received more than `days` ago, and returns how many that were.
///
/// # Errors
/// The database's.
pub async fn forget_alerts(executor: impl PgExecutor<'_>, days: i32, limit: i64) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with old as (
             select a.id from alerts a left join incidents i on i.id = a.incident_id
             where a.received_at < now() - make_interval(days => $1) and i.state is distinct from 'open'
               and not exists (select from investigations v
                               where v.id = a.investigation_id and v.state in ('queued', 'running'))
             limit $2 for update of a skip locked),
           gone as (delete from alerts a using old where a.id = old.id
                    returning a.decision, a.repeats, a.investigation_id),
           counted as (
             select coalesce(sum(g.repeats), 0)::bigint as repeated,
                    count(*) filter (where g.decision = 'ignore') as ignored,
                    count(*) filter (where v.state = 'done') as done,
                    count(*) filter (where v.state = 'dead') as dead, count(*) as alerts
             from gone g left join investigations v on v.id = g.investigation_id),
           kept as (
             insert into tallies (name, slot, count)
             select name, 0, count from counted, lateral (values
               ('repeated', repeated), ('ignored', ignored), ('done', done), ('dead', dead),
               ('attached', alerts - ignored - done - dead)) as t (name, count)
             where count > 0
             on conflict (name, slot) do update set count = tallies.count + excluded.count)
           select alerts as "alerts!" from counted"#,
        days,
        limit
    )
    .fetch_one(executor)
    .await
}

/// Up to `limit` incidents that were over more than `days` ago and have no alerts any more, locked.
///
/// # Errors
/// The database's.
pub async fn forgettable(
    transaction: &mut PgConnection,
    days: i32,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select i.id from incidents i
         where i.state = 'resolved' and i.resolved_at < now() - make_interval(days => $1)
           and not exists (select from alerts a where a.incident_id = i.id)
           and not exists (select from incidents m where m.folded_into = i.id)
           and not exists (select from investigations v
                           where v.incident_id = i.id and v.state in ('queued', 'running'))
         limit $2 for update skip locked",
        days,
        limit
    )
    .fetch_all(transaction)
    .await
}

/// Deletes incidents on which nothing hangs any more.
///
/// # Errors
/// The database's.
pub async fn forget(executor: impl PgExecutor<'_>, incidents: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from incidents where id = any($1)", incidents).execute(executor).await.map(|_| ())
}
