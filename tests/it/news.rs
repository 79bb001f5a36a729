//! One announcement into the outbox, for tests that need no incident's whole way. Each returns whether it was new.

use sqlx::PgExecutor;
use uuid::Uuid;
use whodunit::slack::blocks::Message;
use whodunit::slack::outbox::{self, News};

async fn one(db: impl PgExecutor<'_>, channel: &str, news: News) -> sqlx::Result<bool> {
    Ok(outbox::enqueue(db, channel, &[news]).await? == 1)
}

pub async fn parent(db: impl PgExecutor<'_>, of: Uuid, to: &str, message: &Message) -> sqlx::Result<bool> {
    one(db, to, News::parent(of, message.clone())).await
}

pub async fn summary(
    db: impl PgExecutor<'_>,
    of: (Uuid, Uuid),
    to: &str,
    message: &Message,
) -> sqlx::Result<bool> {
    one(db, to, News::summary(of, message.clone())).await
}

pub async fn update(
    db: impl PgExecutor<'_>,
    of: Uuid,
    turn: &str,
    to: &str,
    message: &Message,
) -> sqlx::Result<bool> {
    one(db, to, News::update(of, turn, message.clone())).await
}

pub async fn resolved(
    db: impl PgExecutor<'_>,
    of: Uuid,
    turn: &str,
    to: &str,
    message: &Message,
) -> sqlx::Result<bool> {
    one(db, to, News::resolved(of, turn, message.clone())).await
}
