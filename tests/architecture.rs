//! The house rules that the compiler does not know: who may import whom, which files decide without acting,
//! where SQL may stand, how long a file may be. ARCHITECTURE.md says why.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "architecture/source.rs"]
mod source;

use source::{File, Found};

const PAPERS: [&str; 10] =
    ["alert", "change", "workload", "facts", "inert", "logs", "report", "redact", "series", "words"];

/// What each room may import, beside the papers, which every room may. A room is a top-level module of `src`.
/// Steps may import ports and earlier steps; only conductors join them.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // Papers.
    ("alert", &[]),
    ("change", &[]),
    ("workload", &[]),
    ("facts", &[]),
    ("inert", &[]),
    ("logs", &[]),
    ("report", &[]),
    ("redact", &[]),
    ("series", &[]),
    ("words", &[]),
    // What the composition root needs. `telemetry` names every metric, so every step may have it.
    ("settings", &[]),
    ("telemetry", &["settings"]),
    ("postgres", &["settings", "telemetry"]),
    // Ports.
    ("source", &["settings", "telemetry"]),
    ("llm", &["settings", "telemetry"]),
    // Steps, in the order of the data but for `signature`: a runbook carries its signatures, so it imports them.
    ("webhook", &["settings", "telemetry"]),
    ("policy", &["settings", "telemetry", "source"]),
    ("incident", &["settings", "telemetry", "source", "webhook", "policy"]),
    ("signature", &["settings", "telemetry"]),
    ("runbook", &["settings", "telemetry", "source", "webhook", "incident", "signature"]),
    ("evidence", &["settings", "telemetry", "source", "webhook", "incident", "signature", "runbook"]),
    // The other port of the agent: a runbook's text and the evidence's digests are among what can be asked.
    ("tool", &["settings", "telemetry", "source", "llm", "runbook", "evidence"]),
    (
        "investigation",
        &[
            "settings",
            "telemetry",
            "source",
            "llm",
            "tool",
            "webhook",
            "policy",
            "incident",
            "signature",
            "runbook",
            "evidence",
        ],
    ),
    // The reading of a cluster, asked of a Job and answered in one.
    ("executor", &["settings", "telemetry", "source", "llm", "tool", "evidence", "investigation"]),
    ("feedback", &["settings", "telemetry", "incident", "investigation"]),
    (
        "slack",
        &[
            "settings",
            "telemetry",
            "source",
            "webhook",
            "incident",
            "signature",
            "runbook",
            "evidence",
            "investigation",
            "feedback",
        ],
    ),
    ("outlet", &["settings", "telemetry", "incident"]),
    (
        "api",
        &[
            "settings",
            "telemetry",
            "source",
            "webhook",
            "incident",
            "signature",
            "runbook",
            "evidence",
            "investigation",
            "feedback",
            "slack",
            "outlet",
        ],
    ),
    // The door of agents reads what is stored through the API's own functions, and the live systems through the tools.
    ("mcp", &["settings", "telemetry", "source", "llm", "tool", "slack", "api"]),
    // The reading side for people shows what the API shows, and asks who may see it as the API does.
    (
        "web",
        &[
            "settings",
            "telemetry",
            "source",
            "webhook",
            "incident",
            "signature",
            "runbook",
            "evidence",
            "investigation",
            "feedback",
            "slack",
            "api",
        ],
    ),
    // Conductors.
    ("announce", &["policy", "incident", "runbook", "investigation", "feedback", "slack", "outlet"]),
    ("policy_objects", &["telemetry", "postgres", "source", "policy"]),
    (
        "intake",
        &["telemetry", "postgres", "webhook", "policy", "incident", "investigation", "feedback", "announce"],
    ),
    (
        "investigator",
        &[
            "settings",
            "telemetry",
            "source",
            "llm",
            "tool",
            "policy",
            "signature",
            "runbook",
            "evidence",
            "executor",
            "investigation",
        ],
    ),
    ("reconcile", &["telemetry", "postgres", "source", "webhook", "incident", "intake"]),
    (
        "worker",
        &[
            "settings",
            "telemetry",
            "postgres",
            "incident",
            "investigation",
            "executor",
            "feedback",
            "slack",
            "outlet",
            "announce",
            "investigator",
        ],
    ),
    ("interact", &["postgres", "policy", "investigation", "feedback", "slack", "investigator"]),
    (
        "app",
        &[
            "interact",
            "settings",
            "telemetry",
            "postgres",
            "source",
            "llm",
            "tool",
            "webhook",
            "policy",
            "incident",
            "runbook",
            "evidence",
            "executor",
            "investigation",
            "feedback",
            "slack",
            "outlet",
            "api",
            "mcp",
            "web",
            "announce",
            "intake",
            "policy_objects",
            "reconcile",
            "investigator",
            "worker",
        ],
    ),
    // The recorded cluster is spoken to over HTTP, like any other: it knows nothing of the rooms.
    ("demo", &[]),
    // Cases are served by the demo's stand-ins and investigated as in life.
    (
        "cases",
        &["settings", "source", "signature", "runbook", "evidence", "investigation", "investigator", "demo"],
    ),
    (
        "command",
        &[
            "settings",
            "telemetry",
            "postgres",
            "source",
            "webhook",
            "policy",
            "incident",
            "signature",
            "runbook",
            "evidence",
            "investigation",
            "slack",
            "outlet",
            "investigator",
            "app",
            "demo",
            "cases",
            "llm",
        ],
    ),
    ("main", &["command"]),
];

