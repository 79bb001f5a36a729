//! MCP servers that offer, answer, break and hang: what is taken of them, and within which time.

use std::sync::Mutex;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::*;

/// A server of MCP: what it lists, what its tools answer, and what it was asked.
#[derive(Clone)]
struct Scripted {
    tools: Value,
    /// Answers calls as a stream of events, as most servers do.
    streams: bool,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Scripted {
    fn methods(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(method, _)| method.clone()).collect()
    }

    async fn start(tools: Value, streams: bool) -> (Self, String) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let scripted = Self { tools, streams, seen: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let app = Router::new().fallback(receive).with_state(scripted.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (scripted, url)
    }

    async fn answer(&self, method: &str, message: &Value) -> Value {
        match method {
            "initialize" => json!({
                "protocolVersion": message.pointer("/params/protocolVersion").unwrap(),
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "scripted", "version": "1"},
            }),
            "tools/list" => json!({"tools": self.tools}),
            _ => match message.pointer("/params/name").and_then(Value::as_str).unwrap() {
                "search" => json!({"content": [
                    {"type": "text", "text": message.pointer("/params/arguments").unwrap().to_string()},
                    {"type": "image", "data": "AAAA", "mimeType": "image/png"},
                ]}),
                "structured" => json!({"content": [], "structuredContent": {"up": 1}}),
                "broken" => json!({"content": [{"type": "text", "text": "no such board"}], "isError": true}),
                "huge" => json!({"content": [{"type": "text", "text": "x".repeat(MAX_ANSWER_BYTES + 1)}]}),
                _ => std::future::pending().await,
            },
        }
    }
}

