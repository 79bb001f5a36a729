//! Headers, choice, catalogue and lint, each by what an author or an operator would see.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::{TimeZone, Utc};

use super::*;
use crate::alert::{Alert, Severity, Source, Status};
use crate::report::Coverage;
use crate::settings;
use crate::workload::Workload;

fn alert(name: &str, labels: &[(&str, &str)]) -> Alert {
    let mut all: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    all.insert("alertname".to_owned(), name.to_owned());
    Alert {
        source: Source::Alertmanager,
        status: Status::Firing,
        fingerprint: String::new(),
        starts_at: Utc.with_ymd_and_hms(2026, 11, 21, 7, 0, 0).unwrap(),
        ends_at: None,
        severity: Severity::Warning,
        labels: all,
        annotations: BTreeMap::new(),
        generator_url: String::new(),
        receiver: String::new(),
        group_key: String::new(),
        subject: None,
        truncated_alerts: 0,
    }
}

fn faults(text: &str) -> Vec<String> {
    parse("team/a.md", text, false).unwrap_err().iter().map(ToString::to_string).collect()
}

fn settings(folder: &Path) -> settings::Runbooks {
    settings::Runbooks { folders: vec![folder.to_owned()], ..settings::Runbooks::default() }
}

const FULL: &str = r##"---
name: clickhouse-handshake
match:
  alerts: [ClickHouse*]
  namespaces: [db-*]
  workload: {kind: StatefulSet, name: chi-*}
  labels: {team: data}
scope: workload
tools: [kubernetes, loki]
cautions:
  - the proxy container is left out of log collection
budget: {steps: 12, seconds: 240, tokens: 60000, usd: 0.15}
signatures:
  - id: handshake-refused
    over: containers
    when: row.log_line.contains("handshake")
    category: dependency
    statement: 'Container {{row.name}} is refused: "{{row.log_line}}".'
    evidence: [log]
    fix: [{text: Look at the proxy., risk: none}]
owner: "#team-data"
---
# ClickHouse handshake errors

Guidance.
"##;

#[test]
fn a_full_header_reads_as_written() {
    let runbook = parse("team/clickhouse.md", FULL, false).unwrap();
    assert_eq!(runbook.name, "clickhouse-handshake");
    assert_eq!(runbook.matches.alerts, ["ClickHouse*"]);
    assert_eq!(runbook.matches.workload.name.as_deref(), Some("chi-*"));
    assert_eq!(runbook.scope, Scope::Workload);
    assert_eq!(runbook.tools, [Tool::Kubernetes, Tool::Loki]);
    assert_eq!(runbook.budget.steps, Some(12));
    assert_eq!(runbook.budget.usd, Some(0.15));
    assert_eq!(runbook.owner, "#team-data");
    assert_eq!(runbook.signatures[0].id, "handshake-refused");
    assert_eq!(runbook.text, "# ClickHouse handshake errors\n\nGuidance.");
    assert_eq!(runbook.revision.len(), 16);
    assert_ne!(runbook.revision, parse("x.md", &FULL.replace("12", "13"), false).unwrap().revision);
}

#[test]
fn a_file_without_a_header_is_a_runbook_named_after_itself() {
    let runbook = parse("team/disk full.md", "# Disk\nLook.\n", false).unwrap();
    assert_eq!((runbook.name.as_str(), runbook.scope), ("disk full", Scope::Namespace));
    assert_eq!(runbook.tools, Tool::ALL);
    assert!(runbook.matches.is_empty());
}

#[test]
fn a_meta_section_is_a_header_too() {
    let text = "# Kafka lag\n\n## Meta\n- **scope**: cluster\n- tools: kubernetes, Prometheus\n- caution: do not \
                restart brokers: ask first\nalerts: KafkaLag*, KafkaDown\n\n## Steps\nscope: nothing\n";
    let runbook = parse("kafka.md", text, false).unwrap();
    assert_eq!(runbook.scope, Scope::Cluster);
    assert_eq!(runbook.tools, [Tool::Kubernetes, Tool::Prometheus]);
    assert_eq!(runbook.cautions, ["do not restart brokers: ask first"]);
    assert_eq!(runbook.matches.alerts, ["KafkaLag*", "KafkaDown"]);
    let bad = "# X\n## Meta\nscope: everything\ntools: shell\nspeed: fast\n";
    assert_eq!(
        faults(bad),
        [
            "team/a.md:3:1: scope is workload, namespace or cluster, not `everything`",
            "team/a.md:4:1: unknown tool `shell`; there are kubernetes, prometheus, loki, tempo and mcp:NAME of mcp_servers",
            "team/a.md:5:1: unknown key `speed` in the Meta section",
        ]
    );
}

