//! A collector of OpenTelemetry that keeps what it is sent: spans under `/v1/traces`, log records under `/v1/logs`.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};

/// A request: its path, its headers and its body.
pub type Sent = (String, HeaderMap, Bytes);

#[derive(Clone, Default)]
pub struct Collector {
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Collector {
    /// On a thread of its own, so that it outlives the test that asked for it first.
    pub fn start() -> (Self, String) {
        let collector = Self::default();
        let router = Router::new().fallback(keep).with_state(collector.clone());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        (collector, url)
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    fn to(&self, path: &str) -> Vec<Bytes> {
        self.sent().into_iter().filter(|(to, _, _)| to == path).map(|(_, _, body)| body).collect()
    }

    pub fn spans(&self) -> Vec<Span> {
        let requests =
            self.to("/v1/traces").into_iter().map(|body| ExportTraceServiceRequest::decode(body).unwrap());
        let resources = requests.flat_map(|request| request.resource_spans);
        resources.flat_map(|one| one.scope_spans).flat_map(|one| one.spans).collect()
    }

    /// Each record with the module that said it.
    pub fn records(&self) -> Vec<(String, LogRecord)> {
        let requests =
            self.to("/v1/logs").into_iter().map(|body| ExportLogsServiceRequest::decode(body).unwrap());
        let scopes =
            requests.flat_map(|request| request.resource_logs).flat_map(|resource| resource.scope_logs);
        scopes
            .flat_map(|one| {
                let target = one.scope.unwrap_or_default().name;
                one.log_records.into_iter().map(move |record| (target.clone(), record))
            })
            .collect()
    }

    /// What the records say, one a line, as a log would.
    pub fn text(&self) -> String {
        let lines = self.records().into_iter().map(|(target, record)| {
            let said = plain(record.body.as_ref());
            format!("{target}: {said} {}\n", attributes(&record.attributes))
        });
        lines.collect()
    }
}

async fn keep(State(collector): State<Collector>, uri: Uri, headers: HeaderMap, body: Bytes) {
    collector.sent.lock().unwrap().push((uri.path().to_owned(), headers, body));
}

pub fn plain(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        None => Value::Null,
        Some(Attribute::StringValue(text)) => json!(text),
        Some(Attribute::IntValue(number)) => json!(number),
        Some(Attribute::BoolValue(yes)) => json!(yes),
        Some(Attribute::DoubleValue(number)) => json!(number),
        Some(other) => panic!("{other:?}"),
    }
}

pub fn attributes(pairs: &[KeyValue]) -> Value {
    Value::Object(pairs.iter().map(|one| (one.key.clone(), plain(one.value.as_ref()))).collect())
}
