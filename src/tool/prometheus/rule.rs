//! `prometheus_alert_rule`: an alert's name becomes its rule, who fires now, and the recent value of what the
//! rule compares. Alerts of other namespaces are counted, never shown.

use futures::future::BoxFuture;
use promql_parser::parser::Expr;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::arguments::typed;
use super::super::request::{Span, count, stamp, trouble_begins, window};
use super::super::{Bounds, Found, Refusal, Tool};
use super::query::{range, usual_step};
use super::{GROUP, failed, scope, series};
use crate::llm::ToolSchema;
use crate::source::prometheus::{ActiveAlert, AlertRule as Rule, Prometheus};

/// Rules of one name that are told; kube-prometheus has pairs of them, one a severity.
const MAX_RULES: usize = 3;
/// Active alerts told of one rule.
const MAX_ACTIVE: usize = 8;
/// Names offered when there is no such rule.
const MAX_NAMES: usize = 20;

/// `prometheus_alert_rule`.
pub struct AlertRule {
    client: Prometheus,
    schema: ToolSchema,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    alert: String,
}

impl AlertRule {
    pub fn new(client: Prometheus) -> Self {
        let schema = ToolSchema {
            name: "prometheus_alert_rule".to_owned(),
            description:
                "An alert's own rule: expression, for, labels, who fires, and the recent value of what \
                          it compares."
                    .to_owned(),
            parameters: json!({"type": "object", "required": ["alert"], "properties": {
                "alert": {"type": "string"}}}),
        };
        Self { client, schema }
    }

    async fn ask(&self, asked: &Value, bounds: &Bounds) -> Result<Found, Refusal> {
        let asked: Arguments = typed(asked, &self.schema)?;
        let rules = self.client.alert_rules().await.map_err(|error| failed(&error))?;
        let named: Vec<&Rule> = rules.what.iter().filter(|rule| rule.name == asked.alert).collect();
        if named.is_empty() {
            return Err(Refusal::Failed(no_such(&asked.alert, &rules.what)));
        }
        let mut found = Found {
            source: GROUP.to_owned(),
            query: rules.query,
            digest: String::new(),
            full: String::new(),
        };
        for rule in named.iter().take(MAX_RULES) {
            let text = told(rule, bounds);
            found.digest.push_str(&text);
            found.full.push_str(&text);
            self.value(rule, bounds, &mut found).await;
        }
        if let Some(more) = named.len().checked_sub(MAX_RULES).filter(|more| *more > 0) {
            found.digest.push_str(&format!("left out: {more} more rules of this name\n"));
        }
        Ok(found)
    }

    /// The recent value, or why there is none: a rule is worth telling without it.
    async fn value(&self, rule: &Rule, bounds: &Bounds, found: &mut Found) {
        match self.recent(&rule.query, bounds).await {
            Ok((digest, full, query)) => {
                found.digest.push_str(&digest);
                found.full.push_str(&full);
                found.query = format!("{}\n{query}", found.query);
            }
            Err(refusal) => found.digest.push_str(&format!("its value could not be read: {refusal}\n")),
        }
    }

    async fn recent(&self, expression: &str, bounds: &Bounds) -> Result<(String, String, String), Refusal> {
        let whole = scope::narrow(expression, bounds)?;
        let compared = compared(&whole.tree).to_string();
        let window = window(Span::default(), bounds)?;
        let step = usual_step(window);
        let answer = range(&self.client, &compared, window, step).await?;
        let digest = format!(
            "{compared} from {} to {}, every {step} s\n{}{}",
            stamp(window.0),
            stamp(window.1),
            whole.note(&bounds.namespaces),
            series::range(&answer.series, window, step, trouble_begins(bounds))
        );
        Ok((digest, series::full(&answer.series), answer.query))
    }
}

/// A comparison with a number hides what does not hold: its left side tells how near the threshold it was.
fn compared(tree: &Expr) -> &Expr {
    match tree {
        Expr::Paren(inner) => compared(&inner.expr),
        Expr::Binary(node) if node.op.is_comparison_operator() && is_number(&node.rhs) => &node.lhs,
        _ => tree,
    }
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::NumberLiteral(_) => true,
        Expr::Paren(inner) => is_number(&inner.expr),
        Expr::Unary(inner) => is_number(&inner.expr),
        _ => false,
    }
}

fn told(rule: &Rule, bounds: &Bounds) -> String {
    let pairs = |labels: &std::collections::BTreeMap<String, String>| {
        labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    let mut text = format!(
        "rule {}: {} (for {} s; labels {})\n",
        rule.name,
        rule.query.split_whitespace().collect::<Vec<_>>().join(" "),
        rule.duration,
        pairs(&rule.labels)
    );
    if !rule.last_error.is_empty() {
        text.push_str(&format!("Prometheus cannot evaluate it: {}\n", rule.last_error));
    }
    let (own, other): (Vec<&ActiveAlert>, Vec<&ActiveAlert>) =
        rule.alerts.iter().partition(|alert| may_be_told(alert, bounds));
    for alert in own.iter().take(MAX_ACTIVE) {
        let since = alert.active_at.map_or_else(|| "an unknown time".to_owned(), stamp);
        text.push_str(&format!("{} since {since}: {}\n", alert.state, pairs(&alert.labels)));
    }
    for (number, what) in [
        (own.len().saturating_sub(MAX_ACTIVE), "left out, of the same namespaces"),
        (other.len(), "outside what this investigation reads"),
    ] {
        if number > 0 {
            text.push_str(&format!("{} {what}\n", count(number, "active alert", "active alerts")));
        }
    }
    if rule.alerts.is_empty() {
        text.push_str("nothing fires or is pending\n");
    }
    text
}

fn may_be_told(alert: &ActiveAlert, bounds: &Bounds) -> bool {
    let namespace = alert.labels.get("namespace");
    let of_cluster = namespace.is_none() && !bounds.nothing_shared;
    bounds.namespaces.is_empty()
        || of_cluster
        || namespace.is_some_and(|name| bounds.namespaces.contains(name))
}

fn no_such(name: &str, rules: &[Rule]) -> String {
    let mut names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let shown = names.iter().take(MAX_NAMES).copied().collect::<Vec<_>>().join(", ");
    let more = match names.len().saturating_sub(MAX_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("Prometheus has no alerting rule `{name}`; it has {shown}{more}")
}

impl Tool for AlertRule {
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
