//! `prometheus_metrics`: which metrics there are, or what labels and values one of them has, within the
//! namespaces that may be read. Long lists are refused with what would make them shorter.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::arguments::typed;
use super::super::request::{Span, Window, window};
use super::super::{Bounds, Found, Refusal, Tool};
use super::{GROUP, failed, scope};
use crate::llm::ToolSchema;
use crate::source::http::quote;
use crate::source::prometheus::Prometheus;

/// Most names of metrics, or values of one label, in an answer.
const MAX_NAMES: usize = 100;
/// Values shown of each label of a metric.
const MAX_EXAMPLES: usize = 4;
/// Beginnings named when names are too many.
const MAX_PREFIXES: usize = 8;

/// `prometheus_metrics`.
pub struct Metrics {
    client: Prometheus,
    schema: ToolSchema,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    #[serde(rename = "match")]
    pattern: Option<String>,
    metric: Option<String>,
    label: Option<String>,
}

impl Metrics {
    pub fn new(client: Prometheus) -> Self {
        let schema = ToolSchema {
            name: "prometheus_metrics".to_owned(),
            description:
                "Names of metrics that match; or the labels of one metric; or the values of one label."
                    .to_owned(),
            parameters: json!({"type": "object", "properties": {
                "match": {"type": "string", "description": "part of a name, glob or regex: restarts, kube_pod_*"},
                "metric": {"type": "string", "description": "its labels and type"},
                "label": {"type": "string", "description": "with metric: all values of this label"}}}),
        };
        Self { client, schema }
    }

    async fn ask(&self, asked: &Value, bounds: &Bounds) -> Result<Found, Refusal> {
        let asked: Arguments = typed(asked, &self.schema)?;
        let window = window(Span::default(), bounds)?;
        match (asked.pattern, asked.metric, asked.label) {
            (Some(pattern), None, None) => self.names(&pattern, bounds, window).await,
            (None, Some(metric), label) => self.labels(&metric, label.as_deref(), bounds, window).await,
            _ => Err(Refusal::Arguments(
                "give `match` for names of metrics, or `metric` for its labels, with `label` for its values"
                    .to_owned(),
            )),
        }
    }

    async fn names(&self, pattern: &str, bounds: &Bounds, window: Window) -> Result<Found, Refusal> {
        let named = format!("{{__name__=~{}}}", quote(&anywhere(pattern)?));
        let mut selectors = vec![scope::narrow(&named, bounds)?.promql];
        if !bounds.namespaces.is_empty() && !bounds.nothing_shared {
            let cluster = format!("(?:{})[^:]*", scope::CLUSTER_METRICS.join("|"));
            selectors.push(format!(
                "{{__name__=~{},__name__=~{}}}",
                quote(&anywhere(pattern)?),
                quote(&cluster)
            ));
        }
        let selectors: Vec<&str> = selectors.iter().map(String::as_str).collect();
        let told = self.client.label_values("__name__", &selectors, window).await;
        let told = told.map_err(|error| failed(&error))?;
        let text = list(&told.what, "metrics", pattern)?;
        Ok(Found { source: GROUP.to_owned(), query: told.query, digest: text.clone(), full: text })
    }

    async fn labels(
        &self,
        metric: &str,
        label: Option<&str>,
        bounds: &Bounds,
        window: Window,
    ) -> Result<Found, Refusal> {
        let scoped = scope::narrow(metric, bounds)?;
        if !matches!(scoped.tree, promql_parser::parser::Expr::VectorSelector(_)) {
            return Err(Refusal::Arguments("`metric` is one selector, such as kube_pod_info".to_owned()));
        }
        let text = scoped.promql;
        if let Some(label) = label {
            let told = self.client.label_values(label, &[text.as_str()], window).await;
            let told = told.map_err(|error| failed(&error))?;
            let digest = format!("{label} of {text}\n{}", list(&told.what, "values", label)?);
            return Ok(Found { source: GROUP.to_owned(), query: told.query, full: digest.clone(), digest });
        }
        let told = self.client.label_sets(&text, window).await.map_err(|error| failed(&error))?;
        let mut digest = format!("{text}: {} series\n", told.what.len());
        let name = metric.split('{').next().unwrap_or_default().trim();
        // What the metric means is an extra; series are told without it.
        if let Some(about) =
            self.client.metadata(name).await.ok().and_then(|told| told.what.into_iter().next())
        {
            digest.push_str(&format!("{}: {}\n", about.kind, about.help));
        }
        digest.push_str(&by_label(&told.what));
        let full = told.what.iter().map(|set| format!("{set:?}\n")).collect();
        Ok(Found { source: GROUP.to_owned(), query: told.query, digest, full })
    }
}

