//! No secret gets out: secrets of every kind are planted wherever a cluster and its alerts can hold them, the
//! whole house runs over them, and none is found in Slack, in any row, in any answer, in the log or in the records of it that a collector is sent.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};
use whodunit::settings::{Log, Otlp};
use whodunit::telemetry::Exports;

use crate::collector::Collector;
use crate::copy::{Copy, items};
use crate::house::{House, HouseOptions, PATIENCE, fixture, recorded_webhooks};

/// Every log line of this process, from whichever test.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What a collector was sent of the log, which is all that was said until now.
pub async fn exported() -> String {
    log();
    let (collector, _) = collector();
    let last = format!("all until {}", uuid::Uuid::now_v7());
    tracing::info!("{last}");
    let until = Instant::now() + PATIENCE;
    loop {
        let text = collector.text();
        if text.contains(&last) {
            return text;
        }
        assert!(Instant::now() < until, "the records do not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn collector() -> &'static (Collector, Exports) {
    static COLLECTOR: OnceLock<(Collector, Exports)> = OnceLock::new();
    COLLECTOR.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (collector, url) = Collector::start();
        (collector, Exports::new(&Otlp { endpoint: Some(url), logs: true, ..Otlp::default() }).unwrap())
    })
}

/// Begins to capture, and tells what was captured so far.
pub fn log() -> String {
    static LOG: OnceLock<Captured> = OnceLock::new();
    let captured = LOG.get_or_init(|| {
        let captured = Captured::default();
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(captured.clone());
        // Fields of spans as well, whether or not anything is said within them.
        let lines = lines.with_span_events(FmtSpan::NEW | FmtSpan::CLOSE);
        let filter = "info,whodunit=trace,kube=debug,reqwest=debug".to_owned();
        let lines = lines.with_filter(EnvFilter::new(&filter));
        let exported = collector().1.layers(&Log { filter, json: false }).unwrap();
        tracing_subscriber::registry().with(exported).with(lines).init();
        captured
    });
    String::from_utf8_lossy(&captured.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

/// Secrets, each told by a tag beside it: a tag that is stored shows that its secret was really read.
#[derive(Default)]
pub struct Plants {
    pub secrets: Vec<(String, String)>,
}

impl Plants {
    /// The text for `template`, whose `{}` becomes the secret, behind its tag.
    pub fn plant(&mut self, template: &str, secret: &str) -> String {
        let tag = format!("canary{:02}", self.secrets.len());
        self.secrets.push((tag.clone(), secret.to_owned()));
        format!("{tag} {}", template.replace("{}", secret))
    }

    /// A value that is nothing but a secret, or has no room for a tag.
    pub fn bare(&mut self, secret: &str) -> String {
        self.secrets.push((String::new(), secret.to_owned()));
        secret.to_owned()
    }

    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(|(tag, _)| tag.as_str()).filter(|tag| !tag.is_empty())
    }
}

/// 32 characters that are different for each seed and look chosen by nobody.
pub fn random(seed: usize) -> String {
    let alphabet = b"ABCDEFGHIJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    let chars = (0..29).map(|at| {
        char::from(alphabet[(seed * 31 + seed / 58 * (at + 1) * 3 + at * at * 7 + at * 13) % alphabet.len()])
    });
    chars.collect::<String>() + "a9Z"
}

fn key_lines(seed: usize) -> Vec<String> {
    (0..8).map(|line| format!("{}{}", random(seed + line), random(seed + line + 100))).collect()
}