async fn receive(State(scripted): State<Scripted>, request: Request) -> Response {
    if request.headers().get("authorization").is_none_or(|value| value != "Bearer hush") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let method = request.method().clone();
    if method == Method::GET {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let asked = message["method"].as_str().unwrap_or(method.as_str()).to_owned();
    scripted.seen.lock().unwrap().push((asked.clone(), message.clone()));
    if message["id"].is_null() {
        return StatusCode::ACCEPTED.into_response();
    }
    let result = scripted.answer(&asked, &message).await;
    let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
    let session = ("mcp-session-id", "one");
    if scripted.streams {
        let body = format!("event: message\ndata: {answer}\n\n");
        ([("content-type", "text/event-stream"), session], body).into_response()
    } else {
        ([("content-type", "application/json"), session], answer).into_response()
    }
}

fn tool(name: &str, annotations: &Value) -> Value {
    json!({"name": name, "description": "Looks.", "annotations": annotations,
        "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}}})
}

fn readers() -> Value {
    let read_only = json!({"readOnlyHint": true});
    let names = ["search", "structured", "broken", "huge", "silent"];
    let mut tools: Vec<Value> = names.iter().map(|name| tool(name, &read_only)).collect();
    tools.push(tool("delete", &json!({"readOnlyHint": false})));
    tools.push(tool("unmarked", &Value::Null));
    tools.push(tool("not.listed", &read_only));
    tools.into()
}

fn settings(url: &str, more: &str) -> McpServer {
    serde_saphyr::from_str(&format!("name: grafana\nurl: \"{url}\"\ntoken: hush\ntimeout_secs: 2\n{more}"))
        .unwrap()
}

fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

fn bounds() -> Bounds {
    let at = "2026-11-21T07:00:00Z".parse().unwrap();
    let workload = crate::workload::Workload::new("lab", "shop", "Deployment", "checkout");
    Bounds {
        workload,
        namespaces: Vec::new(),
        own_pods_only: false,
        nothing_shared: false,
        onset: at,
        now: at,
    }
}

#[tokio::test]
async fn only_listed_read_only_tools_are_offered() {
    let (_scripted, url) = Scripted::start(readers(), false).await;
    let listed = "tools: [search, delete, unmarked, gone]";
    let offer = connect(&settings(&url, listed), &http()).await.unwrap();
    let names: Vec<&str> = offer.tools.iter().map(|tool| tool.schema().name.as_str()).collect();
    assert_eq!(names, ["grafana_search"]);
    assert_eq!(offer.tools[0].group(), "mcp:grafana");
    assert_eq!(offer.tools[0].schema().parameters["properties"]["query"]["type"], "string");
    assert_eq!(
        offer.problems,
        [
            "MCP server grafana: the tool \"delete\" is not marked as read-only",
            "MCP server grafana: the tool \"gone\" does not exist",
            "MCP server grafana: the tool \"unmarked\" is not marked as read-only",
        ]
    );
    let more = format!("{listed}\nallow_without_readonly: true");
    let offer = connect(&settings(&url, &more), &http()).await.unwrap();
    let names: Vec<&str> = offer.tools.iter().map(|tool| tool.schema().name.as_str()).collect();
    assert_eq!(names, ["grafana_delete", "grafana_search", "grafana_unmarked"]);
    let offer = connect(&settings(&url, ""), &http()).await.unwrap();
    assert!(offer.tools.is_empty() && offer.problems.is_empty());
}

#[tokio::test]
async fn a_call_is_answered_in_a_session_of_its_own() {
    for streams in [false, true] {
        let (scripted, url) = Scripted::start(readers(), streams).await;
        let offer = connect(&settings(&url, "tools: [search]"), &http()).await.unwrap();
        let asked = scripted.methods().len();
        let found = offer.tools[0].call(&json!({"query": "a"}), &bounds()).await.unwrap();
        assert_eq!(
            (found.source.as_str(), found.query.as_str()),
            ("mcp:grafana", r#"tools/call search {"query":"a"}"#)
        );
        assert_eq!(found.digest, "{\"query\":\"a\"}\n[left out: an image or a sound]");
        assert_eq!(found.full, found.digest);
        let methods = &scripted.methods()[asked..];
        assert_eq!(methods, ["initialize", "notifications/initialized", "tools/call", "DELETE"]);
        // We offer the server nothing that it could ask for.
        let (_, message) = scripted.seen.lock().unwrap()[0].clone();
        assert_eq!(message.pointer("/params/capabilities"), Some(&json!({})));
        assert_eq!(message.pointer("/params/clientInfo/name"), Some(&json!("whodunit")));
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_within_the_deadline() {
    let (_scripted, url) = Scripted::start(readers(), true).await;
    let all = "tools: [structured, broken, huge, silent]";
    let mut settings = settings(&url, all);
    settings.timeout_secs = 1;
    let offer = connect(&settings, &http()).await.unwrap();
    let bounds = bounds();
    let call = async |name: &str| {
        let tool = offer.tools.iter().find(|tool| tool.remote == name).unwrap();
        tool.call(&json!({}), &bounds).await
    };
    assert_eq!(call("structured").await.unwrap().digest, r#"{"up":1}"#);
    assert_eq!(call("broken").await.unwrap_err(), Refusal::Failed("no such board".to_owned()));
    assert!(
        matches!(call("huge").await.unwrap_err(), Refusal::TooMuch(text) if text.contains("at most 262144"))
    );
    let began = Instant::now();
    assert_eq!(call("silent").await.unwrap_err(), Refusal::Timeout(Duration::from_secs(1)));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let wrong = offer.tools[0].call(&json!([1]), &bounds).await;
    assert!(matches!(wrong, Err(Refusal::Arguments(_))));
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_named() {
    let (_scripted, url) = Scripted::start(readers(), false).await;
    let error = async |settings: McpServer| format!("{:#}", connect(&settings, &http()).await.err().unwrap());
    let named = |name: &str| McpServer { name: name.to_owned(), ..settings(&url, "") };
    assert!(error(named("tempo")).await.contains("that of our own tools"));
    assert!(error(named("a b")).await.contains("`name` is 1 to 24"));
    assert!(error(settings("ftp://x", "")).await.contains("`url` is not http(s)"));
    assert!(error(settings("nowhere", "")).await.contains("`url` \"nowhere\""));
    assert!(error(settings("http://127.0.0.1:9/mcp", "")).await.contains("MCP server grafana"));
    let file = McpServer { token: None, token_file: Some("/nowhere/token".into()), ..settings(&url, "") };
    assert!(error(file).await.contains("`token_file` /nowhere/token"));
    let stranger = McpServer { token: None, ..settings(&url, "tools: [search]") };
    assert!(error(stranger).await.contains("MCP server grafana"));
}

#[test]
fn names_and_schemas_are_made_to_fit_or_left_out() {
    let read_only = json!({"readOnlyHint": true});
    let long = "n".repeat(60);
    let mut large = tool("large", &read_only);
    large["inputSchema"]["description"] = "x".repeat(9_000).into();
    let mut list = tool("list", &read_only);
    list["inputSchema"]["type"] = "array".into();
    let mut wordy = tool("wordy", &read_only);
    wordy["description"] = "ü".repeat(5_000).into();
    let offered: Vec<rmcp::model::Tool> = serde_json::from_value(json!([
        tool("a.b", &read_only),
        tool("a/b", &read_only),
        tool(&long, &read_only),
        large,
        list,
        wordy
    ]))
    .unwrap();
    let wanted = format!("tools: [a.b, a/b, {long}, large, list, wordy]");
    let (chosen, problems) = offer::choose(&settings("http://x", &wanted), offered);
    let names: Vec<(&str, &str)> =
        chosen.iter().map(|(schema, remote)| (schema.name.as_str(), remote.as_str())).collect();
    assert_eq!(names, [("grafana_a_b", "a.b"), ("grafana_wordy", "wordy")]);
    assert_eq!(chosen[1].0.description.chars().count(), 1_000);
    for reason in
        ["has the name of another", "name that is too long", "schema that is too large", "take an object"]
    {
        assert!(problems.iter().any(|problem| problem.contains(reason)), "{reason}: {problems:?}");
    }
}
