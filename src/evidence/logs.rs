//! Logs of failing containers: kept verbatim as observations, and for each container the line that says
//! most about its failure. Lines are ordered by their own time, since two streams may arrive mixed. Pure.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use regex::Regex;

use super::classify::{self, Judgement};
use super::ledger::Ledger;
use super::objects::{LogRead, Objects};
use crate::facts::ContainerFact;
use crate::logs::digest;
use crate::redact::redact;

/// Last lines of one log that are kept as an observation.
const KEPT_LINES: usize = 100;
/// Kinds of trouble that only earlier lines tell of.
const MAX_EARLIER: usize = 8;
/// Last lines that stand in the container's row.
const TAIL_LINES: usize = 20;

/// Line with which Python opens a traceback; what went wrong stands at the traceback's end.
const TRACEBACK: &str = "Traceback (most recent call last):";
/// `ValueError: …`, `KeyboardInterrupt`, `sqlalchemy.exc.OperationalError: …`.
static EXCEPTION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:\s|$)").ok());
/// `thread 'main' panicked at src/main.rs:3:5:`, with which Rust says where; the next line says why.
static PANICKED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\bpanicked at \S+:\d+:\d+:$").ok());

/// One stored line: its time, and its text as it stands in the observation.
#[derive(Debug, Clone)]
pub struct Line {
    pub at: Option<DateTime<Utc>>,
    pub text: String,
    pub judgement: Judgement,
}

/// A log as it was stored.
#[derive(Debug, Clone)]
pub struct Digest {
    pub evidence: String,
    pub lines: Vec<Line>,
    /// Of the lines before them: of each kind that tells of trouble, one.
    pub earlier: Vec<Line>,
}

/// Writes the logs down and tells each container what its own says. Returns them for `dependencies`.
pub fn digest(objects: &Objects, containers: &mut [ContainerFact], ledger: &mut Ledger) -> Vec<Digest> {
    let mut digests = Vec::new();
    for row in containers.iter_mut() {
        let own = objects.logs.iter().filter(|log| log.pod == row.pod && log.container == row.name);
        let mut own: Vec<&LogRead> = own.filter(|log| !log.text.trim().is_empty()).collect();
        // After a restart the death is in the log before; while it waits, both are the same instance.
        let death_is_previous = row.state == "running" && row.restarts > 0;
        own.sort_by_key(|log| log.previous != death_is_previous);
        let mut seen: Vec<&str> = Vec::new();
        let mut own_digests: Vec<Digest> = Vec::new();
        for log in own {
            if seen.contains(&log.text.as_str()) {
                continue;
            }
            seen.push(&log.text);
            own_digests.push(store(log, ledger));
        }
        take_best(row, &own_digests);
        digests.extend(own_digests);
    }
    digests
}

/// Writes one log down, condensed to its last lines.
pub(super) fn store(log: &LogRead, ledger: &mut Ledger) -> Digest {
    // As a whole, before it falls into lines: a key may span many of them, and no line tells of it alone.
    let text = redact(&log.text);
    let mut lines: Vec<(Option<DateTime<Utc>>, &str)> =
        text.lines().filter(|line| !line.trim().is_empty()).map(|line| (time_of(line), line)).collect();
    lines.sort_by_key(|(at, _)| *at);
    let lines = joined(lines);
    let skipped = lines.len().saturating_sub(KEPT_LINES);
    let page = ledger.open(&log.source, &log.query, log.milliseconds);
    let (before, last) = lines.split_at(skipped);
    let mut digest = Digest { evidence: String::new(), lines: Vec::new(), earlier: Vec::new() };
    let mut write = |(at, line): &Stamped| {
        let quote = ledger.line(page, line);
        let text = if at.is_some() { after_time(&quote.text) } else { quote.text.as_str() };
        digest.evidence = quote.evidence;
        Line { at: *at, text: text.to_owned(), judgement: classify::judge(text) }
    };
    let earlier: Vec<Line> = troubles(before).into_iter().map(&mut write).collect();
    let told: Vec<Line> = last.iter().map(&mut write).collect();
    if skipped > 0 {
        let kept = earlier.len();
        ledger.line(page, &format!("left out: {} earlier lines; kubernetes_logs shows them", skipped - kept));
    }
    (digest.lines, digest.earlier) = (told, earlier);
    digest
}

