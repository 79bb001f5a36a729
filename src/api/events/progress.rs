//! What is told of an investigation, and in which order: rows in, events out that were not told yet. An event's
//! id follows from what it tells of alone, so that every process gives it the same one, and ids only rise. Pure.

use serde_json::{Value, json};

use super::store::{Known, Turn};
use crate::investigation::ledger::{Answer, Kind};

/// Ids of one attempt: its claim at 0, its turns, its end. An attempt has a dozen turns.
const ATTEMPT: i64 = 1_000_000;
const RETRYING: i64 = ATTEMPT - 2;
const DONE: i64 = ATTEMPT - 1;
/// The longest arguments that are shown, in bytes; the rest is in the database.
const MAX_ARGUMENT_BYTES: usize = 4_096;

/// One event.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    pub id: i64,
    pub name: &'static str,
    pub data: Value,
}

/// How far a reader is.
pub(super) struct Progress {
    /// The last event's id; none yet: -1.
    told: i64,
    seen: Option<Mark>,
    over: bool,
}

/// What changes whenever there is something to tell.
type Mark = (i32, i32, String);

impl Progress {
    pub fn after(id: Option<i64>) -> Self {
        Self { told: id.unwrap_or(-1), seen: None, over: false }
    }

    pub fn is_over(&self) -> bool {
        self.over
    }

    pub fn is_news(&self, known: &Known) -> bool {
        self.seen.as_ref() != Some(&mark(known))
    }

    /// Attempt and number of the last turn that was told.
    pub fn turn_seen(&self) -> (i32, i32) {
        let part = |id: i64| i32::try_from(id).unwrap_or(i32::MAX);
        (part(self.told.max(0) / ATTEMPT), part(self.told.max(0) % ATTEMPT))
    }

    /// Events of `known` and `turns` that come after what was told. Turns of a later attempt than `known` is at
    /// wait until its claim was told.
    pub fn take(&mut self, known: Known, turns: Vec<Turn>) -> Vec<Told> {
        let mut all = history(&known, turns);
        all.retain(|event| event.id > self.told);
        if let Some(last) = all.last() {
            self.told = last.id;
        }
        self.over = known.is_over();
        self.seen = Some(mark(&known));
        all
    }
}

fn mark(known: &Known) -> Mark {
    (known.attempt, known.steps, known.state.clone())
}

/// Did a reader with this last id hear the end?
pub(super) fn is_last(known: &Known, after: Option<i64>) -> bool {
    after.is_some_and(|after| after >= id(known.attempt, DONE))
}

fn id(attempt: i32, place: i64) -> i64 {
    i64::from(attempt) * ATTEMPT + place
}

fn history(known: &Known, turns: Vec<Turn>) -> Vec<Told> {
    let mut all = vec![Told { id: 0, name: "queued", data: queued(known) }];
    for attempt in 1..=known.attempt {
        let at = (attempt == 1).then_some(known.started_at);
        let data = json!({"attempt": attempt, "at": at});
        all.push(Told { id: id(attempt, 0), name: "claimed", data });
        if attempt < known.attempt {
            all.push(Told { id: id(attempt, RETRYING), name: "retrying", data: json!({"attempt": attempt}) });
        }
    }
    if known.attempt > 0 && known.state == "queued" {
        let data = json!({"attempt": known.attempt, "error": known.error});
        all.push(Told { id: id(known.attempt, RETRYING), name: "retrying", data });
    }
    if known.is_over() {
        all.push(Told { id: id(known.attempt, DONE), name: "done", data: done(known) });
    }
    for turn in turns.into_iter().filter(|turn| turn.attempt <= known.attempt) {
        let place = i64::from(turn.number).clamp(1, RETRYING - 1);
        all.push(Told { id: id(turn.attempt, place), name: "step", data: step(turn) });
    }
    all.sort_by_key(|event| event.id);
    all
}

fn queued(known: &Known) -> Value {
    json!({
        "workload": known.workload, "alert_name": known.alert_name, "reason": known.reason,
        "at": known.created_at,
    })
}

fn done(known: &Known) -> Value {
    json!({
        "state": known.state, "outcome": known.outcome, "cause_id": known.cause_id, "summary": known.summary,
        "error": known.error, "attempt": known.attempt, "steps": known.steps,
        "input_tokens": known.input_tokens, "cached_tokens": known.cached_tokens,
        "output_tokens": known.output_tokens, "usd": known.usd, "seconds": known.seconds,
        "at": known.finished_at,
    })
}

/// A turn that another version wrote differently has no calls.
fn step(turn: Turn) -> Value {
    let answers: Vec<Answer> = serde_json::from_value(turn.answers).unwrap_or_default();
    let asked = turn.calls.as_array().map(Vec::as_slice).unwrap_or_default();
    let calls: Vec<Value> =
        asked.iter().zip(answers).map(|(asked, answer)| call(asked, &answer, &turn.observed)).collect();
    json!({
        "step": turn.number, "attempt": turn.attempt, "model": turn.model, "forced": turn.forced, "calls": calls,
        "milliseconds": turn.milliseconds, "at": turn.created_at,
        "input_tokens": turn.input_tokens, "cached_tokens": turn.cached_tokens,
        "output_tokens": turn.output_tokens, "usd": turn.usd,
    })
}

