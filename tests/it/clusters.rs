//! Two clusters at once: each investigated from its own sources, the logs of one in the other's Loki, and nothing asked
//! of a cluster that an alert is not about. The second cluster is the recorded one with other words in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use whodunit::demo::backends::{Backend, BackendStandIn};
use whodunit::demo::{KubernetesStandIn, Recording};
use whodunit::settings::{self, Settings};

use crate::house::{self, House, HouseOptions};
use crate::model::{ModelServer, Said, call, case_file, conclusion, quotable, told};

/// What the second cluster says where the recorded one says something else.
const WESTERN: [(&str, &str); 3] = [
    ("db-credentials", "ledger-secret"),
    ("database unreachable", "ledger unreachable"),
    ("Starting gateway", "Starting westgate"),
];

fn western() -> Recording {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recording");
    let copy = tempfile::tempdir().unwrap();
    rewrite(&folder, copy.path());
    Recording::open(copy.path()).unwrap()
}

fn rewrite(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            rewrite(&path, &copy);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8(bytes.clone())
            .ok()
            .map(|text| WESTERN.iter().fold(text, |text, (old, new)| text.replace(old, new)));
        std::fs::write(copy, text.map_or(bytes, String::into_bytes)).unwrap();
    }
}

/// A Loki or Prometheus that holds the data of both clusters: which one is meant stands in the query's labels. Who names
/// none would see both.
struct Shared {
    http: reqwest::Client,
    /// The label `cluster` → who has its data.
    backends: BTreeMap<&'static str, String>,
    /// Each request: the cluster it is bound to ("" for none) and the query.
    seen: Mutex<Vec<(String, String)>>,
}

impl Shared {
    async fn start(east: &Recording, west: &Recording, backend: Backend) -> (Arc<Self>, String) {
        let mut backends = BTreeMap::new();
        for (name, recording) in [("east", east), ("west", west)] {
            let (listener, url) = house::listen().await;
            let stand_in = Arc::new(BackendStandIn::new(recording, backend).unwrap());
            tokio::spawn(stand_in.serve(listener, CancellationToken::new()));
            backends.insert(name, url);
        }
        let shared = Arc::new(Self { http: house::http(), backends, seen: Mutex::default() });
        let (listener, url) = house::listen().await;
        let router = Router::new().fallback(share).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (shared, url)
    }

    /// What was asked since the last time.
    fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn share(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let uri = request.uri();
    let url: reqwest::Url = format!("http://localhost{uri}").parse().unwrap();
    let selects = |key: &str| ["query", "match[]"].contains(&key);
    let queries: Vec<String> =
        url.query_pairs().filter(|(key, _)| selects(key)).map(|(_, value)| value.into_owned()).collect();
    // Bound is who is named in each of a query's selectors.
    let bound = |query: &String| {
        let selectors: Vec<&str> =
            query.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        let names = |name: &&str| selectors.iter().all(|one| one.contains(&format!("cluster=\"{name}\"")));
        let found = shared.backends.keys().copied().find(names);
        found.filter(|_| !selectors.is_empty()).unwrap_or_default()
    };
    let clusters: Vec<&str> = queries.iter().map(bound).collect();
    let cluster = clusters.first().copied().filter(|first| clusters.iter().all(|one| one == first));
    let cluster = cluster.unwrap_or_default();
    shared.seen.lock().unwrap().push((cluster.to_owned(), format!("{} {queries:?}", uri.path())));
    let Some(backend) = shared.backends.get(cluster) else { return StatusCode::BAD_REQUEST.into_response() };
    // The recorded queries are those of a cluster of its own.
    let plain = |value: &str| {
        let label = format!("cluster=\"{cluster}\"");
        value.replace(&format!("{label},"), "").replace(&format!(",{label}"), "").replace(&label, "")
    };
    let pairs: Vec<(String, String)> =
        url.query_pairs().map(|(key, value)| (key.into_owned(), plain(&value))).collect();
    let answer = shared.http.get(format!("{backend}{}", uri.path())).query(&pairs).send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, [("content-type", "application/json")], answer.bytes().await.unwrap()).into_response()
}

/// Two clusters, of which the second keeps its logs and metrics in the first one's.
struct Both {
    house: House,
    west: Arc<KubernetesStandIn>,
    loki: Arc<Shared>,
    prometheus: Arc<Shared>,
    /// Requests to each cluster before any alert came: what we may do there is asked at the start.
    before: (u64, u64),
}

