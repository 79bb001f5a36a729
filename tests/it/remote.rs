//! The command line over the REST API, as an engineer uses it: the program itself against a running service.

use std::process::{Command, Output};

use serde_json::Value;

use crate::house::{House, HouseOptions, fixture};

const ALERT: &str = "webhooks/alertmanager/006-firing-KubePodCrashLooping-n1.json";

fn whodunit(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whodunit"));
    command
        .args(arguments)
        .env_remove("WHODUNIT_TOKEN")
        .env_remove("WHODUNIT_TOKEN_FILE")
        .env("WHODUNIT_URL", url);
    command
}

async fn ran(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn investigations_are_listed_shown_run_again_and_watched_from_a_terminal() {
    let tokens = "{tokens: [{name: kim, token: t, scopes: [write]}, reader]}";
    let options = HouseOptions {
        with: Some(Box::new(move |settings| settings.api = serde_saphyr::from_str(tokens).unwrap())),
        ..HouseOptions::default()
    };
    let house = House::start(options).await;
    assert_eq!(house.post("/webhooks/alertmanager", fixture(ALERT)).await.0, 202);
    house.settle().await;
    let url = house.base_url.clone();
    let with = |arguments: &[&str], token: &str| {
        let mut command = whodunit(&url, arguments);
        command.env("WHODUNIT_TOKEN", token);
        command
    };

    let (code, _, stderr) = ran(whodunit(&url, &["list"])).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("--token-file") && !stderr.contains("panicked"), "{stderr}");

    let (code, table, _) = ran(with(&["list", "--outcome", "known_pattern"], "reader")).await;
    assert_eq!(code, Some(0), "{table}");
    assert!(
        table.contains("known pattern") && !table.contains('\u{1b}'),
        "colours are for terminals: {table:?}"
    );
    let id = table.split_whitespace().next().unwrap().to_owned();
    assert!(id.len() < 36, "{id} is short");
    let (_, list, _) = ran(with(&["list", "--output", "json", "crash"], "reader")).await;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert!(list["items"][0]["id"].as_str().unwrap().starts_with(&id));
    let (code, _, stderr) = ran(with(&["list", "--state", "closed"], "reader")).await;
    assert!(code == Some(1) && stderr.contains("state is one of"), "{stderr}");

    let (code, report, _) = ran(with(&["show", &id], "reader")).await;
    assert_eq!(code, Some(0));
    assert!(report.starts_with("Cause found: "), "{report}");
    let (code, _, stderr) = ran(with(&["show", "ffffffff"], "reader")).await;
    assert!(code == Some(1) && stderr.contains("no investigation's id begins with ffffffff"), "{stderr}");

    let (code, _, stderr) = ran(with(&["rerun", &id], "reader")).await;
    assert!(code == Some(1) && stderr.contains("scopes: [write]"), "{stderr}");
    let (code, told, stderr) = ran(with(&["rerun", "--watch", &id], "t")).await;
    assert_eq!(code, Some(0), "{told}{stderr}");
    for part in
        ["is queued.", "queued    lab/", "begun     attempt 1", "done      known pattern", "Cause found:"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    let author: String = sqlx::query_scalar("select actor from audit where action = 'rerun'")
        .fetch_one(&house.pool)
        .await
        .unwrap();
    assert_eq!(author, "kim");

    sqlx::query("update investigations set state = 'dead', error = 'gone \u{1b}[31mred'")
        .execute(&house.pool)
        .await
        .unwrap();
    let (code, dead, _) =
        ran(with(&["watch", "--output", "json", list["items"][0]["id"].as_str().unwrap()], "reader")).await;
    assert_eq!(code, Some(5), "{dead}");
    let last: Value = serde_json::from_str(dead.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["data"]["state"]), (&"done".into(), &"dead".into()));
}

#[tokio::test]
async fn shells_and_man_are_told_of_every_command() {
    let nowhere = "http://127.0.0.1:9";
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = ran(whodunit(nowhere, &["completions", shell])).await;
        assert_eq!(code, Some(0));
        assert!(script.contains("rerun") && script.contains("severity"), "{shell}");
    }
    let (code, page, _) = ran(whodunit(nowhere, &["man"])).await;
    assert!(code == Some(0) && page.contains(".TH whodunit 1") && page.contains("investigate"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    assert_eq!(ran(whodunit(nowhere, &["man", "--dir", dir])).await.0, Some(0));
    assert!(folder.path().join("whodunit-rerun.1").is_file());
    let (code, help, _) = ran(whodunit(nowhere, &["show", "--help"])).await;
    assert!(code == Some(0) && help.contains("inconclusive") && help.contains("WHODUNIT_TOKEN"), "{help}");
    let (code, _, stderr) = ran(whodunit(nowhere, &["list"])).await;
    assert!(code == Some(1) && stderr.contains("--url"), "{stderr}");
}
