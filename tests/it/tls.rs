//! Sources and a database behind real TLS: an authority of their own, certificates of ours, passwords, tokens and
//! tenants. What is wrong with one of them is told by the name of its setting.

mod server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use chrono::Utc;
use serde_json::{Value, json};
use whodunit::settings::{Basic, HttpSource, Settings};
use whodunit::source::prometheus::Prometheus;

use self::server::{Authority, Demands, Secured, before_postgres};
use crate::house::{self, House, HouseOptions, PATIENCE, fixture};

/// `reader:said%` in base64.
const BASIC: &str = "Basic cmVhZGVyOnNhaWQl";
const WEBHOOK: &str = "recording/alertmanager/webhooks/004-firing-PaymentServiceDown-n1.json";

fn kubeconfig(folder: &Path, url: &str, ca: &Path, (cert, key): &(PathBuf, PathBuf)) -> PathBuf {
    let file = folder.join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": url, "certificate-authority": ca}}],
        "users": [{"name": "reader", "user": {"client-certificate": cert, "client-key": key}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "reader"}}],
    });
    std::fs::write(&file, text.to_string()).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_investigated_over_certificates_and_a_password() {
    let (theirs, ours) = (Arc::new(Authority::new("their authority")), Authority::new("our authority"));
    let signing = Arc::clone(&theirs);
    let files = ours.client("whodunit", 2090);
    let password = ours.file("password");
    std::fs::write(&password, "said%\n").unwrap();
    let (send, servers) = std::sync::mpsc::channel();
    let (ca, clients) = (theirs.ca(), ours.ca());
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_owned();
    let mut house = House::start(HouseOptions {
        with: Some(Box::new(move |settings: &mut Settings| {
            let mtls = || Demands { clients: Some(&clients), ..Demands::default() };
            let upstream = settings.kubernetes.url.take().unwrap();
            let kubernetes = Secured::start(&upstream, &signing, mtls());
            settings.kubernetes.kubeconfig = Some(kubeconfig(&place, &kubernetes.url, &ca, &files));
            let demands = Demands { headers: vec![("authorization", BASIC)], ..mtls() };
            let prometheus = Secured::start(settings.prometheus.url.as_ref().unwrap(), &signing, demands);
            settings.prometheus = HttpSource {
                url: Some(prometheus.url.clone()),
                basic: Some(Basic {
                    username: "reader".to_owned(),
                    password: None,
                    password_file: Some(password),
                }),
                ca_file: Some(ca),
                cert_file: Some(files.0.clone()),
                key_file: Some(files.1.clone()),
                ..HttpSource::default()
            };
            send.send([kubernetes, prometheus]).unwrap();
        })),
        ..HouseOptions::default()
    })
    .await;
    assert_eq!(house.post("/webhooks/alertmanager", fixture(WEBHOOK)).await.0, 202);
    house.settle().await;
    let (_, list) = house.get("/api/v1/investigations").await;
    let id = list["items"][0]["id"].as_str().unwrap();
    let (_, one) = house.get(&format!("/api/v1/investigations/{id}")).await;
    assert_eq!(one["report"]["outcome"], "known_pattern", "{one}");
    let away = |gap: &&Value| gap["why"].as_str().unwrap().contains("unavailable");
    let gaps: Vec<&Value> = one["report"]["gaps"].as_array().unwrap().iter().filter(away).collect();
    assert!(gaps.is_empty(), "{gaps:?}");
    let let_in: Vec<u64> = servers.recv().unwrap().iter().map(Secured::let_in).collect();
    assert!(let_in.iter().all(|&count| count > 0), "not all were asked: {let_in:?}");
    house.stop().await;
}

/// `config check --live` with these settings: what it says, a line a source.
async fn live(settings: &Value) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), settings.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_whodunit"));
    command.args(["config", "check", "--live", "--config"]).arg(file.path()).env("NO_COLOR", "1");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

/// What a server says of our certificate may come too early to be heard.
fn tells(line: &str, told: &str) -> bool {
    let of_ours = told.contains("certificate of ours") || told.contains("our certificate");
    line.contains(told)
        || of_ours && line.contains("over TLS that may mean that it does not accept our certificate")
}

fn line<'t>(text: &'t str, source: &str) -> &'t str {
    text.lines().find(|line| line.starts_with(source)).unwrap_or_else(|| panic!("no {source} in {text}"))
}

