//! What changes something: `POST` and `DELETE` in, an action of the room `feedback` done under the caller's name, and
//! what became of it out. A caller without the scope `write` gets here never; a foreign id is not there.

pub(super) mod store;

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::access::Writer;
use super::body::JsonBody;
use super::detail::{id_of, seen};
use super::problem::{Problem, WriteRefusals, read};
use super::{ApiState, Caller, no_parameters};
use crate::feedback::{self, Action, Asked, DEFAULT_MUTE, Fault, MAX_ACTION_ID_BYTES, Rerun, Verdict, Via};
use crate::workload::Workload;

/// A cluster's name may be an ARN.
const MAX_CLUSTER_CHARS: usize = 500;
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Whether a report helped.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedbackBody {
    verdict: VerdictBody,
    /// In a few words; longer than 500 characters is cut.
    #[serde(default)]
    reason: String,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum VerdictBody {
    Helpful,
    Unhelpful,
}

/// "Not a problem", for how long and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MuteBody {
    /// From a minute to 90 days; 7 days where it is not given.
    #[serde(default)]
    #[schema(minimum = 60, maximum = 7_776_000)]
    seconds: Option<u64>,
    #[serde(default)]
    reason: String,
}

/// What is to be investigated.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InvestigateBody {
    #[schema(max_length = 500)]
    cluster: String,
    /// "" for what has none, such as a node.
    #[schema(max_length = 253)]
    namespace: String,
    /// Deployment, StatefulSet, DaemonSet, Job, CronJob, Pod, Node, Namespace, …
    #[schema(pattern = "^[A-Za-z][A-Za-z0-9]{0,62}$")]
    kind: String,
    #[schema(pattern = "^[A-Za-z0-9]([A-Za-z0-9._:-]{0,251}[A-Za-z0-9])?$")]
    name: String,
}

/// An investigation in the queue.
#[derive(Serialize, ToSchema)]
pub(super) struct Queued {
    investigation: Uuid,
    /// It was waiting already.
    joined: bool,
}

/// A mute in force.
#[derive(Serialize, ToSchema)]
pub(super) struct Muted {
    mute: Uuid,
}

/// Say whether a report helped. A later word of the same token replaces the one before.
#[utoipa::path(
    post, path = "/api/v1/investigations/{id}/feedback", tag = "actions",
    params(("id" = Uuid, Path, description = "Its id"), IdempotencyKey),
    request_body = FeedbackBody,
    responses((status = 204, description = "Kept"), WriteRefusals)
)]
pub(super) async fn rate(
    State(state): State<ApiState>,
    Writer(caller): Writer,
    On { id, key }: On,
    JsonBody(body): JsonBody<FeedbackBody>,
) -> Result<StatusCode, Problem> {
    seen(&state, &caller, id).await?;
    let verdict = match body.verdict {
        VerdictBody::Helpful => Verdict::Helpful,
        VerdictBody::Unhelpful => Verdict::Unhelpful,
    };
    let by = caller.actor(Via::Api);
    let mut connection = read(state.pool.acquire()).await?;
    done(feedback::rate(&mut connection, Action { by: &by, id: key.as_deref() }, id, verdict, &body.reason))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Investigate the same incident again, closed or not. One that waits already is joined.
#[utoipa::path(
    post, path = "/api/v1/investigations/{id}/rerun", tag = "actions",
    params(("id" = Uuid, Path, description = "Its id"), IdempotencyKey),
    responses((status = 202, body = Queued), WriteRefusals)
)]
pub(super) async fn rerun(
    State(state): State<ApiState>,
    Writer(caller): Writer,
    On { id, key }: On,
) -> Result<(StatusCode, Json<Queued>), Problem> {
    seen(&state, &caller, id).await?;
    let by = caller.actor(Via::Api);
    let mut connection = read(state.pool.acquire()).await?;
    let rerun = done(feedback::rerun(&mut connection, Action { by: &by, id: key.as_deref() }, id)).await?;
    Ok(queued(&state, rerun))
}

/// "Not a problem": for a time, this cause on this workload is not announced.
#[utoipa::path(
    post, path = "/api/v1/investigations/{id}/mute", tag = "actions",
    params(("id" = Uuid, Path, description = "Its id"), IdempotencyKey),
    request_body = MuteBody,
    responses((status = 201, body = Muted), WriteRefusals)
)]
pub(super) async fn mute(
    State(state): State<ApiState>,
    Writer(caller): Writer,
    On { id, key }: On,
    JsonBody(body): JsonBody<MuteBody>,
) -> Result<(StatusCode, Json<Muted>), Problem> {
    seen(&state, &caller, id).await?;
    let lasting = body.seconds.map_or(DEFAULT_MUTE, Duration::from_secs);
    let by = caller.actor(Via::Api);
    let mut connection = read(state.pool.acquire()).await?;
    let action = Action { by: &by, id: key.as_deref() };
    let mute = done(feedback::mute(&mut connection, action, id, lasting, &body.reason)).await?;
    Ok((StatusCode::CREATED, Json(Muted { mute })))
}

