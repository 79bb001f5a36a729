//! What lies between the service and a Job: questions go in, answers come out, in any replica. Everything demands the
//! claim's attempt or the token of one. The only writer of `readers` and `questions`.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::investigation::queue::Claim;

/// Questions handed out at once; a turn of the agent has fewer.
const MAX_QUESTIONS: i64 = 16;
/// Jobs whose rows are deleted when another one begins.
const FORGET_AT_ONCE: i64 = 100;

/// What a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    pub investigation: Uuid,
    pub attempt: i32,
    /// Another attempt has the investigation, or it is over.
    pub over: bool,
}

/// Writes that a Job of this name is about to be created. `false`: the lease is lost. Rows of Jobs that ended long ago
/// are deleted on the way.
///
/// # Errors
/// The database's.
pub(super) async fn open(
    db: &mut PgConnection,
    claim: &Claim,
    token_hash: &[u8],
    (namespace, job): (&str, &str),
) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "delete from readers where (investigation_id, attempt) in (
           select investigation_id, attempt from readers where started_at < now() - interval '1 day'
           limit $1 for update skip locked)",
        FORGET_AT_ONCE
    )
    .execute(&mut *db)
    .await?;
    let done = sqlx::query!(
        "insert into readers (investigation_id, attempt, token_hash, namespace, job)
         select id, attempt, $3, $4, $5 from investigations where id = $1 and attempt = $2 and state = 'running'",
        claim.id,
        claim.attempt,
        token_hash,
        namespace,
        job
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// `false`: the lease is lost.
///
/// # Errors
/// The database's.
pub(super) async fn ask(
    pool: &PgPool,
    claim: &Claim,
    number: i32,
    question: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "insert into questions (investigation_id, attempt, number, question)
         select id, attempt, $3, $4 from investigations where id = $1 and attempt = $2 and state = 'running'",
        claim.id,
        claim.attempt,
        number,
        question
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The answer to a question, once there is one.
///
/// # Errors
/// The database's.
pub(super) async fn answer(pool: &PgPool, claim: &Claim, number: i32) -> Result<Option<String>, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "select answer from questions where investigation_id = $1 and attempt = $2 and number = $3",
        claim.id,
        claim.attempt,
        number
    );
    Ok(found.fetch_optional(pool).await?.flatten())
}

/// Seconds since the Job called last; None: it never did.
///
/// # Errors
/// The database's.
pub(super) async fn silence(pool: &PgPool, claim: &Claim) -> Result<Option<f64>, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"select extract(epoch from now() - heard_at)::float8 from readers
           where investigation_id = $1 and attempt = $2"#,
        claim.id,
        claim.attempt
    );
    Ok(found.fetch_optional(pool).await?.flatten())
}

/// Forgets what was asked and answered; the token stays known, so that the Job hears that it is over.
///
/// # Errors
/// The database's.
pub(super) async fn close(pool: &PgPool, claim: &Claim) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from questions where investigation_id = $1 and attempt = $2",
        claim.id,
        claim.attempt
    )
    .execute(pool)
    .await
    .map(|_| ())
}

/// Whose token this is, noting that it called.
///
/// # Errors
/// The database's.
pub(super) async fn caller(pool: &PgPool, token_hash: &[u8]) -> Result<Option<Caller>, sqlx::Error> {
    sqlx::query_as!(
        Caller,
        r#"update readers r set heard_at = now() from investigations v
           where r.token_hash = $1 and v.id = r.investigation_id
           returning r.investigation_id as "investigation!", r.attempt,
                     (v.state <> 'running' or v.attempt <> r.attempt) as "over!""#,
        token_hash
    )
    .fetch_optional(pool)
    .await
}

/// Questions that this Job has not seen yet.
///
/// # Errors
/// The database's.
pub(super) async fn pending(
    pool: &PgPool,
    caller: Caller,
    after: i32,
) -> Result<Vec<(i32, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select number, question from questions
         where investigation_id = $1 and attempt = $2 and number > $3 and answer is null
         order by number limit $4",
        caller.investigation,
        caller.attempt,
        after,
        MAX_QUESTIONS
    );
    Ok(rows.fetch_all(pool).await?.into_iter().map(|row| (row.number, row.question)).collect())
}

/// Keeps the first answer to a question. `false`: there is no such question, or it was answered.
///
/// # Errors
/// The database's.
pub(super) async fn keep(
    pool: &PgPool,
    caller: Caller,
    number: i32,
    answer: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update questions set answer = $4
         where investigation_id = $1 and attempt = $2 and number = $3 and answer is null",
        caller.investigation,
        caller.attempt,
        number,
        answer
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}
