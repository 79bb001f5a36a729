//! The outbox of all outlets, in Postgres: news enter it inside the caller's transaction, `claim` hands out what is due,
//! one at a time and under a lease, and the other functions store what became of it, if the lease is still theirs. A
//! delivery whose outcome nobody knows is due again: at least once, under the same id. It speaks to no outlet.

use std::time::Duration;

use sqlx::PgExecutor;
use uuid::Uuid;

use super::News;

/// What could not be delivered for so long is dead.
const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// For storing what became of a request, after its deadline.
const MARGIN: Duration = Duration::from_secs(20);

/// One delivery, taken to be sent.
#[derive(Debug, Clone)]
pub struct Claim {
    pub id: Uuid,
    pub outlet: String,
    pub event: String,
    pub body: String,
    /// Tries so far, this one included.
    pub attempts: i32,
    /// The outlet's faults since its last success.
    pub faults: i32,
}

/// How one outlet is spoken to.
#[derive(Debug, Clone)]
pub struct Terms {
    pub outlet: String,
    /// Time between two requests.
    pub pace: Duration,
    /// The longest that one request takes.
    pub timeout: Duration,
}

/// Queues what is new of `news`, in their order. What does not fit an outlet goes there only where it was told of the
/// incident before; `first` stands for the body where it was told of no report of it.
///
/// # Errors
/// The database's.
pub async fn enqueue(db: impl PgExecutor<'_>, news: &[News]) -> sqlx::Result<u64> {
    if news.is_empty() {
        return Ok(0);
    }
    let added = sqlx::query!(
        "insert into deliveries (id, outlet, event, incident_id, dedup_key, body)
         select u.id, u.outlet, u.event, u.incident, u.dedup_key,
                coalesce(case when not exists (select from deliveries d
                                               where d.incident_id = u.incident and d.outlet = u.outlet
                                                 and d.event = u.event) then u.first end, u.body)
         from unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::boolean[])
              with ordinality as u (id, outlet, event, incident, dedup_key, body, first, fits, at)
         where u.fits or exists (select from deliveries d where d.incident_id = u.incident and d.outlet = u.outlet)
         order by u.at
         on conflict (outlet, dedup_key) do nothing",
        &news.iter().map(|_| Uuid::now_v7()).collect::<Vec<Uuid>>(),
        &news.iter().map(|one| one.outlet.as_str()).collect::<Vec<_>>() as &[&str],
        &news.iter().map(|one| one.topic.as_str()).collect::<Vec<_>>() as &[&str],
        &news.iter().map(|one| one.incident).collect::<Vec<Uuid>>(),
        &news.iter().map(|one| one.dedup_key.as_str()).collect::<Vec<_>>() as &[&str],
        &news.iter().map(|one| one.body.as_str()).collect::<Vec<_>>() as &[&str],
        &news.iter().map(|one| one.first.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &news.iter().map(|one| one.fits).collect::<Vec<bool>>(),
    );
    Ok(added.execute(db).await?.rows_affected())
}

/// Takes the next delivery that is due, of one of the outlets in `terms` that is free. Within an incident nothing
/// overtakes. One turn a pace and outlet, over all replicas; one statement, so that a stopped process holds no lock.
///
/// # Errors
/// The database's.
pub async fn claim(db: impl PgExecutor<'_>, terms: &[Terms]) -> sqlx::Result<Option<Claim>> {
    sqlx::query_as!(
        Claim,
        r#"with free as (
               select t.outlet, t.pace, t.lease, coalesce(o.faults, 0) as faults
               from unnest($1::text[], $2::float8[], $3::float8[]) as t (outlet, pace, lease)
               left join delivery_outlets o on o.outlet = t.outlet
               where coalesce(o.free_at <= now(), true)
               order by o.free_at nulls first
           ), next as (
               select d.id, f.* from free f cross join lateral (
                   select d.id from deliveries d
                   where d.outlet = f.outlet and d.state = 'waiting' and d.next_at <= now()
                     and not exists (select from deliveries e
                         where e.incident_id = d.incident_id and e.outlet = d.outlet and e.state = 'waiting'
                           and e.number < d.number)
                   order by d.next_at, d.number
                   limit 1
                   for update of d skip locked) d
               limit 1
           ), turn as (
               insert into delivery_outlets as o (outlet, free_at)
               select outlet, now() + make_interval(secs => pace) from next
               on conflict (outlet) do update set free_at = excluded.free_at where o.free_at <= now()
               returning 1
           )
           update deliveries d set attempts = d.attempts + 1, next_at = now() + make_interval(secs => n.lease)
           from next n
           where d.id = n.id and exists (select from turn)
           returning d.id, d.outlet, d.event, d.body, d.attempts, n.faults as "faults!""#,
        &terms.iter().map(|one| one.outlet.as_str()).collect::<Vec<_>>() as &[&str],
        &terms.iter().map(|one| one.pace.as_secs_f64()).collect::<Vec<f64>>(),
        &terms.iter().map(|one| (one.timeout + MARGIN).as_secs_f64()).collect::<Vec<f64>>(),
    )
    .fetch_optional(db)
    .await
}

