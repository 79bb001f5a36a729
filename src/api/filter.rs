//! A query string becomes a filter, or a problem that names the parameter and how to write it. Pure.
//! Unknown and repeated parameters are errors: a filter that is silently ignored gives a wrong answer.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, Utc};
use uuid::Uuid;

use super::problem::Problem;
use crate::workload::Workload;

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;
const MAX_VALUE_BYTES: usize = 1_000;

const OUTCOMES: [&str; 4] = ["known_pattern", "root_cause", "inconclusive", "not_an_incident"];
const INVESTIGATION_STATES: [&str; 5] = ["queued", "running", "done", "dead", "cancelled"];
const INCIDENT_STATES: [&str; 2] = ["open", "resolved"];

/// Key and value of each parameter, percent-decoded.
pub(super) type Pairs = Vec<(String, String)>;

/// Of `GET /api/v1/investigations`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Investigations {
    pub cluster: Option<String>,
    pub namespace: Option<String>,
    pub workload: Option<String>,
    pub alert: Option<String>,
    pub outcome: Option<String>,
    pub cause: Option<String>,
    pub state: Option<String>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    pub q: Option<String>,
    pub page: Page,
}

/// Of `GET /api/v1/incidents`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Incidents {
    pub state: Option<String>,
    pub cluster: Option<String>,
    pub namespace: Option<String>,
    pub workload: Option<String>,
    pub page: Page,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub limit: i64,
    pub after: Option<Cursor>,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, after: None }
    }
}

/// The last row of a page: the next page begins below it, whatever was added above in the meantime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub at: DateTime<Utc>,
    pub id: Uuid,
}

impl Cursor {
    pub(super) fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}", self.at.timestamp_micros(), self.id))
    }

    fn decode(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (micros, id) = text.split_once(':')?;
        let at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        (1..=9999).contains(&at.year()).then_some(Self { at, id: id.parse().ok()? })
    }
}

impl Investigations {
    pub(super) fn parse(pairs: &Pairs) -> Result<Self, Problem> {
        let mut filter = Self::default();
        for (key, value) in checked(pairs)? {
            match key {
                "cluster" => filter.cluster = Some(value.to_owned()),
                "namespace" => filter.namespace = Some(value.to_owned()),
                "workload" => filter.workload = Some(workload(key, value)?),
                "alert" => filter.alert = Some(value.to_owned()),
                "outcome" => filter.outcome = Some(one_of(key, value, &OUTCOMES)?),
                "cause" => filter.cause = Some(value.to_owned()),
                "state" => filter.state = Some(one_of(key, value, &INVESTIGATION_STATES)?),
                "since" => filter.since = Some(time(key, value)?),
                "until" => filter.until = Some(time(key, value)?),
                "q" => filter.q = Some(value.to_owned()),
                _ if filter.page.take(key, value)? => {}
                _ => {
                    let known = "cluster, namespace, workload, alert, outcome, cause, state, since, until, q";
                    return Err(unknown(key, known));
                }
            }
        }
        Ok(filter)
    }
}

impl Incidents {
    pub(super) fn parse(pairs: &Pairs) -> Result<Self, Problem> {
        let mut filter = Self::default();
        for (key, value) in checked(pairs)? {
            match key {
                "state" => filter.state = Some(one_of(key, value, &INCIDENT_STATES)?),
                "cluster" => filter.cluster = Some(value.to_owned()),
                "namespace" => filter.namespace = Some(value.to_owned()),
                "workload" => filter.workload = Some(workload(key, value)?),
                _ if filter.page.take(key, value)? => {}
                _ => return Err(unknown(key, "state, cluster, namespace, workload")),
            }
        }
        Ok(filter)
    }
}

