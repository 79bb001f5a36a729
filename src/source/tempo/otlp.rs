//! OpenTelemetry's JSON of a trace, as both versions of Tempo's API wrap it: resources, scopes and spans in,
//! flat spans out, by their start. Bounded in spans, attributes and characters; fields that are missing are
//! empty, never an error.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{Span, Status, Trace};

/// Most spans of one trace.
const MAX_SPANS: usize = 2_000;
/// Most attributes of one span.
const MAX_ATTRIBUTES: usize = 32;
/// Most exceptions of one span.
const MAX_EXCEPTIONS: usize = 5;
/// Most characters of one value or message.
const MAX_VALUE_CHARS: usize = 512;
/// Attributes of a resource that tell which object in the cluster it is.
const RESOURCE_PREFIX: &str = "k8s.";

#[derive(Deserialize)]
pub(super) struct V2 {
    #[serde(default)]
    pub trace: Resources,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    message: String,
}

impl V2 {
    pub fn partial(&self) -> Option<String> {
        (self.status == "PARTIAL" || self.status == 1).then(|| cut(&self.message))
    }
}

/// Version 1 says `batches`, version 2 `resourceSpans`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Resources {
    #[serde(alias = "batches")]
    resource_spans: Vec<Batch>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    #[serde(default)]
    resource: Resource,
    #[serde(default, alias = "instrumentationLibrarySpans")]
    scope_spans: Vec<Scope>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
struct Scope {
    #[serde(default)]
    spans: Vec<WireSpan>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpan {
    span_id: String,
    parent_span_id: String,
    name: String,
    kind: Value,
    start_time_unix_nano: Number,
    end_time_unix_nano: Number,
    attributes: Vec<Attribute>,
    events: Vec<Event>,
    status: WireStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireStatus {
    code: Value,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Event {
    name: String,
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
pub(super) struct Attribute {
    key: String,
    #[serde(default)]
    value: Value,
}

/// Protobuf's JSON writes large numbers as text.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Number {
    Text(String),
    Plain(u64),
}

impl Default for Number {
    fn default() -> Self {
        Self::Plain(0)
    }
}

impl Number {
    pub fn value(&self) -> u64 {
        match self {
            Self::Text(text) => text.parse().unwrap_or_default(),
            Self::Plain(number) => *number,
        }
    }

    /// None for 0, which stands for unknown.
    pub fn time(&self) -> Option<DateTime<Utc>> {
        let nanos = i64::try_from(self.value()).ok().filter(|nanos| *nanos > 0)?;
        Some(DateTime::from_timestamp_nanos(nanos))
    }
}

impl Resources {
    /// None when it holds no span.
    pub fn read(self, partial: Option<String>, query: String, milliseconds: u64) -> Option<Trace> {
        let mut spans = Vec::new();
        for batch in self.resource_spans {
            let resource = attributes(batch.resource.attributes);
            let all = batch.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(all.map(|span| read(span, &resource)));
        }
        if spans.is_empty() {
            return None;
        }
        // Longer first among those that start together: a parent spans its children.
        spans.sort_by_key(|span| (span.started_at, std::cmp::Reverse(span.nanoseconds)));
        let omitted = spans.len().saturating_sub(MAX_SPANS);
        spans.truncate(MAX_SPANS);
        Some(Trace { spans, omitted, partial, query, milliseconds })
    }
}

fn read(span: WireSpan, resource: &BTreeMap<String, String>) -> Span {
    let mut all = attributes(span.attributes);
    let about_cluster = resource.iter().filter(|(key, _)| key.starts_with(RESOURCE_PREFIX));
    for (key, value) in about_cluster {
        all.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    let exceptions = span.events.into_iter().filter(|event| event.name == "exception");
    Span {
        id: id(&span.span_id),
        parent: Some(id(&span.parent_span_id)).filter(|id| !id.is_empty()),
        service: resource.get("service.name").cloned().unwrap_or_default(),
        namespace: resource.get("k8s.namespace.name").cloned(),
        name: cut(&span.name),
        kind: kind(&span.kind).to_owned(),
        started_at: start.time().unwrap_or_default(),
        nanoseconds: end.value().saturating_sub(start.value()),
        status: status(&span.status.code),
        status_message: cut(&span.status.message),
        attributes: all,
        exceptions: exceptions.take(MAX_EXCEPTIONS).map(exception).collect(),
    }
}

fn exception(event: Event) -> String {
    let told = attributes(event.attributes);
    let part = |key: &str| told.get(key).map(String::as_str).unwrap_or_default();
    match (part("exception.type"), part("exception.message")) {
        (kind, "") => kind.to_owned(),
        ("", message) => message.to_owned(),
        (kind, message) => format!("{kind}: {message}"),
    }
}

fn kind(kind: &Value) -> &'static str {
    let named = |name: &str, number: u64| *kind == *name || *kind == number;
    let kinds = [
        ("SPAN_KIND_INTERNAL", 1, "internal"),
        ("SPAN_KIND_SERVER", 2, "server"),
        ("SPAN_KIND_CLIENT", 3, "client"),
        ("SPAN_KIND_PRODUCER", 4, "producer"),
        ("SPAN_KIND_CONSUMER", 5, "consumer"),
    ];
    kinds.iter().find(|(name, number, _)| named(name, *number)).map_or("", |(_, _, word)| word)
}

fn status(code: &Value) -> Status {
    if *code == "STATUS_CODE_ERROR" || *code == 2 {
        Status::Error
    } else if *code == "STATUS_CODE_OK" || *code == 1 {
        Status::Ok
    } else {
        Status::Unset
    }
}

/// Ids are bytes, which Tempo writes as base64 and others as hexadecimal digits; here always the latter.
fn id(text: &str) -> String {
    if text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return text.to_ascii_lowercase();
    }
    match STANDARD.decode(text) {
        Ok(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(_) => cut(text),
    }
}

/// The first attributes in order of name.
pub(super) fn attributes(attributes: Vec<Attribute>) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        attributes.into_iter().map(|attribute| (cut(&attribute.key), shown(&attribute.value))).collect();
    while all.len() > MAX_ATTRIBUTES {
        all.pop_last();
    }
    all
}

/// `{"stringValue": "a"}` is a; lists and maps stay JSON.
fn shown(value: &Value) -> String {
    let plain = |value: &Value| match value {
        Value::String(text) => cut(text),
        other => cut(&other.to_string()),
    };
    match value.as_object().and_then(|typed| typed.values().next()) {
        Some(inner) => plain(inner),
        None if value.is_null() || value.is_object() => String::new(),
        None => plain(value),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
