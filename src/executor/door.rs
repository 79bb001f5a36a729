//! Where Jobs call: a token that is worth one attempt comes in, that attempt's open questions go out and answers are
//! kept. A Job asks and waits; nobody connects to it. Whoever has the token can read what one investigation asks and
//! answer it, and nothing else.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio::time::{Instant, sleep, timeout};

use super::question::{MAX_ANSWER_BYTES, Next, Numbered, Questions};
use super::store::{self, Caller};

/// A call without a question waits so long for one.
const WAIT: Duration = Duration::from_secs(20);
/// How often questions are looked for meanwhile.
const POLL: Duration = Duration::from_millis(150);
/// How often it is looked for whether the attempt is over.
const OVER_POLL: Duration = Duration::from_secs(2);
/// How long an answer may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(30);
const MAX_NEXT_BYTES: usize = 1024;
/// A token has 64 bytes; longer ones are not hashed.
const MAX_TOKEN_BYTES: usize = 128;

/// `POST /job/v1/next` and `POST /job/v1/answers/{number}`.
pub fn router(pool: PgPool) -> Router {
    Router::new()
        .route("/job/v1/next", post(next))
        .route("/job/v1/answers/{number}", post(answer))
        .with_state(pool)
}

type Refused = (StatusCode, &'static str);

const OVER: Refused = (StatusCode::GONE, "this attempt is over");
const AWAY: Refused = (StatusCode::SERVICE_UNAVAILABLE, "the database is away; call again");

async fn next(State(pool): State<PgPool>, request: Request) -> Result<Response, Refused> {
    let hash = token_hash(request.headers())?;
    let mut caller = admitted(&pool, &hash).await?;
    let Next { after } = body(request, MAX_NEXT_BYTES).await?;
    let (until, mut checked) = (Instant::now() + WAIT, Instant::now());
    loop {
        let found = store::pending(&pool, caller, after).await.map_err(|_| AWAY)?;
        if !found.is_empty() || Instant::now() >= until {
            let questions = found.into_iter().filter_map(|(number, question)| {
                Some(Numbered { number, question: serde_json::from_str(&question).ok()? })
            });
            return Ok(Json(Questions { questions: questions.collect() }).into_response());
        }
        sleep(POLL).await;
        if checked.elapsed() >= OVER_POLL {
            checked = Instant::now();
            caller = admitted(&pool, &hash).await?;
        }
    }
}

async fn answer(
    State(pool): State<PgPool>,
    Path(number): Path<i32>,
    request: Request,
) -> Result<StatusCode, Refused> {
    let caller = admitted(&pool, &token_hash(request.headers())?).await?;
    let answer: super::question::Answer = body(request, MAX_ANSWER_BYTES).await?;
    let malformed = |_| (StatusCode::BAD_REQUEST, "no answer to a question");
    let text = serde_json::to_string(&answer).map_err(malformed)?;
    match store::keep(&pool, caller, number, &text).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => Err((StatusCode::CONFLICT, "no such question is open")),
        Err(_) => Err(AWAY),
    }
}

fn token_hash(headers: &HeaderMap) -> Result<[u8; 32], Refused> {
    let sent =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = sent.filter(|token| !token.is_empty() && token.len() <= MAX_TOKEN_BYTES);
    // Looked up by its hash: how long that takes tells nothing about the token.
    token.map(|token| Sha256::digest(token.as_bytes()).into()).ok_or(UNKNOWN)
}

const UNKNOWN: Refused = (StatusCode::UNAUTHORIZED, "no token of an investigation that is under way");

async fn admitted(pool: &PgPool, hash: &[u8]) -> Result<Caller, Refused> {
    match store::caller(pool, hash).await {
        Ok(Some(caller)) if caller.over => Err(OVER),
        Ok(Some(caller)) => Ok(caller),
        Ok(None) => Err(UNKNOWN),
        Err(_) => Err(AWAY),
    }
}

/// Of callers that are admitted.
async fn body<T: serde::de::DeserializeOwned>(request: Request, limit: usize) -> Result<T, Refused> {
    let bytes = timeout(BODY_DEADLINE, to_bytes(request.into_body(), limit)).await;
    let slow = |_| (StatusCode::REQUEST_TIMEOUT, "the body took too long");
    let large = |_| (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or broke off");
    let bytes = bytes.map_err(slow)?.map_err(large)?;
    serde_json::from_slice(&bytes).map_err(|_| (StatusCode::BAD_REQUEST, "not what this place takes"))
}