/// A part of a name, a glob or a regular expression, as one that fits anywhere in the name.
fn anywhere(pattern: &str) -> Result<String, Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '*' | '?');
    if pattern.chars().all(plain) {
        let glob = pattern.replace('*', ".*").replace('?', ".");
        return Ok(if glob.contains('.') { glob } else { format!(".*{glob}.*") });
    }
    match regex::Regex::new(pattern) {
        Ok(_) => Ok(format!(".*(?:{pattern}).*")),
        Err(_) => Err(Refusal::Arguments(format!("`{pattern}` is neither a glob nor a regular expression"))),
    }
}

fn list(names: &[String], what: &str, of: &str) -> Result<String, Refusal> {
    if names.len() > MAX_NAMES {
        let mut prefixes: BTreeMap<&str, usize> = BTreeMap::new();
        for name in names {
            *prefixes.entry(name.split(['_', '-', ':', '.']).next().unwrap_or_default()).or_default() += 1;
        }
        let mut by_count: Vec<(usize, &str)> = prefixes.iter().map(|(name, n)| (*n, *name)).collect();
        by_count.sort_by(|one, other| other.cmp(one));
        let most: Vec<String> =
            by_count.iter().take(MAX_PREFIXES).map(|(n, name)| format!("{name}… {n}")).collect();
        return Err(Refusal::TooMuch(format!(
            "{} {what} for `{of}`, at most {MAX_NAMES} are told; most begin with {}: ask for one of these",
            names.len(),
            most.join(", ")
        )));
    }
    Ok(if names.is_empty() {
        format!("no {what} for `{of}`\n")
    } else {
        format!("{} {what}: {}\n", names.len(), names.join(", "))
    })
}

fn by_label(sets: &[BTreeMap<String, String>]) -> String {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (label, value) in sets.iter().flatten().filter(|(label, _)| *label != "__name__") {
        values.entry(label).or_default().insert(value);
    }
    let mut text = String::new();
    for (label, all) in values {
        let shown = all.iter().take(MAX_EXAMPLES).copied().collect::<Vec<_>>().join(", ");
        let more = match all.len().saturating_sub(MAX_EXAMPLES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        text.push_str(&format!("{label}: {shown}{more}\n"));
    }
    text
}

impl Tool for Metrics {
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
    use super::*;

    #[test]
    fn parts_globs_and_expressions_become_one_expression() {
        assert_eq!(anywhere("restarts").unwrap(), ".*restarts.*");
        assert_eq!(anywhere("kube_pod_*").unwrap(), "kube_pod_.*");
        assert_eq!(anywhere("^kube_(pod|node)").unwrap(), ".*(?:^kube_(pod|node)).*");
        assert!(anywhere("kube_(").is_err());
    }

    #[test]
    fn long_lists_are_refused_with_how_to_shorten_them() {
        let names: Vec<String> = (0..200).map(|n| format!("apiserver_{n}")).collect();
        let refusal = list(&names, "metrics", ".+").unwrap_err().to_string();
        assert!(refusal.contains("200 metrics for `.+`") && refusal.contains("apiserver… 200"), "{refusal}");
        assert_eq!(list(&[], "metrics", "x").unwrap(), "no metrics for `x`\n");
    }
}