type Stamped = (Option<DateTime<Utc>>, String);

/// Of each kind of line that tells of trouble its newest, in order of time.
fn troubles(lines: &[Stamped]) -> Vec<&Stamped> {
    let plain = |(at, line): &Stamped| {
        let text = if at.is_some() { after_time(line) } else { line.as_str() };
        digest::Line { at: *at, stream: 0, text: text.to_owned() }
    };
    let all: Vec<digest::Line> = lines.iter().map(plain).collect();
    let kinds = digest::condense(&all, None, classify::class_and_weight).kinds;
    let heads = kinds.iter().filter(|kind| kind.is_trouble()).take(MAX_EARLIER);
    let heads = heads.filter_map(|kind| kind.exemplar.lines.first());
    let mut kept: Vec<usize> = heads.filter_map(|head| all.iter().rposition(|line| line == head)).collect();
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|at| &lines[at]).collect()
}

/// Rust tells where it panics on one line and why on the next: they become one.
fn joined(lines: Vec<(Option<DateTime<Utc>>, &str)>) -> Vec<(Option<DateTime<Utc>>, String)> {
    let mut whole: Vec<(Option<DateTime<Utc>>, String)> = Vec::with_capacity(lines.len());
    for (at, line) in lines {
        let text = if at.is_some() { after_time(line) } else { line };
        match whole.last_mut() {
            Some((_, place))
                if PANICKED.as_ref().is_some_and(|it| it.is_match(place))
                    && !text.is_empty()
                    && !text.starts_with("note: ") =>
            {
                place.push(' ');
                place.push_str(text);
            }
            _ => whole.push((at, line.trim_end().to_owned())),
        }
    }
    whole
}

/// The weightiest line wins, the last of equals: what comes last is nearest to the death. The first log
/// decides unless it has nothing to say; earlier lines do where none of the last has anything to say.
fn take_best(row: &mut ContainerFact, digests: &[Digest]) {
    let of = |lines: &[Line]| {
        let told = lines.iter().enumerate().filter(|(_, line)| !line.text.trim().is_empty());
        let best = told.max_by_key(|(index, line)| (line.judgement.weight, *index));
        best.map(|(index, line)| reason(line, &lines[index + 1..]))
    };
    let best = |digest: &Digest| {
        let last = of(&digest.lines);
        let silent = last.as_ref().is_none_or(|line| line.judgement.class.is_empty());
        let earlier = of(&digest.earlier).filter(|line| silent && !line.judgement.class.is_empty());
        earlier.or(last)
    };
    let judged: Vec<(&Digest, Line)> =
        digests.iter().filter_map(|digest| Some((digest, best(digest)?))).collect();
    let telling = judged.iter().find(|(_, line)| !line.judgement.class.is_empty());
    let Some((digest, line)) = telling.or_else(|| judged.first()) else { return };
    row.log_class = line.judgement.class.to_owned();
    row.log_line.clone_from(&line.text);
    row.log_at = line.at;
    row.log_evidence.clone_from(&digest.evidence);
    let skipped = digest.lines.len().saturating_sub(TAIL_LINES);
    row.log_tail = digest.lines.iter().skip(skipped).map(|line| line.text.clone()).collect();
}

/// The line itself, or where it only opens a traceback, the later one that says what went wrong; its class
/// stays.
fn reason(line: &Line, later: &[Line]) -> Line {
    let named = |line: &&Line| EXCEPTION.as_ref().is_some_and(|it| it.is_match(line.text.trim_end()));
    let told = later.iter().find(named).filter(|_| line.text.trim_end().ends_with(TRACEBACK));
    told.map_or_else(|| line.clone(), |told| Line { judgement: line.judgement, ..told.clone() })
}

fn time_of(line: &str) -> Option<DateTime<Utc>> {
    let stamp = line.split(' ').next()?;
    DateTime::parse_from_rfc3339(stamp).ok().map(|at| at.with_timezone(&Utc))
}