pub fn plant_logs(copy: &Copy, plants: &mut Plants) {
    let jwt = format!(
        "{}.{}.{}",
        concat!("ey", "JhbGciOiJIUzI1NiJ9"),
        concat!("ey", "JzdWIiOiJjYW5hcnkifQ"),
        random(1)
    );
    let github = format!("{}{}", concat!("gh", "p_"), random(2) + "abcd");
    let slack = format!("{}2345678901-{}", concat!("xo", "xb-"), random(3));
    let stripe = format!("{}{}", concat!("sk_", "live_"), random(4));
    let aws = format!("{}{}", concat!("AK", "IA"), "QWERTYUIOPASDFGH");
    let mut lines = vec![
        plants.plant("starting with DB_PASSWORD={}", "hunter-two-5"),
        plants.plant("session {} expired", &jwt),
        plants.plant("cloning with {}", &github),
        plants.plant("posting with {} failed", &slack),
        plants.plant("charging with {} failed", &stripe),
        plants.plant("aws key {} is not known", &aws),
        plants.plant("aws_secret_access_key={}", "wJalrCanaryMI/K7MDENG/bPxRfiCYCANARYKEY"),
        plants.plant("dial postgres://app:{}@db.shop:5432/orders failed", "p0stgresPw"),
        plants.plant("GET https://admin:{}@internal.example.com/x: 401", "bas1cUrlPw"),
        plants.plant("> Authorization: Bearer {}", "0paqueT0ken"),
        plants.plant("token: {}", &random(5)),
        plants.plant("password_base64: {}", "c3VwZXItc2VjcmV0LWNhbmFyeQ=="),
        plants.plant("FATAL: login failed with password {}", "pr0sePassword"),
        format!("wrapped token={}", plants.bare(&random(6))),
        plants.bare(&random(7)),
    ];
    lines.push(concat!("-----BEGIN RSA PRI", "VATE KEY-----").to_owned());
    lines.extend(key_lines(20).iter().map(|line| plants.bare(line)));
    lines.push(concat!("-----END RSA PRI", "VATE KEY-----").to_owned());
    for which in ["current", "previous"] {
        let file = format!("prod-api/logs/analytics-service-7987f4985-2z45z.analytics.{which}.log");
        copy.log(&file, &lines);
    }
    // The tail of 200 lines begins within this key.
    let mut cut = vec![concat!("-----BEGIN EC PRI", "VATE KEY-----").to_owned()];
    cut.extend(key_lines(40).iter().map(|line| plants.bare(line)));
    cut.push(concat!("-----END EC PRI", "VATE KEY-----").to_owned());
    cut.extend((0..195).map(|line| format!("inventory: worker {line} waits")));
    copy.log("shop/logs/inventory-554c75fb44-cw9sp.inventory.previous.log", &cut);
    // This one is whole in the tail but for its borders: they were never written.
    let middle: Vec<String> = key_lines(60).iter().map(|line| plants.bare(line)).collect();
    copy.log("shop/logs/inventory-554c75fb44-cw9sp.inventory.current.log", &middle);
}

pub fn plant_objects(copy: &Copy, plants: &mut Plants) {
    let args = json!([
        "--listen=:80",
        plants.plant("--db-password={}", "argsPw-77"),
        "--api-key",
        plants.bare("argL1stKey77")
    ]);
    let command = json!(["sh", "-c", plants.plant("mysql -uroot -p{} orders", "mysqlPw77")]);
    let env = json!([
        {"name": "CANARY_MODE", "value": "new"},
        {"name": "CANARY_PASSWORD", "value": plants.bare("env pass phrase 77")},
        {"name": "CANARY_DSN", "value": plants.plant("amqp://guest:{}@mq/", "amqpPw77")},
    ]);
    let note = plants.plant("kubeconfig client-key-data: {}", "LS0tLS1CRUdJTiBQUklDQU5BUlk=");
    let template = |pod: &mut Value| {
        let container = &mut pod["spec"]["containers"][0];
        container["args"] = args.clone();
        container["command"] = command.clone();
        container["env"] = env.clone();
        pod["metadata"]["annotations"]["canary/note"] = note.clone().into();
    };
    copy.edit("shop/replicasets.json", |list| {
        items(list, "checkout-66f478c98f").for_each(|set| template(&mut set["spec"]["template"]));
    });
    copy.edit("shop/deployments.json", |list| {
        items(list, "checkout").for_each(|deployment| template(&mut deployment["spec"]["template"]));
    });
    copy.edit("shop/pods.json", |list| items(list, "checkout-66f478c98f").for_each(template));
    let event = plants.plant("Failed to pull: https://ci:{}@registry.example.com/v2/", "eventPw77");
    copy.edit("prod-api/events.json", |list| {
        for item in items(list, "payment-service-") {
            item["message"] = format!("{} {event}", item["message"].as_str().unwrap()).into();
        }
    });
    let waiting = plants.plant("back-off, secret_key={}", "wait1ngKey77");
    let ended = plants.plant("exited, api_token: {}", "3ndedToken77");
    copy.edit("prod-api/pods.json", |list| {
        for pod in items(list, "") {
            let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
            for status in pod["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
                if name.starts_with("payment") && status["state"]["waiting"].is_object() {
                    status["state"]["waiting"]["message"] = waiting.clone().into();
                }
                if name.starts_with("analytics") && status["lastState"]["terminated"].is_object() {
                    status["lastState"]["terminated"]["message"] = ended.clone().into();
                }
            }
        }
    });
    let map = plants.plant("password={}", "c0nfigMapPw77");
    copy.edit("shop/configmaps.json", |list| {
        items(list, "search-config").for_each(|item| item["data"] = json!({"app.properties": map.clone()}));
    });
}