#[test]
fn a_fault_names_its_line_and_column() {
    let found = faults("---\nname: a\nscop: cluster\n---\n");
    assert!(found[0].starts_with("team/a.md:3:1: ") && found[0].contains("scop"), "{found:?}");
    let found = faults("---\nscope: galaxy\n---\n");
    assert!(found[0].starts_with("team/a.md:2:8: ") && found[0].contains("galaxy"), "{found:?}");
    let found = faults("---\nname: a\n");
    assert_eq!(found, ["team/a.md:1:1: the header that `---` opens is not closed by another"]);
    let found = faults(&FULL.replace("row.log_line.contains", "row.logline.contains"));
    assert_eq!(
        found,
        [
            "team/a.md:16:11: `row.logline.contains(\"handshake\")`: rows of containers have no field `logline`"
        ]
    );
    let found = faults("---\nname: ''\nmatch: {alerts: ['a[']}\n---\n");
    assert!(found[0].contains("`a[` is not a glob") && found[1].contains("a name has"), "{found:?}");
}

#[test]
fn hostile_headers_are_faults_and_cost_little() {
    let start = Instant::now();
    let laughs = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                  d: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n";
    for yaml in
        [laughs.to_owned(), format!("tools: {}", "[".repeat(5000)), "name: [a".to_owned(), "\0".to_owned()]
    {
        assert!(!faults(&format!("---\n{yaml}\n---\n")).is_empty());
    }
    let large = format!("---\nname: a\n---\n{}", "x".repeat(parse::MAX_RUNBOOK_BYTES));
    assert!(faults(&large)[0].contains("larger than"));
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

fn shared(name: &str, matches: &str) -> Shared {
    let text = format!("---\nname: {name}\n{matches}\n---\n");
    Arc::new(parse(&format!("{name}.md"), &text, false).unwrap())
}

#[test]
fn the_most_specific_runbook_wins() {
    let workload = Workload::new("lab", "db-1", "StatefulSet", "chi-a");
    let alerts = [alert("KubePodNotReady", &[]), alert("ClickHouseDown", &[("team", "data")])];
    let ladder = [
        ("g-none", ""),
        ("f-kind", "match: {workload: {kind: StatefulSet}}"),
        ("e-namespace", "match: {namespaces: [other, db-*]}"),
        ("d-alert", "match: {alerts: [ClickHouse*]}"),
        ("c-label", "match: {labels: {team: data}}"),
        ("b-name", "match: {workload: {name: chi-*}}"),
        ("a-both", "match: {workload: {name: chi-*}, alerts: [ClickHouse*]}"),
    ];
    let mut runbooks = Vec::new();
    for (name, matches) in ladder {
        runbooks.push(shared(name, matches));
        let choice = choose(&runbooks, &alerts, &workload);
        assert_eq!(choice.runbook.as_ref().unwrap().name, name, "{}", choice.reason);
        let covered = ["d-alert", "c-label", "b-name", "a-both"].contains(&name);
        assert_eq!(choice.coverage == Coverage::Covered, covered, "{name}");
    }
    let used = choose(&runbooks, &alerts, &workload).as_used();
    assert_eq!(used.reason, "workload name chi-a fits `chi-*`; alert ClickHouseDown fits `ClickHouse*`");
    let text = explain(&runbooks, &alerts, &workload);
    assert!(text.starts_with("a-both (a-both.md): ") && text.lines().count() == 7, "{text}");
}

#[test]
fn every_given_key_must_hold_and_for_one_and_the_same_alert() {
    let workload = Workload::new("lab", "shop", "Deployment", "web");
    let both = [shared("x", "match: {alerts: [A], labels: {team: data}}")];
    let apart = [alert("A", &[("team", "web")]), alert("B", &[("team", "data")])];
    assert!(choose(&both, &apart, &workload).runbook.is_none());
    assert_eq!(choose(&both, &apart, &workload).coverage, Coverage::None);
    assert!(choose(&both, &[alert("A", &[("team", "data")])], &workload).runbook.is_some());
    let elsewhere = [shared("x", "match: {alerts: [A], namespaces: [prod]}")];
    assert!(choose(&elsewhere, &apart, &workload).runbook.is_none());
    let equal = [shared("b", "match: {alerts: [A]}"), shared("a", "match: {alerts: ['*']}")];
    assert_eq!(choose(&equal, &apart, &workload).runbook.unwrap().name, "a", "ties go by path");
}

#[test]
fn a_built_in_runbook_is_found_for_every_common_alert_and_covers_it_partly() {
    let workload = Workload::new("lab", "shop", "Deployment", "web");
    for (name, expected) in [
        ("KubePodCrashLooping", "crash"),
        ("KubeJobFailed", "job"),
        ("KubeNodeNotReady", "node"),
        ("KubeDeploymentRolloutStuck", "rollout"),
        ("KubeHpaMaxedOut", "hpa"),
        ("KubePersistentVolumeFillingUp", "storage"),
        ("SomethingElse", "kubernetes"),
    ] {
        let choice = Catalogue::builtin().choose(&[alert(name, &[])], &workload);
        assert_eq!(choice.runbook.unwrap().name, expected);
        assert_eq!(choice.coverage, Coverage::Partial);
    }
}

#[test]
fn the_built_in_runbooks_have_no_fault_and_all_stand_in_the_list() {
    let text: Vec<String> = check(&[]).iter().map(ToString::to_string).collect();
    assert!(text.is_empty(), "{}", text.join("\n"));
    assert!(Catalogue::builtin().faults().is_empty());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/kubernetes");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| format!("kubernetes/{}", entry.unwrap().file_name().into_string().unwrap()))
        .collect();
    files.sort();
    let listed: Vec<&str> = builtin::FILES.iter().map(|(path, _)| *path).collect();
    assert_eq!(listed, files);
}

#[test]
fn a_file_that_became_bad_keeps_its_last_good_state() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.md");
    fs::write(&file, "---\nname: a\nmatch: {alerts: [A]}\n---\nold").unwrap();
    let first = Catalogue::load(&settings(folder.path()));
    assert!(first.reload(None).is_none(), "nothing changed");
    fs::write(&file, "---\nname: a\nmatsch: {alerts: [A]}\n---\nnew").unwrap();
    let second = first.reload(None).unwrap();
    assert_eq!(second.faults().len(), 1);
    let workload = Workload::new("lab", "shop", "Deployment", "web");
    let kept = second.choose(&[alert("A", &[])], &workload).runbook.unwrap();
    assert_eq!(kept.text, "old");
    fs::write(&file, "---\nname: a\nmatch: {alerts: [A]}\n---\nnew").unwrap();
    let third = second.reload(None).unwrap();
    assert!(third.faults().is_empty());
    assert_eq!(third.choose(&[alert("A", &[])], &workload).runbook.unwrap().text, "new");
    fs::remove_file(&file).unwrap();
    let last = third.reload(None).unwrap();
    assert_eq!(last.choose(&[alert("A", &[])], &workload).runbook.unwrap().name, "kubernetes");
}

