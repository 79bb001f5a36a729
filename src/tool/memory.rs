//! `past_investigations`: what earlier investigations found in the same cluster and namespaces. How they are
//! looked up is handed in as a function: this room holds no SQL and no connection.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::arguments::typed;
use super::request::stamp;
use super::{Bounds, Found, Refusal, Tool};
use crate::llm::ToolSchema;

const GROUP: &str = "memory";

/// Reports told when nothing is said, and at most.
const USUAL_REPORTS: u32 = 5;
const MAX_REPORTS: u32 = 20;
/// Longest statement shown; the API has the whole report.
const MAX_STATEMENT_CHARS: usize = 400;
/// Longest look back, in days.
const MAX_DAYS: u32 = 365;

/// Which finished investigations are wanted. All that is given must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct PastQuery {
    pub cluster: String,
    /// Empty: all.
    pub namespaces: Vec<String>,
    /// End of a workload's key: `checkout`, `Deployment/checkout`, `shop/Deployment/checkout`.
    pub workload: Option<String>,
    /// Id of a cause.
    pub cause: Option<String>,
    /// Words of the summary, alert or workload.
    pub text: Option<String>,
    /// Finished after this and not after `until`.
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub limit: i64,
}

/// A finished investigation.
#[derive(Debug, Clone, PartialEq)]
pub struct PastReport {
    pub id: String,
    pub finished_at: DateTime<Utc>,
    pub workload: String,
    pub alert: String,
    pub outcome: String,
    pub cause: Option<String>,
    /// The cause in words, or the summary.
    pub statement: String,
    /// Investigations that fit, this one and those beyond the limit included.
    pub total: i64,
}

/// Looks them up, newest first; an error in words.
pub type Lookup = Arc<dyn Fn(PastQuery) -> BoxFuture<'static, Result<Vec<PastReport>, String>> + Send + Sync>;

/// `past_investigations`.
pub struct PastInvestigations {
    lookup: Lookup,
    schema: ToolSchema,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    workload: Option<String>,
    cause: Option<String>,
    text: Option<String>,
    days: Option<u32>,
    limit: Option<u32>,
}

impl PastInvestigations {
    pub fn new(lookup: Lookup) -> Self {
        let schema = ToolSchema {
            name: "past_investigations".to_owned(),
            description: "What earlier investigations found here, newest first. Default: of this workload."
                .to_owned(),
            parameters: json!({"type": "object", "properties": {
                "workload": {"type": "string", "description": "checkout or Deployment/checkout"},
                "cause": {"type": "string", "description": "id, such as secret-missing"},
                "text": {"type": "string", "description": "words of summary or alert"},
                "days": {"type": "integer"},
                "limit": {"type": "integer"}}}),
        };
        Self { lookup, schema }
    }

    async fn ask(&self, asked: &Value, bounds: &Bounds) -> Result<Found, Refusal> {
        let asked: Arguments = typed(asked, &self.schema)?;
        let query = query(asked, bounds)?;
        let reports = (self.lookup)(query.clone()).await.map_err(Refusal::Failed)?;
        // The scope is checked on what came, too: it is code's promise, not the lookup's.
        let reports: Vec<PastReport> =
            reports.into_iter().filter(|report| in_scope(&report.workload, &query)).collect();
        let words = words(&query);
        Ok(Found {
            source: GROUP.to_owned(),
            digest: told(&reports, &words, Cut::Short),
            full: told(&reports, &words, Cut::Not),
            query: format!("investigations {words}"),
        })
    }
}

fn query(asked: Arguments, bounds: &Bounds) -> Result<PastQuery, Refusal> {
    let (days, limit) = (asked.days.unwrap_or(MAX_DAYS).max(1), asked.limit.unwrap_or(USUAL_REPORTS).max(1));
    if days > MAX_DAYS || limit > MAX_REPORTS {
        return Err(Refusal::TooMuch(format!(
            "at most {MAX_REPORTS} reports of {MAX_DAYS} days are told: {limit} of {days} days were asked for"
        )));
    }
    let given =
        |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let (workload, cause, text) = (given(asked.workload), given(asked.cause), given(asked.text));
    let own = || format!("{}/{}/{}", bounds.workload.namespace, bounds.workload.kind, bounds.workload.name);
    let nothing_said = workload.is_none() && cause.is_none() && text.is_none();
    Ok(PastQuery {
        cluster: bounds.workload.cluster.clone(),
        namespaces: bounds.namespaces.clone(),
        workload: if nothing_said { Some(own()) } else { workload },
        cause,
        text,
        since: bounds.now - Duration::days(days.into()),
        until: bounds.now,
        limit: limit.into(),
    })
}

fn in_scope(workload: &str, query: &PastQuery) -> bool {
    workload.parse::<crate::workload::Workload>().is_ok_and(|workload| {
        workload.cluster == query.cluster
            && (query.namespaces.is_empty() || query.namespaces.contains(&workload.namespace))
    })
}

/// What was looked for, for the ledger and the digest.
fn words(query: &PastQuery) -> String {
    let mut words = Vec::new();
    for (what, value) in [("workload", &query.workload), ("cause", &query.cause), ("text", &query.text)] {
        words.extend(value.as_ref().map(|value| format!("{what}={value}")));
    }
    if !query.namespaces.is_empty() {
        words.push(format!("namespaces={}", query.namespaces.join(",")));
    }
    words.push(format!("since={}", stamp(query.since)));
    words.join(" ")
}

