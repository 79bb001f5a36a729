//! An investigation as it goes on: its stream of events in, a line for each out, to the end. A stream that breaks is
//! taken up after the last event; one that says nothing any more is given up.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::client::Client;
use super::paint::{Tone, paint, plain};

/// The server says something every 15 s, if only that it is there.
const SILENCE: Duration = Duration::from_secs(60);
/// Before a stream is opened again.
const PAUSE: Duration = Duration::from_secs(1);
/// Streams that break one after the other without an event.
const MAX_FAILURES: u32 = 10;
/// Longest event.
const MAX_EVENT_BYTES: usize = 1 << 20;

#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    id: String,
    name: String,
    data: String,
}

/// Returns when it is over.
pub(super) async fn follow(client: &Client, id: &str, as_json: bool) -> anyhow::Result<()> {
    let path = format!("/api/v1/investigations/{id}/events");
    let mut last: Option<String> = None;
    let mut failures = 0;
    loop {
        let Some(mut answer) = client.events(&path, last.as_deref()).await? else { return Ok(()) };
        let mut text = Vec::new();
        loop {
            let chunk = match tokio::time::timeout(SILENCE, answer.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None) | Err(_)) | Err(_) => break,
            };
            text.extend_from_slice(&chunk);
            while let Some(event) = next(&mut text) {
                failures = 0;
                tell(&event, as_json);
                if event.name == "done" {
                    return Ok(());
                }
                last = Some(event.id);
            }
            if text.len() > MAX_EVENT_BYTES {
                bail!("an event is larger than {MAX_EVENT_BYTES} bytes");
            }
        }
        failures += 1;
        if failures > MAX_FAILURES {
            return Err(anyhow::anyhow!("its events broke off {failures} times")).context("whodunit watch");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Takes the first whole event off the text; comments and what says nothing are passed over.
fn next(text: &mut Vec<u8>) -> Option<Event> {
    loop {
        let end = text.windows(2).position(|two| two == b"\n\n")?;
        let block: Vec<u8> = text.drain(..end + 2).collect();
        let mut event = Event::default();
        for line in String::from_utf8_lossy(&block).lines() {
            match line.split_once(':').map(|(key, value)| (key, value.strip_prefix(' ').unwrap_or(value))) {
                Some(("id", id)) => id.clone_into(&mut event.id),
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("data", data)) => event.data.push_str(data),
                _ => {}
            }
        }
        if !event.name.is_empty() {
            return Some(event);
        }
    }
}

fn tell(event: &Event, as_json: bool) {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    if as_json {
        anstream::println!("{}", json!({"event": event.name, "id": event.id, "data": data}));
    } else {
        anstream::println!("{}", line(&event.name, &data));
    }
}

fn line(name: &str, data: &Value) -> String {
    match name {
        "queued" => format!("queued    {} ({})", plain(&data["workload"]), plain(&data["alert_name"])),
        "claimed" => format!("begun     attempt {}", data["attempt"]),
        "step" => {
            let calls = data["calls"].as_array().into_iter().flatten();
            let calls: Vec<String> =
                calls.map(|call| format!("{} {}", plain(&call["tool"]), plain(&call["status"]))).collect();
            format!("step {:<4} {}", data["step"].to_string(), calls.join(", "))
        }
        "retrying" => {
            paint(Tone::Attention, &format!("failed    attempt {}; it is tried again", data["attempt"]))
        }
        "done" => format!("{:<9} {}\n", plain(&data["state"]), plain(&data["outcome"]).replace('_', " ")),
        other => paint(Tone::Quiet, &plain(&json!(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_off_a_stream_as_they_become_whole() {
        let mut text = b"retry: 2000\n:events\n\nid: 0\nevent: queued\nda".to_vec();
        assert_eq!(next(&mut text), None);
        text.extend_from_slice(b"ta: {\"a\":\ndata: 1}\n\n:\n\nid: 5\nevent: done\ndata: {}\n\n");
        let queued = Event { id: "0".into(), name: "queued".into(), data: "{\"a\":1}".into() };
        assert_eq!(next(&mut text), Some(queued));
        assert_eq!(next(&mut text).unwrap().name, "done");
        assert_eq!((next(&mut text), text.len()), (None, 0));
    }

    #[test]
    fn a_step_names_its_calls() {
        let data = json!({"step": 3, "calls": [{"tool": "loki_query", "status": "observed"}, {"tool": "x\u{1b}[2J", "status": "failed"}]});
        assert_eq!(line("step", &data), "step 3    loki_query observed, x failed");
    }
}
