//! Tools over what is stored: arguments of an agent come in, become the parameters of the API's own paths, and what the
//! API reads for that caller goes out as text and as JSON. It has no query and no rule of its own.

mod incidents;
mod investigations;
mod runbooks;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Refused, Said};
use crate::api::{ApiState, Caller, Pairs, Problem};
use crate::llm::ToolSchema;
use crate::tool::Refusal;
use crate::tool::arguments::typed;

/// Items of a list where nothing is said, and at most.
const USUAL_ITEMS: i64 = 10;
const MAX_ITEMS: i64 = 50;
/// Nothing further back is asked for in short, in days.
const MAX_DAYS: i64 = 3_650;

/// One tool over what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    SearchInvestigations,
    GetInvestigation,
    ListIncidents,
    GetIncident,
    ListRunbooks,
    GetRunbook,
}

/// In the order in which an agent meets them.
pub fn schemas() -> Vec<ToolSchema> {
    Question::ALL.iter().map(|question| question.schema()).collect()
}

impl Question {
    const ALL: [Self; 6] = [
        Self::ListIncidents,
        Self::GetIncident,
        Self::SearchInvestigations,
        Self::GetInvestigation,
        Self::ListRunbooks,
        Self::GetRunbook,
    ];

    pub fn of(tool: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|question| question.name() == tool)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::SearchInvestigations => "search_investigations",
            Self::GetInvestigation => "get_investigation",
            Self::ListIncidents => "list_incidents",
            Self::GetIncident => "get_incident",
            Self::ListRunbooks => "list_runbooks",
            Self::GetRunbook => "get_runbook",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::SearchInvestigations => "Search investigations",
            Self::GetInvestigation => "One investigation's report",
            Self::ListIncidents => "Incidents, open now or before",
            Self::GetIncident => "One incident",
            Self::ListRunbooks => "Runbooks and what came of them",
            Self::GetRunbook => "One runbook",
        }
    }

    fn schema(self) -> ToolSchema {
        let (description, required, properties) = match self {
            Self::SearchInvestigations => investigations::search_schema(),
            Self::GetInvestigation => investigations::one_schema(),
            Self::ListIncidents => incidents::list_schema(),
            Self::GetIncident => incidents::one_schema(),
            Self::ListRunbooks => runbooks::list_schema(),
            Self::GetRunbook => runbooks::one_schema(),
        };
        let mut parameters =
            json!({"type": "object", "additionalProperties": false, "properties": properties});
        if !required.is_empty() {
            parameters["required"] = json!(required);
        }
        ToolSchema { name: self.name().to_owned(), description: description.to_owned(), parameters }
    }

    /// `given` is an object.
    pub async fn answer(self, api: &ApiState, caller: &Caller, given: Value) -> Said {
        let schema = self.schema();
        match self {
            Self::SearchInvestigations => investigations::search(api, caller, given).await,
            Self::GetInvestigation => investigations::one(api, caller, typed(&given, &schema)?).await,
            Self::ListIncidents => incidents::list(api, caller, given).await,
            Self::GetIncident => incidents::one(api, caller, typed(&given, &schema)?).await,
            Self::ListRunbooks => runbooks::list(api, caller, given).await,
            Self::GetRunbook => runbooks::one(api, caller, typed(&given, &schema)?).await,
        }
    }
}

/// A tool's description, the arguments that it needs, and all of them.
type Shape = (&'static str, &'static [&'static str], Value);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem.detail().to_owned())
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.to_string())
    }
}

/// Filters that both lists have.
fn filters(more: Value) -> Value {
    let mut all = json!({
        "workload": {"type": "string", "description": "cluster/namespace/Kind/name, as results have it, e.g. lab/shop/Deployment/checkout"},
        "namespace": {"type": "string"},
        "cluster": {"type": "string"},
        "alert": {"type": "string", "description": "an alert's name, e.g. KubePodCrashLooping"},
        "severity": {"type": "string", "enum": ["critical", "warning", "info", "none"]},
        "since": {"type": "string", "description": "this time or later: 24h, 7d, or RFC 3339"},
        "until": {"type": "string", "description": "before this time: 24h, 7d, or RFC 3339"},
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_ITEMS, "description": "10 where it is not given"},
        "cursor": {"type": "string", "description": "`next` of the answer before, for the following page"},
    });
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    all
}

