//! Two processes of the service over one database: what a namespace may spend holds for both together.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use whodunit::demo::Recording;

use crate::house::{self, PATIENCE};
use crate::model::{ModelServer, Said, call, case_file, conclusion, quotable};
use crate::policies::{PROD, firing};
use crate::program::{Program, command};

/// Dollars of one namespace within 24 hours.
const QUOTA: f64 = 0.2;

/// In prod-api it looks for ever, elsewhere it concludes; no answer comes so fast that one process does it all.
fn script(number: usize, request: &Value) -> Said {
    std::thread::sleep(Duration::from_millis(30));
    let case = case_file(request);
    if case.contains("prod-api") {
        return Said::Calls(vec![call("kubernetes_list", &json!({"kind": "pods", "limit": number + 1}))]);
    }
    let (id, quote) = quotable(case);
    Said::Calls(vec![call("conclude", &conclusion(&id, &quote))])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_holds_over_two_processes() {
    whodunit::app::install_tls();
    let server = ModelServer::start(Arc::new(script)).await;
    let (_, kubernetes_url) =
        house::serve_kubernetes(Recording::embedded().unwrap(), &CancellationToken::new()).await;
    let (pool, database) = house::database().await;
    let settings = json!({
        "database": {"url": database}, "intake": {"settle_secs": 0}, "runbooks": {"without_builtin": true},
        "kubernetes": {"url": kubernetes_url, "cluster": "lab"}, "worker": {"concurrency": 1},
        "models": [{"name": "scripted", "provider": "openai", "model": "m", "base_url": server.url,
                    "usd_per_million": {"input": 3.0, "output": 15.0}}],
        "quotas": [{"namespaces": ["*"], "usd_per_day": QUOTA}],
    });
    let mut programs = Vec::new();
    for _ in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("whodunit.yaml");
        std::fs::write(&file, settings.to_string()).unwrap();
        let mut command = command(folder.path());
        command.arg("--config").arg(file).env("WHODUNIT_KUBERNETES__ENABLED", "true");
        programs.push((tokio::task::spawn_blocking(move || Program::run(command)).await.unwrap(), folder));
    }
    assert_eq!(programs[0].0.post(firing("prod-api", &PROD, &json!({})).into_bytes()).await, 202);
    assert_eq!(
        programs[1].0.post(firing("shop", &["search", "catalog"], &json!({})).into_bytes()).await,
        202
    );
    let until = Instant::now() + PATIENCE;
    let query = "select namespace, usd, worker, report from investigations where state = 'done'";
    let done = loop {
        let rows: Vec<(String, f64, String, Value)> = sqlx::query_as(query).fetch_all(&pool).await.unwrap();
        if rows.len() == 7 {
            break rows;
        }
        assert!(Instant::now() < until, "{} of 7 are done", rows.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let workers: BTreeSet<&str> = done.iter().map(|(_, _, worker, _)| worker.as_str()).collect();
    assert_eq!(workers.len(), 2, "both have worked: {workers:?}");
    let (prod, shop): (Vec<_>, Vec<_>) = done.iter().partition(|(namespace, ..)| namespace == "prod-api");
    let spent: f64 = prod.iter().map(|(_, usd, ..)| usd).sum();
    assert!(spent > 0.05 && spent <= QUOTA, "prod-api spent {spent}");
    let held = prod.iter().filter(|(.., report)| report["held_back"]["why"] == "namespace_money");
    assert!(held.count() >= 3, "{prod:#?}");
    for (_, usd, _, report) in shop {
        assert!(report["outcome"] == "root_cause" && report["held_back"].is_null() && *usd > 0.0, "{report}");
    }
}
