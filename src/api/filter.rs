//! A query string becomes a filter, or a problem that names the parameter and how to write it. Pure.
//! Unknown and repeated parameters are errors: a filter that is silently ignored gives a wrong answer.

mod page;

use chrono::{DateTime, Datelike, Utc};
use utoipa::IntoParams;
use uuid::Uuid;

pub(super) use self::page::{Cursor, Format, Page};
use super::problem::Problem;
use crate::workload::Workload;

const MAX_VALUE_CHARS: usize = 1_000;

const OUTCOMES: [&str; 4] = ["known_pattern", "root_cause", "inconclusive", "not_an_incident"];
const INVESTIGATION_STATES: [&str; 5] = ["queued", "running", "done", "dead", "cancelled"];
const SEVERITIES: [&str; 4] = ["critical", "warning", "info", "none"];
const INCIDENT_STATES: [&str; 2] = ["open", "resolved"];

/// Key and value of each parameter, percent-decoded.
pub(crate) type Pairs = Vec<(String, String)>;

/// Of `GET /api/v1/investigations`.
#[derive(Debug, Clone, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Investigations {
    /// Its cluster.
    #[param(max_length = 1000)]
    pub cluster: Option<String>,
    /// Its namespace.
    #[param(max_length = 1000)]
    pub namespace: Option<String>,
    /// Its workload, as `cluster/namespace/Kind/name`.
    #[param(example = "lab/shop/Deployment/checkout")]
    pub workload: Option<String>,
    /// Name of the alert that it was queued for.
    #[param(max_length = 1000)]
    pub alert: Option<String>,
    /// known_pattern, root_cause, inconclusive or not_an_incident.
    #[param(pattern = "^(known_pattern|root_cause|inconclusive|not_an_incident)$")]
    pub outcome: Option<String>,
    /// Id of the cause, such as `secret-missing`.
    #[param(max_length = 1000)]
    pub cause: Option<String>,
    /// queued, running, done, dead or cancelled.
    #[param(pattern = "^(queued|running|done|dead|cancelled)$")]
    pub state: Option<String>,
    /// Severity of its incident: critical, warning, info or none.
    #[param(pattern = "^(critical|warning|info|none)$")]
    pub severity: Option<String>,
    /// Queued at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Queued before this time.
    pub until: Option<DateTime<Utc>>,
    /// Words that its workload, alert, cause and summary hold: `"a phrase"`, `-without`, `this or that`.
    #[param(max_length = 1000)]
    pub q: Option<String>,
    /// The first digits of its id, as many as make it the only one.
    #[param(value_type = Option<String>, pattern = "^[0-9a-f]{4,32}$")]
    pub id: Option<Prefix>,
    #[param(ignore)]
    pub page: Page,
}

/// Of `GET /api/v1/incidents`.
#[derive(Debug, Clone, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Incidents {
    /// open or resolved.
    #[param(pattern = "^(open|resolved)$")]
    pub state: Option<String>,
    /// critical, warning, info or none.
    #[param(pattern = "^(critical|warning|info|none)$")]
    pub severity: Option<String>,
    /// Its cluster.
    #[param(max_length = 1000)]
    pub cluster: Option<String>,
    /// Its namespace.
    #[param(max_length = 1000)]
    pub namespace: Option<String>,
    /// Its workload, as `cluster/namespace/Kind/name`.
    #[param(example = "lab/shop/Deployment/checkout")]
    pub workload: Option<String>,
    /// Name of one of its alerts.
    #[param(max_length = 1000)]
    pub alert: Option<String>,
    /// Opened at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Opened before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only this one.
    #[param(ignore)]
    pub id: Option<Uuid>,
    #[param(ignore)]
    pub page: Page,
}

/// All ids that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    pub first: Uuid,
    pub last: Uuid,
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
                "severity" => filter.severity = Some(one_of(key, value, &SEVERITIES)?),
                "q" => filter.q = Some(value.to_owned()),
                "id" => filter.id = Some(prefix(key, value)?),
                _ if filter.page.take(key, value)? => {}
                _ => {
                    let known = "cluster, namespace, workload, alert, outcome, cause, state, severity, since, until, q, id";
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
                "severity" => filter.severity = Some(one_of(key, value, &SEVERITIES)?),
                "alert" => filter.alert = Some(value.to_owned()),
                "since" => filter.since = Some(time(key, value)?),
                "until" => filter.until = Some(time(key, value)?),
                _ if filter.page.take(key, value)? => {}
                _ => {
                    let known = "state, severity, cluster, namespace, workload, alert, since, until";
                    return Err(unknown(key, known));
                }
            }
        }
        Ok(filter)
    }
}

fn checked(pairs: &Pairs) -> Result<Vec<(&str, &str)>, Problem> {
    for (at, (key, value)) in pairs.iter().enumerate() {
        if pairs[..at].iter().any(|(earlier, _)| earlier == key) {
            return Err(Problem::parameter(key, format!("{} may stand once only", shown(key))));
        }
        if value.chars().count() > MAX_VALUE_CHARS || value.contains('\0') {
            let hint =
                format!("{} is at most {MAX_VALUE_CHARS} characters long and holds no NUL", shown(key));
            return Err(Problem::parameter(key, hint));
        }
    }
    Ok(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect())
}

fn shown(key: &str) -> String {
    key.chars().take(40).collect()
}

fn unknown(key: &str, known: &str) -> Problem {
    Problem::parameter(
        key,
        format!("there is no parameter {}; known are {known}, limit, cursor, format", shown(key)),
    )
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

/// Digits of an id, with or without its dashes.
fn prefix(key: &str, value: &str) -> Result<Prefix, Problem> {
    let digits: String = value.chars().filter(|c| *c != '-').collect();
    let whole = |filler: char| format!("{digits}{}", filler.to_string().repeat(32 - digits.len().min(32)));
    let known = (4..=32).contains(&digits.len());
    let bounds = Uuid::try_parse(&whole('0')).ok().zip(Uuid::try_parse(&whole('f')).ok()).filter(|_| known);
    let bounds = bounds.map(|(first, last)| Prefix { first, last });
    bounds.ok_or_else(|| Problem::parameter(key, "id is the first 4 digits of an id or more, e.g. id=019aa0"))
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
        assert_eq!(filter.page, Page { limit: Some(200), cursor: Some(after), format: None });
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
        assert!(refused("format", "xml").contains("ndjson"));
        for id in ["019", "019g", &"0".repeat(33), "änder"] {
            assert!(refused("id", id).contains("4 digits"));
        }
        assert!(Investigations::parse(&pairs(&[("q", "a"), ("q", "b")])).is_err());
        assert!(Incidents::parse(&pairs(&[("outcome", "root_cause")])).is_err(), "of investigations only");
    }

    #[test]
    fn a_few_digits_stand_for_all_ids_that_begin_with_them() {
        let prefix = prefix("id", "019aa000-0000").unwrap();
        assert_eq!(prefix.first.to_string(), "019aa000-0000-0000-0000-000000000000");
        assert_eq!(prefix.last.to_string(), "019aa000-0000-ffff-ffff-ffffffffffff");
    }
}