/// An agent's arguments as the parameters of a list's path; the API says what does not fit.
fn pairs(given: Value, now: DateTime<Utc>) -> Result<Pairs, Refused> {
    let Value::Object(given) = given else { return Err(Refused("arguments are an object".to_owned())) };
    let limit = match given.get("limit") {
        None => USUAL_ITEMS,
        Some(limit) => limit
            .as_i64()
            .filter(|limit| (1..=MAX_ITEMS).contains(limit))
            .ok_or_else(|| Refused(format!("limit is a number from 1 to {MAX_ITEMS}")))?,
    };
    let mut pairs = vec![("limit".to_owned(), limit.to_string())];
    for (key, value) in plain(given)? {
        match key.as_str() {
            "limit" => {}
            "since" | "until" => pairs.push((key, moment(&value, now))),
            _ => pairs.push((key, value)),
        }
    }
    Ok(pairs)
}

/// Texts and numbers; an empty text is none.
fn plain(given: Map<String, Value>) -> Result<Pairs, Refused> {
    let mut pairs = Vec::new();
    for (key, value) in given {
        match value {
            Value::Null => {}
            Value::String(text) if text.trim().is_empty() => {}
            Value::String(text) => pairs.push((key, text)),
            Value::Number(_) | Value::Bool(_) => pairs.push((key, value.to_string())),
            _ => {
                let key: String = key.chars().take(80).collect();
                return Err(Refused(format!("`{key}` is a text or a number")));
            }
        }
    }
    Ok(pairs)
}

/// `24h` and `7d` are so long ago; the API judges everything else.
fn moment(text: &str, now: DateTime<Utc>) -> String {
    let short = || {
        let text = text.trim();
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number: i64 = number.parse().ok().filter(|number| *number >= 0)?;
        let minutes = match unit {
            "m" => 1,
            "h" => 60,
            "d" => 24 * 60,
            "w" => 7 * 24 * 60,
            _ => return None,
        };
        let minutes = number.checked_mul(minutes).filter(|minutes| *minutes <= MAX_DAYS * 24 * 60)?;
        Some((now - TimeDelta::minutes(minutes)).to_rfc3339_opts(SecondsFormat::Secs, true))
    };
    short().unwrap_or_else(|| text.to_owned())
}

fn id(text: &str) -> Result<Uuid, Refused> {
    text.trim().parse().map_err(|_| {
        Refused("id is a UUID as the lists tell it, e.g. 019aa000-0000-7000-8000-000000000001".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_the_parameters_of_a_path() {
        let now = "2026-11-21T10:00:00Z".parse().unwrap();
        let of = |given: Value| pairs(given, now).map_err(|Refused(why)| why);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(of(json!({})).unwrap(), [pair("limit", "10")]);
        assert_eq!(
            of(json!({"q": "oom -test", "since": "24h", "until": "2026-11-21T09:00:00Z", "limit": 50}))
                .unwrap(),
            [
                pair("limit", "50"),
                pair("q", "oom -test"),
                pair("since", "2026-11-20T10:00:00Z"),
                pair("until", "2026-11-21T09:00:00Z"),
            ]
        );
        assert_eq!(of(json!({"q": "", "cause": null})).unwrap().len(), 1);
        for wrong in [json!({"limit": 51}), json!({"limit": 0}), json!({"limit": "x"}), json!({"q": ["a"]})] {
            assert!(of(wrong.clone()).is_err(), "{wrong}");
        }
        for odd in ["yesterday", "-5d", "99999999999999999999d", "9999999999d", "d", "ä"] {
            assert_eq!(moment(odd, now), odd);
        }
    }

    #[test]
    fn every_tool_says_what_each_argument_is() {
        for schema in schemas() {
            assert_eq!(Question::of(&schema.name).map(Question::name), Some(schema.name.as_str()));
            assert!(schema.description.len() > 40, "{}", schema.name);
            for (name, property) in schema.parameters["properties"].as_object().unwrap() {
                let told = property["description"].is_string() || property["enum"].is_array();
                assert!(told || ["namespace", "cluster"].contains(&name.as_str()), "{}: {name}", schema.name);
            }
        }
    }
}