/// Files and folders that decide and never act: no database, no network, no runtime, no clock.
const PURE: &[&str] = &[
    "src/alert.rs",
    "src/change/",
    "src/workload.rs",
    "src/facts",
    "src/inert.rs",
    "src/logs/",
    "src/series/",
    "src/words",
    "src/report.rs",
    "src/redact.rs",
    "src/policy/",
    "src/policy_objects/conditions.rs",
    "src/incident/cluster.rs",
    "src/incident/decide.rs",
    "src/incident/book.rs",
    "src/incident/selector.rs",
    "src/incident/storm.rs",
    "src/runbook/choose.rs",
    "src/signature/",
    "src/investigation/advice.rs",
    "src/investigation/answer.rs",
    "src/investigation/budget.rs",
    "src/investigation/conclude.rs",
    "src/investigation/concluding.rs",
    "src/investigation/guards.rs",
    "src/investigation/ledger.rs",
    "src/investigation/money.rs",
    "src/investigation/prompt.rs",
    "src/investigation/verify.rs",
    "src/source/enforced.rs",
    "src/slack/after.rs",
    "src/slack/blocks",
    "src/slack/interaction/payload.rs",
    "src/slack/interaction/signature.rs",
    "src/slack/route.rs",
    "src/slack/thread/message.rs",
    "src/slack/thread/words.rs",
    "src/slack/thread/score.rs",
    "src/slack/thread/choose.rs",
    "src/executor/fate.rs",
    "src/executor/job.rs",
    "src/executor/question.rs",
    "src/outlet/after.rs",
    "src/outlet/card",
    "src/outlet/event.rs",
    "src/outlet/keys.rs",
    "src/cases/check.rs",
    "src/cases/objects.rs",
    "src/cases/patch.rs",
    "src/cases/redacted.rs",
    "src/cases/show.rs",
    "src/cases/verdict.rs",
    "src/api/docs/page.rs",
    "src/api/events/progress.rs",
    "src/mcp/lessons.rs",
    "src/mcp/told.rs",
    "src/web/difference.rs",
    "src/web/highlight.rs",
    "src/web/scale.rs",
    "src/web/session.rs",
    "src/web/spark.rs",
];
const IMPURE_CRATES: &[&str] =
    &["sqlx::", "reqwest::", "kube::", "tokio::", "Utc::now", "Instant::now", "SystemTime::now"];

