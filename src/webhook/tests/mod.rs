//! Webhooks as senders post them: recorded bodies, hand-made ones, hostile ones.

mod alertmanager;
mod grafana;
mod hostile;
mod robusta;

use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::StreamExt;
use serde_json::{Value, json};

use super::*;
use crate::settings::Credentials;

pub(super) fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

pub(super) fn now() -> DateTime<Utc> {
    at("2026-11-21T12:00:00Z")
}

pub(super) fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/webhooks");
    std::fs::read(folder.join(name)).unwrap()
}

pub(super) fn alertmanager(body: &Value) -> Vec<Alert> {
    parse(Source::Alertmanager, body.to_string().as_bytes(), now()).unwrap()
}

pub(super) fn one(source: Source, bytes: &[u8]) -> Alert {
    let [alert]: [Alert; 1] = parse(source, bytes, now()).unwrap().try_into().unwrap();
    alert
}

pub(super) fn fault(source: Source, body: &str) -> String {
    match parse(source, body.as_bytes(), now()) {
        Err(Rejection::Malformed(detail)) => detail,
        other => panic!("{body} gave {other:?}"),
    }
}

pub(super) fn open() -> Guard {
    Guard::new(&Credentials::default()).unwrap()
}

pub(super) fn guarded() -> Guard {
    Guard::new(&Credentials { bearer_tokens: vec!["good".into()], ..Credentials::default() }).unwrap()
}

pub(super) fn request(body: impl Into<Body>) -> Request {
    Request::post("/webhooks/alertmanager").body(body.into()).unwrap()
}

pub(super) async fn post(body: impl Into<Body>) -> Result<Vec<Alert>, Rejection> {
    receive(&open(), Source::Alertmanager, request(body)).await
}

pub(super) fn group_of(alerts: usize) -> String {
    let alerts: Vec<Value> = (0..alerts)
        .map(|index| {
            json!({"status": "firing", "labels": {"alertname": "A", "pod": format!("p{index}")},
            "annotations": {"summary": "s"}, "startsAt": "2026-11-21T07:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z"})
        })
        .collect();
    json!({"receiver": "r", "status": "firing", "alerts": alerts, "version": "4"}).to_string()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A body that counts how many chunks were asked of it.
pub(super) fn counted(chunk: Bytes, chunks: usize) -> (Body, Arc<AtomicUsize>) {
    let polled = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&polled);
    let stream = futures::stream::iter(0..chunks).map(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(chunk.clone())
    });
    (Body::from_stream(stream), polled)
}
