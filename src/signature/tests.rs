//! How signatures are judged, over hand-made rows: roles, gaps, bounds and misprints. What each built-in one finds
//! is what the cases in `runbooks/cases` say.

use std::time::Instant;

use chrono::{TimeZone, Utc};
use serde_json::{Map, Value, json};

use super::*;
use crate::facts::Facts;
use crate::report::Role;
use crate::runbook::Catalogue;
use crate::workload::Workload;

fn catalogue() -> Vec<Signature> {
    Catalogue::builtin().signatures(&[], &Workload::new("lab", "shop", "Deployment", "app"))
}

/// Facts with the tables of a case, the rest empty.
fn facts(workload: &Workload, tables: &Map<String, Value>) -> Facts {
    let at = Utc.with_ymd_and_hms(2026, 11, 21, 7, 8, 0).unwrap();
    let mut all = serde_json::to_value(Facts::empty(workload.clone(), at)).unwrap();
    for (table, rows) in tables {
        assert!(TABLES.contains(&table.as_str()) || table == "alerts", "{table}");
        all[table] = rows.clone();
    }
    serde_json::from_value(all).unwrap()
}

/// One pod that is not ready.
fn a_pod() -> Facts {
    let tables = json!({"pods": [{"name": "app-1", "namespace": "shop", "phase": "Running", "scheduled": true,
                                  "age_seconds": 600, "evidence": "E1", "quote": "pod app-1"}]});
    facts(&Workload::new("lab", "shop", "Deployment", "app"), tables.as_object().unwrap())
}

#[test]
fn healthy_facts_give_no_finding() {
    let workload = Workload::new("lab", "shop", "Deployment", "app");
    let tables = json!({
        "pods": [{"name": "app-1", "phase": "Running", "ready": true, "healthy": true, "scheduled": true, "age_seconds": 600, "node": "node-1"}],
        "containers": [{"pod": "app-1", "name": "app", "role": "main", "state": "running", "ready": true, "exit_code": -1}],
        "rollouts": [{"kind": "Deployment", "name": "app", "desired": 1, "ready": 1, "available": 1, "updated": 1}],
        "nodes": [{"name": "node-1", "ready": "True", "cordoned": true}],
        "services": [{"name": "app", "selects_workload": true, "selected_pods": 1, "ready_endpoints": 1}],
        "events": [{"kind": "Pod", "name": "app-1", "reason": "Unhealthy", "level": "Warning", "message": "Readiness probe failed: connection refused", "age_seconds": 580}],
    });
    let found = find(&facts(&workload, tables.as_object().unwrap()), &catalogue());
    assert!(found.findings.is_empty() && found.gaps.is_empty(), "{found:#?}");
    assert!(!found.explained);
}

fn signature(yaml: &str) -> Signature {
    Signature::compile(&serde_saphyr::from_str(yaml).unwrap()).unwrap()
}

fn misprints(yaml: &str) -> Vec<String> {
    let found = Signature::compile(&serde_saphyr::from_str(yaml).unwrap()).unwrap_err();
    found.into_iter().map(|one| format!("{}:{}: {}", one.line, one.column, one.message)).collect()
}

#[test]
fn a_signature_that_fails_becomes_a_gap_and_spares_the_others() {
    let broken = signature(
        "{id: broken, over: pods, when: 'row.labels.absent == \"x\"', category: code, statement: s, fix: [{text: t, risk: none}]}",
    );
    let text = signature(
        "{id: text, over: pods, when: 'row.name', category: code, statement: s, fix: [{text: t, risk: none}]}",
    );
    let half = signature(
        "{id: half, over: pods, when: 'true', category: code, statement: '{{row.labels.absent}}', fix: [{text: t, risk: none}]}",
    );
    let good = signature(
        "{id: good, over: pods, when: 'true', category: code, statement: 'pod {{row.name}}', fix: [{text: t, risk: none}]}",
    );
    let facts = a_pod();
    let found = find(&facts, &[broken, text, half, good]);
    let what: Vec<&str> = found.gaps.iter().map(|gap| gap.what.as_str()).collect();
    assert_eq!(what, ["signature broken (when)", "signature half (statement)", "signature text (when)"]);
    let named: Vec<&str> = found.findings.iter().map(|finding| finding.signature.as_str()).collect();
    assert_eq!(named, ["good"]);
}

