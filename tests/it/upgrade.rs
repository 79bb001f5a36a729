//! The program starts on a database that an earlier version left in the middle of its work, and on one that was restored
//! from a dump: it brings the schema up to date, does what waits, says once what was not said, and shows what is old.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use tokio_util::sync::CancellationToken;
use whodunit::alert::{Alert, Source};
use whodunit::demo::Recording;
use whodunit::demo::slack::{Message, SlackStandIn};

use crate::house::{self, CHANNEL, PATIENCE, fixture};
use crate::program::{Program, command};

const TOKEN: &str = "xoxb-of-the-upgrade";
const WEBHOOK: &str = "recording/alertmanager/webhooks/004-firing-PaymentServiceDown-n1.json";
/// Of what was never said until the upgrade: what no later news replaces.
const WAITING: [&str; 3] = ["old summary of c", "old end of c", "old giving up of d"];

/// The database as the version with this last migration made it.
async fn as_of(version: i64) -> (PgPool, String) {
    let (pool, url) = house::bare_database().await;
    let mut migrations = sqlx::migrate!("./migrations");
    let kept: Vec<_> = migrations.iter().filter(|one| one.version <= version).cloned().collect();
    assert_eq!(kept.last().unwrap().version, version, "there is no such migration");
    migrations.migrations = kept.into();
    migrations.run(&pool).await.unwrap();
    (pool, url)
}

/// Rows of a file, whose message of `b` stands in Slack.
async fn fill(pool: &PgPool, file: &str, thread: &Message) {
    let text = String::from_utf8(fixture(file)).unwrap();
    let text = text.replace("{THREAD}", &thread.ts).replace("{CHANNEL}", CHANNEL);
    let text = text.replace("{CHANNEL_ID}", &thread.channel);
    sqlx::raw_sql(AssertSqlSafe(text)).execute(pool).await.unwrap();
}

/// The alerts of the incidents; that of the first is the recorded one.
async fn alerts(pool: &PgPool) {
    let body = fixture(WEBHOOK);
    let recorded = whodunit::webhook::parse(Source::Alertmanager, &body, Utc::now()).unwrap().remove(0);
    let named = |name: &str, labels: &[(&str, &str)], fingerprint: &str| {
        let mut alert = recorded.clone();
        alert.labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        alert.labels.insert("alertname".to_owned(), name.to_owned());
        alert.fingerprint = fingerprint.to_owned();
        alert
    };
    let b = [("namespace", "prod-api"), ("pod", "analytics-service-7987f4985-2z45z")];
    let c = [("namespace", "shop"), ("deployment", "checkout")];
    let d = [("namespace", "shop"), ("deployment", "search")];
    let over = |alert: Alert| Alert {
        status: whodunit::alert::Status::Resolved,
        ends_at: Some(Utc::now() - chrono::TimeDelta::hours(3)),
        ..alert
    };
    let c = named("KubeDeploymentReplicasMismatch", &c, "000000000000000c");
    for (incident, alert, decision) in [
        ('a', recorded.clone(), "open"),
        ('b', named("KubePodCrashLooping", &b, "000000000000000b"), "open"),
        ('c', c.clone(), "open"),
        ('c', over(c), "resolve"),
        ('d', named("KubePodNotReady", &d, "000000000000000d"), "open"),
    ] {
        sqlx::query(
            "insert into alerts (id, source, fingerprint, starts_at, status, name, severity, cluster, body, ends_at,
                                 incident_id, decision, reason)
             values (gen_random_uuid(), 'alertmanager', $1, $2, $3, $4, 'warning', '', $5, $6, $7::uuid, $8, 'old')",
        )
        .bind(&alert.fingerprint)
        .bind(alert.starts_at)
        .bind(alert.status.as_str())
        .bind(alert.name().to_owned())
        .bind(serde_json::to_value(&alert).unwrap())
        .bind(alert.ends_at)
        .bind(format!("00000000-0000-0000-0000-00000000000{incident}"))
        .bind(decision)
        .execute(pool)
        .await
        .unwrap();
    }
}

/// What the program lives between.
struct Outside {
    slack: Arc<SlackStandIn>,
    kubernetes_url: String,
    slack_url: String,
    folder: tempfile::TempDir,
    stand_ins: CancellationToken,
}

impl Outside {
    async fn new() -> Self {
        whodunit::app::install_tls();
        let stand_ins = CancellationToken::new();
        let (_, kubernetes_url) = house::serve_kubernetes(Recording::embedded().unwrap(), &stand_ins).await;
        let (slack, slack_url) = house::serve_slack(TOKEN, &[CHANNEL], &stand_ins).await;
        Self { slack, kubernetes_url, slack_url, folder: tempfile::tempdir().unwrap(), stand_ins }
    }

