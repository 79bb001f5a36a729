//! Everything one run asked and saw: each turn of the model, the answer to each of its calls, and the observations
//! E1, E2, … that they and the facts left behind. The conversation is rebuilt from it, so that a run which was cut
//! off goes on where it was. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::budget::Spent;
use super::concluding::CONCLUDE;
use super::prompt::Fence;
use crate::facts::Observation;
use crate::llm::{Message, ToolCall, ToolResult, Turn, Usage};
use crate::report::Gap;
use crate::tool::{Outcome, Status};

/// Calls of one turn that are run; the others are told so.
pub const MAX_CALLS_A_TURN: usize = 4;
/// Calls of one turn that are kept at all.
const MAX_CALLS_KEPT: usize = 16;
/// Turns in a row without anything new, after which only the conclusion is asked for.
const STUCK_TURNS: usize = 3;
/// An older answer is shown again with so many characters.
const REPEATED_CHARS: usize = 600;
/// Turns whose answers always stand whole: what was asked last is what is thought about.
const TURNS_KEPT_WHOLE: usize = 2;
/// Older answers are shortened once they have so many bytes together. All of them at once and then none for a
/// while: each change of what was said takes the provider's cache of the conversation with it.
const OLD_ANSWER_BYTES: usize = 4 * 1024;
/// What a shortened answer keeps, in whole lines.
const SHORTENED_BYTES: usize = 300;
/// Steps of a conversation without words, for providers that refuse empty ones.
const SAID_NOTHING: &str = "(no answer)";

/// How a call was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A tool answered: there is an observation.
    Observed,
    /// Answered from the ledger.
    Repeated,
    /// A tool refused or failed, or there is no such tool.
    Failed,
    /// Not run.
    Left,
    /// A conclusion that was not believed yet.
    SentBack,
    /// The conclusion.
    Accepted,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub kind: Kind,
    /// Id of the observation, "" where there is none.
    pub evidence: String,
    /// As the model reads it.
    pub text: String,
    /// The source that failed, and why: a gap of the report.
    #[serde(default)]
    pub gap: Option<(String, String)>,
}

impl Answer {
    pub fn told(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, evidence: String::new(), text: text.into(), gap: None }
    }

    fn is_error(&self) -> bool {
        matches!(self.kind, Kind::Failed | Kind::Left | Kind::SentBack)
    }
}

/// One turn of the model and what it was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Counts from 1.
    pub number: u32,
    pub turn: Turn,
    /// One for each call of the turn.
    pub answers: Vec<Answer>,
    /// What a turn without calls was told.
    pub told: String,
    /// Only the conclusion was asked for.
    pub forced: bool,
    pub model: String,
    pub usage: Usage,
    pub usd: f64,
    pub milliseconds: u64,
}

impl Step {
    pub fn accepted(&self) -> Option<&ToolCall> {
        let place = self.answers.iter().position(|answer| answer.kind == Kind::Accepted)?;
        self.turn.calls.get(place)
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// Of the facts first, then of the tools.
    pub observations: Vec<Observation>,
    pub steps: Vec<Step>,
}

/// A call that is still to be run, or how it is answered without.
pub enum Planned {
    Run,
    Answered(Answer),
}

impl Ledger {
    pub fn spent(&self) -> Spent {
        let mut spent = Spent::default();
        for step in &self.steps {
            spent.settle(step.usage, step.usd);
        }
        spent
    }

    /// Wall time of all steps, in milliseconds.
    pub fn milliseconds(&self) -> u64 {
        self.steps.iter().map(|step| step.milliseconds).sum()
    }

    pub fn sent_back(&self) -> bool {
        self.answers().any(|(_, answer)| answer.kind == Kind::SentBack)
    }

    /// Turns for which only the conclusion was asked.
    pub fn forced(&self) -> usize {
        self.steps.iter().filter(|step| step.forced).count()
    }

    /// Nothing new for some turns: the same calls again and again, in whatever order, or none that can be run.
    pub fn is_stuck(&self) -> bool {
        let news = |step: &Step| {
            step.answers.iter().any(|answer| matches!(answer.kind, Kind::Observed | Kind::SentBack))
        };
        self.steps.len() >= STUCK_TURNS && !self.steps.iter().rev().take(STUCK_TURNS).any(news)
    }

