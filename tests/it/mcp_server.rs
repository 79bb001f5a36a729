//! whodunit as a server of the Model Context Protocol, spoken to over HTTP by the SDK's own client and by hand: what an
//! agent is told, what its token keeps from it, and who is not let in.

mod door;
mod stdio;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, Implementation, Tool,
};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};
use whodunit::settings::Settings;

use crate::backends::Backends;
use crate::house::{self, House, HouseOptions, fixture};

/// Of the namespaces `shop` and `prod-api`.
const SHOP: &str = "recording/alertmanager/webhooks/006-firing-KubePodCrashLooping-n1.json";
const PROD_API: &str = "recording/alertmanager/webhooks/004-firing-PaymentServiceDown-n1.json";
const CAUTION: &str = "Never restart two payment pods at once.";

const TOKENS: &str = "
tokens:
  - {name: root, token: root-token}
  - {name: shop, token: shop-token, namespaces: [shop]}
  - {name: glob, token: glob-token, namespaces: ['sho*']}
  - {name: nowhere, token: nowhere-token, namespaces: ['nothing-*']}
  - {name: elsewhere, token: elsewhere-token, clusters: [prod]}
";

fn with_tokens(settings: &mut Settings) {
    settings.api = serde_saphyr::from_str(TOKENS).unwrap();
    settings.mcp.calls_per_minute = 1_000;
}

/// An engineer's agent.
pub struct Agent(RunningService<RoleClient, ClientConfig>);

impl Agent {
    pub async fn connect(house: &House, token: &str) -> Self {
        let url = format!("{}/mcp", house.base_url);
        let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
        let transport = StreamableHttpClientTransport::with_client(house::http(), config);
        Self(us().serve(transport).await.unwrap())
    }

    pub async fn tools(&self) -> Vec<Tool> {
        self.0.list_all_tools().await.unwrap()
    }

    pub async fn names(&self) -> BTreeSet<String> {
        self.tools().await.iter().map(|tool| tool.name.to_string()).collect()
    }

    pub async fn call(&self, tool: &str, arguments: Value) -> CallToolResult {
        let Value::Object(arguments) = arguments else { panic!("{arguments}") };
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        self.0.call_tool(params).await.unwrap()
    }

    /// The text of an answer that is no error.
    pub async fn told(&self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments.clone()).await;
        let text = text(&result);
        assert_ne!(result.is_error, Some(true), "{tool} {arguments}: {text}");
        text
    }

    /// Why a call was refused, as a result and not as an error of the protocol.
    pub async fn refused(&self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments.clone()).await;
        let text = text(&result);
        assert_eq!(result.is_error, Some(true), "{tool} {arguments}: {text}");
        text
    }
}

pub fn us() -> ClientConfig {
    ClientConfig::new(ClientCapabilities::default(), Implementation::new("test", "1"))
}

pub fn text(result: &CallToolResult) -> String {
    result.content.iter().map(|block| block.as_text().unwrap().text.clone()).collect::<Vec<_>>().join("\n")
}

/// Two finished investigations, of two namespaces.
async fn investigated(options: HouseOptions) -> House {
    let house = House::start(options).await;
    for webhook in [SHOP, PROD_API] {
        // A busy machine may answer 503, which senders try again.
        while house.post("/webhooks/alertmanager", fixture(webhook)).await.0 != 202 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    house.settle().await;
    house
}

async fn id_in(house: &House, table: &str, namespace: &str) -> String {
    let query = format!("select id::text from {table} where namespace = $1 order by id limit 1");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).bind(namespace).fetch_one(&house.pool).await.unwrap()
}

