//! Keeps the agent's run while it goes on: how it began, and each whole step with what it cost. Every write demands
//! the claim's attempt. The only writer of `runs` and `turns`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::PgConnection;

use crate::facts::{Facts, Observation};
use crate::investigation::agent::Opening;
use crate::investigation::ledger::{Ledger, Step};
use crate::investigation::queue::Claim;
use crate::investigation::store::write_observations;
use crate::llm::Usage;

/// Writes how a run begins. `false`: the lease is lost and nothing was written.
///
/// # Errors
/// The database's.
pub async fn begin_run(
    transaction: &mut PgConnection,
    claim: &Claim,
    opening: &Opening,
    facts: &Facts,
) -> Result<bool, sqlx::Error> {
    let bare = json(&Facts { observations: Vec::new(), ..facts.clone() })?;
    let done = sqlx::query!(
        "insert into runs (investigation_id, system, case_file, fence, facts)
         select id, $3, $4, $5, $6 from investigations where id = $1 and attempt = $2 and state = 'running'",
        claim.id,
        claim.attempt,
        opening.system,
        opening.case_file.replace('\0', " "),
        opening.fence,
        bare
    )
    .execute(&mut *transaction)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    write_observations(transaction, claim, &facts.observations).await?;
    Ok(true)
}

/// Writes one whole step: the turn, its answers, what was observed, and what it cost. `false`: the lease is lost
/// and nothing was written; the caller rolls back.
///
/// # Errors
/// The database's.
pub async fn write_step(
    transaction: &mut PgConnection,
    claim: &Claim,
    step: &Step,
    observations: &[Observation],
) -> Result<bool, sqlx::Error> {
    let count = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
    let number = i32::try_from(step.number).unwrap_or(i32::MAX);
    let Usage { input, cached, output } = step.usage;
    let done = sqlx::query!(
        "update investigations set steps = $3, input_tokens = input_tokens + $4, usd = usd + $7, usd_reserved = 0,
                cached_tokens = cached_tokens + $5, output_tokens = output_tokens + $6
         where id = $1 and attempt = $2 and state = 'running'",
        claim.id,
        claim.attempt,
        number,
        count(input),
        count(cached),
        count(output),
        step.usd
    )
    .execute(&mut *transaction)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query!(
        "insert into turns (investigation_id, number, attempt, model, turn, answers, told, forced, input_tokens,
                            cached_tokens, output_tokens, usd, milliseconds)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        claim.id,
        number,
        claim.attempt,
        step.model,
        json(&step.turn)?,
        json(&step.answers)?,
        step.told,
        step.forced,
        count(input),
        count(cached),
        count(output),
        step.usd,
        count(step.milliseconds)
    )
    .execute(&mut *transaction)
    .await?;
    write_observations(transaction, claim, observations).await?;
    Ok(true)
}

/// A run as an earlier attempt left it: facts, opening, and every whole step.
pub struct Left {
    pub facts: Facts,
    pub opening: Opening,
    pub ledger: Ledger,
}

/// Takes over what an earlier attempt of this investigation left, if it left a run.
///
/// # Errors
/// The database's. A run that another version wrote differently counts as none, and is removed.
pub async fn take_over(transaction: &mut PgConnection, claim: &Claim) -> Result<Option<Left>, sqlx::Error> {
    let run = sqlx::query!(
        "select r.system, r.case_file, r.fence, r.facts
         from runs r join investigations v on v.id = r.investigation_id
         where v.id = $1 and v.attempt = $2 and v.state = 'running'",
        claim.id,
        claim.attempt
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(run) = run else { return Ok(None) };
    let rows = sqlx::query!("select * from turns where investigation_id = $1 order by number", claim.id)
        .fetch_all(&mut *transaction)
        .await?;
    let count = |tokens: i64| u64::try_from(tokens).unwrap_or_default();
    let mut steps = Vec::with_capacity(rows.len());
    let mut facts: Option<Facts> = read(run.facts);
    for row in rows {
        let (Some(turn), Some(answers)) = (read(row.turn), read(row.answers)) else {
            facts = None;
            break;
        };
        steps.push(Step {
            number: u32::try_from(row.number).unwrap_or_default(),
            turn,
            answers,
            told: row.told,
            forced: row.forced,
            model: row.model,
            usage: Usage {
                input: count(row.input_tokens),
                cached: count(row.cached_tokens),
                output: count(row.output_tokens),
            },
            usd: row.usd,
            milliseconds: count(row.milliseconds),
        });
    }
    let Some(mut facts) = facts else {
        forget_run(transaction, claim).await?;
        return Ok(None);
    };
    let observations = own_observations(transaction, claim).await?;
    facts.observations.clone_from(&observations);
    let opening = Opening { system: run.system, case_file: run.case_file, fence: run.fence };
    Ok(Some(Left { facts, opening, ledger: Ledger { observations, steps } }))
}

async fn forget_run(transaction: &mut PgConnection, claim: &Claim) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from turns where investigation_id = $1", claim.id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("delete from steps where investigation_id = $1", claim.id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("delete from runs where investigation_id = $1", claim.id).execute(transaction).await?;
    Ok(())
}

/// Observations of the earlier attempts, which become this attempt's, in their order.
async fn own_observations(
    transaction: &mut PgConnection,
    claim: &Claim,
) -> Result<Vec<Observation>, sqlx::Error> {
    sqlx::query!("update steps set attempt = $2 where investigation_id = $1", claim.id, claim.attempt)
        .execute(&mut *transaction)
        .await?;
    let rows = sqlx::query!(
        "select evidence, source, query, observation, milliseconds from steps
         where investigation_id = $1 order by length(evidence), evidence",
        claim.id
    )
    .fetch_all(transaction)
    .await?;
    let observation = rows.into_iter().map(|row| Observation {
        id: row.evidence,
        source: row.source,
        query: row.query,
        text: row.observation,
        milliseconds: u64::try_from(row.milliseconds).unwrap_or_default(),
    });
    Ok(observation.collect())
}

fn json(value: &impl Serialize) -> Result<Value, sqlx::Error> {
    let value = serde_json::to_value(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    Ok(without_nul(value))
}

fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

/// jsonb refuses NUL in a text, and models write anything.
fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', " ")),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nul).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter().map(|(key, value)| (key.replace('\0', " "), without_nul(value))).collect(),
        ),
        other => other,
    }
}