/// The only files that may hold SQL.
const SQL_FILES: &[&str] = &[
    "store.rs",
    "store/write.rs",
    "queue.rs",
    "outbox.rs",
    "outbox/news.rs",
    "outbox/outcome.rs",
    "outbox/progress.rs",
    "incident/listed.rs",
    "incident/tally.rs",
    "retention.rs",
    "postgres.rs",
    "postgres/chore.rs",
    "postgres/private.rs",
];
const SQL: &[&str] =
    &["sqlx::query", "sqlx::raw_sql", "QueryBuilder", " query!(", " query_as!(", " query_scalar!("];

/// What would break an older version that runs beside a new one on the same schema. What was written before this
/// rule is left as it is: no version of it was released.
const NOT_ADDITIVE: &[&str] =
    &["drop table", "drop column", "rename", "alter column", "truncate", "set not null", "drop constraint"];
const FIRST_ADDITIVE_MIGRATION: &str = "20261121000030";

/// Lines of code, without comments, blank lines and tests.
const MAX_LINES: usize = 350;
const MAX_MAIN_LINES: usize = 60;

/// Crates that would bring a second TLS provider or a C library into the build; deny.toml says the same.
const BANNED_CRATES: &[&str] = &["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"];

fn may_import(room: &str, other: &str) -> bool {
    room == other
        || PAPERS.contains(&other)
        || MAY_IMPORT.iter().any(|(name, others)| *name == room && others.contains(&other))
}

fn wrong_imports(file: &File) -> Vec<String> {
    file.imports()
        .into_iter()
        .filter(|import| !may_import(&file.room, &import.what))
        .map(|Found { line, what }| {
            format!(
                "{}:{line}: `{}` may not import `{what}` (table in tests/architecture.rs)",
                file.path, file.room
            )
        })
        .collect()
}

fn impurities(file: &File) -> Vec<String> {
    if !PURE.iter().any(|pure| file.path.starts_with(pure)) {
        return Vec::new();
    }
    file.find(IMPURE_CRATES)
        .into_iter()
        .map(|Found { line, what }| format!("{}:{line}: a file that decides uses `{what}`", file.path))
        .collect()
}

fn misplaced_sql(file: &File) -> Vec<String> {
    if SQL_FILES.iter().any(|name| file.path.ends_with(&format!("/{name}"))) {
        return Vec::new();
    }
    file.find(SQL)
        .into_iter()
        .map(|Found { line, what }| {
            format!("{}:{line}: SQL (`{}`) outside {SQL_FILES:?}", file.path, what.trim())
        })
        .collect()
}

fn too_long(file: &File) -> Vec<String> {
    let limit = if file.path == "src/main.rs" { MAX_MAIN_LINES } else { MAX_LINES };
    let lines = file.lines();
    if lines > limit {
        vec![format!("{}: {lines} lines of code, at most {limit}", file.path)]
    } else {
        Vec::new()
    }
}

fn without_opening(file: &File) -> Vec<String> {
    if file.is_tests() || file.text.starts_with("//!") {
        return Vec::new();
    }
    vec![format!(
        "{}:1: a module opens with `//!`: what comes in, what goes out, what it never does",
        file.path
    )]
}

fn check(rule: fn(&File) -> Vec<String>) {
    let files = source::files();
    assert!(files.len() >= MAY_IMPORT.len(), "found only {} files under src/", files.len());
    let faults: Vec<String> = files.iter().flat_map(rule).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn migrations_only_add() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.as_str() < FIRST_ADDITIVE_MIGRATION {
            continue;
        }
        seen += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let statements = text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let text = statements.collect::<Vec<_>>().join(" ").to_lowercase();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for what in NOT_ADDITIVE {
            assert!(
                !text.contains(what),
                "{name}: `{what}` breaks the version before it in a rolling deploy"
            );
        }
    }
    assert!(seen >= 2, "only {seen} migrations were looked at");
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    check(wrong_imports);
}

#[test]
fn files_that_decide_touch_no_database_network_or_clock() {
    check(impurities);
}

#[test]
fn sql_stands_only_in_the_files_named_for_it() {
    check(misplaced_sql);
}

