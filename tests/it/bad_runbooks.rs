//! Bad runbooks in a folder, as an author and as an operator meet them: each fault has its place and says what to do,
//! the look at them is bounded, and the service goes on with what was good.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::house::{House, HouseOptions, PATIENCE};

const SIGNATURE: &str = "signatures:\n  - id: ID\n    over: containers\n    when: row.failing\n    category: code\n    \
                         statement: It fails.\n    fix: [{text: Mend it., risk: none}]\n";
/// Ten thousand files take a moment, most of it to write them.
const BOUND: Duration = Duration::from_secs(60);

fn runbook(name: &str, header: &str, text: &str) -> String {
    format!("---\nname: {name}\nmatch: {{alerts: [KubePodCrashLooping]}}\n{header}---\n{text}\n")
}

/// Everything that can be wrong at once, beside one good runbook.
fn fill(folder: &Path, outside: &Path) {
    let write = |name: &str, text: &[u8]| std::fs::write(folder.join(name), text).unwrap();
    write("a-good.md", runbook("good", &SIGNATURE.replace("ID", "own-failure"), "Look.").as_bytes());
    write(
        "b-cel.md",
        runbook("b", &SIGNATURE.replace("ID", "b").replace("failing", "failing &&"), "").as_bytes(),
    );
    write(
        "c-field.md",
        runbook("c", &SIGNATURE.replace("ID", "c").replace("failing", "faling"), "").as_bytes(),
    );
    write("d-key.md", runbook("d", "scop: cluster\n", "").as_bytes());
    let laughs = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                  d: [*c,*c,*c,*c,*c,*c,*c,*c,*c]";
    write("g-bomb.md", format!("---\n{laughs}\n---\n").as_bytes());
    write("h-nested.md", format!("---\ntools: {}\n---\n", "[".repeat(5000)).as_bytes());
    write("i-big.md", &vec![b'x'; 10 << 20]);
    write("j-binary.md", &[0xff, 0xfe, 0x00]);
    std::fs::write(outside.join("secret.md"), "# hunter2").unwrap();
    symlink(outside.join("secret.md"), folder.join("k-leak.md")).unwrap();
    symlink(outside, folder.join("l-folder")).unwrap();
    symlink(folder, folder.join("m-circle")).unwrap();
    for number in 0..10_000 {
        write(&format!("n-many-{number:05}.md"), b"# one of many");
    }
}

/// Two with one id and two with one name: which of them counts is no question of good and bad.
fn add_twins(folder: &Path) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("e-twin.md", &runbook("e", &SIGNATURE.replace("ID", "own-failure"), ""));
    write("f-name.md", &runbook("good", "", ""));
}

#[test]
fn check_tells_each_fault_with_its_place_and_what_to_do() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(folder.path(), outside.path());
    add_twins(folder.path());
    let began = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_whodunit"));
    command.env_remove("GITHUB_ACTIONS").args(["runbooks", "check"]).arg(folder.path());
    let output = command.output().unwrap();
    let took = began.elapsed();
    assert_eq!(output.status.code(), Some(1));
    let root = format!("{}/", folder.path().display());
    let told = String::from_utf8(output.stdout).unwrap().replace(&root, "");
    println!("{} lines in {took:?}", told.lines().count());
    for (place, words) in [
        ("b-cel.md:7:11: ", "is not CEL"),
        ("c-field.md:7:11: ", "rows of containers have no field `faling`"),
        ("d-key.md:4:1: ", "unknown field `scop`, expected one of"),
        ("e-twin.md:5:9: ", "signature `own-failure` is also in a-good.md"),
        ("f-name.md:1:1: ", "the name `good` is taken by a-good.md"),
        ("g-bomb.md:2:", ""),
        ("h-nested.md:2:", ""),
        ("i-big.md:1:1: ", "larger than 262144 bytes; split it"),
        ("j-binary.md:1:1: ", "cannot be read"),
        ("k-leak.md:1:1: ", "leads out of the runbook folder; put the file itself there"),
        ("l-folder:1:1: ", "leads out of the runbook folder; put the file itself there"),
        ("m-circle:1:1: ", "leads back to a folder that it is in; take it away"),
        ("n-many-", "more than 1000 runbooks: the rest is left out; take away what is none"),
        // Of two with one id the last counts.
        ("e-twin.md:5:9: ", "no case expects signature `own-failure`; add one below cases/ (a warning)"),
    ] {
        let is_told = told.lines().any(|line| line.starts_with(place) && line.contains(words));
        assert!(is_told, "no `{place}…{words}` in\n{told}");
    }
    assert!(told.len() < 20_000 && !told.contains("hunter2"), "{told}");
    assert!(took < BOUND, "{took:?}");
}

async fn used(house: &House, deployment: &str) -> Value {
    let body = json!({"version": "4", "status": "firing", "receiver": "whodunit", "alerts": [{
        "status": "firing", "fingerprint": format!("{deployment:0>16}"), "startsAt": "2026-11-21T07:03:19.889Z",
        "labels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "deployment": deployment,
                   "severity": "critical"}}]});
    assert_eq!(house.post("/webhooks/alertmanager", body.to_string()).await.0, 202);
    house.settle().await;
    let report: Value = sqlx::query_scalar(
        "select report from investigations where workload like '%/' || $1 order by created_at desc limit 1",
    )
    .bind(deployment)
    .fetch_one(&house.pool)
    .await
    .unwrap();
    report["runbook"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_keeps_the_last_good_revision_and_shows_what_is_wrong() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let good = runbook("good", &SIGNATURE.replace("ID", "own-failure"), "Look.");
    std::fs::write(folder.path().join("a-good.md"), &good).unwrap();
    let runbooks = vec![folder.path().to_owned()];
    let house = House::start(HouseOptions { without_slack: true, runbooks, ..HouseOptions::default() }).await;
    let before = used(&house, "inventory").await;
    assert_eq!(before["name"], "good");

    fill(folder.path(), outside.path());
    let broken = good.replace("row.failing", "row.failing &&");
    std::fs::write(folder.path().join("a-good.md"), broken).unwrap();
    let until = Instant::now() + PATIENCE;
    let faults = loop {
        let (status, body) = house.get("/readyz").await;
        // A busy machine's database may be slow; bad runbooks are no reason to be unready.
        assert!(status == 200 || body["database"] != "ok", "{body}");
        let faults = body["runbook_faults"].to_string();
        if faults.contains("a-good.md:7:11: ") {
            break faults;
        }
        assert!(Instant::now() < until, "{faults}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(faults.len() < 20_000 && !faults.contains("hunter2"), "{faults}");
    let after = used(&house, "checkout").await;
    assert_eq!(after["coverage"], "covered");
    assert_eq!((&after["name"], &after["revision"]), (&before["name"], &before["revision"]));
}