async fn both(models: Vec<settings::Model>, without_builtin: bool, adjust: fn(&mut Settings)) -> Both {
    whodunit::app::install_tls();
    let (east, recording) = (Recording::embedded().unwrap(), western());
    let (west, west_url) = house::serve_kubernetes(&recording, &CancellationToken::new()).await;
    let (loki, loki_url) = Shared::start(east, &recording, Backend::Loki).await;
    let (prometheus, prometheus_url) = Shared::start(east, &recording, Backend::Prometheus).await;
    let with = move |settings: &mut Settings| {
        let east_url = settings.kubernetes.url.take().unwrap();
        settings.kubernetes = settings::Kubernetes { enabled: false, ..Default::default() };
        (settings.prometheus, settings.loki) = Default::default();
        settings.clusters = serde_json::from_value(json!([
            {"name": "east", "kubernetes": {"url": east_url},
             "loki": {"url": loki_url, "selector": {"cluster": "east"}},
             "prometheus": {"url": prometheus_url, "selector": {"cluster": "east"}}},
            {"name": "west", "aliases": ["arn:*:cluster/west"], "kubernetes": {"url": west_url},
             "loki": {"shared_with": "east", "selector": {"cluster": "west"}},
             "prometheus": {"shared_with": "east", "selector": {"cluster": "west"}}},
        ]))
        .unwrap();
        settings.runbooks.without_builtin = without_builtin;
        adjust(settings);
    };
    let options = HouseOptions { models, with: Some(Box::new(with)), ..HouseOptions::default() };
    let house = House::start(options).await;
    let before = (house.kubernetes.requests(), west.requests());
    Both { house, west, loki, prometheus, before }
}

impl Both {
    /// Requests to the API servers of east and west since the start.
    fn requests(&self) -> (u64, u64) {
        (self.house.kubernetes.requests() - self.before.0, self.west.requests() - self.before.1)
    }