#[test]
fn files_stay_short() {
    check(too_long);
}

#[test]
fn every_module_says_what_it_does() {
    check(without_opening);
}

#[test]
fn the_table_names_every_room_once() {
    let mut named: Vec<&str> = MAY_IMPORT.iter().map(|(room, _)| *room).collect();
    let mut rooms: Vec<String> = source::files().iter().map(|file| file.room.clone()).collect();
    named.sort_unstable();
    rooms.sort_unstable();
    rooms.dedup();
    rooms.retain(|room| room != "lib");
    assert_eq!(rooms, named);
}

#[test]
fn the_description_has_the_same_table() {
    let text = std::fs::read_to_string(source::root().join("ARCHITECTURE.md")).unwrap();
    for (room, others) in MAY_IMPORT.iter().filter(|(room, _)| !PAPERS.contains(room)) {
        let row = format!("| `{room}` | {} |", others.join(", ")).replace("|  |", "| |");
        assert!(text.lines().any(|line| line == row), "ARCHITECTURE.md lacks the row\n{row}");
    }
}

#[test]
fn dependencies_come_from_crates_io_and_none_is_banned() {
    let lock = std::fs::read_to_string(source::root().join("Cargo.lock")).unwrap();
    let faults: Vec<&str> = lock
        .lines()
        .filter(|line| {
            BANNED_CRATES.iter().any(|name| *line == format!("name = \"{name}\""))
                || (line.starts_with("source = ")
                    && *line != "source = \"registry+https://github.com/rust-lang/crates.io-index\"")
        })
        .collect();
    assert!(lock.contains("name = \"ring\""), "Cargo.lock is not what this test takes it for");
    assert!(faults.is_empty(), "Cargo.lock: {faults:?}");
}

/// Each rule must see a fault that is there: a rule that cannot fail proves nothing.
#[test]
fn the_rules_find_planted_faults() {
    let text = r##"// no opening
use crate::{
    alert::Alert, // crate::app in a comment is none
    slack::{self, blocks::{Block, Text}},
};
/* use crate::api::x; /* nested */ */
const TEXT: &str = "crate::app::run";
const RAW: &str = r#"crate::"app"::run"#;
fn lifetimes<'a>(quote: char) -> &'a str { if quote == '"' { crate::worker::run() } else { "" } }
fn now() { let _ = chrono::Utc::now(); sqlx::query("select 1"); }
pub(in crate::incident) fn here() { super::super::settings::load(); super::store::read(); }
#[cfg(test)]
mod tests { use crate::app::run; }
"##;
    let file = File::new("src/incident/decide.rs", text);
    let lines = |faults: Vec<String>| -> Vec<String> {
        faults.iter().map(|fault| fault.split(": ").take(2).collect::<Vec<_>>().join(": ")).collect()
    };
    assert_eq!(
        lines(wrong_imports(&file)),
        [
            "src/incident/decide.rs:4: `incident` may not import `slack` (table in tests/architecture.rs)",
            "src/incident/decide.rs:9: `incident` may not import `worker` (table in tests/architecture.rs)",
            "src/incident/decide.rs:11: `incident` may not import `super` (table in tests/architecture.rs)",
        ]
    );
    assert_eq!(impurities(&file).len(), 2, "{:?}", impurities(&file));
    assert_eq!(
        lines(misplaced_sql(&file)),
        [format!("src/incident/decide.rs:10: SQL (`sqlx::query`) outside {SQL_FILES:?}")]
    );
    assert_eq!(without_opening(&file).len(), 1);
    assert_eq!(too_long(&file), Vec::<String>::new());
    let long = File::new("src/main.rs", &"fn f() {} // code\n".repeat(MAX_MAIN_LINES + 1));
    assert_eq!(too_long(&long), ["src/main.rs: 61 lines of code, at most 60"]);
    let binary = File::new("src/main.rs", "use whodunit::{command, intake};\n");
    assert_eq!(wrong_imports(&binary).len(), 1, "main may not reach past the commands");
}