    /// What is to become of each call of a turn. A call that was answered before is answered from here.
    pub fn plan(&self, calls: &[ToolCall]) -> Vec<Planned> {
        let mut fresh: Vec<(&str, String)> = Vec::new();
        let mut plan = Vec::with_capacity(calls.len());
        for call in calls {
            let key = (call.name.as_str(), canonical(&call.arguments));
            let planned = if let Some((place, answer)) = self.answer_to(&key) {
                Planned::Answered(repeated(place, answer, place < self.shortened()))
            } else if fresh.contains(&key) {
                Planned::Answered(Answer::told(Kind::Left, "The same call stands in this turn already."))
            } else if fresh.len() >= MAX_CALLS_A_TURN {
                let why = format!(
                    "Not run: at most {MAX_CALLS_A_TURN} calls a turn. Ask again if it still matters."
                );
                Planned::Answered(Answer::told(Kind::Left, why))
            } else {
                fresh.push(key);
                Planned::Run
            };
            plan.push(planned);
        }
        plan
    }

    /// The place of the step that asked the same, and what it was told.
    fn answer_to(&self, key: &(&str, String)) -> Option<(usize, &Answer)> {
        self.steps.iter().enumerate().find_map(|(place, step)| {
            step.turn.calls.iter().zip(&step.answers).find_map(|(call, answer)| {
                // What failed for want of time may be asked again; a refusal stays one.
                let told = matches!(answer.kind, Kind::Observed)
                    || (answer.kind == Kind::Failed && answer.gap.is_none());
                let same = told && call.name == key.0 && canonical(&call.arguments) == key.1;
                same.then_some((place, answer))
            })
        })
    }

    fn answers(&self) -> impl Iterator<Item = (&ToolCall, &Answer)> {
        self.steps.iter().flat_map(|step| step.turn.calls.iter().zip(&step.answers))
    }

    /// Takes a tool's answer in: as an observation, if it is one.
    pub fn observe(&mut self, outcome: Outcome, fence: &Fence) -> Answer {
        let Outcome { status, source, query, digest, full, milliseconds } = outcome;
        if status.is_error() {
            let gap = matches!(status, Status::Failed | Status::Timeout).then(|| (source, digest.clone()));
            let text = format!("{}: no observation.\n{}", status.as_str(), fence.data(&digest));
            return Answer { kind: Kind::Failed, evidence: String::new(), text, gap };
        }
        let evidence = format!("E{}", self.observations.len() + 1);
        let text = format!("{evidence} ({source})\n{}", fence.data(&format!("{query}\n{digest}")));
        self.observations.push(Observation { id: evidence.clone(), source, query, text: full, milliseconds });
        Answer { kind: Kind::Observed, evidence, text, gap: None }
    }

    /// Sources that did not answer, each with its first reason.
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps: BTreeMap<(&str, &str), Gap> = BTreeMap::new();
        for (call, answer) in self.answers() {
            if let Some((source, why)) = &answer.gap {
                gaps.entry((source, &call.name)).or_insert_with(|| Gap {
                    source: source.clone(),
                    what: call.name.clone(),
                    why: why.chars().take(REPEATED_CHARS / 2).collect(),
                });
            }
        }
        gaps.into_values().collect()
    }

    /// How many steps, from the first, have their answers shortened by now. It follows from the steps alone, so
    /// that a run which goes on after a restart has the same conversation.
    fn shortened(&self) -> usize {
        let mut shortened = 0;
        let mut bytes = 0;
        for (place, step) in self.steps.iter().rev().skip(TURNS_KEPT_WHOLE).rev().enumerate() {
            bytes += step.answers.iter().map(|answer| answer.text.len()).sum::<usize>();
            if bytes > OLD_ANSWER_BYTES {
                (shortened, bytes) = (place + 1, 0);
            }
        }
        shortened
    }