/// Bodies as Alertmanager and Robusta send them.
pub fn hostile_bodies(plants: &mut Plants) -> Vec<(&'static str, Vec<u8>)> {
    let alert = |fingerprint: &str, labels: Value, annotations: Value, url: String| {
        json!({"status": "firing", "fingerprint": fingerprint, "startsAt": "2026-11-21T07:03:19.889Z",
               "endsAt": "0001-01-01T00:00:00Z", "generatorURL": url, "labels": labels,
               "annotations": annotations})
    };
    let first = alert(
        "c000000000000001",
        json!({
            "alertname": "KubePodCrashLooping", "namespace": "prod-api", "severity": "critical",
            "pod": "analytics-service-7987f4985-2z45z",
            "instance": plants.plant("http://probe:{}@10.0.0.1:9090", "labelUrlPw88"),
            "db_password": plants.bare("label pass phrase 88"),
        }),
        json!({
            "summary": plants.plant("login with password={} fails", "summaryPw88"),
            "description": plants.plant("first line\nAPI_TOKEN={}\nlast line", "descr1ptionToken88"),
            "session_token": plants.bare("annotation pass phrase 88"),
        }),
        plants.plant("http://vm:9090/graph?access_token={}", "generat0rToken88"),
    );
    // No object of this name can be found: the name itself becomes the workload's.
    let second = alert(
        "c000000000000002",
        json!({
            "alertname": plants.plant("Broken password={}", "alertnamePw88"), "severity": "critical",
            "namespace": "prod-api", "deployment": plants.plant("password={}", "workloadPw88"),
        }),
        json!({}),
        String::new(),
    );
    let group = plants.plant(r#":{token="{}"}"#, "gr0upKeyToken88");
    let body = json!({
        "version": "4", "groupKey": group, "truncatedAlerts": 0, "status": "firing",
        "receiver": plants.plant("receiver secret_token={}", "receiverToken88"), "groupLabels": {},
        "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": [first, second],
    });
    let title = plants.plant("Pod is crash looping, token={}", "r0bustaToken88");
    let robusta = String::from_utf8(fixture("webhooks/robusta/handmade-flat-firing.json")).unwrap();
    let robusta = robusta.replace("Pod is crash looping.", &title);
    vec![
        ("/webhooks/alertmanager", body.to_string().into_bytes()),
        ("/webhooks/robusta", robusta.into_bytes()),
    ]
}

/// Everything that can be read over HTTP.
pub async fn answers(house: &House) -> String {
    let mut all = String::new();
    let mut paths: Vec<String> =
        ["/metrics", "/readyz", "/", "/search", "/runbooks"].iter().map(|path| (*path).to_owned()).collect();
    for list in ["/api/v1/incidents?limit=200", "/api/v1/investigations?limit=200"] {
        paths.push(list.to_owned());
        let (status, body) = house.get(list).await;
        assert_eq!(status, 200, "{body}");
        for item in body["items"].as_array().unwrap() {
            let id = item["id"].as_str().unwrap();
            if list.contains("investigations") {
                paths.push(format!("/api/v1/investigations/{id}"));
                paths.push(format!("/investigations/{id}"));
            } else {
                paths.push(format!("/incidents/{id}"));
            }
        }
    }
    for path in paths {
        let answer = house.http.get(format!("{}{path}", house.base_url)).send().await.unwrap();
        all.push_str(&answer.text().await.unwrap());
        all.push('\n');
    }
    all
}

/// As written, as JSON and as HTML writes it.
pub fn shows(text: &str, secret: &str) -> bool {
    let escaped = serde_json::to_string(secret).unwrap();
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    text.contains(secret) || text.contains(&html) || text.contains(escaped.trim_matches('"'))
}

/// Each planted secret that stands in a place, with what is around it.
pub fn leaks(places: &[(&str, String)], plants: &Plants) -> Vec<String> {
    let mut leaks = Vec::new();
    for (place, text) in places {
        assert!(text.len() > 1000, "{place} is nearly empty: {text}");
        for (tag, secret) in plants.secrets.iter().filter(|(_, secret)| shows(text, secret)) {
            let line = text.lines().find(|line| shows(line, secret)).unwrap_or_default();
            let at = line.find(secret.as_str()).unwrap_or_default();
            let from = line.floor_char_boundary(at.saturating_sub(80));
            let to = line.ceil_char_boundary((at + 120).min(line.len()));
            leaks.push(format!("{place}: {tag} {secret}: …{}…", &line[from..to]));
        }
    }
    leaks
}

/// Everything that Slack was sent.
pub fn said_in_slack(house: &House) -> String {
    let mut slack = String::new();
    for message in house.slack.messages() {
        slack.push_str(&format!("{}\n{}\n", message.text, message.blocks));
    }
    for update in house.slack.updates() {
        slack.push_str(&format!("{}\n{}\n", update.text, update.blocks));
    }
    slack
}

#[tokio::test(flavor = "multi_thread")]
async fn no_planted_secret_gets_out_of_the_house() {
    log();
    let (copy, mut plants) = (Copy::new(), Plants::default());
    plant_logs(&copy, &mut plants);
    plant_objects(&copy, &mut plants);
    let house = House::start(HouseOptions {
        recording: Some(copy.recording()),
        adjust: Some(|settings| settings.slack.pace_ms = 5),
        ..HouseOptions::default()
    })
    .await;
    for (path, body) in hostile_bodies(&mut plants) {
        let (status, receipt) = house.post(path, body).await;
        assert_eq!(status, 202, "{receipt}");
    }
    for body in recorded_webhooks() {
        assert_eq!(house.post("/webhooks/alertmanager", body).await.0, 202);
    }
    // What cannot be parsed is quoted in the answer and in the log.
    let broken = plants.plant(r#"{"alerts": "password={}"}"#, "br0kenBodyPw88");
    let (status, problem) = house.post("/webhooks/alertmanager", broken[9..].to_owned()).await;
    assert_eq!(status, 400);
    let distinct: BTreeSet<&str> = plants.secrets.iter().map(|(_, secret)| secret.as_str()).collect();
    assert_eq!(distinct.len(), plants.secrets.len());
    house.settle().await;

    let rows = house.rows().await.join("\n");
    let places = [
        ("the database", rows.clone()),
        ("Slack", said_in_slack(&house)),
        ("the API", answers(&house).await + &problem.to_string()),
        ("the log", log()),
        ("the exported log", exported().await),
    ];
    let leaks = leaks(&places, &plants);
    let read: Vec<&str> = plants.tags().filter(|tag| rows.contains(tag)).collect();
    let unread: Vec<&str> = plants.tags().filter(|tag| !rows.contains(tag)).collect();
    println!(
        "canary: {} secrets planted, {} leaks; {} of {} tags stored, not read: {unread:?}",
        plants.secrets.len(),
        leaks.len(),
        read.len(),
        read.len() + unread.len()
    );
    assert!(leaks.is_empty(), "{leaks:#?}");
    assert!(read.len() >= 20, "most of what was planted must have been read: {unread:?}");
    assert!(rows.contains("[redacted:private-key]") && rows.contains("[redacted:continued]"));
    assert_eq!(house.kubernetes.writes_refused(), 0);
}
