//! What an agent is taught about the tools over the live systems: titles and descriptions for readers who know neither
//! an investigation nor its words. The schemas stay those of the tools; only words are added. Pure.

use serde_json::Value;

use crate::llm::ToolSchema;

/// A tool in words.
pub struct Lesson {
    pub name: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    /// Arguments by name, where the tool's own schema says nothing of them or speaks of an investigation.
    pub(super) arguments: &'static [(&'static str, &'static str)],
}

const NAMESPACE: (&str, &str) = ("namespace", "needed unless this token reads one namespace only");
const KIND: (&str, &str) =
    ("kind", "as in kubectl: pods, po, deploy, sts, cm, ingress, pvc, node, apps/v1/deployments");
const OBJECT: (&str, &str) =
    ("object", "kind/name, such as deploy/checkout or pod/checkout-66f478c98f-x2nj2");
const SINCE: (&str, &str) = ("since", "30m, 2h, or RFC 3339");
const SELECTOR: (&str, &str) = ("label_selector", "app=checkout,tier!=cache");
const START: (&str, &str) = ("start", "RFC 3339 or now-1h");
const END: (&str, &str) = ("end", "RFC 3339 or now (default)");
const MINUTES: (&str, &str) = ("minutes", "so many minutes back from now; instead of start and end");

pub(super) const ALL: [Lesson; 15] = [
    Lesson {
        name: "kubernetes_get",
        title: "One Kubernetes object",
        description: "Reads one object from the API server, condensed to what matters (kubectl get -o yaml without the \
                      noise). Secrets cannot be read.",
        arguments: &[KIND, ("name", "its name"), NAMESPACE],
    },
    Lesson {
        name: "kubernetes_list",
        title: "List Kubernetes objects",
        description: "Lists objects of a kind as a table, like kubectl get -o wide. What would be too wide for one \
                      answer is refused with counts and a narrower question.",
        arguments: &[
            KIND,
            NAMESPACE,
            SELECTOR,
            ("field_selector", "status.phase!=Running"),
            ("sort_by", "a column such as restarts or age, or a path; -restarts is descending"),
            ("fields", "other columns: paths such as spec.nodeName or spec.containers[*].image"),
            ("limit", "the first so many rows, at most 60"),
        ],
    },
    Lesson {
        name: "kubernetes_describe",
        title: "Describe a Kubernetes object",
        description: "An object with its owners, conditions, pods and events in one answer: the best first look at a \
                      workload.",
        arguments: &[KIND, ("name", "its name"), NAMESPACE],
    },
    Lesson {
        name: "kubernetes_logs",
        title: "Logs of a pod or workload",
        description: "Container logs with repeated lines counted and rare ones kept. Of a workload the troubled pods are \
                      read. previous: true gives the instance before the last restart, which is where a crash stands.",
        arguments: &[
            OBJECT,
            NAMESPACE,
            ("container", "a container's name; without it the troubled one"),
            ("previous", "the instance before the last restart"),
            SINCE,
            ("around", "RFC 3339: only lines near this moment"),
            ("seconds", "with around: so many seconds before and after it"),
            ("grep", "a regular expression that lines must match"),
            ("tail", "only the last so many lines"),
        ],
    },
    Lesson {
        name: "kubernetes_events",
        title: "Kubernetes events",
        description: "Events of an object (of a workload also those of its pods) or of a namespace, Warnings first, \
                      equal ones told once. The API server keeps them for about an hour.",
        arguments: &[OBJECT, NAMESPACE, SINCE],
    },
    Lesson {
        name: "kubernetes_rollout",
        title: "Rollout history",
        description: "Revisions of a Deployment, StatefulSet or DaemonSet, when each came and what it changed.",
        arguments: &[("object", "deploy/checkout, sts/db or ds/agent"), NAMESPACE],
    },
    Lesson {
        name: "kubernetes_top",
        title: "Requests, limits and usage",
        description: "What pods ask for, may use and do use (where a metrics server runs); or the same of nodes, which \
                      only a token that sees all namespaces may ask.",
        arguments: &[("kind", "pods or nodes"), NAMESPACE, SELECTOR],
    },
    Lesson {
        name: "prometheus_query",
        title: "PromQL at one time",
        description: "An instant PromQL query, highest values first. Every selector is narrowed to the namespaces of this \
                      token; name one in each selector (namespace=\"shop\") where the token reads several.",
        arguments: &[("query", "PromQL"), ("time", "RFC 3339, now (default) or now-15m")],
    },
    Lesson {
        name: "prometheus_range",
        title: "PromQL over a window",
        description: "A PromQL range query; of each series levels, changes and gaps are told instead of points, the most \
                      moved first. Without a window: the last 30 minutes. Narrowed as prometheus_query is.",
        arguments: &[("query", "PromQL"), MINUTES, START, END, ("step_secs", "seconds between points")],
    },
    Lesson {
        name: "prometheus_metrics",
        title: "Find metrics and labels",
        description: "Names of metrics that match; or, with metric, its labels; or, with metric and label, the label's \
                      values. Use it before writing PromQL over metrics that you do not know.",
        arguments: &[],
    },
    Lesson {
        name: "prometheus_alert_rule",
        title: "An alert's rule",
        description: "An alerting rule by its alert's name: expression, duration, labels, who fires now, and the recent \
                      value of what it compares.",
        arguments: &[("alert", "the alert's name, such as KubePodCrashLooping")],
    },
    Lesson {
        name: "loki_query",
        title: "Search logs in Loki",
        description: "Log lines from Loki by typed filters (no LogQL), repeated lines counted. Also of pods that are gone. \
                      Without a window: the last 30 minutes.",
        arguments: &[
            NAMESPACE,
            ("pod", "a pod's name, or its beginning and *"),
            ("container", "a container's name"),
            ("labels", "further labels of streams: {\"app\": \"checkout\"}"),
            ("contains", "texts that lines have, all of them"),
            ("without", "texts that lines have none of"),
            ("regex", "an expression that lines match"),
            MINUTES,
            START,
            END,
            ("limit", "lines that are read"),
            ("oldest_first", "from the beginning of the window"),
        ],
    },
    Lesson {
        name: "loki_labels",
        title: "Labels of log streams",
        description: "Names of labels in Loki, or with label its values, among the streams that this token reads.",
        arguments: &[("label", "a label's name")],
    },
    Lesson {
        name: "tempo_search",
        title: "Search traces",
        description: "Traces by service, span, failure or duration. Without a window: the last 30 minutes.",
        arguments: &[
            MINUTES,
            START,
            END,
            ("service", "service.name"),
            ("failed", "only traces with a failed span"),
            ("slower_than_ms", "only traces with a span slower than this"),
            ("limit", "at most 30"),
        ],
    },
    Lesson {
        name: "tempo_trace",
        title: "One trace",
        description: "One trace as a tree of its failing and slowest spans. Of spans outside of this token's namespaces \
                      only duration and failure are told.",
        arguments: &[("id", "as tempo_search tells it")],
    },
];

pub fn of(tool: &str) -> Option<&'static Lesson> {
    ALL.iter().find(|lesson| lesson.name == tool)
}

/// The tool's own schema, with our words for its arguments.
pub fn taught(schema: &ToolSchema) -> Value {
    let mut parameters = schema.parameters.clone();
    for (argument, words) in of(&schema.name).map_or(&[][..], |lesson| lesson.arguments) {
        if let Some(property) = parameters["properties"].get_mut(argument).and_then(Value::as_object_mut) {
            property.insert("description".to_owned(), Value::from(*words));
        }
    }
    parameters
}
