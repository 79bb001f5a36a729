//! Counts what models cost within 24 hours, by whose money it is, and keeps back what the next call can cost. Whoever
//! spends does so one after the other, over all replicas. The only writer of `charged_at`, `policy`, `team_policy` and of what is
//! reserved.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::{Short, Spent, afford, reached, too_many};
use crate::investigation::queue::Claim;
use crate::policy::Purse;
use crate::report::HeldBack;
use crate::workload::Workload;

/// Whether a call may be made is decided for one run after the other: our advisory lock, and the key of it.
const LOCK_CLASS: i32 = 0x77d1;
const DAY_LOCK: i32 = 1;

/// May a call be made that costs so much?
#[derive(Debug, Clone, PartialEq)]
pub enum Leave {
    Granted,
    /// With it, the runs of the last 24 hours would cost more than they may.
    DayIsSpent,
    /// Or those of its namespace or policy.
    Held(HeldBack),
    /// The incident was resolved since this investigation began.
    Resolved,
    /// Somebody else has the claim.
    Lost,
}

/// Whoever spends the day's money does so one after the other, until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn lock_day(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("select pg_advisory_xact_lock($1, $2)", LOCK_CLASS, DAY_LOCK)
        .execute(transaction)
        .await
        .map(|_| ())
}

/// What was spent within 24 hours and what is reserved, but for what `except` reserved.
///
/// # Errors
/// The database's.
pub async fn spent(db: impl PgExecutor<'_>, purse: &Purse, except: Uuid) -> Result<Spent, sqlx::Error> {
    let Purse { policy, team, cluster, namespace, .. } = purse;
    sqlx::query_as!(
        Spent,
        r#"with spent as (
             select investigation_id as id, usd from turns where created_at > now() - interval '24 hours'
             union all
             select investigation_id, usd from answers where at > now() - interval '24 hours'
             union all
             select id, usd_reserved from investigations where state = 'running' and id <> $1)
           select coalesce(sum(s.usd), 0) as "all!",
                  coalesce(sum(s.usd) filter (where $2 <> '' and v.policy = $2), 0) as "policy!",
                  coalesce(sum(s.usd) filter (where $6 <> '' and v.cluster = $3
                                                and v.team_policy = $6), 0) as "team!",
                  coalesce(sum(s.usd) filter (where $4 <> '' and v.cluster = $3
                                                and (v.namespace = $4 or v.workload = $5)), 0) as "namespace!"
           from spent s join investigations v on v.id = s.id"#,
        except,
        policy,
        cluster,
        namespace,
        itself(purse),
        team
    )
    .fetch_one(db)
    .await
}

/// Lets a run begin, under its policy and among its namespace's investigations of the day; what is held back asks no
/// model. A run that was let begin stays so over its attempts.
///
/// # Errors
/// The database's.
pub async fn admit(
    transaction: &mut PgConnection,
    claim: &Claim,
    purse: &Purse,
) -> Result<Option<HeldBack>, sqlx::Error> {
    lock_day(&mut *transaction).await?;
    if let Some(held) = reached(purse, spent(&mut *transaction, purse, claim.id).await?) {
        return Ok(Some(held));
    }
    let done = sqlx::query!(
        "update investigations set charged_at = coalesce(charged_at, now()), policy = $3,
             team_policy = $8
         where id = $1 and attempt = $2 and state = 'running'
           and ($4::int8 is null or charged_at is not null
                or $4 > (select count(*) from investigations o
                         where o.charged_at > now() - interval '24 hours' and o.id <> $1 and o.cluster = $5
                           and (o.namespace = $6 or o.workload = $7)))",
        claim.id,
        claim.attempt,
        purse.policy,
        purse.namespace_investigations.map(i64::from),
        purse.cluster,
        purse.namespace,
        itself(purse),
        purse.team
    )
    .execute(transaction)
    .await?;
    // Without the lease nothing of this is kept anyway.
    Ok((done.rows_affected() == 0).then(|| too_many(purse)))
}

/// Reserves what the next call can cost at most. Two runs that ask at the same time cannot both have the last
/// dollar.
///
/// # Errors
/// The database's.
pub async fn reserve(
    transaction: &mut PgConnection,
    claim: &Claim,
    usd: f64,
    purse: &Purse,
) -> Result<Leave, sqlx::Error> {
    let resolved = sqlx::query_scalar!(
        r#"select (i.state = 'resolved' and i.resolved_at >= v.started_at) as "resolved!"
           from investigations v join incidents i on i.id = v.incident_id
           where v.id = $1 and v.attempt = $2 and v.state = 'running'"#,
        claim.id,
        claim.attempt
    )
    .fetch_optional(&mut *transaction)
    .await?;
    match resolved {
        None => return Ok(Leave::Lost),
        Some(true) => return Ok(Leave::Resolved),
        Some(false) => {}
    }
    lock_day(&mut *transaction).await?;
    match afford(purse, spent(&mut *transaction, purse, claim.id).await?, usd) {
        Ok(()) => {}
        Err(Short::Day) => return Ok(Leave::DayIsSpent),
        Err(Short::Held(held)) => return Ok(Leave::Held(held)),
    }
    let done = sqlx::query!(
        "update investigations set usd_reserved = $3 where id = $1 and attempt = $2 and state = 'running'",
        claim.id,
        claim.attempt,
        usd
    )
    .execute(transaction)
    .await?;
    Ok(if done.rows_affected() == 1 { Leave::Granted } else { Leave::Lost })
}

/// Dollars of all turns and answers within the last 24 hours.
///
/// # Errors
/// The database's.
pub async fn usd_of_the_day(executor: impl PgExecutor<'_>) -> Result<f64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select coalesce((select sum(usd) from turns where created_at > now() - interval '24 hours'), 0)
                + coalesce((select sum(usd) from answers where at > now() - interval '24 hours'), 0) as "usd!""#
    )
    .fetch_one(executor)
    .await
}

/// The namespace as a workload: what is looked at as a whole is charged to it as well.
fn itself(purse: &Purse) -> String {
    Workload::new(&purse.cluster, "", "Namespace", &purse.namespace).key()
}
