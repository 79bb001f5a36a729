//! Runbooks from git, by the program as a process: its start without git, its commands, what git is handed, and its
//! metrics.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::git::{Origin, own};
use crate::house::{PATIENCE, http};
use crate::program::{self, Program};

/// An alert as Alertmanager posts it, as a file.
fn alert(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("alert.json");
    let body = serde_json::json!({"version": "4", "status": "firing", "receiver": "w", "alerts": [{
        "status": "firing", "startsAt": "2026-11-21T07:03:19.889Z", "fingerprint": "0011223344556677",
        "labels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "deployment": "inventory"}}]});
    std::fs::write(&file, body.to_string()).unwrap();
    file
}

/// A command with the repository's settings; its exit and all it says.
fn run(arguments: &[&str], url: &str, data_dir: &Path, more: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whodunit"));
    command.args(arguments).env("NO_COLOR", "1").env("WHODUNIT_RUNBOOKS__GIT__URL", url);
    command.env("WHODUNIT_DATABASE__DATA_DIR", data_dir).env("WHODUNIT_KUBERNETES__ENABLED", "false");
    let output = command.envs(more.iter().copied()).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn script(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn without_a_usable_git_the_start_ends_with_the_way_out() {
    let origin = Origin::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for arguments in [&["serve"][..], &["config", "check"]] {
        let (good, told) = run(arguments, &origin.url(), origin.data_dir.path(), &[("PATH", path)]);
        assert!(!good, "{told}");
        for words in ["needs the program `git`", "install it", "runbooks.folders"] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
    script(&folder.path().join("git"), "#!/bin/sh\necho git version 2.20.1\n");
    let (good, told) = run(&["config", "check"], &origin.url(), origin.data_dir.path(), &[("PATH", path)]);
    assert!(!good && told.contains("needs git 2.32 or newer, not \"git version 2.20.1\""), "{told}");
}

#[test]
fn config_check_knows_the_repository_s_settings_and_never_shows_a_password() {
    let folder = tempfile::tempdir().unwrap();
    for (url, variable, value, told) in [
        ("https://me:hunter2@git.acme.example/x", "", "", "runbooks.git.url: it holds a password or token"),
        ("http://git.acme.example/x", "", "", "only https, ssh and file are spoken"),
        (
            "https://git.acme.example/x",
            "TOKEN_FILE",
            "/nowhere",
            "runbooks.git.token_file: cannot read /nowhere",
        ),
        ("https://git.acme.example/x", "PATH", "../x", "runbooks.git.path"),
        ("https://git.acme.example/x", "BRANCHES", "a", "branches"),
        (
            "git@git.acme.example:x",
            "SSH_KEY_FILE",
            "/nowhere",
            "runbooks.git.ssh_key_file: cannot read /nowhere",
        ),
    ] {
        let variable = format!("WHODUNIT_RUNBOOKS__GIT__{variable}");
        let more: &[(&str, &str)] = if value.is_empty() { &[] } else { &[(&variable, value)] };
        let (good, text) = run(&["config", "check"], url, folder.path(), more);
        assert!(!good && text.contains(told) && !text.contains("hunter2"), "{url}: {text}");
    }
    // It asks nobody, so an address that is nowhere is no fault of the settings.
    let (good, text) = run(&["config", "check"], "https://git.acme.example/x", folder.path(), &[]);
    assert!(good && std::fs::read_dir(folder.path()).unwrap().next().is_none(), "{text}");
}

#[test]
fn commands_that_need_runbooks_pull_them_and_fall_back_to_what_is_on_disk() {
    let origin = Origin::new();
    let commit = origin.push("Look at the queue first.");
    let folder = tempfile::tempdir().unwrap();
    let alert = alert(folder.path());
    let explain = || {
        let arguments = ["runbooks", "explain", alert.to_str().unwrap()];
        run(&arguments, &origin.url(), origin.data_dir.path(), &[])
    };
    let (good, told) = explain();
    assert!(good && told.contains("inventory: own: alert KubePodCrashLooping fits"), "{told}");
    std::fs::rename(origin.path(), folder.path().join("away")).unwrap();
    let (good, told) = explain();
    assert!(good && told.contains("inventory: own: alert KubePodCrashLooping fits"), "{told}");
    assert!(told.contains(&format!("commit {commit} stays in force")), "{told}");
}

#[test]
fn ssh_gets_the_key_and_the_known_hosts_and_asks_nobody() {
    let origin = Origin::new();
    origin.push("Look at the queue first.");
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    // Says what it was handed, and is the other side itself.
    let log = folder.path().join("log");
    let text = "#!/bin/sh\necho \"$@\" >> LOG\nenv >> LOG\nfor last; do :; done\nexec sh -c \"$last\"\n";
    script(&bin.join("ssh"), &text.replace("LOG", log.to_str().unwrap()));
    let (key, hosts) = (folder.path().join("it's the key"), folder.path().join("known hosts"));
    std::fs::write(&key, "key").unwrap();
    std::fs::write(&hosts, "hosts").unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let alert = alert(folder.path());
    let url = format!("ssh://git@git.acme.example{}", origin.path().display());
    let more = [
        ("PATH", path.as_str()),
        ("WHODUNIT_RUNBOOKS__GIT__SSH_KEY_FILE", key.to_str().unwrap()),
        ("WHODUNIT_RUNBOOKS__GIT__KNOWN_HOSTS_FILE", hosts.to_str().unwrap()),
        ("WHODUNIT_SLACK__TOKEN", "xoxb-hunter2"),
        ("GIT_TRACE", "1"),
    ];
    let arguments = ["runbooks", "explain", alert.to_str().unwrap()];
    let (good, told) = run(&arguments, &url, origin.data_dir.path(), &more);
    assert!(good && told.contains("inventory: own: "), "{told}");
    let log = std::fs::read_to_string(log).unwrap();
    for words in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        &format!("-i {}", key.display()),
        &format!("UserKnownHostsFile={}", hosts.display()),
        "git@git.acme.example",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
    // What else we are told is none of git's business.
    assert!(!log.contains("hunter2") && !log.contains("GIT_TRACE"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_tell_of_pulls_and_faults() {
    let origin = Origin::new();
    origin.write("bad.md", "---\nscop: cluster\n---\n");
    origin.write("own.md", own("Look."));
    origin.commit();
    let mut command = program::command(origin.data_dir.path());
    command
        .env("WHODUNIT_RUNBOOKS__GIT__URL", origin.url())
        .env("WHODUNIT_RUNBOOKS__GIT__INTERVAL_SECS", "1");
    let mut program = Program::run(command);
    let until = tokio::time::Instant::now() + PATIENCE;
    let page = loop {
        let page = http().get(format!("{}/metrics", program.url)).send().await.unwrap().text().await.unwrap();
        if page.contains("whodunit_runbook_pulls_total{outcome=\"refused\"}") {
            break page;
        }
        assert!(tokio::time::Instant::now() < until, "{page}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    for line in [
        "whodunit_runbook_pulls_total{outcome=\"new\"} 1",
        "whodunit_runbook_faults 2",
        "whodunit_runbooks_pulled_timestamp_seconds 1",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    assert!(program.terminate().await.success(), "a pull does not hold the drain");
}
