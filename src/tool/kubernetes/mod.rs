//! What a model may ask of Kubernetes, in kubectl's words: one tool a file, over the read-only client. A
//! question comes in, a condensed answer and everything that was read go out. Scope is checked here and
//! again by the client, Secrets are refused in every spelling, and every request is a GET.

mod asked;
mod condense;
mod describe;
mod events;
mod family;
mod fields;
mod get;
mod list;
mod log_pods;
mod logs;
mod reach;
mod rollout;
mod screen;
mod since;
mod table;
mod top;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::arguments::typed;
use super::{Bounds, Found, Refusal, Tool};
use crate::llm::ToolSchema;
use crate::source::kubernetes::Client;
use reach::Reach;

const GROUP: &str = "kubernetes";

/// The tools of one cluster.
pub fn tools(client: &Client) -> Vec<Box<dyn Tool>> {
    let tool = |question: Question| -> Box<dyn Tool> {
        Box::new(KubernetesTool { question, schema: question.schema(), client: client.clone() })
    };
    Question::ALL.map(tool).into()
}

struct KubernetesTool {
    question: Question,
    schema: ToolSchema,
    client: Client,
}

#[derive(Clone, Copy)]
enum Question {
    Get,
    List,
    Describe,
    Logs,
    Events,
    Rollout,
    Top,
}

impl Question {
    const ALL: [Self; 7] =
        [Self::Get, Self::List, Self::Describe, Self::Logs, Self::Events, Self::Rollout, Self::Top];

    /// Short, because every request to a model carries them; what does not fit is told when it happens.
    fn schema(self) -> ToolSchema {
        let text = json!({"type": "string"});
        let (name, description, required, properties) = match self {
            Self::Get => (
                "kubernetes_get",
                "One object, condensed. kind as in kubectl (po, deploy, cm …). No Secrets.",
                json!(["kind", "name"]),
                json!({"kind": text, "name": text, "namespace": text}),
            ),
            Self::List => (
                "kubernetes_list",
                "Objects as a table. fields: paths like spec.nodeName. sort_by: path or column, -x descending.",
                json!(["kind"]),
                json!({"kind": text, "namespace": text, "label_selector": text, "field_selector": text,
                    "sort_by": text, "fields": {"type": "array", "items": text},
                    "limit": {"type": "integer"}}),
            ),
            Self::Describe => (
                "kubernetes_describe",
                "An object with owners, conditions, pods and events.",
                json!(["kind", "name"]),
                json!({"kind": text, "name": text, "namespace": text}),
            ),
            Self::Logs => (
                "kubernetes_logs",
                "Logs of a pod or workload (deploy/x), repeated lines counted. previous: the instance before \
                 the restart. since: 10m or RFC3339. around: RFC3339, ± seconds. grep: regex.",
                json!(["object"]),
                json!({"object": text, "namespace": text, "container": text,
                    "previous": {"type": "boolean"}, "since": text, "around": text,
                    "seconds": {"type": "integer"}, "grep": text, "tail": {"type": "integer"}}),
            ),
            Self::Events => (
                "kubernetes_events",
                "Events of an object (deploy/x: also its pods') or a namespace. since: 30m or RFC3339.",
                json!([]),
                json!({"object": text, "namespace": text, "since": text}),
            ),
            Self::Rollout => (
                "kubernetes_rollout",
                "Revisions of a deploy, sts or ds and what each changed.",
                json!(["object"]),
                json!({"object": text, "namespace": text}),
            ),
            Self::Top => (
                "kubernetes_top",
                "Requests, limits and usage (if metered) of pods, or of nodes.",
                json!(["kind"]),
                json!({"kind": {"type": "string", "enum": ["pods", "nodes"]}, "namespace": text,
                    "label_selector": text}),
            ),
        };
        ToolSchema {
            name: name.to_owned(),
            description: description.to_owned(),
            parameters: match required.as_array().is_some_and(Vec::is_empty) {
                true => json!({"type": "object", "properties": properties}),
                false => json!({"type": "object", "properties": properties, "required": required}),
            },
        }
    }
}

impl Tool for KubernetesTool {
    fn schema(&self) -> &ToolSchema {
        &self.schema
    }

    fn group(&self) -> &str {
        GROUP
    }

    fn call<'a>(&'a self, arguments: &'a Value, bounds: &'a Bounds) -> BoxFuture<'a, Result<Found, Refusal>> {
        let (reach, schema) = (Reach::new(&self.client, bounds), &self.schema);
        Box::pin(async move {
            match self.question {
                Question::Get => get::answer(&reach, typed(arguments, schema)?).await,
                Question::List => list::answer(&reach, typed(arguments, schema)?).await,
                Question::Describe => describe::answer(&reach, typed(arguments, schema)?).await,
                Question::Logs => logs::answer(&reach, typed(arguments, schema)?).await,
                Question::Events => events::answer(&reach, typed(arguments, schema)?).await,
                Question::Rollout => rollout::answer(&reach, typed(arguments, schema)?).await,
                Question::Top => top::answer(&reach, typed(arguments, schema)?).await,
            }
        })
    }
}

fn found(query: impl Into<String>, digest: impl Into<String>, full: impl Into<String>) -> Found {
    Found { source: GROUP.to_owned(), query: query.into(), digest: digest.into(), full: full.into() }
}

#[cfg(test)]
mod tests;
