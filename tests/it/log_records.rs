//! The log as a collector receives it: what stderr says, with the trace that it belongs to, and nothing of the exports
//! themselves.

use std::sync::Arc;

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::{Value, json};

use crate::collector::{Collector, attributes, plain};
use crate::house::fixture;
use crate::model::{ModelServer, Said};
use crate::traces::{SECRETS, Traced, WEBHOOK, model, nowhere, scripted};

fn saying<'r>(records: &'r [(String, LogRecord)], words: &str) -> (&'r str, &'r LogRecord) {
    let said = |record: &LogRecord| plain(record.body.as_ref()).as_str().unwrap_or_default().to_owned();
    let found = records.iter().find(|(_, record)| said(record) == words);
    let (target, record) = found.unwrap_or_else(|| {
        panic!("nobody said {words:?}: {:#?}", records.iter().map(|(_, one)| said(one)).collect::<Vec<_>>())
    });
    (target, record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_receives_the_log_with_the_traces_that_it_belongs_to() {
    let refusing = ModelServer::start(Arc::new(|_, _| Said::Status(401))).await;
    let scripted = ModelServer::start(Arc::new(scripted)).await;
    let (collector, url) = Collector::start();
    let headers = json!({"authorization": "Bearer headerPw77"});
    let otlp = json!({"endpoint": url, "headers": headers, "service_name": "detective", "logs": true});
    let models = [model("first", &refusing), model("second", &scripted)];
    // Everybody speaks, the exporters' clients too.
    let mut traced = Traced::start(&models, otlp, "debug,whodunit=trace").await;
    assert_eq!(traced.program.post(fixture(WEBHOOK)).await, 202);
    assert_eq!(traced.program.post(nowhere()).await, 202);
    traced.done(2).await;
    // The last records may be younger than the interval of exports: they are flushed.
    assert!(traced.program.terminate().await.success());

    let (records, spans) = (collector.records(), collector.spans());
    let (target, ready) = saying(&records, "ready for alerts");
    assert_eq!(
        (target, ready.severity_number, ready.severity_text.as_str()),
        ("whodunit::command", 9, "INFO")
    );
    assert_eq!(attributes(&ready.attributes)["url"], json!(traced.program.url));
    assert!(ready.trace_id.is_empty() && ready.observed_time_unix_nano > 0);
    saying(&records, "stopped");

    let (target, refused) = saying(&records, "a model did not answer");
    assert_eq!(
        (target, refused.severity_number, refused.severity_text.as_str()),
        ("whodunit::llm::ladder", 13, "WARN")
    );
    let said = attributes(&refused.attributes);
    assert_eq!(said["model"], json!("first"));
    let agent = spans.iter().find(|span| span.span_id == refused.span_id).expect("its span is exported");
    assert_eq!((&agent.trace_id, agent.name.as_str()), (&refused.trace_id, "invoke_agent whodunit"));
    let root = spans.iter().find(|span| span.trace_id == agent.trace_id && span.parent_span_id.is_empty());
    let root = attributes(&root.unwrap().attributes);
    for field in ["whodunit.investigation.id", "whodunit.attempt", "whodunit.workload"] {
        assert!(root[field] != Value::Null && said[field] == root[field], "{field}: {said}");
    }
    let (_, ended) = saying(&records, "the agent ended");
    assert_eq!(attributes(&ended.attributes)["steps"], json!(2));

    assert!(records.iter().any(|(target, _)| target.starts_with("sqlx")), "others are heard as well");
    for (target, record) in &records {
        let exporters = ["hyper", "h2", "reqwest", "rustls", "opentelemetry"];
        assert!(!exporters.iter().any(|one| target.starts_with(one)), "{target} is exported: {record:?}");
        assert_eq!(record.event_name, "", "it says where the program was built");
    }
    for (path, headers, body) in collector.sent() {
        assert_eq!(headers["authorization"], "Bearer headerPw77", "{path}");
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("detective") && text.contains("service.version"), "{text}");
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} was exported to {path}");
        }
    }
}