/// It arrived. False when the lease had run out and somebody else has it.
///
/// # Errors
/// The database's.
pub async fn delivered(db: impl PgExecutor<'_>, claim: &Claim, pace: Duration) -> sqlx::Result<bool> {
    let done = sqlx::query_scalar!(
        r#"with done as (
               update deliveries set state = 'delivered', ended_at = now(), error = null
               where id = $1 and attempts = $2 and state = 'waiting' returning outlet
           ), free as (
               update delivery_outlets o
               set free_at = greatest(o.free_at, now() + make_interval(secs => $3)), fault = null,
                   fault_since = null, faults = 0
               from done where o.outlet = done.outlet)
           select count(*) as "count!" from done"#,
        claim.id,
        claim.attempts,
        pace.as_secs_f64(),
    );
    Ok(done.fetch_one(db).await? == 1)
}

/// It did not arrive, or nobody knows: tried again after `wait`. With `hold` nothing goes to the outlet for so long.
///
/// # Errors
/// The database's.
pub async fn again(
    db: impl PgExecutor<'_>,
    claim: &Claim,
    wait: Duration,
    hold: Option<Duration>,
    why: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "with mine as (
             update deliveries set next_at = now() + make_interval(secs => $3), error = $5
             where id = $1 and attempts = $2 and state = 'waiting' returning outlet)
         update delivery_outlets o
         set free_at = greatest(o.free_at, now() + make_interval(secs => $4)), fault = $5,
             fault_since = coalesce(o.fault_since, now()), faults = o.faults + 1
         from mine where o.outlet = mine.outlet and $4::float8 is not null",
        claim.id,
        claim.attempts,
        wait.as_secs_f64(),
        hold.map(|hold| hold.as_secs_f64()),
        why,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// It will never be delivered.
///
/// # Errors
/// The database's.
pub async fn bury(db: impl PgExecutor<'_>, claim: &Claim, why: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update deliveries set state = 'dead', ended_at = now(), error = $3
         where id = $1 and attempts = $2 and state = 'waiting'",
        claim.id,
        claim.attempts,
        why,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What is too old to be delivered is dead, also where no setting names its outlet any more. Returns each outlet with
/// how many that were.
///
/// # Errors
/// The database's.
pub async fn expire(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(
        r#"with old as (
               update deliveries
               set state = 'dead', ended_at = now(),
                   error = 'not delivered within a day' || coalesce(': ' || error, '')
               where state = 'waiting' and next_at <= now() and created_at < now() - make_interval(secs => $1)
               returning outlet)
           select outlet as "outlet!", count(*) as "count!" from old group by outlet"#,
        MAX_AGE.as_secs_f64(),
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.outlet, row.count)).collect())
}

/// A process has started, perhaps with another address: what is held is tried again now.
///
/// # Errors
/// The database's.
pub async fn try_again(db: impl PgExecutor<'_>, outlets: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "update delivery_outlets set free_at = now()
         where outlet = any($1) and fault is not null and free_at > now()",
        outlets
    )
    .execute(db)
    .await?;
    Ok(())
}