/// Lift a mute.
#[utoipa::path(
    delete, path = "/api/v1/mutes/{id}", tag = "actions",
    params(("id" = Uuid, Path, description = "Its id"), IdempotencyKey),
    responses((status = 204, description = "Lifted"), WriteRefusals)
)]
pub(super) async fn unmute(
    State(state): State<ApiState>,
    Writer(caller): Writer,
    On { id, key }: On,
) -> Result<StatusCode, Problem> {
    let workload = read(store::muted_workload(&state.pool, id)).await?;
    let workload = workload.and_then(|key| key.parse::<Workload>().ok());
    if !workload.is_some_and(|workload| sees(&caller, &workload)) {
        return Err(NO_MUTE);
    }
    let by = caller.actor(Via::Api);
    let mut connection = read(state.pool.acquire()).await?;
    done(feedback::unmute(&mut connection, Action { by: &by, id: key.as_deref() }, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Investigate a workload now, alert or not. Joins what waits for its open incident; without one, an incident is
/// opened, and announced as any other.
#[utoipa::path(
    post, path = "/api/v1/investigations", tag = "actions",
    params(IdempotencyKey),
    request_body = InvestigateBody,
    responses((status = 202, body = Queued), WriteRefusals)
)]
pub(super) async fn investigate(
    State(state): State<ApiState>,
    Writer(caller): Writer,
    Key(key): Key,
    JsonBody(body): JsonBody<InvestigateBody>,
) -> Result<(StatusCode, Json<Queued>), Problem> {
    let workload = body.workload()?;
    if !sees(&caller, &workload) {
        return Err(Problem::NotFound("Your token does not see this cluster or namespace."));
    }
    let by = caller.actor(Via::Api);
    let action = Action { by: &by, id: key.as_deref() };
    let mut connection = read(state.pool.acquire()).await?;
    // What was asked for under this key may be over and closed by now: it opens nothing again.
    if let Some(before) = done(feedback::asked_before(&mut connection, action, &workload)).await? {
        return Ok(queued(&state, before));
    }
    let open = read(store::open_incident(&mut *connection, &workload.key())).await?;
    let asked = match open {
        Some(incident) => Asked::Open(incident),
        None => {
            // Not held meanwhile: who opens needs one of its own.
            drop(connection);
            let opened = (state.open)(workload.clone(), by.name().to_owned()).await;
            let incident = opened.map_err(|error| {
                tracing::warn!(error = format!("{error:#}"), "no incident could be opened");
                Problem::Unavailable
            })?;
            connection = read(state.pool.acquire()).await?;
            Asked::Opened(incident)
        }
    };
    let asked = done(feedback::investigate(&mut connection, action, &workload, asked)).await?;
    Ok(queued(&state, asked))
}

const NO_MUTE: Problem = Problem::NotFound("There is no mute in force with this id.");

impl InvestigateBody {
    fn workload(self) -> Result<Workload, Problem> {
        let is_name = |text: &str| {
            let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c));
            let ends = [text.chars().next(), text.chars().last()];
            plain && text.len() <= 253 && ends.iter().flatten().all(char::is_ascii_alphanumeric)
        };
        let is_kind = |text: &str| {
            text.len() <= 63
                && text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.chars().all(|c| c.is_ascii_alphanumeric())
        };
        let named = |field: &str, hint: &str| Err(Problem::parameter(field, hint));
        if self.cluster.chars().count() > MAX_CLUSTER_CHARS || self.cluster.chars().any(char::is_control) {
            return named("cluster", "cluster is the value of the label `cluster`, or \"\"");
        }
        if !is_name(&self.namespace) {
            return named("namespace", "namespace is a Kubernetes name, or \"\"");
        }
        if !is_kind(&self.kind) {
            return named("kind", "kind is Kubernetes' word, e.g. Deployment");
        }
        if self.name.is_empty() || !is_name(&self.name) {
            return named("name", "name is a Kubernetes name");
        }
        Ok(Workload::new(self.cluster, self.namespace, self.kind, self.name).redacted())
    }
}

fn sees(caller: &Caller, workload: &Workload) -> bool {
    caller.reach().sees(&workload.cluster, &workload.namespace)
}

fn queued(state: &ApiState, Rerun { investigation, joined }: Rerun) -> (StatusCode, Json<Queued>) {
    state.wake.notify_waiters();
    (StatusCode::ACCEPTED, Json(Queued { investigation, joined }))
}

/// `Idempotency-Key`: a request that comes twice under one is done once.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only describes the header")]
pub(super) struct IdempotencyKey {
    /// A request that comes twice under one key is done once, and answered alike.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 200, pattern = "^[!-~]+$")]
    key: Option<String>,
}

/// The key of a request that takes no parameters.
pub(super) struct Key(Option<String>);

/// The id in the path, and the key.
pub(super) struct On {
    id: Uuid,
    key: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        no_parameters(Query::from_request_parts(parts, state).await)?;
        let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else { return Ok(Self(None)) };
        let key = value.to_str().ok().filter(|key| {
            (1..=MAX_ACTION_ID_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        });
        let hint = "Idempotency-Key has 1 to 200 visible ASCII characters, such as a UUID";
        let key = key.ok_or_else(|| Problem::parameter("Idempotency-Key", hint))?;
        Ok(Self(Some(key.to_owned())))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for On {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Key(key) = Key::from_request_parts(parts, state).await?;
        Ok(Self { id: id_of(Path::from_request_parts(parts, state).await)?, key })
    }
}

/// An action with a deadline.
async fn done<T>(action: impl Future<Output = Result<T, Fault>>) -> Result<T, Problem> {
    let ended = tokio::time::timeout(super::problem::QUERY_DEADLINE, action).await;
    ended.map_err(|_| Problem::Unavailable)?.map_err(|fault| match fault {
        Fault::NoInvestigation => Problem::NotFound("There is no investigation with this id."),
        Fault::NoMute => NO_MUTE,
        Fault::NoCause => Problem::Conflict("The report names no cause, so there is nothing to mute."),
        Fault::OtherAction => Problem::Conflict("This Idempotency-Key was used for something else."),
        Fault::BadDuration => Problem::parameter("seconds", "seconds is from 60 to 7776000 (90 days)"),
        Fault::BadActionId => {
            Problem::parameter("Idempotency-Key", "Idempotency-Key has 1 to 200 characters")
        }
        Fault::Database(error) => error.into(),
    })
}
