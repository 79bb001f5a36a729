//! Who calls whom, from one failing trace of the workload around the onset. Facts of the first round come in, names of
//! services go out. Two requests at most, where Tempo is configured and an alert is not refuted by objects alone; what
//! fails is a gap. Names only; `changed` looks for them among the objects of the namespace.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;

use super::Sources;
use super::objects::gap;
use crate::facts::Facts;
use crate::report::Gap;
use crate::signature::state_decides;
use crate::source::tempo::{Condition, Search, Span, Tempo, selector};
use crate::workload::Workload;

/// Kinds whose pods send spans, and the attribute that names them.
const KINDS: [(&str, &str); 3] = [
    ("Deployment", "k8s.deployment.name"),
    ("StatefulSet", "k8s.statefulset.name"),
    ("DaemonSet", "k8s.daemonset.name"),
];
/// Attributes of a span that name whom it calls, the surest first.
const PEERS: [&str; 3] = ["peer.service", "server.address", "net.peer.name"];
/// Around the onset.
const AROUND_MINUTES: i64 = 30;
/// Names of either side.
const MAX_NAMES: usize = 20;

/// Names of services, workloads or hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls {
    pub callees: BTreeSet<String>,
    pub callers: BTreeSet<String>,
    pub query: String,
    pub milliseconds: u64,
}

pub(super) async fn ask(sources: &Sources, workload: &Workload, draft: &Facts) -> (Calls, Option<Gap>) {
    let asks = draft.affected.pods.unhealthy > 0 || !state_decides(&draft.alerts);
    let kind = KINDS.iter().find(|(kind, _)| *kind == workload.kind);
    let (Some(tempo), Some((_, attribute)), true) = (&sources.tempo, kind, asks && !draft.alerts.is_empty())
    else {
        return (Calls::default(), None);
    };
    match one_trace(tempo, workload, attribute, draft).await {
        Ok(Some(calls)) => (calls, None),
        Ok(None) => (Calls::default(), None),
        Err(why) => (Calls::default(), Some(gap("tempo", "a failing trace of the workload", &why))),
    }
}

async fn one_trace(
    tempo: &Tempo,
    workload: &Workload,
    attribute: &str,
    draft: &Facts,
) -> Result<Option<Calls>, String> {
    let Some(onset) = draft.onset_at else { return Ok(None) };
    let around = Duration::minutes(AROUND_MINUTES);
    let window = (onset - around, (onset + around).min(draft.observed_at));
    let name = format!("resource.{attribute}");
    let conditions = [
        Condition::Is("resource.k8s.namespace.name", &workload.namespace),
        Condition::Is(&name, &workload.name),
        Condition::Failed,
    ];
    let traceql = selector(&conditions);
    let found = tempo.search(&Search::TraceQl(&traceql), window, 1).await;
    let Some(first) = found.map_err(|error| error.to_string())?.traces.into_iter().next() else {
        return Ok(None);
    };
    let trace = tempo.trace(&first.id).await.map_err(|error| error.to_string())?;
    Ok(trace.map(|trace| {
        let (query, milliseconds) = (trace.query, trace.milliseconds);
        Calls { query, milliseconds, ..of_spans(&trace.spans, workload) }
    }))
}

/// Spans of the workload that have children elsewhere or name a peer, and spans elsewhere that have it for a child.
fn of_spans(spans: &[Span], workload: &Workload) -> Calls {
    let by_id: BTreeMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    let is_own = |span: &Span| {
        name_of(span) == workload.name
            && span.namespace.as_ref().is_none_or(|name| *name == workload.namespace)
    };
    let mut calls = Calls::default();
    for span in spans {
        let parent = span.parent.as_deref().and_then(|id| by_id.get(id));
        match (parent.is_some_and(|parent| is_own(parent)), is_own(span)) {
            (true, false) => calls.callees.insert(name_of(span).to_owned()),
            (false, true) => parent.is_some_and(|parent| calls.callers.insert(name_of(parent).to_owned())),
            _ => false,
        };
        if let Some(peer) = PEERS.iter().find_map(|key| span.attributes.get(*key)).filter(|_| is_own(span)) {
            // `cart.shop.svc.cluster.local` is cart.
            calls.callees.insert(peer.split(['.', ':']).next().unwrap_or_default().to_owned());
        }
    }
    for names in [&mut calls.callees, &mut calls.callers] {
        names.retain(|name| !name.is_empty() && *name != workload.name);
        while names.len() > MAX_NAMES {
            names.pop_last();
        }
    }
    calls
}

/// The workload that sent a span, or what it calls itself.
fn name_of(span: &Span) -> &str {
    let named = KINDS.iter().find_map(|(_, key)| span.attributes.get(*key));
    named.unwrap_or(&span.service)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tempo::Status;

    fn span(id: &str, parent: &str, service: &str, attributes: &[(&str, &str)]) -> Span {
        Span {
            id: id.to_owned(),
            parent: Some(parent.to_owned()).filter(|parent| !parent.is_empty()),
            service: service.to_owned(),
            namespace: Some("shop".to_owned()),
            name: "op".to_owned(),
            kind: String::new(),
            started_at: chrono::DateTime::UNIX_EPOCH,
            nanoseconds: 1,
            status: Status::Error,
            status_message: String::new(),
            attributes: attributes
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            exceptions: Vec::new(),
        }
    }

    #[test]
    fn parents_are_callers_and_children_and_peers_are_called() {
        let spans = [
            span("1", "", "gateway", &[]),
            span("2", "1", "frontend-svc", &[("k8s.deployment.name", "front")]),
            span("3", "2", "front", &[("peer.service", "cart.shop.svc")]),
            span("4", "3", "prices", &[("k8s.statefulset.name", "prices-db")]),
            span("5", "4", "elsewhere", &[("peer.service", "not-its-own")]),
        ];
        let calls = of_spans(&spans, &Workload::new("", "shop", "Deployment", "front"));
        assert_eq!(calls.callers.iter().collect::<Vec<_>>(), ["gateway"]);
        assert_eq!(calls.callees.iter().collect::<Vec<_>>(), ["cart", "prices-db"]);
        let other = of_spans(&spans, &Workload::new("", "other", "Deployment", "front"));
        assert_eq!(other, Calls::default(), "of its name in another namespace");
    }
}
