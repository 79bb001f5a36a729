//! When too much comes at once, when the cluster does not answer, and when the program is stopped or killed in
//! the middle: senders hear in time, people hear something, nothing is lost and nothing is said twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use whodunit::demo::slack::Message;
use whodunit::demo::{Fault, Recording, SlackStandIn};

use crate::house::{CHANNEL, House, HouseOptions, PATIENCE, database, serve_kubernetes, serve_slack};
use crate::program::{Program, command};

const ALERTMANAGER: &str = "/webhooks/alertmanager";
/// Alertmanager gives up after 10 s.
const IN_TIME: Duration = Duration::from_secs(3);
const LATER: u64 = 3600;

fn alert(name: &str, status: &str, labels: Value) -> Value {
    let mut all = json!({"alertname": name, "namespace": "prod-api", "severity": "warning"});
    for (key, value) in labels.as_object().unwrap() {
        all[key] = value.clone();
    }
    let ends_at = if status == "resolved" { "2026-11-21T08:03:19.889Z" } else { "0001-01-01T00:00:00Z" };
    json!({"status": status, "startsAt": "2026-11-21T07:03:19.889Z", "endsAt": ends_at, "generatorURL": "",
           "labels": all, "annotations": {"summary": format!("{name} fires")}})
}

fn body(alerts: &[Value]) -> String {
    json!({"version": "4", "groupKey": "g", "truncatedAlerts": 0, "status": "firing", "receiver": "r",
           "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": alerts})
    .to_string()
}

async fn house(settle_secs: u64, adjust: fn(&mut whodunit::settings::Settings)) -> House {
    House::start(HouseOptions { settle_secs, adjust: Some(adjust), ..HouseOptions::default() }).await
}

fn quick(settings: &mut whodunit::settings::Settings) {
    settings.slack.pace_ms = 5;
    settings.kubernetes.timeout_secs = 1;
}

async fn post(house: &House, alert: Value) {
    let asked = Instant::now();
    let (status, receipt) = house.post(ALERTMANAGER, body(&[alert])).await;
    assert_eq!((status, &receipt["new"]), (202, &json!(1)), "{receipt}");
    assert!(asked.elapsed() < IN_TIME, "{:?}", asked.elapsed());
}

/// What waits is due now.
async fn hurry(house: &House) {
    sqlx::query("update investigations set run_at = now() where state = 'queued'")
        .execute(&house.pool)
        .await
        .unwrap();
    house.settle().await;
}

/// (workload, state, confident, alerts) of every incident, in their order.
async fn incidents(house: &House) -> Vec<(String, String, bool, i32)> {
    sqlx::query_as("select workload, state, confident, alerts from incidents order by opened_at")
        .fetch_all(&house.pool)
        .await
        .unwrap()
}