#[cfg(unix)]
#[test]
fn folders_are_read_recursively_and_never_left() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.md"), "# secret").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("..2026_01");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("mounted.md"), "# mounted").unwrap();
    symlink("..2026_01", folder.path().join("..data")).unwrap();
    symlink("..data/mounted.md", folder.path().join("mounted.md")).unwrap();
    fs::create_dir(folder.path().join("team")).unwrap();
    fs::write(folder.path().join("team/deep.md"), "# deep").unwrap();
    fs::write(folder.path().join("notes.txt"), "no runbook").unwrap();
    symlink(outside.path(), folder.path().join("out")).unwrap();
    symlink(outside.path().join("secret.md"), folder.path().join("leak.md")).unwrap();
    symlink(folder.path(), folder.path().join("circle")).unwrap();
    let catalogue = Catalogue::load(&settings(folder.path()));
    let mut names: Vec<&str> =
        catalogue.runbooks().iter().filter(|one| !one.builtin).map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["deep", "mounted"]);
    let told: Vec<String> = catalogue.faults().iter().map(ToString::to_string).collect();
    assert!(
        told.iter().filter(|fault| fault.contains("leads out of the runbook folder")).count() >= 2,
        "{told:?}"
    );
}

#[test]
fn a_runbook_of_a_folder_replaces_a_built_in_text_and_keeps_its_signatures() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("crash.md"),
        "---\nname: crash\nmatch: {alerts: [KubePodCrashLooping]}\n---\nOurs.",
    )
    .unwrap();
    let own = FULL.replace("handshake-refused", "crash-loop");
    fs::write(folder.path().join("own.md"), own).unwrap();
    let catalogue = Catalogue::load(&settings(folder.path()));
    let workload = Workload::new("lab", "shop", "Deployment", "web");
    let alerts = [alert("KubePodCrashLooping", &[])];
    assert_eq!(catalogue.choose(&alerts, &workload).runbook.unwrap().text, "Ours.");
    let count = Catalogue::builtin().signatures(&alerts, &workload).len();
    assert_eq!(catalogue.signatures(&alerts, &workload).len(), count);
    let clickhouse = Workload::new("lab", "db-1", "StatefulSet", "chi-a");
    let alerts = [alert("ClickHouseDown", &[("team", "data")])];
    let signatures = catalogue.signatures(&alerts, &clickhouse);
    let replaced = signatures.iter().find(|one| one.id == "crash-loop").unwrap();
    assert_eq!((signatures.len(), replaced.category), (count, crate::report::Category::Dependency));
}

