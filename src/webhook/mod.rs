//! Step 1: a sender's POST becomes alerts. In comes an HTTP request of Alertmanager, Robusta or Grafana;
//! out goes a `Vec<Alert>`, or a `Rejection` that the sender can act on. It never stores or queues anything,
//! and it reads no byte of a body before the sender is authenticated.

mod alertmanager;
mod body;
mod fingerprint;
mod gate;
mod grafana;
mod guard;
mod listed;
mod posted;
mod rejection;
mod robusta;
mod sanitise;
mod wire;

#[cfg(test)]
mod tests;

use axum::extract::Request;
use chrono::{DateTime, Utc};

pub use body::{BODY_DEADLINE, MAX_BODY_BYTES, MAX_EXPANDED_BYTES};
pub use gate::{Bound, Gate};
pub use guard::Guard;
pub use listed::{Listed, listed};
pub use rejection::Rejection;
pub use wire::MAX_ALERTS;

use crate::alert::{Alert, Source};

/// Authenticates, reads and parses one webhook. An empty list is a good answer: the message held nothing
/// to investigate (an empty group, a Robusta report) and must be acknowledged like any other.
pub async fn receive(guard: &Guard, source: Source, request: Request) -> Result<Vec<Alert>, Rejection> {
    guard.admit(request.headers())?;
    receive_admitted(source, request).await
}

/// The same of a sender that a gate let in.
pub async fn receive_admitted(source: Source, request: Request) -> Result<Vec<Alert>, Rejection> {
    let (head, stream) = request.into_parts();
    let deadline = tokio::time::Instant::now() + BODY_DEADLINE;
    let received = body::read(&head.headers, stream, deadline).await?;
    received.work(move |bytes| parse(source, bytes, Utc::now())).await
}

/// As `receive_admitted`, for what Prometheus and vmalert post to an Alertmanager by themselves.
pub async fn receive_posted(request: Request) -> Result<Vec<Alert>, Rejection> {
    let (head, stream) = request.into_parts();
    let deadline = tokio::time::Instant::now() + BODY_DEADLINE;
    let received = body::read(&head.headers, stream, deadline).await?;
    received.work(|bytes| posted::parse(bytes, Utc::now())).await
}

/// Parses the bytes of one message, however hostile. `received_at` stands in for the start of a Robusta
/// finding that lost its own. Alerts of `Source::Manual` are written in Alertmanager's format.
pub fn parse(source: Source, bytes: &[u8], received_at: DateTime<Utc>) -> Result<Vec<Alert>, Rejection> {
    let text = sanitise::json_text(bytes)?;
    match source {
        Source::Alertmanager | Source::Manual => alertmanager::parse(source, &text),
        Source::Grafana => grafana::parse(&text),
        Source::Robusta => robusta::parse(&text, received_at),
    }
}
