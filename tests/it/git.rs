//! Runbooks pulled from a git repository, by the whole service: what an investigation records, what a push changes,
//! and what stays in force when the newest commit, the branch, the repository or the network is bad.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use whodunit::settings::Settings;

use crate::house::{House, HouseOptions, PATIENCE, listen};

/// Runs git as an author does.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args([
        "-c",
        "user.name=Author",
        "-c",
        "user.email=author@example.com",
        "-c",
        "commit.gpgsign=false",
    ]);
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A team's repository with a folder of runbooks, and where replicas keep what they pull.
pub struct Origin {
    folder: TempDir,
    pub data_dir: TempDir,
}

impl Origin {
    pub fn new() -> Self {
        let origin = Self { folder: tempfile::tempdir().unwrap(), data_dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(origin.path()).unwrap();
        git(&origin.path(), &["init", "--quiet", "--initial-branch=main"]);
        origin
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("origin")
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    pub fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Commits what was written; the commit's full name.
    pub fn commit(&self) -> String {
        git(&self.path(), &["add", "--all"]);
        git(&self.path(), &["commit", "--quiet", "--message", "Change runbooks"]);
        git(&self.path(), &["rev-parse", "HEAD"])
    }

    /// A commit whose one runbook says this.
    pub fn push(&self, text: &str) -> String {
        self.write("team/own.md", own(text));
        self.commit()
    }

    fn options(&self, with: impl FnOnce(&mut Settings) + Send + 'static) -> HouseOptions {
        let (url, data_dir) = (self.url(), self.data_dir.path().to_owned());
        HouseOptions {
            without_slack: true,
            with: Some(Box::new(move |settings| {
                settings.database.data_dir = Some(data_dir);
                settings.runbooks.git.url = Some(url);
                settings.runbooks.git.branch = Some("main".to_owned());
                settings.runbooks.git.path = "team".to_owned();
                settings.runbooks.git.interval_secs = 1;
                with(settings);
            })),
            ..HouseOptions::default()
        }
    }

    async fn house(&self) -> House {
        House::start(self.options(|_| {})).await
    }
}

pub fn own(text: &str) -> String {
    format!("---\nname: own\nmatch: {{alerts: [KubePodCrashLooping]}}\n---\n{text}\n")
}

/// An alert about this Deployment of the recorded cluster, investigated; the report's runbook.
async fn runbook_used(house: &House, deployment: &str) -> Value {
    let body = json!({"version": "4", "status": "firing", "receiver": "whodunit", "alerts": [{
        "status": "firing", "fingerprint": format!("{deployment:0>16}"), "startsAt": "2026-11-21T07:03:19.889Z",
        "labels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "deployment": deployment,
                   "severity": "critical"}}]});
    let (status, answer) = house.post("/webhooks/alertmanager", body.to_string()).await;
    assert_eq!(status, 202, "{answer}");
    house.settle().await;
    let (_, list) = house.get("/api/v1/investigations?limit=200").await;
    let about = |one: &&Value| one["workload"].to_string().contains(deployment);
    let id = list["items"].as_array().unwrap().iter().find(about).unwrap()["id"].as_str().unwrap().to_owned();
    let (_, detail) = house.get(&format!("/api/v1/investigations/{id}")).await;
    let recorded: Option<String> =
        sqlx::query_scalar("select runbook_revision from investigations where id = $1::text::uuid")
            .bind(&id)
            .fetch_one(&house.pool)
            .await
            .unwrap();
    assert_eq!(detail["report"]["runbook"]["revision"], json!(recorded), "the report says what the row says");
    detail["report"]["runbook"].clone()
}

/// `/readyz` once it is as wanted.
async fn ready(house: &House, wanted: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let (status, body) = house.get("/readyz").await;
        let slow = body["database"] != "ok";
        assert!(status == 200 || slow, "bad runbooks are no reason to refuse alerts: {body}");
        if wanted(&body) {
            return body;
        }
        assert!(Instant::now() < until, "it stays at {body:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn faults(ready: &Value) -> Vec<&str> {
    ready["runbook_faults"].as_array().unwrap().iter().map(|fault| fault.as_str().unwrap()).collect()
}

fn is_told(ready: &Value, words: &[&str]) -> bool {
    faults(ready).iter().any(|fault| words.iter().all(|word| fault.contains(word)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_investigation_records_the_commit_and_a_push_is_in_force_after_the_interval() {
    let origin = Origin::new();
    let first = origin.push("Look at the queue first.");
    let house = origin.house().await;
    let used = runbook_used(&house, "inventory").await;
    assert_eq!((&used["name"], &used["revision"]), (&json!("own"), &json!(first)));
    assert_eq!(used["coverage"], "covered");

    let second = origin.push("Look at the disk first.");
    let now = ready(&house, |ready| ready["runbook_commit"] == json!(second)).await;
    assert_eq!(faults(&now), Vec::<&str>::new());
    assert_eq!(runbook_used(&house, "checkout").await["revision"], json!(second));

    // A commit beside the folder changes no runbook, and is what is recorded from then on.
    origin.write("elsewhere/notes.md", "---\nbroken: [\n---\n");
    let third = origin.commit();
    ready(&house, |ready| ready["runbook_commit"] == json!(third)).await;
    assert_eq!(runbook_used(&house, "search").await["revision"], json!(third));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_commit_is_told_with_its_place_and_the_one_before_stays_in_force() {
    let origin = Origin::new();
    let good = origin.push("Look at the queue first.");
    let house = origin.house().await;
    // The commit counts as a whole: its good change is not taken in beside its bad one.
    origin.write("team/other.md", "---\nname: other\nscop: cluster\n---\n");
    let bad = origin.push("Look at the disk first.");
    let now = ready(&house, |ready| is_told(ready, &["git:other.md:3:1: ", "scop"])).await;
    assert!(is_told(&now, &[&bad, "is not taken in: 1 fault", &good, "stays in force"]), "{now:#}");
    assert_eq!(now["runbook_commit"], json!(good));
    assert_eq!(runbook_used(&house, "inventory").await["revision"], json!(good));

    std::fs::remove_file(origin.path().join("team/other.md")).unwrap();
    let mended = origin.commit();
    let now = ready(&house, |ready| ready["runbook_commit"] == json!(mended)).await;
    assert_eq!(faults(&now), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_is_gone_and_a_repository_that_is_away_leave_the_last_commit_even_over_a_restart() {
    let origin = Origin::new();
    let good = origin.push("Look at the queue first.");
    let mut house = origin.house().await;
    git(&origin.path(), &["branch", "--move", "main", "trunk"]);
    let now = ready(&house, |ready| is_told(ready, &["has no refs/heads/main", "runbooks.git.branch"])).await;
    assert!(is_told(&now, &[&good, "stays in force"]), "{now:#}");
    assert_eq!(runbook_used(&house, "inventory").await["revision"], json!(good));

    house.stop().await;
    let away = origin.path().with_extension("away");
    std::fs::rename(origin.path(), &away).unwrap();
    house.restart().await;
    let now = ready(&house, |ready| is_told(ready, &["git ls-remote failed", &good])).await;
    assert_eq!(now["runbook_commit"], json!(good), "from disk");
    assert_eq!(runbook_used(&house, "checkout").await["revision"], json!(good));

    std::fs::rename(&away, origin.path()).unwrap();
    git(&origin.path(), &["branch", "--move", "trunk", "main"]);
    let now = ready(&house, |ready| faults(ready).is_empty()).await;
    assert_eq!(now["runbook_commit"], json!(good));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_without_the_repository_serves_with_the_built_in_runbooks_and_says_so() {
    let origin = Origin::new();
    let away = origin.path().with_extension("away");
    let commit = origin.push("Look at the queue first.");
    std::fs::rename(origin.path(), &away).unwrap();
    let house = origin.house().await;
    let now = ready(&house, |_| true).await;
    assert!(is_told(&now, &["no commit of it was ever had", "built-in runbooks"]), "{now:#}");
    assert_eq!(runbook_used(&house, "inventory").await["name"], "crash");
    std::fs::rename(&away, origin.path()).unwrap();
    ready(&house, |ready| ready["runbook_commit"] == json!(commit)).await;
    assert_eq!(runbook_used(&house, "checkout").await["name"], "own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_commit_with_faults_is_used_without_what_is_faulty() {
    let origin = Origin::new();
    origin.write("team/bad.md", "---\nname: bad\nscop: cluster\n---\n");
    let first = origin.push("Look at the queue first.");
    let house = origin.house().await;
    let now = ready(&house, |ready| ready["runbook_commit"] == json!(first)).await;
    assert!(is_told(&now, &["no good commit is at hand", &first]), "{now:#}");
    assert_eq!(faults(&now).iter().filter(|fault| fault.starts_with("git:bad.md:3:1: ")).count(), 1);
    assert_eq!(runbook_used(&house, "inventory").await["revision"], json!(first));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_commit_is_bounded_and_leads_nowhere() {
    use std::os::unix::fs::symlink;
    let origin = Origin::new();
    let good = origin.push("Look at the queue first.");
    let house = origin.house().await;
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.md"), own("hunter2")).unwrap();
    symlink(outside.path().join("secret.md"), origin.path().join("team/leak.md")).unwrap();
    symlink(outside.path(), origin.path().join("team/folder")).unwrap();
    symlink("../../../../../../../../etc", origin.path().join("team/etc")).unwrap();
    origin.write("team/big.md", vec![b'x'; 10 << 20]);
    let laughs =
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]";
    origin.write("team/bomb.md", format!("---\n{laughs}\n---\n"));
    for number in 0..10_000 {
        origin.write(&format!("team/many/{number:05}.md"), "# one of many");
    }
    let hook = origin.path().join(".git/hooks/post-checkout");
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}/hooked\n", outside.path().display())).unwrap();
    let bad = origin.push("Look at the disk first.");
    let now = ready(&house, |ready| is_told(ready, &[&bad, "is not taken in"])).await;
    for words in [
        ["git:leak.md:1:1: ", "leads out of the runbook folder"],
        ["git:folder:1:1: ", "leads out of the runbook folder"],
        ["git:etc:1:1: ", ""],
        ["git:big.md:1:1: ", "larger than 262144 bytes; split it"],
        ["git:bomb.md:2:", ""],
        ["git:many/", "more than 1000 runbooks"],
    ] {
        assert!(is_told(&now, &words), "{words:?} is not in {now:#}");
    }
    assert!(faults(&now).len() <= 22 && now["runbook_commit"] == json!(good), "{now:#}");
    assert!(!now.to_string().contains("hunter2") && !outside.path().join("hooked").exists());

    // A folder that is a link is not followed.
    git(&origin.path(), &["rm", "-r", "--quiet", "team"]);
    symlink(outside.path(), origin.path().join("team")).unwrap();
    let link = origin.commit();
    let now = ready(&house, |ready| is_told(ready, &[&link, "has no folder \"team\""])).await;
    assert_eq!(now["runbook_commit"], json!(good));
    assert_eq!(runbook_used(&house, "inventory").await["revision"], json!(good));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_never_answers_ends_at_its_deadline_and_its_processes_with_it() {
    let origin = Origin::new();
    let (listener, url) = listen().await;
    let port = url.rsplit(':').next().unwrap().to_owned();
    // Accepts, says nothing, and waits until the other side is gone.
    let gone = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.map(|_| Instant::now())
    });
    let began = Instant::now();
    let house = House::start(origin.options(move |settings| {
        settings.runbooks.git.url = Some(format!("https://127.0.0.1:{port}/runbooks.git"));
        settings.runbooks.git.timeout_secs = 2;
        settings.runbooks.git.interval_secs = 3600;
    }))
    .await;
    let now = ready(&house, |_| true).await;
    assert!(is_told(&now, &["no end within 2 s", "runbooks.git.timeout_secs"]), "{now:#}");
    let closed = tokio::time::timeout(Duration::from_secs(20), gone).await.expect("git still holds on");
    // Closed or reset: in either case nobody is there any more.
    if let Ok(closed) = closed.unwrap() {
        assert!(closed >= began + Duration::from_secs(1));
    }
    assert_eq!(runbook_used(&house, "inventory").await["name"], "crash");
}