/// Facts of a namespace whose parts are these workloads with these tables.
fn namespace(parts: &[(&str, Value)]) -> Facts {
    let mut whole = facts(&Workload::new("lab", "", "Namespace", "shop"), &Map::new());
    whole.parts = parts
        .iter()
        .map(|(name, tables)| {
            facts(&Workload::new("lab", "shop", "Deployment", *name), tables.as_object().unwrap())
        })
        .collect();
    whole
}

/// A workload whose container ends and whose log complains that `peer` does not answer.
fn refused_by(name: &str, peer: &str, ready: i64) -> Value {
    let pod = format!("{name}-1");
    json!({
        "pods": [{"name": pod, "namespace": "shop", "phase": "Running", "scheduled": true, "age_seconds": 600}],
        "containers": [{"pod": pod, "name": "app", "role": "main", "failing": true, "state": "waiting",
            "waiting_reason": "CrashLoopBackOff", "restarts": 4, "exit_code": 1, "exit_reason": "Error",
            "log_class": "refused", "log_line": format!("dial tcp {peer}:5432: connect: connection refused"),
            "log_evidence": "E2", "evidence": "E1", "quote": format!("container app of pod {pod}")}],
        "services": [{"name": name, "namespace": "shop", "selector": "app=x", "selects_workload": true,
            "selected_pods": 1, "ready_endpoints": 0, "unready_endpoints": 1, "evidence": "E4", "quote": "service"}],
        "dependencies": [{"pod": pod, "container": "app", "host": peer, "port": 5432, "class": "refused",
            "service_exists": "yes", "ready_endpoints": ready, "evidence": "E2", "quote": "connection refused"}],
    })
}

fn out_of_memory(name: &str) -> Value {
    let mut tables = refused_by(name, "nobody", 0);
    tables["dependencies"] = json!([]);
    let container = &mut tables["containers"][0];
    container["exit_code"] = json!(137);
    container["exit_reason"] = json!("OOMKilled");
    container["memory_limit"] = json!("32Mi");
    container["memory_limit_bytes"] = json!(33_554_432);
    container["log_class"] = json!("");
    container["log_line"] = json!("");
    tables
}