    /// The conversation. `squeezed`: older answers are left out, because no model holds them all.
    pub fn messages(&self, opening: &str, squeezed: bool) -> Vec<Message> {
        let shortened = self.shortened();
        let mut messages = vec![Message::User(opening.to_owned())];
        for (place, step) in self.steps.iter().enumerate() {
            let mut turn = step.turn.clone();
            if turn.text.trim().is_empty() && turn.calls.is_empty() {
                turn = Turn { text: SAID_NOTHING.to_owned(), ..Turn::default() };
            }
            let bare = turn.calls.is_empty();
            messages.push(Message::Assistant(turn));
            if bare {
                messages.push(Message::User(step.told.clone()));
                continue;
            }
            let shown = match place {
                _ if squeezed && place + TURNS_KEPT_WHOLE < self.steps.len() => Shown::Not,
                _ if place < shortened => Shown::Short,
                _ => Shown::Whole,
            };
            messages.push(Message::Results(results(step, shown)));
        }
        messages
    }
}

/// How much of a step's answers a conversation shows.
#[derive(Clone, Copy)]
enum Shown {
    Whole,
    Short,
    Not,
}

fn results(step: &Step, shown: Shown) -> Vec<ToolResult> {
    let each = step.turn.calls.iter().zip(&step.answers);
    each.map(|(call, answer)| ToolResult {
        call_id: call.id.clone(),
        name: call.name.clone(),
        text: match shown {
            Shown::Not if !answer.evidence.is_empty() => {
                format!("{}: left out here for want of room; it can still be quoted.", answer.evidence)
            }
            Shown::Short if !answer.evidence.is_empty() => short(answer),
            _ => answer.text.clone(),
        },
        is_error: answer.is_error(),
    })
    .collect()
}

/// The first lines of an answer, with the way to see the others again.
fn short(answer: &Answer) -> String {
    let text = &answer.text;
    let end = text.floor_char_boundary(SHORTENED_BYTES);
    let end = text[..end].rfind('\n').unwrap_or(end);
    let Some(close) = text.rfind("\n</data ").filter(|close| end < *close) else { return text.clone() };
    let left = text[end..close].trim().lines().count();
    let mark = text[close..].trim().lines().next().unwrap_or_default();
    format!(
        "{}\n{mark}\n({left} more lines are not repeated here; {} can still be quoted, and the same call shows it \
         again.)",
        &text[..end],
        answer.evidence
    )
}

/// An answer that is out of sight is given again whole, without asking anybody.
fn repeated(place: usize, answer: &Answer, out_of_sight: bool) -> Answer {
    let most = if out_of_sight { usize::MAX } else { REPEATED_CHARS };
    let head: String = answer.text.chars().take(most).collect();
    let cut = if head.len() < answer.text.len() { " …" } else { "" };
    let what = if answer.evidence.is_empty() { "the answer" } else { answer.evidence.as_str() };
    let turn = place + 1;
    let text =
        format!("Asked in turn {turn} already; {what} stands. Ask something else, or conclude.\n{head}{cut}");
    Answer { kind: Kind::Repeated, evidence: answer.evidence.clone(), text, gap: None }
}

/// A turn as it is kept: bounded, with an id for each call, and no id twice.
pub fn tidy(mut turn: Turn, number: u32) -> (Turn, usize) {
    let dropped = turn.calls.len().saturating_sub(MAX_CALLS_KEPT);
    if dropped > 0 {
        turn.calls.truncate(MAX_CALLS_KEPT);
        // The provider's own blocks would name calls that are gone.
        turn.carried = Value::Null;
    }
    // The conclusion is what counts, wherever it stands.
    let mut ids: Vec<String> = Vec::new();
    for (place, call) in turn.calls.iter_mut().enumerate() {
        if call.id.is_empty() || ids.contains(&call.id) {
            call.id = format!("call_{number}_{place}");
        }
        ids.push(call.id.clone());
        if call.name.trim() == CONCLUDE {
            CONCLUDE.clone_into(&mut call.name);
        }
    }
    (turn, dropped)
}

/// Arguments in one form, whatever order and spacing they were written in.
pub fn canonical(arguments: &str) -> String {
    match serde_json::from_str::<Value>(arguments) {
        Ok(value) => sorted(value).to_string(),
        Err(_) => arguments.trim().to_owned(),
    }
}

/// Keys in order, without those that say nothing.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let said = |value: &Value| !value.is_null() && value.as_str() != Some("");
            let kept: BTreeMap<String, Value> = map
                .into_iter()
                .filter(|(_, value)| said(value))
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            Value::Object(kept.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::String(text) => Value::String(text.trim().to_owned()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