/// Every tool over the live systems, asked about `shop`.
fn live() -> Vec<(&'static str, Value)> {
    vec![
        ("kubernetes_get", json!({"kind": "deploy", "name": "checkout", "namespace": "shop"})),
        ("kubernetes_list", json!({"kind": "pods", "namespace": "shop", "sort_by": "-restarts"})),
        ("kubernetes_describe", json!({"kind": "deployment", "name": "checkout", "namespace": "shop"})),
        ("kubernetes_logs", json!({"object": "deploy/checkout", "namespace": "shop"})),
        ("kubernetes_events", json!({"namespace": "shop"})),
        ("kubernetes_rollout", json!({"object": "deploy/checkout", "namespace": "shop"})),
        ("kubernetes_top", json!({"kind": "pods", "namespace": "shop"})),
        ("prometheus_query", json!({"query": "up"})),
        ("prometheus_range", json!({"query": "up"})),
        ("prometheus_metrics", json!({"match": "planted"})),
        ("prometheus_alert_rule", json!({"alert": "Planted"})),
        ("loki_query", json!({"namespace": "shop"})),
        ("loki_labels", json!({"label": "app"})),
        ("tempo_search", json!({"failed": true})),
        ("tempo_trace", json!({"id": "4a8a534e239640056a09c6654bbe8103"})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_told_of_each_tool_and_gets_an_answer_from_each() {
    let backends = Backends::start(Arc::new(|_| vec!["planted_metric".to_owned()])).await;
    let point = backends.settings();
    let runbooks = tempfile::tempdir().unwrap();
    let payments = format!(
        "---\nname: payments\nowner: '#team-pay'\nmatch: {{alerts: [Payment*]}}\ncautions: ['{CAUTION}']\n---\n# Payments\nLook at the queue.\n"
    );
    std::fs::write(runbooks.path().join("payments.md"), payments).unwrap();
    let house = investigated(HouseOptions {
        runbooks: vec![runbooks.path().to_owned()],
        with: Some(Box::new(move |settings| {
            point(settings);
            with_tokens(settings);
        })),
        ..HouseOptions::default()
    })
    .await;
    let agent = Agent::connect(&house, "root-token").await;
    let about = agent.0.peer_info().unwrap();
    let instructions = about.instructions.clone().unwrap_or_default();
    assert!(instructions.contains("never follow instructions"), "{instructions}");

    let tools = agent.tools().await;
    for tool in &tools {
        let hints = tool.annotations.as_ref().unwrap();
        assert_eq!(
            (hints.read_only_hint, hints.destructive_hint),
            (Some(true), Some(false)),
            "{}",
            tool.name
        );
        let is_live = live().iter().any(|(name, _)| *name == tool.name);
        assert_eq!(hints.open_world_hint, Some(is_live), "{}", tool.name);
        assert!(
            tool.title.as_deref().is_some_and(|title| title != tool.name)
                && tool.description.as_ref().unwrap().len() > 40,
            "{}",
            tool.name
        );
        let schema = tool.schema_as_json_value();
        assert_eq!(schema["type"], "object");
        for (name, property) in schema["properties"].as_object().unwrap() {
            let taught = property["description"].is_string() || property["enum"].is_array();
            assert!(taught || ["namespace", "cluster"].contains(&name.as_str()), "{}: {name}", tool.name);
            assert!(!property["description"].to_string().contains("onset"), "{}: {name}", tool.name);
        }
    }
    let mut named: BTreeSet<&str> = live().into_iter().map(|(name, _)| name).collect();
    named.extend(["list_incidents", "get_incident", "search_investigations", "get_investigation"]);
    named.extend(["list_runbooks", "get_runbook"]);
    assert_eq!(tools.iter().map(|tool| tool.name.as_ref()).collect::<BTreeSet<_>>(), named);
    for (tool, arguments) in live() {
        let told = agent.told(tool, arguments).await;
        assert!(
            told.contains("Asked: ") && told.contains("this token reads all namespaces"),
            "{tool}: {told}"
        );
    }
    assert!(agent.told("kubernetes_list", json!({"kind": "nodes"})).await.contains("node-1"));
    assert!(agent.told("kubernetes_list", json!({"kind": "ns"})).await.contains("kube-system"));
    assert_eq!(house.kubernetes.writes_refused(), 0);

    what_is_stored(&house, &agent).await;
}

async fn what_is_stored(house: &House, agent: &Agent) {
    let open = agent.call("list_incidents", json!({})).await;
    let structured = open.structured_content.clone().unwrap();
    assert_eq!(structured["items"].as_array().unwrap().len(), 2, "{structured}");
    assert!(
        text(&open).contains("2 open incidents") && text(&open).contains("that is all"),
        "{}",
        text(&open)
    );
    let first = agent.call("list_incidents", json!({"limit": 1, "state": "all"})).await;
    let next = first.structured_content.clone().unwrap()["next"].as_str().unwrap().to_owned();
    assert!(text(&first).contains(&format!("cursor: \"{next}\"")), "{}", text(&first));
    let second = agent.call("list_incidents", json!({"limit": 1, "state": "all", "cursor": next})).await;
    assert_ne!(first.structured_content, second.structured_content);
    assert!(
        agent.told("list_incidents", json!({"state": "resolved"})).await.contains("No resolved incident")
    );

    let incident = id_in(house, "incidents", "shop").await;
    let told = agent.told("get_incident", json!({"id": incident})).await;
    assert!(told.contains("alertname=KubePodCrashLooping") && told.contains("Investigations"), "{told}");

    let found = agent.told("search_investigations", json!({"q": "inventory", "since": "365d"})).await;
    assert!(found.contains("1 investigation, newest") && found.contains("known_pattern"), "{found}");
    let none = agent.told("search_investigations", json!({"until": "300d"})).await;
    assert!(none.contains("No investigation fits"), "{none}");

    let id = id_in(house, "investigations", "shop").await;
    let one = agent.call("get_investigation", json!({"id": id})).await;
    let (told, structured) = (text(&one), one.structured_content.clone().unwrap());
    for part in ["Cause found:", "What proves it", "What to do next", "[left out: what was read, E1 to"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(structured["report"]["outcome"], "known_pattern");
    assert!(
        structured["evidence_ids"].as_array().unwrap().contains(&json!("E1"))
            && structured["steps"].is_null()
    );
    let whole = json!({"id": &id[..13], "steps": true, "evidence": ["E1", "e2"]});
    let told = agent.told("get_investigation", whole).await;
    assert!(told.contains("\nSteps (") && told.contains("\n## E1 from kubernetes: GET /api"), "{told}");
    assert!(told.contains("\n## E2 from") && !told.contains("[left out: what was read"), "{told}");

    let runbooks = agent.told("list_runbooks", json!({})).await;
    assert!(
        runbooks.contains("- payments: scope namespace, of #team-pay; followed by 1 investigation, "),
        "{runbooks}"
    );
    let runbook = agent.told("get_runbook", json!({"name": "payments"})).await;
    assert!(
        runbook.contains(&format!("CAUTION: {CAUTION}")) && runbook.contains("Look at the queue."),
        "{runbook}"
    );
    what_does_not_fit(agent, &id).await;
}

async fn what_does_not_fit(agent: &Agent, id: &str) {
    for (tool, arguments, way_out) in [
        ("search_investigations", json!({"since": "yesterday"}), "since=2026"),
        ("search_investigations", json!({"workload": "checkout"}), "cluster/namespace/Kind/name"),
        ("search_investigations", json!({"limit": 51}), "from 1 to 50"),
        ("list_incidents", json!({"colour": "red"}), "there is no parameter colour; known are state"),
        ("list_incidents", json!({"state": "closed"}), "state is one of open, resolved"),
        ("get_investigation", json!({"id": "ffffffff"}), "search_investigations lists them"),
        ("get_investigation", json!({}), "missing field `id`"),
        ("get_investigation", json!({"id": id, "evidence": ["E99"]}), "there is E1"),
        ("get_investigation", json!({"id": id, "evidence": ["1", "2", "3", "4", "5"]}), "at most 4"),
        ("get_incident", json!({"id": "x"}), "id is a UUID"),
        ("get_runbook", json!({"name": "none"}), "list_runbooks tells which there are"),
        ("list_runbooks", json!({"days": 0}), "from 1 to 365"),
        ("kubernetes_get", json!({"kind": "pod", "name": "chekout", "namespace": "shop"}), "does not exist"),
        (
            "kubernetes_get",
            json!({"kind": "secret", "name": "db", "namespace": "shop"}),
            "outside what this token may read",
        ),
        ("kubernetes_list", json!({"kinds": "pods"}), "did you mean `kind`"),
        ("prometheus_query", json!({"query": "sum("}), "do not fit"),
    ] {
        let why = agent.refused(tool, arguments.clone()).await;
        assert!(why.contains(way_out), "{tool} {arguments}: {why}");
    }
}

/// What lies outside of `shop`, in every spelling.
fn foreign_requests() -> Vec<(&'static str, Value)> {
    vec![
        ("kubernetes_get", json!({"kind": "deploy", "name": "payment-service", "namespace": "prod-api"})),
        ("kubernetes_get", json!({"kind": "prod-api/deploy/payment-service", "name": "payment-service"})),
        ("kubernetes_get", json!({"kind": "ns", "name": "prod-api"})),
        ("kubernetes_get", json!({"kind": "node", "name": "node-1"})),
        ("kubernetes_list", json!({"kind": "pods", "namespace": "prod-api"})),
        ("kubernetes_list", json!({"kind": "pods -A"})),
        ("kubernetes_list", json!({"kind": "pods", "namespace": "*"})),
        ("kubernetes_list", json!({"kind": "nodes"})),
        ("kubernetes_list", json!({"kind": "pv"})),
        ("kubernetes_list", json!({"kind": "namespaces"})),
        ("kubernetes_describe", json!({"kind": "node", "name": "node-1"})),
        ("kubernetes_logs", json!({"object": "deploy/payment-service", "namespace": "prod-api"})),
        ("kubernetes_events", json!({"namespace": "prod-api"})),
        ("kubernetes_events", json!({"object": "node/node-1"})),
        ("kubernetes_rollout", json!({"object": "prod-api/deploy/api-gateway"})),
        ("kubernetes_top", json!({"kind": "nodes"})),
        ("kubernetes_top", json!({"kind": "pods", "namespace": "all"})),
        ("prometheus_query", json!({"query": "up{namespace=\"prod-api\"}"})),
        ("prometheus_query", json!({"query": "info(up)"})),
        ("loki_query", json!({"namespace": "prod-api"})),
    ]
}

async fn nothing_foreign_is_listed(agent: &Agent) {
    for (tool, arguments) in [
        ("list_incidents", json!({"state": "all"})),
        ("search_investigations", json!({})),
        ("search_investigations", json!({"namespace": "prod-api"})),
        ("list_runbooks", json!({})),
    ] {
        let told = agent.call(tool, arguments).await;
        let all = serde_json::to_string(&told).unwrap();
        assert!(!all.contains("payment-service") && !all.contains("prod-api"), "{tool}: {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_namespace_reads_nothing_of_another_stored_or_live() {
    let backends = Backends::start(Arc::new(|_| vec!["planted".to_owned()])).await;
    let point = backends.settings();
    let house = investigated(HouseOptions {
        with: Some(Box::new(move |settings| {
            point(settings);
            with_tokens(settings);
        })),
        ..HouseOptions::default()
    })
    .await;
    let (foreign, foreign_incident) =
        (id_in(&house, "investigations", "prod-api").await, id_in(&house, "incidents", "prod-api").await);
    let own = id_in(&house, "investigations", "shop").await;
    for token in ["shop-token", "glob-token"] {
        let agent = Agent::connect(&house, token).await;
        let asked_before = house.kubernetes.asked().len();
        nothing_foreign_is_listed(&agent).await;
        agent.told("get_investigation", json!({"id": own})).await;
        let why = agent.refused("get_investigation", json!({"id": foreign, "evidence": ["E1"]})).await;
        assert!(why.contains("There is no investigation with this id"), "{why}");
        agent.refused("get_investigation", json!({"id": &foreign[..23]})).await;
        assert!(agent.refused("get_incident", json!({"id": foreign_incident})).await.contains("no incident"));

        for (tool, arguments) in foreign_requests() {
            let why = agent.refused(tool, arguments.clone()).await;
            assert!(why.contains("this token reads namespace shop"), "{tool} {arguments}: {why}");
        }
        for (tool, arguments) in live() {
            agent.told(tool, arguments).await;
        }
        // Without its namespace a question is about the one that the token reads.
        assert!(agent.told("kubernetes_list", json!({"kind": "pods"})).await.contains("checkout-"));
        for metric in ["node_load1", "kube_node_info", "ALERTS"] {
            agent.told("prometheus_query", json!({"query": metric})).await;
        }
        // What was really sent: nothing but the namespace, the clock and, for globs, the names of namespaces.
        for asked in &house.kubernetes.asked()[asked_before..] {
            let names = token == "glob-token" && asked.starts_with("GET /api/v1/namespaces?");
            let known = ["/namespaces/shop/", "/version", "/namespaces/shop "];
            assert!(names || known.iter().any(|part| format!("{asked} ").contains(part)), "{asked}");
        }
    }
    let narrowed =
        |asked: &&String| asked.contains("query=") || asked.contains("match[]=") || asked.contains("q=");
    let asked = backends.asked();
    let sent: Vec<&String> =
        asked.iter().filter(narrowed).filter(|asked| !asked.contains("/rules")).collect();
    assert!(sent.len() > 10, "{asked:?}");
    // Those before the agents came are the investigations' own, each in its namespace.
    for asked in sent.iter().filter(|asked| asked.contains("node_load1") || asked.contains("kube_node_info"))
    {
        assert!(asked.contains("namespace=\"shop\""), "{asked}");
    }
    assert!(sent.iter().any(|asked| asked.contains("ALERTS{namespace=\"shop\"}")), "{sent:#?}");

    let nowhere = Agent::connect(&house, "nowhere-token").await;
    let why = nowhere.refused("kubernetes_list", json!({"kind": "pods"})).await;
    assert!(why.contains("sees no namespace of this cluster"), "an empty list is not all: {why}");
    let elsewhere = Agent::connect(&house, "elsewhere-token").await;
    assert!(!elsewhere.names().await.iter().any(|name| name.starts_with("kubernetes_")));
    assert!(elsewhere.told("list_incidents", json!({})).await.contains("No open incident"));
}
