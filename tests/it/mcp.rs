//! Tools of an MCP server inside the service: offered under a runbook that names the server, and nowhere else.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use whodunit::settings::McpServer;

use crate::house::{self, House, HouseOptions, fixture};
use crate::model::{ModelServer, Said, call, conclusion, quotable};

const WEBHOOK: &str = "recording/alertmanager/webhooks/004-firing-PaymentServiceDown-n1.json";
const PAGE: &str = "Payments were moved to another image last week.";

/// A wiki with one page. It keeps the calls of its tool.
#[derive(Clone, Default)]
struct Wiki {
    calls: Arc<Mutex<Vec<Value>>>,
}

impl Wiki {
    async fn start(&self) -> String {
        let (listener, url) = house::listen().await;
        let router = Router::new().fallback(receive).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("{url}/mcp")
    }
}

async fn receive(State(wiki): State<Wiki>, body: axum::body::Bytes) -> Response {
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    if message["id"].is_null() {
        return StatusCode::ACCEPTED.into_response();
    }
    let result = match message["method"].as_str().unwrap() {
        "initialize" => json!({
            "protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
            "serverInfo": {"name": "wiki", "version": "1"},
        }),
        "tools/list" => json!({"tools": [
            {"name": "search", "description": "Finds pages.", "annotations": {"readOnlyHint": true},
             "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}}},
            {"name": "write", "annotations": {"readOnlyHint": false}, "inputSchema": {"type": "object"}},
        ]}),
        _ => {
            wiki.calls.lock().unwrap().push(message["params"].clone());
            json!({"content": [{"type": "text", "text": PAGE}]})
        }
    };
    axum::Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result})).into_response()
}

/// One run under a runbook with these `tools`: what the model was offered, what it was told, what was stored.
async fn run(tools: &str, wiki: &Wiki) -> (Vec<String>, String, i64) {
    let server = ModelServer::start(Arc::new(|number, request| {
        if number == 0 {
            return Said::Calls(vec![call("wiki_search", &json!({"query": "payment-service"}))]);
        }
        let (id, quote) = quotable(request["messages"][1]["content"].as_str().unwrap());
        Said::Calls(vec![call("conclude", &conclusion(&id, &quote))])
    }))
    .await;
    let runbooks = tempfile::tempdir().unwrap();
    let header =
        format!("---\nname: payments\nmatch: {{alerts: [Payment*]}}\ntools: [{tools}]\n---\n# Payments\n");
    std::fs::write(runbooks.path().join("payments.md"), header).unwrap();
    let wiki_server: McpServer = serde_json::from_value(
        json!({"name": "wiki", "url": wiki.start().await, "tools": ["search", "write"]}),
    )
    .unwrap();
    let house = House::start(HouseOptions {
        models: vec![server.settings()],
        agent_seconds: Some(60),
        mcp_servers: vec![wiki_server],
        runbooks: vec![runbooks.path().to_owned()],
        adjust: Some(|settings| settings.runbooks.without_builtin = true),
        ..HouseOptions::default()
    })
    .await;
    assert_eq!(house.post("/webhooks/alertmanager", fixture(WEBHOOK)).await.0, 202);
    house.settle().await;
    let asked = server.asked();
    let offered = asked[0]["tools"].as_array().unwrap().iter();
    let offered = offered.map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect();
    let told = asked[1]["messages"].as_array().unwrap().iter().find(|message| message["role"] == "tool");
    let told = told.unwrap()["content"].as_str().unwrap().to_owned();
    (offered, told, house.count("select count(*) from steps where source = 'mcp:wiki'").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn its_tools_are_offered_and_answer_where_the_runbook_names_the_server() {
    let wiki = Wiki::default();
    let (offered, told, stored) = run("kubernetes, 'mcp:wiki'", &wiki).await;
    assert!(offered.iter().any(|name| name == "wiki_search"), "{offered:?}");
    assert!(!offered.iter().any(|name| name == "wiki_write" || name == "loki_query"), "{offered:?}");
    assert!(told.contains(PAGE), "{told}");
    assert_eq!(stored, 1);
    let calls = wiki.calls.lock().unwrap().clone();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(
        (&calls[0]["name"], &calls[0]["arguments"]["query"]),
        (&json!("search"), &json!("payment-service"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn its_tools_are_neither_offered_nor_called_where_no_runbook_names_it() {
    let wiki = Wiki::default();
    let (offered, told, _) = run("kubernetes", &wiki).await;
    assert!(!offered.iter().any(|name| name.starts_with("wiki")), "{offered:?}");
    assert!(told.contains("the runbook does not allow wiki_search"), "{told}");
    assert!(wiki.calls.lock().unwrap().is_empty());
}
