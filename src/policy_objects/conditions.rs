//! What a team reads in the status of its policy: what became of it and the conditions that stand there come in, the
//! conditions that should stand there go out, or nothing where they do already. Pure.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::policy::team::Fate;
use crate::source::kubernetes::policy_object::{Condition, PolicyObject};

const ACCEPTED: &str = "Accepted";
const REACHED: &str = "Reached";
/// Longer messages are cut: a fault may name a text of the team's.
const MAX_MESSAGE_CHARS: usize = 1024;
/// Conditions of others that are kept.
const MAX_FOREIGN: usize = 6;

/// The conditions to write, those of others as they are; None: nothing is to be changed.
pub(super) fn next(object: &PolicyObject, fate: &Fate, now: DateTime<Utc>) -> Option<Vec<Condition>> {
    let wanted = told(fate);
    let stands = |(kind, status, reason, message): &(&str, bool, &str, String)| {
        object.conditions.iter().any(|one| {
            one.kind == *kind
                && one.status == word(*status)
                && one.reason == *reason
                && one.message == *message
                && one.observed_generation == Some(object.generation)
        })
    };
    if wanted.iter().all(stands) {
        return None;
    }
    let foreign = object.conditions.iter().filter(|one| one.kind != ACCEPTED && one.kind != REACHED);
    let mut conditions: Vec<Condition> = foreign.take(MAX_FOREIGN).cloned().collect();
    for (kind, status, reason, message) in wanted {
        let before = object.conditions.iter().find(|one| one.kind == kind && one.status == word(status));
        let since = before.map(|one| one.last_transition_time.clone());
        conditions.push(Condition {
            kind: kind.to_owned(),
            status: word(status).to_owned(),
            observed_generation: Some(object.generation),
            last_transition_time: since.unwrap_or_else(|| now.to_rfc3339_opts(SecondsFormat::Secs, true)),
            reason: reason.to_owned(),
            message,
        });
    }
    Some(conditions)
}

/// Type, status, reason and message of each condition.
fn told(fate: &Fate) -> [(&'static str, bool, &'static str, String); 2] {
    let refused = |reason, why: &str| {
        let accepted = (ACCEPTED, false, reason, cut(why));
        let reached = "it is not accepted, so the settings hold without it".to_owned();
        [accepted, (REACHED, false, "NotAccepted", reached)]
    };
    let accepted = |status, reason, message: String| {
        let holds = "it holds within what the settings allow".to_owned();
        [(ACCEPTED, true, ACCEPTED, holds), (REACHED, status, reason, cut(&message))]
    };
    match fate {
        Fate::InForce => {
            accepted(true, REACHED, "the first policy of this namespace that fits holds".to_owned())
        }
        Fate::Shadowed(by) => accepted(false, "Shadowed", format!("all that fits it fits {by} first")),
        Fate::Invalid(why) => refused("Invalid", why),
        Fate::UnknownModel(why) => refused("UnknownModel", why),
        Fate::ChannelNotAllowed(why) => refused("ChannelNotAllowed", why),
    }
}

fn word(status: bool) -> &'static str {
    if status { "True" } else { "False" }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(conditions: Vec<Condition>, generation: i64) -> PolicyObject {
        PolicyObject {
            namespace: "shop".to_owned(),
            name: "quiet".to_owned(),
            uid: "u".to_owned(),
            generation,
            spec: json!({}),
            resource_version: "7".to_owned(),
            conditions,
        }
    }

    fn at(minute: u32) -> DateTime<Utc> {
        format!("2026-11-22T03:{minute:02}:00Z").parse().unwrap()
    }

    #[test]
    fn conditions_are_written_once_and_keep_the_time_of_their_last_change() {
        let foreign =
            Condition { kind: "Reviewed".to_owned(), status: "True".to_owned(), ..Condition::default() };
        let first = next(&object(vec![foreign], 1), &Fate::InForce, at(1)).unwrap();
        let brief = |all: &[Condition]| -> Vec<String> {
            let line = |one: &Condition| {
                let Condition { kind, status, reason, observed_generation, last_transition_time, .. } = one;
                let generation = observed_generation.unwrap_or_default();
                format!("{kind} {status} {reason} {generation} {last_transition_time}")
            };
            all.iter().map(line).collect()
        };
        assert_eq!(
            brief(&first),
            [
                "Reviewed True  0 ",
                "Accepted True Accepted 1 2026-11-22T03:01:00Z",
                "Reached True Reached 1 2026-11-22T03:01:00Z"
            ]
        );
        assert_eq!(next(&object(first.clone(), 1), &Fate::InForce, at(2)), None);
        assert!(
            next(&object(first.clone(), 2), &Fate::InForce, at(2)).is_some(),
            "another generation was looked at"
        );
        // Another generation is told, a status that stayed keeps its time.
        let shadowed = next(&object(first, 2), &Fate::Shadowed("shop/first".to_owned()), at(3)).unwrap();
        assert_eq!(
            brief(&shadowed)[1..],
            [
                "Accepted True Accepted 2 2026-11-22T03:01:00Z",
                "Reached False Shadowed 2 2026-11-22T03:03:00Z"
            ]
        );
        let unknown = Fate::UnknownModel("`huge` is no model".to_owned());
        let refused = next(&object(shadowed, 2), &unknown, at(4)).unwrap();
        assert_eq!(
            brief(&refused)[1..],
            [
                "Accepted False UnknownModel 2 2026-11-22T03:04:00Z",
                "Reached False NotAccepted 2 2026-11-22T03:03:00Z"
            ]
        );
        assert_eq!(refused[1].message, "`huge` is no model");
        assert_eq!(next(&object(refused, 2), &unknown, at(5)), None);
    }
}