/// `+` is a primary finding, `-` a secondary one that names a cause.
fn roles(facts: &Facts) -> Vec<String> {
    let catalogue = catalogue();
    let telling = |id: &str| catalogue.iter().any(|known| known.id == id && !known.catch_all);
    let found = find(facts, &catalogue);
    let telling = found.findings.iter().filter(|one| telling(&one.signature));
    let mut lines: Vec<String> = telling
        .map(|one| {
            let sign = if one.role == Role::Primary { "+" } else { "-" };
            format!("{sign} {} on {}", one.signature, one.workloads.join(" and "))
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_workload_that_waits_for_a_broken_one_is_its_consequence() {
    let chain = [
        ("web", refused_by("web", "api.shop.svc", 0)),
        ("api", refused_by("api", "db", 0)),
        ("db", out_of_memory("db")),
    ];
    assert_eq!(
        roles(&namespace(&chain)),
        [
            "+ oom-container-limit on Deployment shop/db",
            "- dependency-refused on Deployment shop/api",
            "- dependency-refused on Deployment shop/web",
        ]
    );
    let answering = [("api", refused_by("api", "db", 1)), ("db", out_of_memory("db"))];
    assert_eq!(
        roles(&namespace(&answering)),
        ["+ dependency-refused on Deployment shop/api", "+ oom-container-limit on Deployment shop/db"],
        "a peer with ready pods is not why"
    );
}

#[test]
fn workloads_that_wait_for_each_other_in_a_circle_all_stay() {
    let circle = [("a", refused_by("a", "b", 0)), ("b", refused_by("b", "a", 0))];
    assert_eq!(
        roles(&namespace(&circle)),
        ["+ dependency-refused on Deployment shop/a", "+ dependency-refused on Deployment shop/b"]
    );
}

#[test]
fn what_several_workloads_share_is_one_finding_and_the_same_fault_of_two_is_two() {
    let missing = |name: &str| {
        json!({
            "pods": [{"name": format!("{name}-1"), "namespace": "shop", "phase": "Pending", "scheduled": true, "age_seconds": 600}],
            "references": [{"kind": "Secret", "name": "db", "namespace": "shop", "used_by": "env A of container app",
                "exists": "no", "waiting_pods": [format!("{name}-1")], "evidence": "E1", "quote": format!("secret of {name}")}],
        })
    };
    let facts = namespace(&[
        ("a", missing("a")),
        ("b", missing("b")),
        ("c", out_of_memory("c")),
        ("d", out_of_memory("d")),
    ]);
    assert_eq!(
        roles(&facts),
        [
            "+ oom-container-limit on Deployment shop/c",
            "+ oom-container-limit on Deployment shop/d",
            "+ secret-missing on Deployment shop/a and Deployment shop/b",
        ]
    );
}

#[test]
fn three_pods_with_one_fault_are_one_finding_that_quotes_three_rows() {
    let workload = Workload::new("lab", "shop", "Deployment", "app");
    let pods: Vec<Value> = (1..=5)
        .map(|n| json!({"name": format!("app-{n}"), "phase": "Running", "scheduled": true, "age_seconds": 600}))
        .collect();
    let containers: Vec<Value> = (1..=5)
        .map(|n| {
            json!({"pod": format!("app-{n}"), "name": "app", "role": "main", "failing": true, "exit_code": 139,
                   "evidence": "E2", "quote": format!("container app of pod app-{n}")})
        })
        .collect();
    let tables = json!({"pods": pods, "containers": containers});
    let found = find(&facts(&workload, tables.as_object().unwrap()), &catalogue());
    let segfaults: Vec<_> = found.findings.iter().filter(|one| one.signature == "exit-segfault").collect();
    let [finding] = segfaults.as_slice() else { panic!("{found:#?}") };
    assert_eq!(finding.object, workload.object());
    assert_eq!(finding.quotes.len(), 3);
    assert_eq!(finding.evidence, ["E2"]);
}

#[test]
fn text_from_a_cluster_stays_data_in_statements_and_commands() {
    let shown = signature(
        "{id: shown, over: pods, when: 'true', category: code, statement: 'x {{row.message}}', \
         fix: [{text: t, risk: none, command: 'kubectl get {{row.message}} {{row.name}}'}]}",
    );
    let mut facts = a_pod();
    facts.pods[0].message = format!("{{{{facts}}}}; rm -rf '/'\n{}", "y".repeat(5000));
    let finding = &find(&facts, &[shown]).findings[0];
    assert!(finding.statement.starts_with("x {{facts}}; rm -rf '/' yyy"), "{}", finding.statement);
    assert!(finding.statement.chars().count() < 310);
    let command = &finding.next_steps[0].command;
    assert!(command.starts_with(r"kubectl get '{{facts}}; rm -rf '\''/'\'' yyy"), "{command}");
    assert!(command.ends_with("…' app-1"), "{command}");
}

#[test]
fn a_message_is_one_line_and_ends_with_one_full_stop() {
    let shown = signature(
        "{id: shown, over: pods, when: 'true', category: code, statement: 'Failed: {{row.message}}. {{row.reason}}...', \
         fix: [{text: t, risk: none}]}",
    );
    let mut facts = a_pod();
    facts.pods[0].message = "Denied:\n    by policy.".to_owned();
    facts.pods[0].reason = "So.".to_owned();
    assert_eq!(find(&facts, &[shown]).findings[0].statement, "Failed: Denied: by policy. So...");
}

#[test]
fn misprints_are_told_with_their_place() {
    let head = "id: x\nover: pods\ncategory: code\n";
    let tail = "fix: [{text: t, risk: none}]\n";
    let of = |when: &str| misprints(&format!("{head}when: {when}\nstatement: s\n{tail}"));
    assert_eq!(of("row.phse == 'a'"), ["4:7: `row.phse == 'a'`: rows of pods have no field `phse`"]);
    assert_eq!(of("rwo.phase == 'a'"), ["4:7: `rwo.phase == 'a'`: unknown variable `rwo`"]);
    assert_eq!(of("facts.pod.size() > 0"), ["4:7: `facts.pod.size() > 0`: facts have no table `pod`"]);
    assert_eq!(of("upper(row.phase) == 'A'"), ["4:7: `upper(row.phase) == 'A'`: unknown function `upper`"]);
    let nested = of("facts.events.exists(e, e.resaon == row.name)");
    assert!(nested[0].ends_with("rows of events have no field `resaon`"), "{nested:?}");
    assert!(of("row.phase ==")[0].starts_with("4:7: `row.phase ==` is not CEL"), "{:?}", of("row.phase =="));
    let all =
        misprints("id: Not Kebab\nover: pod\ncategory: code\nwhen: 'true'\nstatement: 'a {{b'\nfix: []\n");
    assert_eq!(all.len(), 4, "{all:?}");
}

#[test]
fn any_text_as_a_condition_is_an_error_and_never_a_panic() {
    let nested = |open: &str, inner: &str, close: &str, n: usize| {
        format!("{}{inner}{}", open.repeat(n), close.repeat(n))
    };
    let deepest = [
        nested("(", "1", ")", 15),
        nested("[", "1", "]", 16),
        nested("[1].map(x, ", "1", ")", 14),
        nested("!", "true", "", 15) + " && 1 == 1/0",
        nested("", "1", " + 1", 62),
        nested("", "1", " + 1", 374),
        nested("", "row", ".a", 62),
        nested("", "row", "[0]", 62),
        nested("", "row", ".a", 748),
        nested("", "row", "[0]", 498),
        nested("", "false", "||false", 213) + "&&1",
        nested("true ? ", "1", " : 2", 14),
        nested("(", "1", ")", 3000),
        nested("!", "true", "", 3000),
        nested("-", "1", "", 1000),
        nested("a ? b : ", "1", "", 180),
    ];
    let odd = ["", "(", "{{", "a.b.c(", "\"", "row[", "1 / 0", "'\\u{0}'"].map(str::to_owned);
    for source in odd.into_iter().chain(deepest) {
        let spec = serde_json::to_string(&source).unwrap();
        let yaml = format!(
            "id: x\nover: pods\ncategory: code\nwhen: {spec}\nstatement: s\nfix: [{{text: t, risk: none}}]\n"
        );
        let Ok(spec) = serde_saphyr::from_str::<Spec>(&yaml) else { continue };
        if let Ok(signature) = Signature::compile(&spec) {
            let found = find(&a_pod(), &[signature]);
            assert!(found.findings.is_empty(), "{source:?}");
            assert!(found.gaps.len() <= 1, "{source:?}");
        }
    }
}

#[test]
fn a_large_workload_is_judged_in_bounded_time() {
    let workload = Workload::new("lab", "shop", "Deployment", "app");
    let pods: Vec<Value> = (0..200)
        .map(|n| json!({"name": format!("app-{n}"), "phase": "Running", "scheduled": true, "age_seconds": 600}))
        .collect();
    let containers: Vec<Value> = (0..400)
        .map(|n| {
            json!({"pod": format!("app-{}", n / 2), "name": "app", "role": "main", "failing": true,
                        "state": "waiting", "waiting_reason": "CrashLoopBackOff", "exit_code": 137})
        })
        .collect();
    let events: Vec<Value> = (0..500)
        .map(|n| json!({"kind": "Pod", "name": format!("app-{}", n % 200), "reason": "BackOff", "age_seconds": 60}))
        .collect();
    let tables = json!({"pods": pods, "containers": containers, "events": events});
    let facts = facts(&workload, tables.as_object().unwrap());
    let catalogue = catalogue();
    let start = Instant::now();
    let found = find(&facts, &catalogue);
    let took = start.elapsed();
    let gaps: Vec<&str> = found.gaps.iter().map(|gap| gap.why.as_str()).collect();
    assert_eq!(
        gaps,
        ["400 rows, the 200 most telling were judged", "500 rows, the 200 most telling were judged"]
    );
    println!("200 pods, 400 containers, 500 events: {took:?}");
    assert_eq!(found.findings[0].signature, "exit-137-by-itself");
    assert!(took.as_secs() < 30, "{took:?}");
}