    /// As every sender does: what is answered with 503 is sent again.
    async fn send(&self, path: &str, body: String) {
        for _ in 0..10 {
            let (status, answer) = self.house.post(path, body.clone()).await;
            if status != 503 {
                assert_eq!(status, 202, "{answer}");
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
        panic!("it was never taken");
    }

    /// Posts, waits for the end, and returns the investigation of this workload with its report.
    async fn investigate(&self, path: &str, deployment: &str, cluster: Option<&str>, key: &str) -> Value {
        self.send(path, firing(deployment, cluster)).await;
        self.house.settle().await;
        let (_, list) = self.house.get("/api/v1/investigations?limit=50").await;
        let items = list["items"].as_array().unwrap();
        let of =
            items.iter().find(|item| item["workload"] == key).unwrap_or_else(|| panic!("no {key}: {list}"));
        self.house.get(&format!("/api/v1/investigations/{}", of["id"].as_str().unwrap())).await.1
    }

    /// Everything that was asked of the shared sources since the last time was bound to this cluster.
    fn only(&self, cluster: &str) {
        for shared in [&self.loki, &self.prometheus] {
            let seen = shared.take();
            // What a metric is stands in no cluster's data.
            let other = |(bound, query): &&(String, String)| {
                bound != cluster
                    && !query.starts_with("/api/v1/rules")
                    && !query.starts_with("/api/v1/metadata")
            };
            let others: Vec<_> = seen.iter().filter(other).collect();
            assert!(others.is_empty(), "asked while {cluster} was looked at: {others:#?}");
        }
    }
}

fn firing(deployment: &str, cluster: Option<&str>) -> String {
    let mut labels = json!({"alertname": "KubeDeploymentReplicasMismatch", "severity": "warning",
                            "namespace": "prod-api", "deployment": deployment});
    if let Some(cluster) = cluster {
        labels["cluster"] = json!(cluster);
    }
    let alert = json!({"status": "firing", "startsAt": "2026-11-21T07:03:19.889Z", "endsAt": "0001-01-01T00:00:00Z",
                       "generatorURL": "", "labels": labels, "annotations": {}});
    json!({"version": "4", "groupKey": "g", "truncatedAlerts": 0, "status": "firing", "receiver": "r",
           "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": [alert]})
    .to_string()
}

const POST: &str = "/webhooks/alertmanager";

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_are_served_at_once_each_from_its_own_sources() {
    let both = both(Vec::new(), false, |_| {}).await;
    // By its label, under another name of it.
    let alias = Some("arn:aws:eks:eu-west-1:1:cluster/west");
    let west = both.investigate(POST, "user-service", alias, "west/prod-api/Deployment/user-service").await;
    let (eastern, western) = both.requests();
    assert_eq!(eastern, 0, "{:?}", both.house.kubernetes.asked());
    assert!(western > 0);
    both.only("west");
    // By the path that it was sent to: the same labels, and another alert.
    let path = format!("{POST}/east");
    let east = both.investigate(&path, "user-service", None, "east/prod-api/Deployment/user-service").await;
    assert_eq!(both.requests().1, western, "{:?}", both.west.asked());
    assert!(both.requests().0 > 0);
    both.only("east");
    for (told, own, other) in
        [(&west, "ledger-secret", "db-credentials"), (&east, "db-credentials", "ledger-secret")]
    {
        let report = &told["report"];
        assert_eq!(
            (&report["outcome"], &report["cause"]["id"]),
            (&json!("known_pattern"), &json!("secret-missing"))
        );
        let text = told.to_string();
        assert!(text.contains(own) && !text.contains(other), "{text}");
        assert!(report["evidence"].as_array().unwrap().iter().all(|one| one["verified"] == true), "{report}");
    }
    // The same labels once more, from the other cluster: another alert.
    both.send(&format!("{POST}/west"), firing("user-service", None)).await;
    let stored = "select count(*) from alerts where incident_id is not null and repeats = 0";
    assert_eq!(
        (both.house.count("select count(*) from incidents").await, both.house.count(stored).await),
        (2, 3)
    );
    let (_, ready) = both.house.get("/readyz").await;
    assert_eq!(ready["clusters"]["west"]["kubernetes"], "answers", "{ready}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_reads_the_logs_of_its_cluster_in_the_others_loki_and_of_no_other() {
    let server = ModelServer::start(Arc::new(|_, request| {
        if told(request).is_empty() {
            return Said::Calls(vec![
                call("loki_query", &json!({"namespace": "prod-api"})),
                call("loki_labels", &json!({"label": "pod"})),
                call(
                    "prometheus_query",
                    &json!({"query": "sum(up) / count(kube_pod_info{cluster=\"east\"})"}),
                ),
                call(
                    "prometheus_query",
                    &json!({"query": "max_over_time(up{cluster!=\"west\"}[5m:1m]) or up"}),
                ),
                call("prometheus_metrics", &json!({"metric": "up"})),
            ]);
        }
        let (id, quote) = quotable(case_file(request));
        Said::Calls(vec![call("conclude", &conclusion(&id, &quote))])
    }))
    .await;
    let both = both(vec![server.settings()], true, |_| {}).await;
    for (cluster, own, other) in
        [("west", "westgate", "Starting gateway"), ("east", "Starting gateway", "westgate")]
    {
        let before = server.asked().len();
        let key = format!("{cluster}/prod-api/Deployment/api-gateway");
        let one = both.investigate(POST, "api-gateway", Some(cluster), &key).await;
        assert_eq!(one["report"]["outcome"], "root_cause", "{one}");
        let seen = both.loki.seen.lock().unwrap().len();
        assert!(seen >= 2 && !both.prometheus.seen.lock().unwrap().is_empty(), "{seen} requests");
        both.only(cluster);
        let asked = server.asked();
        let logs = told(&asked[before + 1])[0].1;
        assert!(logs.contains(own), "{logs}");
        let everything = format!("{one}{:?}", &asked[before..]);
        assert!(!everything.contains(other), "{everything}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_of_a_cluster_that_nobody_knows_is_looked_at_with_nobodys_sources() {
    let both = both(Vec::new(), false, |_| {}).await;
    let north =
        both.investigate(POST, "user-service", Some("north"), "north/prod-api/Deployment/user-service").await;
    let nameless = both.investigate(POST, "user-service", None, "/prod-api/Deployment/user-service").await;
    for (told, named) in [(&north, "the cluster north"), (&nameless, "the cluster without a name")] {
        let report = &told["report"];
        assert_eq!(report["outcome"], "inconclusive", "{report}");
        let gap = &report["gaps"][0];
        assert!(gap["source"] == "cluster" && gap["what"].as_str().unwrap().ends_with(named), "{report}");
    }
    assert_eq!(both.requests(), (0, 0));
    assert!(both.loki.take().is_empty() && both.prometheus.take().is_empty());
    // What can be no name is refused for good: no database would take it.
    let (status, problem) = both.house.post(&format!("{POST}/a%00b"), firing("user-service", None)).await;
    assert_eq!(status, 400, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_does_not_answer_costs_its_own_investigations_only() {
    let both = both(Vec::new(), false, |settings| {
        settings.worker.concurrency = 2;
        // Nothing listens there, and one that takes connections and says nothing.
        let west = settings.clusters[1].kubernetes.as_mut().unwrap();
        west.timeout_secs = 3;
    })
    .await;
    both.west.faults().inject("/", whodunit::demo::Fault::Hang);
    let began = std::time::Instant::now();
    for deployment in ["user-service", "api-gateway", "auth-service", "payment-service", "analytics-service"]
    {
        both.send(POST, firing(deployment, Some("west"))).await;
    }
    both.send(POST, firing("user-service", Some("east"))).await;
    let east = loop {
        let found: Option<(Value, f64)> = sqlx::query_as(
            "select report, extract(epoch from finished_at - created_at)::float8 from investigations
             where cluster = 'east' and state = 'done'",
        )
        .fetch_optional(&both.house.pool)
        .await
        .unwrap();
        if let Some(found) = found {
            break found;
        }
        if began.elapsed() > house::PATIENCE {
            let rows = both.house.rows().await;
            let of: Vec<&String> = rows.iter().filter(|row| row.starts_with("investigations")).collect();
            panic!("east waits for west: {of:#?}");
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(east.0["cause"]["id"], "secret-missing", "{}", east.0);
    let unfinished =
        "select count(*) from investigations where cluster = 'west' and state in ('queued', 'running')";
    assert!(both.house.count(unfinished).await >= 1, "east was served while west still waits: {} s", east.1);
    both.house.settle().await;
    let reports: Vec<Value> = sqlx::query_scalar("select report from investigations where cluster = 'west'")
        .fetch_all(&both.house.pool)
        .await
        .unwrap();
    assert_eq!(reports.len(), 5);
    for report in &reports {
        assert_eq!(report["outcome"], "inconclusive");
        assert!(
            report["gaps"].as_array().unwrap().iter().any(|gap| gap["source"] == "kubernetes"),
            "{report}"
        );
    }
    let (status, ready) = both.house.get("/readyz").await;
    assert_eq!((status, &ready["ready"]), (200, &json!(true)), "one cluster away is no reason to be unready");
    assert_eq!(ready["clusters"]["west"]["kubernetes"], "gives no answer", "{ready}");
    assert_eq!(ready["clusters"]["east"]["kubernetes"], "answers", "{ready}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_stands_for_its_cluster_whatever_the_alert_says() {
    let both = both(Vec::new(), false, |settings| {
        let token =
            |token: &str| settings::Credentials { bearer_tokens: vec![token.into()], ..Default::default() };
        settings.webhooks.clusters = BTreeMap::from([("west".to_owned(), token("of-west"))]);
    })
    .await;
    let send = |token: &'static str, cluster: Option<&'static str>| {
        let request = both.house.http.post(format!("{}{POST}/east", both.house.base_url)).bearer_auth(token);
        let request =
            request.header("content-type", "application/json").body(firing("user-service", cluster));
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!((send("wrong", None).await, both.house.post(POST, firing("a", None)).await.0), (401, 401));
    assert_eq!(send("of-west", Some("east")).await, 202);
    both.house.settle().await;
    let workloads: Vec<String> =
        sqlx::query_scalar("select workload from incidents").fetch_all(&both.house.pool).await.unwrap();
    assert_eq!(workloads, ["west/prod-api/Deployment/user-service"]);
    assert_eq!(both.requests().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_investigates_the_cluster_that_it_is_told() {
    whodunit::app::install_tls();
    let (_, url) = house::serve_kubernetes(&western(), &CancellationToken::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("whodunit.yaml");
    let settings =
        format!("kubernetes: {{enabled: false}}\nclusters: [{{name: west, kubernetes: {{url: '{url}'}}}}]\n");
    std::fs::write(&file, settings).unwrap();
    let run = |cluster: &'static str| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_whodunit"));
        command.args(["investigate", "--workload", "prod-api/Deployment/user-service", "--cluster", cluster]);
        command.arg("--config").arg(&file);
        async move {
            let output = command.output().await.unwrap();
            (
                output.status.success(),
                String::from_utf8_lossy(&output.stdout).into_owned()
                    + &String::from_utf8_lossy(&output.stderr),
            )
        }
    };
    let (ok, told) = run("west").await;
    assert!(ok && told.contains("ledger-secret"), "{told}");
    let (ok, told) = run("east").await;
    assert!(!ok && told.contains("no cluster has this name; there are `west`"), "{told}");
}