/// Answers what `--live` asks of each kind of source.
async fn sources() -> String {
    let empty =
        || async { axum::Json(json!({"status": "success", "data": {"resultType": "vector", "result": []}})) };
    let router = Router::new()
        .route("/api/v1/query", get(empty))
        .route("/loki/api/v1/labels", get(async || axum::Json(json!({"status": "success", "data": ["app"]}))))
        .route("/ready", get(async || "ready"))
        .route("/api/status/buildinfo", get(async || axum::Json(json!({"version": "2.9"}))))
        .route("/api/v2/status", get(async || axum::Json(json!({"uptime": Utc::now()}))))
        .route(
            "/version",
            get(async || axum::Json(json!({"gitVersion": "v1.36.0", "major": "1", "minor": "36"}))),
        );
    let (listener, url) = house::listen().await;
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_certificate_or_a_password_is_told_by_its_setting() {
    let (theirs, ours) = (Authority::new("their authority"), Authority::new("our authority"));
    let upstream = sources().await;
    let clients = ours.ca();
    let demands = Demands { clients: Some(&clients), headers: vec![("authorization", BASIC)] };
    let strict = Secured::start(&upstream, &theirs, demands);
    let tenants =
        Demands { headers: vec![("authorization", "Bearer t"), ("x-scope-orgid", "shop")], clients: None };
    let tenants = Secured::start(&upstream, &theirs, tenants);
    let (good, old) = (ours.client("good", 2090), ours.client("old", 2021));
    let stranger = theirs.client("stranger", 2090);
    let source = |ca: &Path, files: Option<&(PathBuf, PathBuf)>, password: &str| {
        json!({"url": strict.url, "ca_file": ca, "cert_file": files.map(|files| &files.0),
               "key_file": files.map(|files| &files.1),
               "basic": {"username": "reader", "password": password}})
    };
    let fine = source(&theirs.ca(), Some(&good), "said%");
    let off = json!({"enabled": false});
    let tenant = |orgid: &str| json!({"url": tenants.url, "ca_file": theirs.ca(), "token": "t", "headers": {"X-Scope-OrgID": orgid}});
    let settings = json!({"kubernetes": off, "prometheus": fine, "tempo": fine, "alertmanagers": [fine],
                          "loki": tenant("shop")});
    let all = live(&settings).await;
    for source in ["prometheus", "loki", "tempo", "alertmanager"] {
        assert!(line(&all, source).contains(" ok "), "{all}");
    }
    let cases = [
        (source(&ours.ca(), Some(&good), "said%"), "signed by nobody whom ca_file"),
        (source(&theirs.ca(), None, "said%"), "the server wants a certificate of ours: cert_file"),
        (source(&theirs.ca(), Some(&old), "said%"), "our certificate has expired: cert_file"),
        (source(&theirs.ca(), Some(&stranger), "said%"), "does not accept our certificate: cert_file"),
        (source(&theirs.ca(), Some(&good), "said"), "HTTP 401 (what token, basic, headers or cert_file"),
        (tenant("other"), "HTTP 401 (what token, basic, headers or cert_file"),
    ];
    for (faulty, told) in &cases {
        let said =
            live(&json!({"kubernetes": off, "prometheus": faulty, "alertmanagers": [faulty], "tempo": fine}))
                .await;
        for source in ["prometheus", "alertmanager"] {
            let line = line(&said, source);
            assert!(line.contains("FAULT") && tells(line, told), "{told}: {said}");
        }
        assert!(line(&said, "tempo").contains(" ok "), "what is right goes on: {said}");
        assert!(!said.contains("said%"), "a password stands in it: {said}");
    }
    let names = json!({"url": strict.url.replace("127.0.0.1", "localhost"), "ca_file": theirs.ca()});
    let said = live(&json!({"kubernetes": off, "prometheus": names})).await;
    assert!(line(&said, "prometheus").contains("for other names than that of the url"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_reached_with_its_authority_and_a_token_or_a_certificate() {
    let (theirs, ours) = (Authority::new("their authority"), Authority::new("our authority"));
    let upstream = sources().await;
    let clients = ours.ca();
    let by_token = Secured::start(
        &upstream,
        &theirs,
        Demands { headers: vec![("authorization", "Bearer t")], clients: None },
    );
    let by_certificate =
        Secured::start(&upstream, &theirs, Demands { clients: Some(&clients), headers: vec![] });
    let folder = tempfile::tempdir().unwrap();
    let token = |token: &str, ca: &Path| json!({"url": by_token.url, "token": token, "ca_file": ca});
    let certificate = |name: &str, until: i32, ca: &Path| {
        let files = ours.client(name, until);
        json!({"kubeconfig": kubeconfig(folder.path(), &by_certificate.url, ca, &files)})
    };
    let (right, wrong) = (theirs.ca(), ours.ca());
    for (settings, told) in [
        (token("t", &right), "v1.36.0"),
        (
            token("other", &right),
            "401 who are you? (token, token_file or the kubeconfig's user is not accepted)",
        ),
        (token("t", &wrong), "signed by nobody whom ca_file"),
        (certificate("good", 2090, &right), "v1.36.0"),
    ] {
        let said = live(&json!({"kubernetes": settings})).await;
        assert!(tells(line(&said, "kubernetes"), told), "{told}: {said}");
    }
    // The same file again and again: one at a time.
    for (name, until, ca, told) in [
        ("old", 2021, &right, "our certificate has expired"),
        ("good", 2090, &wrong, "signed by nobody whom ca_file"),
    ] {
        let said = live(&json!({"kubernetes": certificate(name, until, ca)})).await;
        assert!(tells(line(&said, "kubernetes"), told), "{told}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_replaced_are_read_again_while_the_service_runs() {
    let (theirs, ours) = (Authority::new("their authority"), Authority::new("our authority"));
    let clients = ours.ca();
    let demands = Demands { clients: Some(&clients), headers: vec![("authorization", "Bearer new")] };
    let secured = Secured::start(&sources().await, &theirs, demands);
    let (cert, key) = ours.client("reader", 2021);
    let token = ours.file("token");
    std::fs::write(&token, "old").unwrap();
    let settings = HttpSource {
        url: Some(secured.url.clone()),
        token_file: Some(token.clone()),
        ca_file: Some(theirs.ca()),
        cert_file: Some(cert),
        key_file: Some(key.clone()),
        ..HttpSource::default()
    };
    let prometheus = Prometheus::new(house::http(), &settings).unwrap().unwrap();
    let ask =
        async || prometheus.query("up", Utc::now()).await.map(|_| ()).map_err(|error| error.to_string());
    assert!(tells(&ask().await.unwrap_err(), "our certificate has expired"));
    // Half of a renewal: the key does not fit the certificate, and what was goes on.
    let half = std::fs::read(&key).unwrap();
    std::fs::write(&key, b"not a key\n").unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(tells(&ask().await.unwrap_err(), "our certificate has expired"));
    std::fs::write(&key, half).unwrap();
    ours.client("reader", 2090);
    until(&ask, |said| said.as_ref().is_err_and(|error| error.contains("HTTP 401"))).await;
    std::fs::write(&token, "new!").unwrap();
    std::fs::write(&token, "new").unwrap();
    until(&ask, Result::is_ok).await;
}

async fn until(ask: &impl AsyncFn() -> Result<(), String>, is: impl Fn(&Result<(), String>) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = ask().await;
        if is(&said) {
            return;
        }
        assert!(Instant::now() < deadline, "{said:?}");
        // Seldom: a source that fails too often is left alone for a while.
        tokio::time::sleep(Duration::from_millis(2_100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_reached_over_tls_and_a_wrong_authority_is_refused() {
    let (theirs, ours) = (Authority::new("their authority"), Authority::new("our authority"));
    let (_, url) = house::database().await;
    let url: reqwest::Url = url.parse().unwrap();
    let (_, folder) = url.query_pairs().find(|(name, _)| name == "host").unwrap();
    let port = before_postgres(&Path::new(&*folder).join(".s.PGSQL.5432"), &theirs);
    let name = url.path();
    let settings = |mode: &str, ca: &Path| {
        let url =
            format!("postgres://whodunit@localhost:{port}{name}?sslmode={mode}&sslrootcert={}", ca.display());
        json!({"kubernetes": {"enabled": false}, "database": {"url": url}})
    };
    let said = live(&settings("verify-full", &theirs.ca())).await;
    assert!(line(&said, "database").contains("PostgreSQL 1"), "{said}");
    let said = live(&settings("verify-full", &ours.ca())).await;
    assert!(line(&said, "database").contains("FAULT") && said.contains("UnknownIssuer"), "{said}");
}