fn after_time(line: &str) -> &str {
    line.split_once(' ').map_or("", |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> ContainerFact {
        ContainerFact { pod: "p".to_owned(), name: "c".to_owned(), ..ContainerFact::default() }
    }

    fn log(previous: bool, text: &str) -> LogRead {
        LogRead {
            pod: "p".to_owned(),
            container: "c".to_owned(),
            previous,
            source: "kubernetes".to_owned(),
            query: "GET /log".to_owned(),
            milliseconds: 1,
            text: text.to_owned(),
        }
    }

    fn best(state: &str, restarts: i64, logs: Vec<LogRead>) -> ContainerFact {
        let objects = Objects { logs, ..Objects::default() };
        let mut rows = [ContainerFact { state: state.to_owned(), restarts, ..container() }];
        let mut ledger = Ledger::default();
        digest(&objects, &mut rows, &mut ledger);
        let observations = ledger.finish();
        let [row] = rows;
        if !row.log_evidence.is_empty() {
            let stored = observations.iter().find(|o| o.id == row.log_evidence).unwrap();
            assert!(stored.text.contains(&row.log_line));
        }
        row
    }

    #[test]
    fn mixed_streams_are_put_in_order_and_the_fatal_line_wins() {
        let text = "2026-11-21T06:59:51.439790712Z FATAL: relation \"products\" does not exist\n\
                    2026-11-21T06:59:51.439813378Z seeding catalog tables\n";
        let row = best("terminated", 0, vec![log(false, text)]);
        assert_eq!(row.log_line, "FATAL: relation \"products\" does not exist");
        assert_eq!(row.log_class, "missing-relation");
        assert_eq!(row.log_tail.len(), 2);
    }

    #[test]
    fn a_running_container_s_death_is_in_the_log_before() {
        let (now, before) = ("2026-11-21T07:00:00Z ERROR: slow start", "2026-11-21T06:00:00Z panic: boom");
        assert_eq!(best("running", 3, vec![log(false, now), log(true, before)]).log_line, "panic: boom");
        assert_eq!(
            best("waiting", 3, vec![log(false, now), log(true, before)]).log_line,
            "ERROR: slow start"
        );
    }

    #[test]
    fn a_traceback_s_exception_and_a_panic_s_message_are_the_quote() {
        let python = "2026-11-21T07:00:00Z Traceback (most recent call last):\n\
                      2026-11-21T07:00:00Z   File \"/app/main.py\", line 7, in <module>\n\
                      2026-11-21T07:00:00Z     load(42)\n\
                      2026-11-21T07:00:00Z   File \"/app/main.py\", line 3, in load\n\
                      2026-11-21T07:00:00Z     raise ValueError(f\"odd {x}\")\n\
                      2026-11-21T07:00:00Z ValueError: odd 42\n\
                      2026-11-21T07:00:01Z bye\n";
        let row = best("waiting", 1, vec![log(false, python)]);
        assert_eq!((row.log_class.as_str(), row.log_line.as_str()), ("panic", "ValueError: odd 42"));
        let rust = "2026-11-21T07:00:00Z thread 'main' panicked at src/main.rs:3:5:\n\
                    2026-11-21T07:00:00Z the ledger has no page 7\n\
                    2026-11-21T07:00:00Z note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        let row = best("waiting", 1, vec![log(false, rust)]);
        assert_eq!(
            (row.log_class.as_str(), row.log_line.as_str()),
            ("panic", "thread 'main' panicked at src/main.rs:3:5: the ledger has no page 7")
        );
        let cut =
            "2026-11-21T07:00:00Z Traceback (most recent call last):\n2026-11-21T07:00:00Z   File \"a\"";
        assert_eq!(best("waiting", 1, vec![log(false, cut)]).log_line, TRACEBACK, "its end is not there");
    }

    #[test]
    fn a_log_that_says_nothing_gives_its_last_line_without_a_class() {
        let row =
            best("waiting", 3, vec![log(false, "2026-11-21T07:00:00Z one\n2026-11-21T07:00:01Z two\n")]);
        assert_eq!((row.log_class.as_str(), row.log_line.as_str()), ("", "two"));
        assert_eq!(best("waiting", 3, vec![log(false, "\n")]).log_evidence, "");
    }

    #[test]
    fn trouble_that_lies_further_back_keeps_one_line_of_each_kind() {
        let mut text = String::from("2026-11-21T06:00:00Z FATAL: relation \"products\" does not exist\n");
        let calm = |n: usize| format!("2026-11-21T06:{:02}:{:02}Z served item {n}\n", 1 + n / 60, n % 60);
        text.extend((0..10).map(calm));
        text.push_str("2026-11-21T06:01:09Z FATAL: relation \"products\" does not exist\n");
        text.extend((10..400).map(calm));
        let row = best("waiting", 1, vec![log(false, &text)]);
        assert_eq!(
            (row.log_class.as_str(), row.log_at.unwrap().to_rfc3339().as_str()),
            ("missing-relation", "2026-11-21T06:01:09+00:00")
        );
        assert_eq!(row.log_tail.len(), 20);
        let objects = Objects { logs: vec![log(false, &text)], ..Objects::default() };
        let mut ledger = Ledger::default();
        digest(&objects, &mut [container()], &mut ledger);
        let stored = ledger.finish().remove(0).text;
        assert!(stored.ends_with("left out: 301 earlier lines; kubernetes_logs shows them\n"), "{stored}");
        assert_eq!((stored.matches("FATAL").count(), stored.lines().count()), (1, 102));
        // What the last lines say is nearer to the death, however little it is.
        text.push_str("2026-11-21T06:59:00Z ERROR: giving up\n");
        assert_eq!(best("waiting", 1, vec![log(false, &text)]).log_line, "ERROR: giving up");
    }

    /// Every log of the cases that `runbooks test` knows.
    fn logs_of_cases() -> Vec<(std::path::PathBuf, String)> {
        let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks")];
        let mut logs = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "log") {
                    logs.push((path.clone(), std::fs::read_to_string(path).unwrap()));
                }
            }
        }
        logs
    }

    /// What a busy program writes beside.
    fn chatter(count: usize) -> String {
        let line = |n: usize| match n % 5 {
            0 => format!("level=info msg=\"GET /items/{n}\" status=200 took={n}ms"),
            1 => format!("worker {} picked job {n} from queue", n % 16),
            2 => format!("WARN slow query took {n} ms"),
            3 => format!("ERROR request {n} failed: upstream returned 502"),
            _ => format!("cache hit ratio 0.{n}"),
        };
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let stamped = |n: usize| {
            let at = at + chrono::TimeDelta::seconds(i64::try_from(n).unwrap());
            format!("{} {}\n", at.to_rfc3339(), line(n))
        };
        (0..count).map(stamped).collect()
    }

    #[test]
    fn the_line_that_proves_a_cause_is_kept_in_every_case_also_within_a_flood() {
        const ROOM: usize = 4_800;
        const FLOOD: usize = 600;
        let mut proofs = 0;
        for (path, text) in logs_of_cases() {
            let mut ledger = Ledger::default();
            let digest = store(&LogRead { text: text.clone(), ..log(true, "") }, &mut ledger);
            let mut row = container();
            take_best(&mut row, &[digest]);
            if row.log_class.is_empty() {
                continue;
            }
            proofs += 1;
            // Where a panic's two lines were joined, both stand in the log.
            let proof: String = row.log_line.chars().take(100).collect();
            // The log is now the newest, now the oldest of what was written.
            let flooded = if proofs % 2 == 0 {
                format!("{}{text}", chatter(FLOOD))
            } else {
                format!("{text}\n{}", chatter(FLOOD))
            };
            for log in [text.clone(), flooded] {
                let lines = crate::logs::lines::lines(&redact(&log));
                let since = lines.get(lines.len() / 2).and_then(|line| line.at);
                let screen = crate::logs::screen::screen(&lines, since, classify::class_and_weight, ROOM);
                let at_its_start = proof.split(": ").next().unwrap_or(&proof);
                assert!(
                    screen.contains(&proof) || screen.contains(at_its_start) && proof.contains("panicked at"),
                    "{}: {proof} is not in\n{screen}",
                    path.display()
                );
            }
        }
        assert!(proofs >= 50, "{proofs}");
    }
}