    fn settings(&self, database: &str) -> PathBuf {
        let settings = json!({
            "database": {"url": database}, "intake": {"settle_secs": 0},
            // What a dump holds as under way is free after this.
            "worker": {"lease_secs": 3},
            "kubernetes": {"url": self.kubernetes_url, "cluster": "lab"},
            "slack": {"api_url": format!("{}/api", self.slack_url), "token": TOKEN, "channel": CHANNEL, "pace_ms": 20},
        });
        let file = self.folder.path().join("whodunit.yaml");
        std::fs::write(&file, settings.to_string()).unwrap();
        file
    }

    async fn start(&self, database: &str) -> Program {
        let mut command = command(self.folder.path());
        command.arg("--config").arg(self.settings(database)).env("WHODUNIT_KUBERNETES__ENABLED", "true");
        tokio::task::spawn_blocking(move || Program::run(command)).await.unwrap()
    }

    /// `whodunit stats`, which fails when alerts are not accounted for.
    async fn stats(&self, database: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_whodunit"));
        command.arg("stats").arg("--config").arg(self.settings(database)).env("NO_COLOR", "1");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{text}");
        text
    }

    /// How often something was said in a thread, or a head was replaced by it.
    fn said(&self, words: &str) -> usize {
        let replies = self.slack.messages().into_iter().filter(|message| message.thread_ts.is_some());
        replies.filter(|reply| reply.text == words).count()
            + self.slack.updates().iter().filter(|update| update.text == words).count()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.stand_ins.cancel();
    }
}

async fn read(program: &Program, path: &str) -> Value {
    let answer = house::http().get(format!("{}{path}", program.url)).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.json().await.unwrap()
}