impl Page {
    /// True when the parameter was about the page.
    fn take(&mut self, key: &str, value: &str) -> Result<bool, Problem> {
        match key {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                self.limit = limit.ok_or_else(|| {
                    Problem::parameter(key, format!("limit is a number from 1 to {MAX_LIMIT}, e.g. limit=50"))
                })?;
            }
            "cursor" => {
                self.after = Some(Cursor::decode(value).ok_or_else(|| {
                    Problem::parameter(key, "cursor is the `next` of the page before, unchanged")
                })?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn checked(pairs: &Pairs) -> Result<Vec<(&str, &str)>, Problem> {
    for (at, (key, value)) in pairs.iter().enumerate() {
        if pairs[..at].iter().any(|(earlier, _)| earlier == key) {
            return Err(Problem::parameter(key, format!("{} may stand once only", shown(key))));
        }
        if value.len() > MAX_VALUE_BYTES || value.contains('\0') {
            let hint = format!("{} is at most {MAX_VALUE_BYTES} bytes long and holds no NUL", shown(key));
            return Err(Problem::parameter(key, hint));
        }
    }
    Ok(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect())
}

fn shown(key: &str) -> String {
    key.chars().take(40).collect()
}

fn unknown(key: &str, known: &str) -> Problem {
    Problem::parameter(key, format!("there is no parameter {}; known are {known}, limit, cursor", shown(key)))
}

fn one_of(key: &str, value: &str, known: &[&str]) -> Result<String, Problem> {
    if known.contains(&value) {
        return Ok(value.to_owned());
    }
    Err(Problem::parameter(key, format!("{key} is one of {}", known.join(", "))))
}

fn workload(key: &str, value: &str) -> Result<String, Problem> {
    let hint = "workload is cluster/namespace/Kind/name, e.g. workload=lab/shop/Deployment/checkout";
    value.parse::<Workload>().map(|workload| workload.key()).map_err(|_| Problem::parameter(key, hint))
}

fn time(key: &str, value: &str) -> Result<DateTime<Utc>, Problem> {
    // A `+` in a query string is a space, so an offset that was not percent-encoded is read as it was meant.
    let parsed = DateTime::parse_from_rfc3339(&value.replace(' ', "+")).ok().map(|time| time.to_utc());
    parsed.filter(|time| (1..=9999).contains(&time.year())).ok_or_else(|| {
        Problem::parameter(key, format!("{key} is a time in RFC 3339, e.g. {key}=2026-11-21T10:00:00Z"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(pairs: &[(&str, &str)]) -> Pairs {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn refused(key: &str, value: &str) -> String {
        match Investigations::parse(&pairs(&[(key, value)])) {
            Err(Problem::BadParameter { name, hint }) if name == key => hint,
            other => panic!("{key}={value} gave {other:?}"),
        }
    }

    #[test]
    fn a_filter_reads_every_parameter() {
        let after = Cursor { at: "2026-11-21T10:00:00.123456Z".parse().unwrap(), id: Uuid::now_v7() };
        let filter = Investigations::parse(&pairs(&[
            ("workload", "lab/shop/Deployment/checkout"),
            ("outcome", "root_cause"),
            ("since", "2026-11-21T10:00:00 01:00"),
            ("limit", "200"),
            ("cursor", &after.encode()),
        ]));
        let filter = filter.unwrap();
        assert_eq!(filter.workload.as_deref(), Some("lab/shop/Deployment/checkout"));
        assert_eq!(filter.since, "2026-11-21T09:00:00Z".parse().ok());
        assert_eq!(filter.page, Page { limit: 200, after: Some(after) });
        assert_eq!(Investigations::parse(&pairs(&[])).unwrap(), Investigations::default());
    }

    #[test]
    fn what_does_not_read_is_named_with_how_to_write_it() {
        assert!(refused("since", "yesterday").contains("since=2026-11-21T10:00:00Z"));
        assert!(refused("limit", "0").contains("1 to 200"));
        assert!(refused("limit", "201").contains("1 to 200"));
        assert!(refused("outcome", "found").contains("known_pattern, root_cause"));
        assert!(refused("workload", "checkout").contains("cluster/namespace/Kind/name"));
        assert!(refused("cursor", "abc").contains("`next`"));
        assert!(refused("name", "x").contains("there is no parameter name; known are cluster"));
        assert!(refused("q", "a\0b").contains("NUL"));
        assert!(Investigations::parse(&pairs(&[("q", "a"), ("q", "b")])).is_err());
        assert!(Incidents::parse(&pairs(&[("outcome", "root_cause")])).is_err(), "of investigations only");
    }

    proptest! {
        #[test]
        fn no_cursor_of_a_stranger_reaches_the_database_out_of_range(text in "\\PC{0,60}", micros in any::<i64>()) {
            let forged = URL_SAFE_NO_PAD.encode(format!("{micros}:{}", Uuid::nil()));
            for text in [text, forged] {
                if let Some(cursor) = Cursor::decode(&text) {
                    prop_assert!((1..=9999).contains(&cursor.at.year()));
                    prop_assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
                }
            }
        }
    }
}
