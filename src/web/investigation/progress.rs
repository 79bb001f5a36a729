//! The steps of an investigation, as they happen and afterwards. What is written so far is on the page; its script
//! adds what the stream of events tells later. It writes text only.

use maud::{Markup, html};
use serde_json::Value;

use super::Case;
use crate::api::events::Told;
use crate::web::layout::line;

const MAX_ARGUMENTS: usize = 240;

pub(super) fn live(case: &Case) -> Markup {
    let goes_on = matches!(case.row.state.as_str(), "queued" | "running");
    let stream = goes_on.then(|| format!("/api/v1/investigations/{}/events", case.row.id));
    let last = case.progress.last().map_or(-1, |told| told.id);
    html! {
        section aria-labelledby="progress" {
            h2 id="progress" { "What was done so far" }
            ol.progress data-events=[stream] data-last=(last) aria-live="polite" {
                @for told in &case.progress { li { (said(told)) } }
            }
        }
    }
}

/// Afterwards only what a model did is worth a look.
pub(super) fn finished(case: &Case) -> Markup {
    let asked = case.progress.iter().filter(|told| told.name == "step").count();
    html! {
        @if asked > 0 {
            section aria-labelledby="progress" {
                h2 id="progress" { "How it went" }
                details {
                    summary { (asked) " steps of the agent" }
                    ol.progress { @for told in &case.progress { li { (said(told)) } } }
                }
            }
        }
    }
}

fn said(told: &Told) -> Markup {
    let data = &told.data;
    match told.name {
        "queued" => html! { "Queued: " (text(&data["reason"])) },
        "claimed" => html! { "A worker began, attempt " (data["attempt"]) },
        "retrying" => {
            html! { "The attempt failed and is repeated" @if data["error"].is_string() { ": " (text(&data["error"])) } }
        }
        "step" => step(data),
        _ => html! { "Ended: " (text(&data["state"])) },
    }
}

fn step(data: &Value) -> Markup {
    let calls = data["calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    html! {
        "Step " (data["step"])
        @if calls.is_empty() { ": no call" }
        @for call in calls {
            br; code { (text(&call["tool"])) " " (line(&arguments(&call["arguments"]), MAX_ARGUMENTS)) } " "
            (text(&call["status"]))
            @if call["evidence"].is_string() { " " (text(&call["evidence"])) }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn arguments(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