fn says(message: &Message, words: &str) -> bool {
    format!("{} {}", message.text, message.blocks).contains(words)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_too_many_hears_503_at_once_and_is_taken_when_there_is_room() {
    let house = house(LATER, |settings| settings.server.max_in_flight = 1).await;
    let address = house.base_url.trim_start_matches("http://").to_owned();
    let mut slow = TcpStream::connect(&address).await.unwrap();
    let text = body(&[alert("Slow", "firing", json!({"deployment": "slow"}))]);
    let head = format!(
        "POST {ALERTMANAGER} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(&text.as_bytes()[..20]).await.unwrap();

    let until = Instant::now() + PATIENCE;
    loop {
        let asked = Instant::now();
        let request = house.http.post(format!("{}{ALERTMANAGER}", house.base_url)).body(body(&[]));
        let answer = request.send().await.unwrap();
        // The slow request may not have been seen yet.
        if answer.status() == 202 && Instant::now() < until {
            continue;
        }
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
        // It does not wait for the slow one, whose deadline is 10 s; a busy machine is no fault.
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        break;
    }
    assert_eq!(house.get("/healthz").await.0, 200, "reading has room of its own");

    slow.write_all(&text.as_bytes()[20..]).await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    post(&house, alert("Next", "firing", json!({"deployment": "next"}))).await;
}

/// Opens a connection that says nothing.
async fn silent(address: &str) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Asks for `/healthz` over a new connection: the status line.
async fn status_line(address: &str) -> String {
    let mut stream = silent(address).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_hear_503_and_are_taken_when_others_close() {
    let house = house(LATER, |settings| settings.server.max_connections = 8).await;
    let address = house.base_url.trim_start_matches("http://").to_owned();
    let mut open = Vec::new();
    let until = Instant::now() + PATIENCE;
    // The house has connections of its own, which count as well.
    while status_line(&address).await == "HTTP/1.1 200 OK" {
        assert!(
            Instant::now() < until && open.len() <= 8,
            "{} silent connections and room for more",
            open.len()
        );
        open.push(silent(&address).await);
    }
    // What was refused last may have met the end of the request before it: then this one is taken, and fills the room.
    let answer = loop {
        assert!(Instant::now() < until, "no connection is refused");
        let (mut one, mut answer) = (silent(&address).await, String::new());
        match tokio::time::timeout(Duration::from_secs(2), one.read_to_string(&mut answer)).await {
            Ok(read) => break read.map(|_| answer).unwrap(),
            Err(_taken) => open.push(one),
        }
    };
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: "), "{answer}");
    drop(open);
    while status_line(&address).await != "HTTP/1.1 200 OK" {
        assert!(Instant::now() < until, "closed connections left no room");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The cluster is there and says nothing of use: the sender hears in time, people read what is missing.
async fn without_a_cluster(fault: Fault) {
    let house = house(0, quick).await;
    house.kubernetes.faults().inject("/", fault);
    post(&house, alert("KubePodCrashLooping", "firing", json!({"pod": "user-service-8d7f95549-fttcw"})))
        .await;
    assert_eq!(
        incidents(&house).await,
        [("lab/prod-api/Deployment/user-service".to_owned(), "open".to_owned(), false, 1)]
    );
    house.settle().await;
    let report: Value =
        sqlx::query_scalar("select report from investigations").fetch_one(&house.pool).await.unwrap();
    assert_eq!(report["outcome"], "inconclusive", "{report}");
    assert!(report["gaps"].as_array().unwrap().len() > 3, "{report}");
    let threads = house.slack.threads();
    assert_eq!(threads.len(), 1);
    let [parent, summary] = threads[0].as_slice() else { panic!("{threads:#?}") };
    assert!(says(parent, "Deployment prod-api/user-service"), "{parent:?}");
    assert!(says(summary, "What could not be looked at"), "{summary:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_hangs_delays_no_sender_and_the_summary_says_what_is_missing() {
    without_a_cluster(Fault::Hang).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_forbids_everything_leads_to_a_summary_that_says_so() {
    without_a_cluster(Fault::Status(403)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guessed_workload_is_corrected_when_the_cluster_answers_again() {
    let house = house(LATER, quick).await;
    house.kubernetes.faults().inject("/", Fault::Status(403));
    post(&house, alert("HighErrorRate", "firing", json!({"pod": "api-gateway"}))).await;
    assert_eq!(incidents(&house).await[0].0, "lab/prod-api/Pod/api-gateway");
    house.kubernetes.faults().clear();
    hurry(&house).await;
    let expected = ("lab/prod-api/Deployment/api-gateway".to_owned(), "open".to_owned(), true, 1);
    assert_eq!(incidents(&house).await, std::slice::from_ref(&expected));
    let of: String =
        sqlx::query_scalar("select workload from investigations").fetch_one(&house.pool).await.unwrap();
    assert_eq!(of, expected.0);
    let threads = house.slack.threads();
    assert!(threads.len() == 1 && threads[0].len() == 2, "{threads:#?}");
    assert!(says(&threads[0][0], "Deployment prod-api/api-gateway"), "{:?}", threads[0][0]);

    post(&house, alert("HighErrorRate", "resolved", json!({"pod": "api-gateway"}))).await;
    assert_eq!(incidents(&house).await[0].1, "resolved", "the resolve finds the corrected incident");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guessed_incident_joins_the_right_one_and_both_threads_say_so() {
    let house = house(LATER, quick).await;
    post(&house, alert("KubeDeploymentReplicasMismatch", "firing", json!({"deployment": "api-gateway"})))
        .await;
    hurry(&house).await;
    house.kubernetes.faults().inject("/", Fault::Status(403));
    post(&house, alert("KubePodNotReady", "firing", json!({"pod": "api-gateway"}))).await;
    house.kubernetes.faults().clear();
    hurry(&house).await;

    let open = ("lab/prod-api/Deployment/api-gateway".to_owned(), "open".to_owned(), true, 2);
    let joined = ("lab/prod-api/Pod/api-gateway".to_owned(), "resolved".to_owned(), true, 1);
    assert_eq!(incidents(&house).await, [open, joined]);
    assert_eq!(house.count("select count(distinct incident_id) from alerts").await, 1);
    let names: Vec<String> =
        sqlx::query_scalar("select unnest(alert_names) from incidents where state = 'open'")
            .fetch_all(&house.pool)
            .await
            .unwrap();
    assert_eq!(names, ["KubeDeploymentReplicasMismatch", "KubePodNotReady"]);
    let threads = house.slack.threads();
    let [right, guessed] = threads.as_slice() else { panic!("{threads:#?}") };
    assert!(says(&guessed[0], "Joined another incident"), "{guessed:#?}");
    let last = guessed.last().unwrap();
    assert!(says(last, "`Deployment prod-api/api-gateway`") && says(last, "They still fire"), "{last:?}");
    assert!(guessed.iter().all(|message| !says(message, "No alert of this workload fires")), "{guessed:#?}");
    assert!(right.iter().any(|message| says(message, "More alerts belong here")), "{right:#?}");
    let looked_again = right.iter().filter(|message| says(message, "Looked again")).count();
    assert_eq!(looked_again, 1, "an alert name that nobody had looked at: {right:#?}");

    post(&house, alert("KubePodNotReady", "resolved", json!({"pod": "api-gateway"}))).await;
    assert_eq!(incidents(&house).await[0].1, "open", "the other alert still fires");
    let last = alert("KubeDeploymentReplicasMismatch", "resolved", json!({"deployment": "api-gateway"}));
    post(&house, last).await;
    assert_eq!(incidents(&house).await[0].1, "resolved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guess_that_was_investigated_blindly_is_corrected_and_looked_at_again_later() {
    let house = house(0, quick).await;
    house.kubernetes.faults().inject("/", Fault::Status(403));
    post(&house, alert("HighErrorRate", "firing", json!({"pod": "api-gateway"}))).await;
    house.settle().await;
    let guessed = ("lab/prod-api/Pod/api-gateway".to_owned(), "open".to_owned(), false, 1);
    assert_eq!(incidents(&house).await, [guessed]);
    house.kubernetes.faults().clear();
    let until = Instant::now() + PATIENCE;
    while !incidents(&house).await[0].2 {
        assert!(Instant::now() < until, "the guess stays");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    house.settle().await;
    assert_eq!(incidents(&house).await[0].0, "lab/prod-api/Deployment/api-gateway");
    let outcomes: Vec<String> =
        sqlx::query_scalar("select outcome from investigations where state = 'done' order by created_at")
            .fetch_all(&house.pool)
            .await
            .unwrap();
    assert_eq!(outcomes, ["inconclusive", "known_pattern"]);
    let threads = house.slack.threads();
    assert!(threads.len() == 1 && threads[0].len() == 3, "{threads:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_hands_running_investigations_back_and_the_next_start_finishes_them() {
    let mut house = house(0, |settings| {
        quick(settings);
        settings.kubernetes.timeout_secs = 30;
        settings.server.drain_secs = 0;
    })
    .await;
    post(&house, alert("KubePodCrashLooping", "firing", json!({"deployment": "user-service"}))).await;
    house.settle().await;
    let before = house.slack.messages().len();
    house.kubernetes.faults().inject("/pods", Fault::Hang);
    for workload in ["payment-service", "auth-service", "analytics-service"] {
        post(&house, alert("KubePodCrashLooping", "firing", json!({"deployment": workload}))).await;
    }
    let until = Instant::now() + PATIENCE;
    while house.count("select count(*) from investigations where state = 'running'").await < 3 {
        assert!(Instant::now() < until, "the investigations do not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    house.stop().await;
    assert_eq!(house.count("select count(*) from investigations where state = 'queued'").await, 3);
    house.kubernetes.faults().clear();
    house.restart().await;
    house.settle().await;
    let done: Vec<(i32, i32)> = sqlx::query_as(
        "select attempt, failures from investigations where state = 'done' and workload not like '%user-service'",
    )
    .fetch_all(&house.pool)
    .await
    .unwrap();
    assert_eq!(done, [(2, 0); 3], "a stop is no failure");
    assert_eq!(house.slack.messages().len() - before, 6, "one parent and one summary each");
    let threads = house.slack.threads();
    assert!(threads.iter().all(|thread| thread.len() == 2), "{threads:#?}");
}

/// What a killed program left behind. An announcement whose post was under way when it died may stand in the
/// channel: it is looked for when its lease has ended, 11 s later here.
struct Killed {
    pool: sqlx::PgPool,
    slack: Arc<SlackStandIn>,
    stand_ins: CancellationToken,
    variables: Vec<(&'static str, String)>,
    folder: tempfile::TempDir,
}

impl Killed {
    async fn new() -> Self {
        whodunit::app::install_tls();
        let (pool, url) = database().await;
        let stand_ins = CancellationToken::new();
        let (_, kubernetes_url) = serve_kubernetes(Recording::embedded().unwrap(), &stand_ins).await;
        let (slack, slack_url) = serve_slack("token", &[CHANNEL], &stand_ins).await;
        let variables = vec![
            ("WHODUNIT_DATABASE__URL", url),
            ("WHODUNIT_KUBERNETES__ENABLED", "true".to_owned()),
            ("WHODUNIT_KUBERNETES__URL", kubernetes_url),
            ("WHODUNIT_INTAKE__SETTLE_SECS", "0".to_owned()),
            ("WHODUNIT_WORKER__LEASE_SECS", "1".to_owned()),
            ("WHODUNIT_WORKER__MAX_ATTEMPTS", "50".to_owned()),
            ("WHODUNIT_SLACK__API_URL", format!("{slack_url}/api")),
            ("WHODUNIT_SLACK__TOKEN", "token".to_owned()),
            ("WHODUNIT_SLACK__CHANNEL", CHANNEL.to_owned()),
            ("WHODUNIT_SLACK__PACE_MS", "20".to_owned()),
            ("WHODUNIT_SLACK__TIMEOUT_SECS", "1".to_owned()),
        ];
        Self { pool, slack, stand_ins, variables, folder: tempfile::tempdir().unwrap() }
    }

    fn start(&self) -> Program {
        let mut command = command(self.folder.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Program::run(command)
    }

    async fn busy(&self) -> i64 {
        sqlx::query_scalar(
            "select (select count(*) from investigations where state in ('queued', 'running'))
                  + (select count(*) from announcements where state in ('waiting', 'posting'))",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_nothing_accepted_is_lost_and_nothing_is_said_twice() {
    const ROUNDS: usize = 8;
    const ALERTS: usize = 4;
    let killed = Killed::new().await;
    let mut accepted = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut program = killed.start();
        for number in 0..ALERTS {
            let name = format!("r{round:02}-a{number:02}");
            let text = body(&[alert("KilledInBetween", "firing", json!({"deployment": name}))]);
            assert_eq!(program.post(text.into_bytes()).await, 202);
            accepted.insert(name);
        }
        // Spread over the time between 202 and the last announcement, about half a second.
        let moment = (round * 67 + usize::try_from(program.child.id()).unwrap() * 13) % 500;
        tokio::time::sleep(Duration::from_millis(moment.try_into().unwrap())).await;
        program.child.kill().unwrap();
        program.child.wait().unwrap();
    }
    let program = killed.start();
    let until = Instant::now() + PATIENCE;
    while killed.busy().await > 0 {
        assert!(Instant::now() < until, "{} are still under way", killed.busy().await);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    drop(program);
    killed.stand_ins.cancel();

    let rows: Vec<(String, String, i32, String)> = sqlx::query_as(
        "select i.name, a.kind, a.looks, a.state from announcements a join incidents i on i.id = a.incident_id
         where a.kind in ('parent', 'summary')",
    )
    .fetch_all(&killed.pool)
    .await
    .unwrap();
    let messages = killed.slack.messages();
    let mut looked_for = 0;
    for name in &accepted {
        for kind in ["parent", "summary"] {
            let of: Vec<_> = rows.iter().filter(|row| row.0 == *name && row.1 == kind).collect();
            let [(_, _, looks, state)] = of.as_slice() else { panic!("{name} {kind}: {of:?}") };
            assert_eq!(state, "posted", "{name} {kind}");
            let said = messages.iter().filter(|one| one.thread_ts.is_none() == (kind == "parent"));
            assert_eq!(said.filter(|one| says(one, name)).count(), 1, "{name}: {kind} in Slack");
            looked_for += looks;
        }
    }
    println!(
        "kill -9: {ROUNDS} rounds, {} accepted, 0 lost, {looked_for} found by looking, 0 said twice",
        accepted.len()
    );
}
