//! `GET /api/v1/investigations/{id}/events`: an investigation's id in, its progress out as Server-Sent Events:
//! what is known already, then what is written down as it goes on, then `done`. Each event is read back from
//! Postgres, so it does not matter which process investigates. It writes nothing and holds nobody up.

mod progress;
mod store;

pub(crate) use progress::Told;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::problem::{Problem, read};
use super::{ApiState, Caller, Parameters, investigation_id, pairs};
use progress::Progress;

/// Streams at once, in this process.
const MAX_STREAMS: usize = 64;
/// A stream ends then, finished or not; its reader goes on where it was with `Last-Event-ID`.
const MAX_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Steps of another replica are seen after at most this.
const POLL: Duration = Duration::from_millis(500);
/// A comment, so that nothing in between takes a quiet stream for a dead one.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// When a reader whose stream broke comes back.
const RECONNECT: Duration = Duration::from_secs(2);
/// Events that wait for a slow reader; beyond it nothing more is read from Postgres for it.
const BUFFERED_EVENTS: usize = 16;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// nginx passes events on at once only when it is asked to.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// What all streams share.
#[derive(Clone)]
pub(super) struct Streams {
    api: ApiState,
    permits: Arc<Semaphore>,
}

impl Streams {
    pub fn new(api: ApiState) -> Self {
        Self { api, permits: Arc::new(Semaphore::new(MAX_STREAMS)) }
    }
}

pub(super) async fn stream(
    State(Streams { api, permits }): State<Streams>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some((key, _)) = pairs(parameters)?.first() {
        return Err(Problem::parameter(key, "the events of an investigation take no parameters"));
    }
    let id = investigation_id(id)?;
    let after = last_event_id(&headers)?;
    let found = read(store::known(&api.pool, id)).await?;
    let found = found.filter(|known| caller.reach().sees(&known.cluster, &known.namespace));
    let known = found.ok_or(Problem::NotFound("There is no investigation with this id."))?;
    if known.is_over() && progress::is_last(&known, after) {
        // What ends a browser's reconnecting.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let permit = permits.try_acquire_owned().map_err(|_| Problem::TooManyStreams)?;
    let (sender, mut receiver) = mpsc::channel(BUFFERED_EVENTS);
    tokio::spawn(follow(api, id, after, sender, permit));
    let events = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
    let body = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    // Not to be stored: `no-store` says more than the `no-cache` that comes with the body.
    let uncached = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(([UNBUFFERED, uncached], body).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(&LAST_EVENT_ID) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.trim().parse().ok()).filter(|id| *id >= 0);
    let hint = "Last-Event-ID is the id of an event of this stream, a whole number";
    id.map(Some).ok_or_else(|| Problem::parameter("Last-Event-ID", hint))
}

type Sender = mpsc::Sender<Result<Event, Infallible>>;

/// Sends events until there are no more, the reader is gone, its time is up, or the drain begins.
async fn follow(state: ApiState, id: Uuid, after: Option<i64>, to: Sender, permit: OwnedSemaphorePermit) {
    let until = Instant::now() + MAX_LIFETIME;
    let draining = state.ready.draining.clone();
    tokio::select! {
        () = tell(&state, id, after, &to) => {}
        () = draining.cancelled() => {}
        () = to.closed() => {}
        () = sleep_until(until) => {}
    }
    drop(permit);
}

async fn tell(state: &ApiState, id: Uuid, after: Option<i64>, to: &Sender) {
    let mut progress = Progress::after(after);
    if to.send(Ok(Event::default().retry(RECONNECT).comment("events"))).await.is_err() {
        return;
    }
    loop {
        // Before the look: what is written between the look and the wait must not be lost.
        let woken = state.wake.notified();
        match look(state, id, &mut progress).await {
            Ok(Some(told)) => {
                for one in told {
                    let event = Event::default().id(one.id.to_string()).event(one.name);
                    if to.send(Ok(event.data(one.data.to_string()))).await.is_err() {
                        return;
                    }
                }
                if progress.is_over() {
                    return;
                }
            }
            Ok(None) => return,
            // The database may be back at the next look; the stream's lifetime bounds how often that is.
            Err(error) => tracing::debug!(%error, "the events of an investigation could not be read"),
        }
        tokio::select! {
            () = woken => {}
            () = sleep(POLL) => {}
        }
    }
}

/// Everything that a stream would tell now, for a page that is rendered at once.
///
/// # Errors
/// The database's.
pub(crate) async fn told(pool: &PgPool, id: Uuid) -> sqlx::Result<Vec<Told>> {
    let Some(known) = store::known(pool, id).await? else { return Ok(Vec::new()) };
    let turns = store::turns(pool, id, (0, 0)).await?;
    Ok(Progress::after(None).take(known, turns))
}

/// What is new. None: the investigation is gone.
async fn look(state: &ApiState, id: Uuid, progress: &mut Progress) -> sqlx::Result<Option<Vec<Told>>> {
    // First the state, then the turns: a claim fences the turns of the one before it, so that none of the
    // turns up to this state can come later.
    let Some(known) = store::known(&state.pool, id).await? else { return Ok(None) };
    if !progress.is_news(&known) {
        return Ok(Some(Vec::new()));
    }
    let turns = store::turns(&state.pool, id, progress.turn_seen()).await?;
    Ok(Some(progress.take(known, turns)))
}
