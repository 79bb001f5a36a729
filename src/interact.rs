//! The conductor for what people do in Slack: a press, a reason or a question comes in, by HTTP or over Socket Mode; it
//! is acted on once, by `feedback` or a model, and its outcome is told to whoever asked. It answers Slack before it acts.

mod http;
mod question;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use sqlx::PgPool;
use tokio::sync::{Notify, Semaphore};

use crate::feedback::{self, Actor, Fault, Verdict, Via};
use crate::investigation::answer::store;
use crate::investigator::Investigator;
use crate::postgres;
use crate::slack::blocks::{self, Action, Message, Telling};
use crate::slack::interaction::{Asked, Press, Reason, payload, seen};
use crate::slack::{self};
use crate::words::{Words, fill};

pub use http::router;
pub use socket::run as run_socket;

/// What people asked for that is worked on at once, in this process.
const MAX_AT_ONCE: usize = 16;
/// All that follows from one press.
const DEADLINE: Duration = Duration::from_secs(20);

/// What it takes to act.
pub struct Interact {
    pub pool: PgPool,
    pub client: slack::Client,
    pub investigator: Arc<Investigator>,
    pub words: &'static Words,
    /// `server.public_url`.
    pub public_url: String,
    /// Wakes the workers of this process.
    pub wake: Arc<Notify>,
    permits: Arc<Semaphore>,
}

/// Why nothing was done; Slack sends it again.
#[derive(Debug, thiserror::Error)]
enum Busy {
    #[error("too much is asked for at once")]
    Full,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Interact {
    pub fn new(
        (pool, client): (PgPool, slack::Client),
        investigator: Arc<Investigator>,
        (words, public_url): (&'static Words, String),
        wake: Arc<Notify>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(MAX_AT_ONCE));
        Self { pool, client, investigator, words, public_url, wake, permits }
    }

    /// Sees to it that it is acted on, once over all replicas, and returns before it is.
    async fn take(self: &Arc<Self>, asked: Asked) -> Result<(), Busy> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| Busy::Full)?;
        if !seen::is_new(&self.pool, asked.id()).await? {
            tracing::debug!(id = asked.id(), "asked for once more; it was acted on");
            return Ok(());
        }
        let interact = Arc::clone(self);
        tokio::spawn(async move {
            interact.act(asked).await;
            drop(permit);
        });
        Ok(())
    }

    async fn act(&self, asked: Asked) {
        let id = asked.id().to_owned();
        let acted = async {
            match asked {
                Asked::Press(press) => self.pressed(&press).await,
                Asked::Reason(reason) => self.reasoned(&reason).await,
                Asked::Mention(mention) => self.asked(&mention).await,
                Asked::Challenge(_) => Ok(()),
            }
        };
        // A question has its own deadline, which a model's may be.
        match tokio::time::timeout(DEADLINE + question::DEADLINE, acted).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(id, %error, "what was asked for in Slack was not done"),
            Err(_) => tracing::warn!(id, "what was asked for in Slack took too long"),
        }
    }

    async fn pressed(&self, press: &Press) -> anyhow::Result<()> {
        if press.action == Action::NotHelpful {
            // The dialogue can be opened within three seconds of the press.
            let view = blocks::reason_view(self.words, press.investigation);
            if let Err(fault) = self.client.open_view(&press.trigger, &view).await {
                tracing::warn!(%fault, "the dialogue for a reason was not opened");
            }
        }
        let message = match self.does(press).await {
            Ok(message) => message,
            Err(Fault::NoInvestigation) => blocks::note(self.words.gone),
            Err(Fault::NoCause) => blocks::note(self.words.mute_nothing),
            Err(error) => {
                tracing::warn!(id = press.id, %error, "a press in Slack failed");
                blocks::note(self.words.not_possible)
            }
        };
        self.whisper((&press.place, &press.user), &message).await;
        Ok(())
    }

    async fn does(&self, press: &Press) -> Result<Message, Fault> {
        let (words, report) = (self.words, press.investigation);
        let actor = Actor::new(&press.user.label(), Via::Slack);
        let action = feedback::Action { by: &actor, id: Some(&press.id) };
        let mut connection = self.pool.acquire().await?;
        Ok(match press.action {
            Action::Helpful => {
                feedback::rate(&mut connection, action, report, Verdict::Helpful, "").await?;
                blocks::note(words.thanks)
            }
            Action::NotHelpful => {
                feedback::rate(&mut connection, action, report, Verdict::Unhelpful, "").await?;
                blocks::note(words.thanks)
            }
            Action::Rerun => {
                let rerun = feedback::rerun(&mut connection, action, report).await?;
                self.wake.notify_waiters();
                postgres::wake(&self.pool).await;
                blocks::note(if rerun.joined { words.rerun_running } else { words.rerun_queued })
            }
            Action::NotAProblem => {
                let lasting = feedback::DEFAULT_MUTE;
                feedback::mute(&mut connection, action, report, lasting, "").await?;
                let span = TimeDelta::from_std(lasting).unwrap_or_default();
                blocks::note(&fill(words.muted_for, &[("span", &words.span(span))]))
            }
            Action::Evidence => {
                let found = store::report(&mut *connection, report).await?.ok_or(Fault::NoInvestigation)?;
                let mut read = store::observations(&mut *connection, report).await?;
                read.retain(|one| found.evidence.iter().any(|evidence| evidence.id == one.id));
                let url = blocks::investigation_url(&self.public_url, report);
                blocks::evidence(Telling { url: url.as_deref(), ..Telling::new(words) }, &read)
            }
        })
    }

    async fn reasoned(&self, reason: &Reason) -> anyhow::Result<()> {
        let actor = Actor::new(&reason.user.label(), Via::Slack);
        let action = feedback::Action { by: &actor, id: Some(&reason.id) };
        let mut connection = self.pool.acquire().await?;
        let (report, verdict) = (reason.investigation, Verdict::Unhelpful);
        Ok(feedback::rate(&mut connection, action, report, verdict, &reason.reason).await?)
    }

    /// To one person, who may be gone: a fault is logged and not tried again.
    async fn whisper(&self, (place, user): (&payload::Place, &payload::User), message: &Message) {
        let at = (place.channel.as_str(), place.thread.as_str());
        if let Err(fault) = self.client.whisper(at, &user.id, message).await {
            tracing::warn!(%fault, "somebody in Slack was not told what came of a request");
        }
    }
}