/// Whether long statements are cut.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Short,
    Not,
}

fn told(reports: &[PastReport], words: &str, cut: Cut) -> String {
    let Some(first) = reports.first() else { return format!("no finished investigation with {words}\n") };
    let mut text = format!("{} investigations with {words}, newest first\n", first.total);
    for report in reports {
        let length = report.statement.chars().count();
        let limit = if cut == Cut::Short { MAX_STATEMENT_CHARS } else { length };
        let statement: String = report.statement.chars().take(limit).collect();
        let more =
            if length > limit { format!(" … {} more characters", length - limit) } else { String::new() };
        text.push_str(&format!(
            "{} {} {}: {} {}: {statement}{more}\n",
            stamp(report.finished_at),
            report.workload,
            report.alert,
            report.outcome,
            report.cause.as_deref().unwrap_or("without a cause")
        ));
    }
    let left = first.total - i64::try_from(reports.len()).unwrap_or(i64::MAX);
    if left > 0 {
        text.push_str(&format!("left out: {left} older ones; say workload, cause, text or a higher limit\n"));
    }
    text
}

impl Tool for PastInvestigations {
    fn schema(&self) -> &ToolSchema {
        &self.schema
    }

    fn group(&self) -> &str {
        GROUP
    }

    fn call<'a>(&'a self, arguments: &'a Value, bounds: &'a Bounds) -> BoxFuture<'a, Result<Found, Refusal>> {
        Box::pin(self.ask(arguments, bounds))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::tool::request::tests::bounds;

    fn report(workload: &str, total: i64) -> PastReport {
        PastReport {
            id: "i1".to_owned(),
            finished_at: bounds(&["shop"]).onset,
            workload: workload.to_owned(),
            alert: "KubePodCrashLooping".to_owned(),
            outcome: "known_pattern".to_owned(),
            cause: Some("secret-missing".to_owned()),
            statement: "Secret shop/db is missing".to_owned(),
            total,
        }
    }

    type Seen = Arc<Mutex<Vec<PastQuery>>>;

    fn tool(answer: Result<Vec<PastReport>, String>) -> (PastInvestigations, Seen) {
        let seen = Seen::default();
        let asked = seen.clone();
        let lookup: Lookup = Arc::new(move |query| {
            asked.lock().unwrap().push(query);
            Box::pin(std::future::ready(answer.clone()))
        });
        (PastInvestigations::new(lookup), seen)
    }

    #[tokio::test]
    async fn without_arguments_it_asks_for_this_workload_in_its_scope() {
        let (tool, seen) = tool(Ok(vec![report("lab/shop/Deployment/api-gateway", 7)]));
        let found = tool.call(&json!({}), &bounds(&["shop"])).await.unwrap();
        let query = seen.lock().unwrap().remove(0);
        assert_eq!(query.workload.as_deref(), Some("shop/Deployment/api-gateway"));
        assert_eq!((query.cluster.as_str(), query.namespaces), ("lab", vec!["shop".to_owned()]));
        assert_eq!(
            found.digest,
            "7 investigations with workload=shop/Deployment/api-gateway namespaces=shop \
             since=2025-11-21T07:07:25Z, newest first\n\
             2026-11-21T07:04:05Z lab/shop/Deployment/api-gateway KubePodCrashLooping: known_pattern \
             secret-missing: Secret shop/db is missing\n\
             left out: 6 older ones; say workload, cause, text or a higher limit\n"
        );
    }

    #[tokio::test]
    async fn reports_of_others_are_not_told_even_when_the_lookup_returns_them() {
        let others = ["lab/other/Deployment/x", "elsewhere/shop/Deployment/x", "nonsense"];
        let (tool, _) = tool(Ok(others.iter().map(|key| report(key, 3)).collect()));
        let found = tool.call(&json!({"cause": "secret-missing"}), &bounds(&["shop"])).await.unwrap();
        assert!(found.digest.starts_with("no finished investigation with cause=secret-missing"));
        assert!(!found.full.contains("other"), "{}", found.full);
    }

    #[tokio::test]
    async fn failures_and_wide_questions_are_told() {
        let (tool, seen) = tool(Err("the database is away".to_owned()));
        let failed = tool.call(&json!({"text": "redis"}), &bounds(&["shop"])).await.unwrap_err();
        assert_eq!(failed, Refusal::Failed("the database is away".to_owned()));
        let wide = tool.call(&json!({"limit": 1000}), &bounds(&["shop"])).await.unwrap_err();
        assert!(wide.to_string().contains("at most 20 reports"), "{wide}");
        assert_eq!(seen.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn long_statements_are_cut_in_the_digest_only() {
        let long = PastReport { statement: "é".repeat(1000), ..report("lab/shop/Job/a", 1) };
        let (tool, _) = tool(Ok(vec![long]));
        let found = tool.call(&json!({"text": "a"}), &bounds(&[])).await.unwrap();
        assert!(found.digest.contains("… 600 more characters") && found.full.contains(&"é".repeat(1000)));
    }
}
