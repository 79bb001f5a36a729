//! Reads a body under limits of bytes, expanded bytes, seconds and big bodies held at once. In comes a
//! stream, out come plain bytes and a place to work on them. It never looks at what the bytes mean.

use std::borrow::Cow;
use std::io::Read;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::rejection::Rejection;

/// Largest body as sent. Alertmanager's is unbounded by default, and it drops what gets a 413.
pub const MAX_BODY_BYTES: usize = 16 << 20;
/// Largest body after unpacking gzip.
pub const MAX_EXPANDED_BYTES: usize = 32 << 20;
/// How long a body may take to arrive. Alertmanager itself gives up after 10 s when groups are short.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Bodies above this many bytes are worked on off the async threads, a few at a time.
const BIG_BODY_BYTES: usize = 256 << 10;
/// Of a foreign content encoding, this much is sent back.
const MAX_ENCODING_CHARS: usize = 40;
/// Big bodies held in memory at once; more wait for their turn until the deadline.
const MAX_BIG_BODIES: usize = 4;

static BIG_BODIES: Semaphore = Semaphore::const_new(MAX_BIG_BODIES);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
}

/// A whole body, still packed.
pub(super) struct Received {
    bytes: Bytes,
    encoding: Encoding,
    turn: Option<SemaphorePermit<'static>>,
}

/// Reads the body to its end, or not at all when its headers already rule it out.
pub(super) async fn read(
    headers: &HeaderMap,
    mut stream: Body,
    deadline: Instant,
) -> Result<Received, Rejection> {
    let encoding = encoding(headers)?;
    if announced_bytes(headers).is_some_and(|announced| announced > MAX_BODY_BYTES as u64) {
        return Err(Rejection::TooLarge);
    }
    let mut received = Received { bytes: Bytes::new(), encoding, turn: None };
    let mut bytes = Vec::new();
    while let Some(frame) = timeout_at(deadline, stream.frame()).await.map_err(|_| Rejection::TooSlow)? {
        let Ok(chunk) = frame.map_err(|_| Rejection::Interrupted)?.into_data() else { continue };
        let total = bytes.len() + chunk.len();
        if total > MAX_BODY_BYTES {
            return Err(Rejection::TooLarge);
        }
        if total > BIG_BODY_BYTES && received.turn.is_none() {
            received.turn = Some(take_turn(deadline).await?);
        }
        bytes.extend_from_slice(&chunk);
    }
    received.bytes = bytes.into();
    Ok(received)
}

impl Received {
    /// Unpacks the body and hands it to `work`; big bodies leave the async threads alone.
    pub(super) async fn work<T: Send + 'static>(
        mut self,
        work: impl FnOnce(&[u8]) -> Result<T, Rejection> + Send + 'static,
    ) -> Result<T, Rejection> {
        // A small gzip body can unpack to a big one, so it is work, too.
        if self.turn.is_none() && self.encoding == Encoding::Identity {
            return work(&self.bytes);
        }
        if self.turn.is_none() {
            self.turn = Some(take_turn(Instant::now() + BODY_DEADLINE).await?);
        }
        tokio::task::spawn_blocking(move || work(&unpack(&self.bytes, self.encoding)?))
            .await
            .map_err(|_| Rejection::Busy)?
    }
}

async fn take_turn(deadline: Instant) -> Result<SemaphorePermit<'static>, Rejection> {
    match timeout_at(deadline, BIG_BODIES.acquire()).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(Rejection::Busy),
    }
}

fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Rejection> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(value) = values.next() else { return Ok(Encoding::Identity) };
    let name = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
    match (name.as_str(), values.next()) {
        ("gzip" | "x-gzip", None) => Ok(Encoding::Gzip),
        ("identity" | "", None) => Ok(Encoding::Identity),
        _ => Err(Rejection::UnsupportedEncoding(name.chars().take(MAX_ENCODING_CHARS).collect())),
    }
}

fn unpack(bytes: &[u8], encoding: Encoding) -> Result<Cow<'_, [u8]>, Rejection> {
    if encoding == Encoding::Identity {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut expanded = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(MAX_EXPANDED_BYTES as u64 + 1)
        .read_to_end(&mut expanded)
        .map_err(|error| Rejection::Malformed(format!("the gzip body cannot be unpacked: {error}")))?;
    if expanded.len() > MAX_EXPANDED_BYTES { Err(Rejection::TooLarge) } else { Ok(Cow::Owned(expanded)) }
}
