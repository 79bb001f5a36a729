//! The pages in a real browser, before the whole service: `scripts/browser-check` installs Chromium and what drives it,
//! and runs this. Where there is neither, it says so and passes.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use whodunit::settings::{Scope, Settings};

use super::{HOSTILE, alert, incident, investigation, observation, report, token};
use crate::house::{House, HouseOptions, fixture};
use crate::model::{ModelServer, Said, call, case_file, conclusion, quotable};

const SECRET: &str = "secret-of-the-browser";
/// Recorded alerts that signatures explain.
const EXPLAINED: [&str; 4] = [
    "recording/alertmanager/webhooks/004-firing-PaymentServiceDown-n1.json",
    "webhooks/alertmanager/006-firing-KubePodCrashLooping-n1.json",
    "demo/hand-made-01-orders-db.json",
    "demo/hand-made-04-frontend.json",
];
/// One that needs the model.
const UNEXPLAINED: &str = "demo/hand-made-08-notification-service.json";
/// The driver says so when its page shows an investigation that goes on.
const WATCHES: &str = "watching";
/// Between two answers of the model.
const PAUSE: Duration = Duration::from_millis(1_500);

fn driver() -> Option<(String, PathBuf)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/browser/check.mjs");
    let installed = script.with_file_name("node_modules").join("axe-core").is_dir();
    let known = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    let found = std::env::var("WHODUNIT_CHROMIUM").ok();
    let found =
        found.or_else(|| known.iter().find(|path| Path::new(path).exists()).map(|path| (*path).to_owned()));
    found.filter(|_| installed).map(|chromium| (chromium, script))
}

/// A house whose model answers about the unexplained alert only when it is let.
async fn house() -> (House, mpsc::Sender<()>) {
    let (open, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let asked = Mutex::new(0);
    let model = ModelServer::start(Arc::new(move |_, request| {
        let (id, quote) = quotable(case_file(request));
        if !case_file(request).contains("notification-service") {
            return Said::Calls(vec![call("conclude", &conclusion(&id, &quote))]);
        }
        tokio::task::block_in_place(|| gate.lock().unwrap().recv_timeout(crate::house::PATIENCE)).unwrap();
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        match *asked {
            1 => Said::Calls(vec![
                call("kubernetes_list", &json!({"kind": "pods"})),
                call(HOSTILE, &json!({"argument": HOSTILE})),
            ]),
            2 => Said::Calls(vec![call("kubernetes_list", &json!({"kind": "events"}))]),
            _ => Said::Calls(vec![call("conclude", &conclusion(&id, &quote))]),
        }
    }))
    .await;
    let with = |settings: &mut Settings| {
        settings.api.tokens = vec![token("kim", SECRET, &[Scope::Write], &[])];
    };
    let options =
        HouseOptions { models: vec![model.settings()], with: Some(Box::new(with)), ..Default::default() };
    (House::start(options).await, open)
}

/// Rows whose every text is hostile: (incident, investigation).
async fn hostile(house: &House) -> (uuid::Uuid, uuid::Uuid) {
    let key = "lab/shop/Deployment/<img src=x onerror=alert(1)>";
    let incident = incident(&house.pool, key, "open", HOSTILE).await;
    alert(&house.pool, incident, HOSTILE).await;
    investigation(&house.pool, incident, "dead", None).await;
    let id = investigation(&house.pool, incident, "done", Some(&report("known_pattern", HOSTILE))).await;
    let long = format!("{}quote {HOSTILE}\n{}", "a line before\n".repeat(300), "a line after\n".repeat(300));
    observation(&house.pool, id, "E1", "kubernetes", &long).await;
    observation(&house.pool, id, "E2", "loki", HOSTILE).await;
    (incident, id)
}

async fn id_of(house: &House, query: &'static str) -> String {
    sqlx::query_scalar::<_, uuid::Uuid>(query).fetch_one(&house.pool).await.unwrap().to_string()
}

async fn plan(house: &House) -> Value {
    for body in EXPLAINED {
        assert_eq!(house.post("/webhooks/alertmanager", fixture(body)).await.0, 202, "{body}");
    }
    house.settle().await;
    let (incident, hostile) = hostile(house).await;
    assert_eq!(house.post("/webhooks/alertmanager", fixture(UNEXPLAINED)).await.0, 202);
    let running =
        id_of(house, "select id from investigations where workload like '%notification-service'").await;
    let explained = id_of(
        house,
        "select id from investigations where cause_id is not null and workload like '%/prod-api/%' order by created_at limit 1",
    )
    .await;
    json!({
        "base": house.base_url, "token": SECRET, "search": "container",
        "running": format!("/investigations/{running}"), "finished": format!("/investigations/{hostile}"),
        "pages": {
            "incidents": "/", "investigation": format!("/investigations/{explained}"),
            "agent": format!("/investigations/{running}"), "hostile": format!("/investigations/{hostile}"),
            "incident": format!("/incidents/{incident}"), "search": "/search?q=container", "runbooks": "/runbooks",
            "runbook": "/runbooks/kubernetes", "costs": "/costs", "lost": "/search?outcome=not_an_incident",
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_the_pages_in_a_browser_and_hostile_data_does_nothing() {
    let Some((chromium, script)) = driver() else {
        eprintln!("SKIPPED: no Chromium or no driver for it; scripts/browser-check installs both");
        return;
    };
    let (house, open) = house().await;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("browser");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("plan.json");
    std::fs::write(&file, plan(&house).await.to_string()).unwrap();
    let mut driver = Command::new("node")
        .args([&script, Path::new(&chromium), &file, &folder])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        println!("{line}");
        if line == WATCHES {
            let open = open.clone();
            tokio::spawn(async move {
                for _ in 0..3 {
                    open.send(()).unwrap();
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
    }
    assert!(driver.wait().await.unwrap().success(), "the browser found faults; they are above");
    assert_eq!(house.count("select count(*) from feedback where reason = 'seen in a browser'").await, 1);
}
