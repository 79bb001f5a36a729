//! The program as a process, killed in the middle of an investigation: the next start goes on at the next step,
//! asks nothing twice, and says its result once.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use whodunit::demo::slack::SlackStandIn;
use whodunit::demo::{KubernetesStandIn, Recording};

use crate::house::{self, CHANNEL, PATIENCE, database, fixture};
use crate::model::{ModelServer, Said, call, conclusion, told};
use crate::program::{Program, command};

const TOKEN: &str = "xoxb-of-the-restart";
const WEBHOOK: &str = "recording/alertmanager/webhooks/004-firing-PaymentServiceDown-n1.json";
/// The dead program's claim is free after this, in seconds.
const LEASE_SECS: u64 = 3;

/// What the process lives between, which outlives it.
struct Outside {
    kubernetes: Arc<KubernetesStandIn>,
    slack: Arc<SlackStandIn>,
    model: ModelServer,
    /// From now on the model answers its fourth question.
    speaks: Arc<AtomicBool>,
    pool: PgPool,
    folder: tempfile::TempDir,
    stand_ins: CancellationToken,
}

impl Outside {
    async fn new() -> Self {
        whodunit::app::install_tls();
        let stand_ins = CancellationToken::new();
        let (kubernetes, kubernetes_url) =
            house::serve_kubernetes(Recording::embedded().unwrap(), &stand_ins).await;
        let (slack, slack_url) = house::serve_slack(TOKEN, &[CHANNEL], &stand_ins).await;
        let speaks = Arc::new(AtomicBool::new(false));
        let may_speak = Arc::clone(&speaks);
        let model = ModelServer::start(Arc::new(move |_, request| answer(request, &may_speak))).await;
        let (pool, database_url) = database().await;
        let folder = tempfile::tempdir().unwrap();
        let settings = json!({
            "database": {"url": database_url},
            "intake": {"settle_secs": 0},
            "worker": {"lease_secs": LEASE_SECS},
            "kubernetes": {"url": kubernetes_url, "cluster": "lab"},
            "slack": {"api_url": format!("{slack_url}/api"), "token": TOKEN, "channel": CHANNEL, "pace_ms": 20},
            "runbooks": {"without_builtin": true},
            "models": [{"name": "scripted", "provider": "openai", "model": "m", "base_url": model.url}],
        });
        std::fs::write(folder.path().join("whodunit.yaml"), settings.to_string()).unwrap();
        Self { kubernetes, slack, model, speaks, pool, folder, stand_ins }
    }

    fn start(&self) -> Program {
        let path: &Path = self.folder.path();
        let mut command = command(path);
        command.arg("--config").arg(path.join("whodunit.yaml"));
        command.env("WHODUNIT_KUBERNETES__ENABLED", "true");
        Program::run(command)
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }

    async fn until(&self, what: &str, query: &'static str, wanted: i64) {
        let until = Instant::now() + PATIENCE;
        while self.count(query).await != wanted {
            assert!(Instant::now() < until, "{what} never came");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.stand_ins.cancel();
    }
}

/// Three steps with two calls each, then a conclusion, if it may speak by then.
fn answer(request: &Value, may_speak: &AtomicBool) -> Said {
    let heard = told(request);
    match heard.len() / 2 {
        0 => Said::Calls(vec![
            call("kubernetes_get", &json!({"kind": "deploy", "name": "payment-service"})),
            call("kubernetes_list", &json!({"kind": "pods", "sort_by": "name"})),
        ]),
        1 => Said::Calls(vec![
            call("kubernetes_rollout", &json!({"object": "deploy/payment-service"})),
            call("kubernetes_events", &json!({"object": "deploy/payment-service"})),
        ]),
        2 => Said::Calls(vec![
            call("kubernetes_list", &json!({"kind": "services"})),
            call("kubernetes_top", &json!({"kind": "pods"})),
        ]),
        _ if !may_speak.load(Ordering::SeqCst) => Said::Silence,
        _ => {
            let (id, text) = heard.iter().find(|(_, text)| text.contains("payment-service")).unwrap();
            let quote = text.lines().rfind(|line| line.contains("payment-service")).unwrap();
            Said::Calls(vec![call("conclude", &conclusion(id, quote.trim()))])
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_after_the_third_step_goes_on_at_the_fourth_and_asks_nothing_twice() {
    let outside = Outside::new().await;
    let mut program = outside.start();
    assert_eq!(program.post(fixture(WEBHOOK)).await, 202);
    outside.until("the third step", "select count(*) from turns", 3).await;
    let until = Instant::now() + PATIENCE;
    while outside.model.asked().len() < 4 {
        assert!(Instant::now() < until, "the fourth question never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    assert_eq!(outside.count("select count(*) from turns").await, 3);
    assert_eq!(outside.count("select count(*) from investigations where state = 'running'").await, 1);
    let asked_before = outside.kubernetes.asked();
    let steps: Vec<String> = steps(&outside.pool).await;
    outside.speaks.store(true, Ordering::SeqCst);

    let program = outside.start();
    outside.until("the report", "select count(*) from investigations where state = 'done'", 1).await;
    let posted = "select count(*) from announcements where state = 'posted' and kind = 'summary'";
    outside.until("its announcement", posted, 1).await;
    // Whatever would be said twice is said by now.
    outside.until("an end", "select count(*) from announcements where state <> 'posted'", 0).await;

    // The model: the question that nobody answered is put again, to the last character, and no other.
    let asked = outside.model.asked();
    assert_eq!(asked.len(), 5, "four questions, and the fourth again");
    assert_eq!(asked[4], asked[3]);
    assert!(asked[..4].windows(2).all(|pair| pair[0] != pair[1]));
    // The cluster: nothing of what was read is read again.
    let all = outside.kubernetes.asked();
    let again: Vec<&String> = all[asked_before.len()..].iter().filter(|one| !is_greeting(one)).collect();
    println!(
        "restart: {} requests to the cluster and {} questions before the kill, {} and {} after it",
        asked_before.len(),
        4,
        again.len(),
        asked.len() - 4
    );
    assert!(asked_before.len() > 10 && again.is_empty(), "{again:#?}");
    // The ledger: what stood there stands there, and one more step.
    assert_eq!(outside.count("select count(*) from turns").await, 4);
    let now: BTreeSet<String> = self::steps(&outside.pool).await.into_iter().collect();
    assert_eq!(now, steps.iter().cloned().collect::<BTreeSet<String>>());
    assert_eq!(outside.count("select count(*) from investigations where attempt = 2 and steps = 4").await, 1);
    let cause = "select count(*) from investigations where report->>'outcome' = 'root_cause'";
    assert_eq!(outside.count(cause).await, 1);
    // The people: one message of the incident, one summary in its thread.
    let messages = outside.slack.messages();
    let (parents, replies): (Vec<_>, Vec<_>) = messages.iter().partition(|one| one.thread_ts.is_none());
    assert_eq!((parents.len(), replies.len()), (1, 1), "{messages:#?}");
    drop(program);
}

/// Evidence and request of every observation.
async fn steps(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("select evidence || ' ' || source || ' ' || query || ' ' || observation from steps")
        .fetch_all(pool)
        .await
        .unwrap()
}

/// What a program asks when it starts, of no object.
fn is_greeting(asked: &str) -> bool {
    ["GET /version", "GET /readyz"].iter().any(|greeting| asked.starts_with(greeting))
}

/// A pod of the version before that starts again in a rolling deploy, or after a rollback.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_starts_on_the_schema_of_a_newer_one() {
    let (pool, _) = database().await;
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (99991231000000, 'of a newer version', true, '', 0)";
    sqlx::raw_sql(newer).execute(&pool).await.unwrap();
    whodunit::postgres::migrate(&pool).await.unwrap();
    sqlx::raw_sql("update _sqlx_migrations set success = false where version = 99991231000000")
        .execute(&pool)
        .await
        .unwrap();
    let half_done = whodunit::postgres::migrate(&pool).await;
    assert!(half_done.is_err(), "a migration that broke off is nobody's to pass over");
}