/// `observed`: milliseconds by evidence id.
fn call(asked: &Value, answer: &Answer, observed: &Value) -> Value {
    let mut call = json!({
        "tool": asked["name"], "arguments": arguments(asked["arguments"].as_str().unwrap_or_default()),
        "status": answer.kind,
    });
    if !answer.evidence.is_empty() {
        call["evidence"] = json!(answer.evidence);
    }
    if answer.kind == Kind::Observed {
        call["milliseconds"] = observed[&answer.evidence].clone();
    }
    call
}

/// What a model wrote as JSON is shown as such, anything else as text.
fn arguments(text: &str) -> Value {
    if text.len() > MAX_ARGUMENT_BYTES {
        return json!(format!("{}…", &text[..text.floor_char_boundary(MAX_ARGUMENT_BYTES)]));
    }
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(state: &str, attempt: i32, steps: i32) -> Known {
        Known {
            state: state.to_owned(),
            attempt,
            steps,
            error: (state == "queued" && attempt > 0).then(|| "no result".to_owned()),
            ..Known::default()
        }
    }

    fn turn(attempt: i32, number: i32) -> Turn {
        Turn {
            attempt,
            number,
            calls: json!([{"id": "a", "name": "look", "arguments": "{\"at\": 1}"},
                          {"id": "b", "name": "look", "arguments": "at 2"}]),
            answers: json!([{"kind": "observed", "evidence": "E3", "text": "long"},
                            {"kind": "failed", "evidence": "", "text": "no"}]),
            observed: json!({"E3": 12}),
            ..Turn::default()
        }
    }

    fn names(told: &[Told]) -> Vec<(i64, &'static str)> {
        told.iter().map(|event| (event.id, event.name)).collect()
    }

    #[test]
    fn two_attempts_are_told_in_the_order_in_which_they_were() {
        let mut progress = Progress::after(None);
        let told = progress.take(known("done", 2, 3), vec![turn(1, 1), turn(1, 2), turn(2, 3)]);
        let expected = [
            (0, "queued"),
            (1_000_000, "claimed"),
            (1_000_001, "step"),
            (1_000_002, "step"),
            (1_999_998, "retrying"),
            (2_000_000, "claimed"),
            (2_000_003, "step"),
            (2_999_999, "done"),
        ];
        assert_eq!(names(&told), expected);
        assert!(progress.is_over());
    }

    #[test]
    fn who_looks_often_hears_the_same_as_who_looks_once() {
        let looks = [
            (known("queued", 0, 0), vec![]),
            (known("running", 1, 0), vec![]),
            (known("running", 1, 1), vec![turn(1, 1)]),
            (known("queued", 1, 1), vec![]),
            // The claim of attempt 2 was not seen yet: its first turn waits.
            (known("queued", 1, 2), vec![turn(2, 2)]),
            (known("running", 2, 2), vec![turn(2, 2)]),
            (known("dead", 2, 2), vec![]),
        ];
        let mut progress = Progress::after(None);
        let mut heard = Vec::new();
        for (known, turns) in looks {
            assert!(progress.is_news(&known));
            heard.extend(names(&progress.take(known, turns)));
        }
        let mut once = Progress::after(None);
        let all = once.take(known("dead", 2, 2), vec![turn(1, 1), turn(2, 2)]);
        assert_eq!(heard, names(&all));
        assert!(!progress.is_news(&known("dead", 2, 2)));
    }

    #[test]
    fn a_reader_goes_on_after_any_event() {
        let turns = || vec![turn(1, 1), turn(1, 2)];
        let all = names(&Progress::after(None).take(known("done", 1, 2), turns()));
        for (place, (id, _)) in all.iter().enumerate() {
            let rest = Progress::after(Some(*id)).take(known("done", 1, 2), turns());
            assert_eq!(names(&rest), all[place + 1..]);
        }
        assert_eq!(Progress::after(Some(1_000_001)).turn_seen(), (1, 1));
        assert!(is_last(&known("done", 1, 2), Some(1_999_999)));
        assert!(!is_last(&known("done", 1, 2), Some(1_000_002)) && !is_last(&known("done", 1, 2), None));
    }

    #[test]
    fn a_step_shows_its_calls_and_no_answer() {
        let step = step(turn(1, 1));
        let expected = json!([
            {"tool": "look", "arguments": {"at": 1}, "status": "observed", "evidence": "E3", "milliseconds": 12},
            {"tool": "look", "arguments": "at 2", "status": "failed"},
        ]);
        assert_eq!(step["calls"], expected);
        assert!(!step.to_string().contains("long"));
        assert_eq!(arguments(&"ö".repeat(4_000)).as_str().unwrap().chars().count(), 2_049);
    }
}
