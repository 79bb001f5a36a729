//! `whodunit runbooks test`, `check`, `coverage` and `capture` as programs, as authors run them: the built-in
//! cases hold, broken ones are told with their place, and a recording replays what was found without secrets.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use whodunit::runbook::Catalogue;

use crate::copy::{Copy, copy, items};
use crate::house::{self, House, HouseOptions, recorded_webhooks};

const RUNBOOKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks");

fn whodunit(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whodunit"));
    command.args(arguments).env("NO_COLOR", "1").env_remove("GITHUB_ACTIONS");
    command
}

/// Does not keep the runtime, which serves what the program asks.
async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn test(folder: &Path) -> (bool, String) {
    let output = run(whodunit(&["runbooks", "test", folder.to_str().unwrap()])).await;
    let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.success(), told)
}

fn cases_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { cases_below(&path) } else { usize::from(path.ends_with("case.yaml")) })
        .sum()
}

/// A copy of the built-in runbooks that a test may break.
struct Checkout(TempDir);

impl Checkout {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(Path::new(RUNBOOKS), folder.path());
        Self(folder)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn edit(&self, below: &str, from: &str, to: &str) {
        let path = self.path(below);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{below} has no `{from}`");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cases_of_the_built_in_runbooks_hold() {
    let output = run(whodunit(&["runbooks", "test", RUNBOOKS, "--output", "json"])).await;
    let tested: Value = serde_json::from_slice(&output.stdout).unwrap();
    let verdicts = tested["verdicts"].as_array().unwrap();
    let mut wrong: Vec<String> = tested["faults"].as_array().unwrap().iter().map(Value::to_string).collect();
    for verdict in verdicts {
        for what in ["missed", "false", "faulty"] {
            let lines = verdict[what].as_array().unwrap().iter();
            wrong.extend(lines.map(|line| format!("{} {what}: {line}", verdict["path"])));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(output.status.success());
    assert_eq!(verdicts.len(), cases_below(Path::new(RUNBOOKS)));
    let matched: u64 = verdicts.iter().map(|verdict| verdict["matched"].as_u64().unwrap()).sum();
    assert!(verdicts.len() >= 600 && matched >= 700, "{} cases, {matched} matched", verdicts.len());
    for lacking in ["without_match", "without_near_miss"] {
        assert_eq!(tested[lacking], serde_json::json!([]), "every built-in signature has both kinds of case");
    }
    assert!(tested["signatures"].as_u64().unwrap() >= 110);
    let catalogue = Catalogue::builtin();
    let known = catalogue.all_signatures();
    let knows_no_cause = |finding: &Value| known[finding["signature"].as_str().unwrap()].0.catch_all;
    for verdict in verdicts {
        let (found, path) = (verdict["found"].as_array().unwrap(), verdict["path"].as_str().unwrap());
        wrong.extend(found.iter().filter_map(|one| Some(format!("{path}: {}", reads_badly(one)?))));
        let primary: Vec<&Value> = found.iter().filter(|one| one["role"] == "primary").collect();
        let causes = primary.iter().filter(|one| !knows_no_cause(one)).count();
        if causes > 0 && (found[0]["role"] != "primary" || knows_no_cause(&found[0])) {
            wrong.push(format!("{path}: {} stands before a cause", found[0]["signature"]));
        }
        // What a case expects beside the cause is said there.
        let case = std::fs::read_to_string(path).unwrap();
        let also = case.split("\nalso:").nth(1).unwrap_or_default();
        let expected = |one: &&&Value| also.contains(one["signature"].as_str().unwrap());
        let symptoms = primary.iter().filter(|one| knows_no_cause(one)).filter(|one| !expected(one)).count();
        if causes > 0 && symptoms > 0 {
            wrong.push(format!("{path}: a symptom beside a cause that does not explain it: {primary:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is odd in a statement outside of what it quotes, which is as the cluster wrote it.
fn reads_badly(finding: &Value) -> Option<String> {
    let statement = finding["statement"].as_str().unwrap();
    let own: String = statement.split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
    let own = format!("{} ", own.trim_end());
    let odd = ["{{", "  ", ".. ", " . ", "()"].into_iter().find(|odd| own.contains(odd))?;
    Some(format!("{} reads badly at `{odd}`: {statement}", finding["signature"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_fails_says_what_was_expected_and_what_was_found() {
    let checkout = Checkout::new();
    let case = "cases/memory/oom-container-limit/case.yaml";
    checkout.edit(case, "signature: oom-container-limit", "signature: exit-137-by-itself");
    checkout.edit("cases/probes/liveness-probe-kills/case.yaml", "queue lock is held", "queue lock is free");
    checkout.edit(
        "cases/image/image-not-found-first-revision/case.yaml",
        "Deployment billing/",
        "Deployment shop/",
    );
    checkout.edit("cases/quota/quota-exceeded/case.yaml", "known_pattern", "inconclusive");
    checkout.edit(
        "cases/node/node-disk-pressure/case.yaml",
        "expect:",
        "near_miss_of: node-disk-pressure\nexpect:",
    );
    let (passed, told) = test(checkout.0.path()).await;
    assert!(!passed);
    for line in [
        "missed: exit-137-by-itself on Deployment shop/report-builder: not found as a primary finding",
        "false: oom-container-limit on Deployment shop/report-builder: not expected",
        "found primary oom-container-limit on Deployment shop/report-builder",
        "missed: liveness-probe-kills does not say `queue lock is free`",
        "missed: image-not-found blames Deployment billing/billing-api, not Deployment shop/billing-api",
        "faulty: the outcome is known_pattern, not inconclusive",
        "false: node-disk-pressure on Node worker-b: this is the near miss of it",
    ] {
        assert!(told.contains(line), "`{line}` is not in\n{told}");
    }
    assert!(told.contains("3 missed, 2 false, 1 faulty, 0 faults"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_just_written_is_what_is_tested() {
    let checkout = Checkout::new();
    checkout.edit("kubernetes/memory.md", r#"row.exit_reason == "OOMKilled" && row.role == "main""#, "false");
    let (passed, told) = test(checkout.0.path()).await;
    assert!(!passed && told.contains("missed: oom-container-limit"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_cannot_be_read_is_told_with_its_place() {
    let checkout = Checkout::new();
    let near = "cases/memory/oom-container-limit-near/case.yaml";
    checkout.edit(near, "near_miss_of:", "near_mis_of:");
    checkout.edit(
        "cases/image/image-not-found-first-revision/case.yaml",
        "signature: image-not-found",
        "signature: image-not-fond",
    );
    checkout.edit(
        "cases/image/image-not-found-first-revision-near/case.yaml",
        "0/state/waiting",
        "7/state/waiting",
    );
    checkout.edit("cases/job/job-backoff-limit/objects.yaml", "backoffLimit: 1", "backoffLimit: one");
    checkout.edit(
        "cases/quota/quota-exceeded/objects.yaml",
        "progressDeadlineSeconds",
        "progressDedlineSeconds",
    );
    checkout.edit(
        "cases/node/node-disk-pressure-near/case.yaml",
        "Event default/worker-b.22e1",
        "Event default/nothing",
    );
    std::fs::write(checkout.path("cases/probes/liveness-probe-kills/object.yaml"), "").unwrap();
    let log = "cases/memory/oom-container-limit/logs/shop/report-builder-7d9c5b6f4-x2k9p.builder.current.log";
    checkout.edit(log, "2026-05-01T11:57:03.102837465Z ", "");
    let (passed, told) = test(checkout.0.path()).await;
    assert!(!passed);
    let root = checkout.0.path().display().to_string();
    let told = told.replace(&root, "");
    for line in [
        "/cases/memory/oom-container-limit-near/case.yaml:4:1: ",
        "near_mis_of",
        "/cases/image/image-not-found-first-revision/case.yaml:7:16: no signature `image-not-fond` is known",
        "there is no `7`",
        "Job data/import: spec.backoffLimit: ",
        "Deployment finance/ledger: .spec.progressDedlineSeconds: Kubernetes knows no such field",
        "Event default/nothing: there is no such object",
        "/cases/probes/liveness-probe-kills/object.yaml:1:1: no file of a case",
        "x2k9p.builder.current.log:2:1: a line begins with its time",
    ] {
        assert!(told.contains(line), "`{line}` is not in\n{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_without_a_case_is_a_warning_of_check_and_fails_the_test() {
    let folder = tempfile::tempdir().unwrap();
    let runbook = "---\nname: own\nmatch: {alerts: [KubePodCrashLooping]}\nsignatures:\n  - id: own-oom\n    over: containers\n    \
                   when: row.exit_reason == \"OOMKilled\"\n    category: resources\n    statement: Ours.\n    rank: 99\n    \
                   explains: [oom-container-limit]\n    fix: [{text: Ask us., risk: none}]\n---\n";
    std::fs::write(folder.path().join("own.md"), runbook).unwrap();
    let check = || run(whodunit(&["runbooks", "check", folder.path().to_str().unwrap()]));
    let output = check().await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && told.contains("own.md:5:9: no case expects signature `own-oom`"),
        "{told}"
    );
    // A warning for who writes it, a fault for who wants to rely on it.
    let strict = run(whodunit(&["runbooks", "check", "--strict", folder.path().to_str().unwrap()])).await;
    let told = String::from_utf8(strict.stdout).unwrap();
    assert!(!strict.status.success() && told.ends_with("add one below cases/\n"), "{told}");
    let (passed, told) = test(folder.path()).await;
    assert!(
        !passed && told.contains("own.md:5:9: no case expects signature `own-oom`; add one below cases/"),
        "{told}"
    );
    // With the case of a colleague it is silent, and `test` judges with the folder's signature.
    let case = folder.path().join("cases/own/oom");
    copy(&Path::new(RUNBOOKS).join("cases/memory/oom-container-limit"), &case);
    let text = std::fs::read_to_string(case.join("case.yaml")).unwrap();
    let text =
        text.replace("signature: oom-container-limit", "signature: own-oom").replace("says:", "says: [] #");
    std::fs::write(case.join("case.yaml"), text).unwrap();
    assert_eq!(String::from_utf8(check().await.stdout).unwrap(), "");
    let (passed, told) = test(folder.path()).await;
    assert!(passed && told.contains("1 signatures, 1 cases: 1 matched"), "{told}");
    let strict = run(whodunit(&["runbooks", "test", "--strict", folder.path().to_str().unwrap()])).await;
    assert!(!strict.status.success(), "it has no near miss");
}

/// What a report or a verdict found: role, signature and object.
fn found(findings: &Value, object: impl Fn(&Value) -> String) -> Vec<String> {
    let each = findings.as_array().unwrap().iter();
    let mut all: Vec<String> =
        each.map(|one| format!("{} {} {}", one["role"], one["signature"], object(&one["object"]))).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_captured_namespace_replays_what_was_found_and_holds_no_secret() {
    let copy = Copy::new();
    const SECRET: &str = "hunter2-Zq8vN4xW";
    copy.edit("shop/pods.json", |list| {
        for pod in items(list, "") {
            let container = &mut pod["spec"]["containers"][0];
            container["env"] = serde_json::json!([{"name": "DB_PASSWORD", "value": SECRET}]);
            pod["metadata"]["annotations"]["note"] = format!("postgres://app:{SECRET}@db/shop").into();
        }
    });
    copy.edit("shop/deployments.json", |list| {
        for deployment in items(list, "") {
            let annotations = &mut deployment["metadata"]["annotations"];
            annotations["kubectl.kubernetes.io/last-applied-configuration"] =
                format!("{{\"x\":\"{SECRET}\"}}").into();
            deployment["spec"]["template"]["spec"]["containers"][0]["args"] =
                serde_json::json!(["--password", SECRET]);
        }
    });
    copy.edit("shop/configmaps.json", |list| {
        for map in items(list, "") {
            map["data"]["settings"] = SECRET.into();
        }
    });
    let log = "shop/logs/catalog-677bc4f7c4-5bccf.catalog.current.log";
    copy.log(log, &[format!("told by the log: password={SECRET}")]);
    let shutdown = CancellationToken::new();
    let (_, url) = house::serve_kubernetes(&copy.recording(), &shutdown).await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("recorded");
    let mut capture = whodunit(&["capture", "--namespace", "shop", "-o", dir.to_str().unwrap()]);
    capture.env("WHODUNIT_KUBERNETES__URL", &url);
    let output = run(capture).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut investigate = whodunit(&["investigate", "--namespace", "shop", "--output", "json"]);
    investigate.env("WHODUNIT_KUBERNETES__URL", &url);
    let report: Value = serde_json::from_slice(&run(investigate).await.stdout).unwrap();
    shutdown.cancel();
    let replay = run(whodunit(&["runbooks", "test", dir.to_str().unwrap(), "--output", "json"])).await;
    let tested: Value = serde_json::from_slice(&replay.stdout).unwrap();
    assert!(replay.status.success(), "{tested:#}");
    let short = |object: &Value| {
        let (kind, namespace, name) = (&object["kind"], &object["namespace"], &object["name"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        match text(namespace).as_str() {
            "" => format!("{} {}", text(kind), text(name)),
            namespace => format!("{} {namespace}/{}", text(kind), text(name)),
        }
    };
    let live = found(&report["findings"], short);
    assert!(live.len() > 5, "{live:?}");
    assert_eq!(found(&tested["verdicts"][0]["found"], |object| object.as_str().unwrap().to_owned()), live);
    for (path, text) in files(&dir) {
        assert!(!text.contains(SECRET), "{path} holds the secret");
        assert!(!text.contains("kind: Secret\n"), "{path} holds a Secret");
    }
    let objects = std::fs::read_to_string(dir.join("objects.yaml")).unwrap();
    assert!(objects.contains("[redacted:credential]") && objects.contains("[redacted:password]"));
    let log = std::fs::read_to_string(dir.join("logs").join(log.replace("/logs", ""))).unwrap();
    assert!(log.contains("told by the log: password=[redacted"), "{log}");
    let again = run(whodunit(&["capture", "--namespace", "shop", "-o", dir.to_str().unwrap()])).await;
    assert!(!again.status.success(), "a folder that is not empty is not written into");
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push((path.display().to_string(), std::fs::read_to_string(path).unwrap()));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn coverage_lists_alerts_that_have_no_runbook_of_their_own() {
    let mut house = House::start(HouseOptions::default()).await;
    for body in recorded_webhooks() {
        house.post("/webhooks/alertmanager", body).await;
    }
    house.settle().await;
    house.stop().await;
    let database: String =
        sqlx::query_scalar("select current_database()").fetch_one(&house.pool).await.unwrap();
    let socket = house.pool.connect_options().get_socket().unwrap().display().to_string();
    let url = format!("postgres://whodunit@localhost/{database}?host={}", socket.replace('/', "%2F"));
    let mut command = whodunit(&["runbooks", "coverage", "--output", "json"]);
    command.env("WHODUNIT_DATABASE__URL", &url);
    let output = run(command).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let listed = listed.as_array().unwrap();
    let count = |one: &Value| one["without"].as_i64().unwrap() + one["partial"].as_i64().unwrap();
    assert!(!listed.is_empty() && listed.iter().all(|one| count(one) > 0), "{listed:?}");
    assert!(
        listed.windows(2).all(|pair| count(&pair[0]) >= count(&pair[1])),
        "most frequent first: {listed:?}"
    );
    let accepted = house
        .count("select count(*) from alerts a where status = 'firing' and exists (select 1 from investigations i where i.incident_id = a.incident_id and report is not null)")
        .await;
    assert_eq!(listed.iter().map(count).sum::<i64>(), accepted, "no recorded alert has a runbook of its own");
    let mut command = whodunit(&["runbooks", "coverage"]);
    command.env("WHODUNIT_DATABASE__URL", &url);
    let told = String::from_utf8(run(command).await.stdout).unwrap();
    assert!(told.starts_with("alert ") && told.contains("KubePodCrashLooping"), "{told}");
}