#[test]
fn check_tells_what_only_shows_across_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("a.md", FULL);
    write("b.md", &FULL.replace("name: clickhouse-handshake", "name: other"));
    write("c.md", "---\nname: other\n---\n");
    write(
        "d.md",
        &FULL
            .replace("handshake-refused", "d")
            .replace("name: click", "name: d-")
            .replace("    fix:", "    explains: [crash-loop, crash-lop]\n    fix:"),
    );
    write(
        "e.md",
        "---\nsignatures: [{id: e, over: pods, when: 'true', category: code, statement: s, fix: []}]\n---\n",
    );
    let root = folder.path().display().to_string();
    let told: Vec<String> =
        check(&[folder.path().to_owned()]).iter().map(|one| one.to_string().replace(&root, "")).collect();
    assert_eq!(
        told,
        [
            "/b.md:14:9: signature `handshake-refused` is also in /a.md",
            "/c.md:1:1: the name `other` is taken by /b.md",
            "/d.md:20:28: signature `d` explains `crash-lop`, which is not known",
            "/e.md:2:19: signature `e` has an empty `fix`",
        ]
    );
    assert!(check(&[PathBuf::from("/does/not/exist")])[0].to_string().contains("cannot be read"));
}

#[test]
fn cases_and_explanations_of_a_folder_are_no_runbooks() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "# a").unwrap();
    };
    for name in ["cases/own/a/notes.md", "team/cases/b/c.md", "README.md", "team/README.md", "team/own.md"] {
        write(name);
    }
    let catalogue = Catalogue::load(&settings(folder.path()));
    let own: Vec<&str> =
        catalogue.runbooks().iter().filter(|one| !one.builtin).map(|one| one.name.as_str()).collect();
    assert_eq!((own, catalogue.faults()), (vec!["own"], &[][..]));
}

/// What can lie in a folder that anybody may write to, and what it must not do to the rest.
#[test]
fn a_hostile_folder_is_bounded_and_its_good_runbook_stays() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
    write("good.md", b"---\nname: good\nmatch: {alerts: [A]}\n---\nold");
    let first = Catalogue::load(&settings(folder.path()));
    assert!(first.faults().is_empty());
    write("big.md", &vec![b'x'; 10 * 1024 * 1024]);
    write("binary.md", &[0xff, 0xfe, 0x00]);
    let laughs =
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]";
    write("bomb.md", format!("---\n{laughs}\n---\n").as_bytes());
    write("good.md", b"---\nname: good\nmatch: {alerts: [A]}\nsignatures: [{id: a, over: pods, when: 'row.nam ==', category: code, statement: s, fix: []}]\n---\nnew");
    for number in 0..10_000 {
        write(&format!("many-{number:05}.md"), b"# one of many");
    }
    let start = Instant::now();
    let second = first.reload(None).unwrap();
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    let told: Vec<String> = second.faults().iter().map(ToString::to_string).collect();
    let root = folder.path().display().to_string();
    for (place, what) in [
        ("/big.md:1:1: ", "larger than 262144 bytes"),
        ("/binary.md:1:1: ", "cannot be read"),
        ("/bomb.md:2:1: ", "a"),
        ("/good.md:4:", "row.nam"),
        ("/many-", "more than 1000 runbooks: the rest is left out"),
    ] {
        let is_it = |fault: &&String| fault.replace(&root, "").starts_with(place) && fault.contains(what);
        assert!(told.iter().any(|fault| is_it(&fault)), "no `{place}…{what}` in {told:#?}");
    }
    assert!(told.len() < 10, "{told:#?}");
    let workload = Workload::new("lab", "shop", "Deployment", "web");
    let kept = second.choose(&[alert("A", &[])], &workload).runbook.unwrap();
    assert_eq!((kept.name.as_str(), kept.text.as_str()), ("good", "old"), "the last good revision");
}