/// Nothing waits and nothing is under way.
async fn all_done(pool: &PgPool) {
    let until = Instant::now() + PATIENCE;
    let query = "select (select count(*) from investigations where state in ('queued', 'running'))
                      + (select count(*) from announcements where state in ('waiting', 'posting'))";
    while sqlx::query_scalar::<_, i64>(query).fetch_one(pool).await.unwrap() > 0 {
        assert!(Instant::now() < until, "not everything that waited was done");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn nothing_is_lost(version: i64, also: Option<&str>) {
    let outside = Outside::new().await;
    outside.slack.seed(CHANNEL, &json!({"text": "old head of b", "bot_id": "B0WHODUNIT"})).unwrap();
    let thread = outside.slack.messages().remove(0);
    let (pool, url) = as_of(version).await;
    fill(&pool, "upgrade.sql", &thread).await;
    alerts(&pool).await;
    if let Some(file) = also {
        fill(&pool, file, &thread).await;
    }
    let program = outside.start(&url).await;
    all_done(&pool).await;

    let one = async |id: &str| {
        read(&program, &format!("/api/v1/investigations/00000000-0000-0000-0000-0000000000{id}")).await
    };
    for id in ["a1", "b1"] {
        let done = one(id).await;
        assert_eq!(
            (&done["state"], &done["outcome"]),
            (&json!("done"), &json!("known_pattern")),
            "{id}: {done}"
        );
    }
    let old = one("c1").await;
    assert_eq!(old["report"]["cause"]["id"], "missing-secret", "{old}");
    assert_eq!(old["report"]["timeline"][0]["what"], "the pod waits");
    let page =
        house::http().get(format!("{}/investigations/00000000-0000-0000-0000-0000000000c1", program.url));
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Secret shop/checkout-token is not there"), "{page}");
    let dead = one("d1").await;
    assert_eq!((&dead["state"], &dead["error"]), (&json!("dead"), &json!("the cluster was away")));

    for words in WAITING {
        assert_eq!(outside.said(words), 1, "{words}");
    }
    let heads: Vec<_> = outside.slack.messages().into_iter().filter(|one| one.thread_ts.is_none()).collect();
    assert_eq!(heads.len(), 4, "each incident has one head, and that of b stood there: {heads:#?}");
    let below = outside.slack.thread(&thread.ts);
    assert!(below.len() > 1, "what is found of b stands in its thread: {below:#?}");
    let (posted, failed) = announced(&pool).await;
    assert_eq!((posted >= 9, failed), (true, 0), "{posted} posted, {failed} failed");

    // The same firing again is the occurrence that the old version stored.
    assert_eq!(program.post(fixture(WEBHOOK)).await, 202);
    let stats = outside.stats(&url).await;
    assert!(stats.contains("Every alert received is accounted for"), "{stats}");
    let repeats: i32 =
        sqlx::query_scalar("select sum(repeats)::int from alerts").fetch_one(&pool).await.unwrap();
    assert_eq!(repeats, 1);
    assert_eq!(read(&program, "/api/v1/incidents").await["items"].as_array().unwrap().len(), 4);
}

async fn announced(pool: &PgPool) -> (i64, i64) {
    let query = "select count(*) filter (where state = 'posted'), count(*) filter (where state = 'failed') from announcements";
    sqlx::query_as(query).fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_first_schema_goes_on_where_it_was_left() {
    nothing_is_lost(20261121000010, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_schema_before_the_last_ones_goes_on_where_it_was_left() {
    nothing_is_lost(20261121000070, Some("upgrade-pages.sql")).await;
}

/// A command that only looks, and what it says.
async fn looks(command: &'static str, database: &str) -> (bool, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_whodunit"));
    program.arg(command).env("NO_COLOR", "1").env("WHODUNIT_DATABASE__URL", database);
    program.env("WHODUNIT_URL", "http://127.0.0.1:1");
    let output = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_looks_changes_no_schema() {
    let (empty, empty_url) = house::bare_database().await;
    let (old, old_url) = as_of(20261121000070).await;
    let (newer, newer_url) = house::database().await;
    let known =
        "insert into _sqlx_migrations values (29991231000000, 'of a newer version', now(), true, '', 0)";
    sqlx::raw_sql(known).execute(&newer).await.unwrap();
    let tables = async |pool: &PgPool| {
        let query = "select count(*) from information_schema.columns where table_schema = 'public'";
        sqlx::query_scalar::<_, i64>(query).fetch_one(pool).await.unwrap()
    };
    for (pool, url, told) in [
        (&empty, &empty_url, "has no schema of whodunit yet; `whodunit migrate` makes it"),
        (&old, &old_url, "the database's schema is older than this program"),
    ] {
        let before = tables(pool).await;
        let (good, said) = looks("stats", url).await;
        assert!(!good && said.contains(told), "{said}");
        let (good, said) = looks("support", url).await;
        assert!(good && said.contains(told), "the bundle says it and goes on: {said}");
        assert_eq!(tables(pool).await, before);
    }
    let (good, said) = looks("stats", &newer_url).await;
    assert!(good && said.contains("Every alert received is accounted for"), "{said}");
}

fn pg(program: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders
        .into_iter()
        .rev()
        .chain(std::env::split_paths(&path))
        .map(|dir| dir.join(program))
        .find(|file| file.exists())
}

fn run(program: &Path, socket: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(["-h", socket, "-U", "whodunit"]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_a_database_at_work_is_restored_and_served() {
    let (Some(dump), Some(restore)) = (pg("pg_dump"), pg("pg_restore")) else {
        eprintln!("left out: pg_dump and pg_restore are not on this machine");
        return;
    };
    let outside = Outside::new().await;
    let (pool, url) = house::database().await;
    let mut program = outside.start(&url).await;
    for body in house::recorded_webhooks().into_iter().take(6) {
        assert_eq!(program.post(body).await, 202);
    }
    // While investigations run and messages wait.
    let address: reqwest::Url = url.parse().unwrap();
    let (_, socket) = address.query_pairs().find(|(name, _)| name == "host").unwrap();
    let file = outside.folder.path().join("whodunit.dump");
    let file = file.to_str().unwrap();
    run(&dump, &socket, &["-Fc", "-d", address.path().trim_start_matches('/'), "-f", file]);
    all_done(&pool).await;
    assert!(program.terminate().await.success());

    let (restored, url) = house::bare_database().await;
    let address: reqwest::Url = url.parse().unwrap();
    run(&restore, &socket, &["--exit-on-error", "-d", address.path().trim_start_matches('/'), file]);
    let program = outside.start(&url).await;
    all_done(&restored).await;
    let workloads = async |pool: &PgPool| {
        let query = "select array_agg(workload order by workload) from incidents";
        sqlx::query_scalar::<_, Vec<String>>(query).fetch_one(pool).await.unwrap()
    };
    let before = workloads(&pool).await;
    assert!(before.len() > 2 && workloads(&restored).await == before, "{before:?}");
    // Alertmanager sends again what still fires: nothing is new.
    for body in house::recorded_webhooks().into_iter().take(6) {
        assert_eq!(program.post(body).await, 202);
    }
    all_done(&restored).await;
    assert_eq!(workloads(&restored).await, before);
    outside.stats(&url).await;
    let items = read(&program, "/api/v1/investigations?limit=200").await;
    assert!(items["items"].as_array().unwrap().iter().all(|one| one["state"] == "done"), "{items}");
}
