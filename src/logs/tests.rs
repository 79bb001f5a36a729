//! The room as its callers use it: lines in, a digest out, over the labelled lines and over anything.

use std::path::PathBuf;

use proptest::prelude::*;

use super::digest::{Digest, Line, Mark};
use super::group::{Grouper, Grouping};
use super::record::records;
use super::screen::screen;
use super::structure::{Level, parse};
use super::told::Page;

#[path = "tests/labelled.rs"]
mod labelled;

const ROOM: usize = 6_000;
/// Of the committed lines; what they reached when they were committed is in their README.
const MIN_MEAN_ACCURACY: f64 = 0.90;

fn group(records: &[&str]) -> Grouping {
    let mut grouper = Grouper::new();
    for record in records {
        grouper.add(record);
    }
    grouper.finish()
}

fn lines(texts: &[&str]) -> Vec<Line> {
    let line = |(n, text): (usize, &&str)| Line {
        at: Some(second(i64::try_from(n).unwrap())),
        stream: 0,
        text: (*text).to_owned(),
    };
    texts.iter().enumerate().map(line).collect()
}

/// Classes as a stranger might see them.
fn judge(text: &str) -> (&'static str, i32) {
    let classes = [
        ("certificate has expired", "certificate", 30),
        ("refused", "refused", 30),
        ("ERROR", "error", 20),
        ("FATAL", "error", 28),
        ("Exception", "panic", 28),
    ];
    classes
        .into_iter()
        .find(|(words, ..)| text.contains(words))
        .map_or(("", 0), |(_, class, weight)| (class, weight))
}

fn condense(lines: &[Line], since: Option<i64>) -> Digest {
    super::digest::condense(lines, since.map(second), judge)
}

fn second(second: i64) -> chrono::DateTime<chrono::Utc> {
    let start: chrono::DateTime<chrono::Utc> = "2026-11-21T07:00:00Z".parse().unwrap();
    start + chrono::TimeDelta::seconds(second)
}

fn told(digest: &Digest, max_bytes: usize) -> String {
    super::told::told(digest, &Page { max_bytes, max_kinds: 32, streams: &[], how: "grep" })
}

#[test]
fn labelled_lines_of_all_formats_are_grouped_as_labelled() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs/labelled");
    let mut accuracies = Vec::new();
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let labelled = labelled::read(&file.unwrap().path());
        let texts: Vec<&str> = labelled.iter().map(|(text, _)| text.as_str()).collect();
        let labels: Vec<&str> = labelled.iter().map(|(_, label)| label.as_str()).collect();
        accuracies.push(labelled::fit(&labels, &group(&texts).of_record).0);
        count += texts.len();
    }
    let mean = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
    assert!(count >= 2_000 && mean >= MIN_MEAN_ACCURACY, "{count} lines, {mean:.3}: {accuracies:?}");
}

#[test]
fn the_measure_knows_a_wrong_grouping() {
    assert_eq!(labelled::fit(&["a", "a", "b"], &[0, 0, 1]), (1.0, 1.0));
    assert_eq!(labelled::fit(&["a", "a", "b", "b"], &[0, 0, 0, 1]), (0.0, 0.4));
}

#[test]
fn level_and_message_are_found_whatever_wrote_the_line() {
    for (line, level, message) in [
        (r#"{"level":"error","ts":1.5,"msg":"boom \"x\"","err":"EOF"}"#, Level::Error, "boom \"x\""),
        (r#"{"level":50,"time":1,"msg":"boom"}"#, Level::Error, "boom"),
        (r#"{"@timestamp":"t","log.level":"WARN","message":"slow"}"#, Level::Warn, "slow"),
        (
            r#"time="2026-11-21T07:00:00Z" level=warning msg="it is \"late\"" id=4"#,
            Level::Warn,
            "it is \"late\"",
        ),
        (r#"E1121 07:00:00.123456       1 a.go:114] "Failed" err="x""#, Level::Error, r#""Failed" err="x""#),
        (
            "2026-11-21T07:00:00.1Z stderr F 2026/11/21 07:00:00 [error] 29#29: *1 connect() failed",
            Level::Error,
            "connect() failed",
        ),
        ("2026-11-21 07:00:00,123 - app.db - ERROR - no route", Level::Error, "no route"),
        ("2026-11-21 07:00:00.123 UTC [41] FATAL:  role missing", Level::Fatal, "role missing"),
        ("2026-11-21 07:00:00.123  INFO 1 --- [main] c.s.Order  : placed", Level::Info, "placed"),
        ("Nov 21 07:00:00 node-1 sshd[41]: Connection closed", Level::Unknown, "Connection closed"),
        ("ERROR:app.db:gone", Level::Error, "gone"),
        ("Error while reading {not json", Level::Unknown, "Error while reading {not json"),
        ("{\"level\":\"error\"", Level::Unknown, "{\"level\":\"error\""),
    ] {
        let parsed = parse(line);
        assert_eq!((parsed.level, &*parsed.message), (level, message), "{line}");
    }
}

#[test]
fn stack_traces_are_one_record_with_the_line_above() {
    let texts = [
        "07:00:01.000 [main] ERROR a.B - failed",
        "java.lang.IllegalStateException: declined",
        "\tat a.B.c(B.java:1)",
        "Caused by: java.io.IOException: Broken pipe",
        "\t... 3 more",
        "07:00:02.000 [main] INFO a.B - on",
        "Traceback (most recent call last):",
        "  File \"a.py\", line 1, in b",
        "KeyError: 'x'",
        "2026-11-21 07:00:03 next",
        "panic: runtime error: index out of range",
        "",
        "goroutine 1 [running]:",
        "main.main()",
        "\t/app/main.go:3 +0x1",
        "{\"level\":\"info\",\"msg\":\"up\"}",
    ];
    assert_eq!(records(&texts), [0..5, 5..9, 9..10, 10..15, 15..16]);
    let text = told(&condense(&lines(&texts[..5]), None), ROOM);
    for kept in [texts[0], texts[1], texts[3]] {
        assert!(text.contains(kept), "{text}");
    }
}

#[test]
fn a_rare_error_stands_first_and_what_is_new_or_gone_is_marked() {
    let mut texts: Vec<String> = (0..400).map(|n| format!("GET /items/{n} took {n}ms")).collect();
    for (n, text) in texts.iter_mut().enumerate().take(10).skip(7) {
        *text = format!("cache warmed with {n} entries");
    }
    texts[250] = "FATAL: relation \"products\" does not exist".to_owned();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let digest = condense(&lines(&texts), Some(200));
    let marks: Vec<(Mark, usize)> = digest.kinds.iter().map(|kind| (kind.mark, kind.count)).collect();
    assert_eq!(marks, [(Mark::New, 1), (Mark::Gone, 3), (Mark::Known, 396)]);
    let text = told(&digest, 60);
    assert_eq!(
        text,
        "07:04:10 new FATAL: relation \"products\" does not exist\n\
         left out: 2 more kinds of lines (399 lines), 0 of them trouble, 1 no longer seen; grep\n"
    );
    // Nothing is new in a log that begins after the moment.
    assert!(condense(&lines(&texts), Some(-1)).kinds.iter().all(|kind| kind.mark == Mark::Known));
}

#[test]
fn a_rare_cause_behind_a_parameter_of_a_frequent_template_keeps_a_line_of_its_own() {
    let causes = ["connection refused", "peer refused", "socket refused", "backend refused", "refused"];
    let mut texts: Vec<String> =
        (0..3_000).map(|n| format!("ERROR request {n} failed: {}", causes[n % 5])).collect();
    texts[1_234] = "ERROR request 1234 failed: certificate has expired".to_owned();
    // The same, where the cause is a value by its form.
    texts.extend(
        (0..3_000).map(|n| format!("request {n} done result=\"{}\"", if n == 77 { "refused" } else { "ok" })),
    );
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let digest = condense(&lines(&texts), None);
    assert_eq!(
        digest.kinds.len(),
        2,
        "{:?}",
        digest.kinds.iter().map(|kind| &kind.template.text).collect::<Vec<_>>()
    );
    let text = told(&digest, ROOM);
    for kept in [texts[1_234], texts[3_077]] {
        assert!(text.contains(kept), "{text}");
    }
}

#[test]
fn one_log_is_a_screen_with_its_last_lines() {
    let short = ["starting", "FATAL: it broke", "  at main"];
    assert_eq!(
        screen(&lines(&short), None, judge, ROOM),
        "07:00:00 starting\n07:00:01 FATAL: it broke\n07:00:02   at main"
    );
    assert_eq!(screen(&[], None, judge, ROOM), "");
    let texts: Vec<String> = (0..100)
        .map(|n| match n {
            17 => "config loaded".to_owned(),
            99 => "going down".to_owned(),
            n if n % 10 == 3 => format!("dial tcp 10.0.0.{n}:5432: connection refused"),
            n => format!("served {n}"),
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(
        screen(&lines(&texts), None, judge, ROOM).lines().collect::<Vec<_>>(),
        [
            "failures by class: refused 10",
            "10× 07:00:03–07:01:33 dial tcp 10.0.0.93:5432: connection refused",
            "07:00:17 config loaded",
            "07:01:39 going down",
            "88× 07:00:00–07:01:38 served 98",
            "the last 6 lines:",
            "07:01:34 served 94",
            "07:01:35 served 95",
            "07:01:36 served 96",
            "07:01:37 served 97",
            "07:01:38 served 98",
            "07:01:39 going down",
        ]
    );
}

#[test]
fn the_kubelet_s_lines_come_in_order_of_time() {
    let text = "2026-11-21T06:59:51.4398Z FATAL: it broke\n  at main\n2026-11-21T06:59:51.4301Z starting\n";
    let texts: Vec<String> = super::lines::lines(text).into_iter().map(|line| line.text).collect();
    assert_eq!(texts, ["starting", "FATAL: it broke", "  at main"]);
}

#[test]
fn a_panic_of_go_ends_where_its_frames_end() {
    let texts = [
        "panic: boom",
        "",
        "goroutine 1 [running]:",
        "main.main()",
        "\t/app/main.go:3 +0x1",
        "exit status 2",
        "listening on port 80",
    ];
    assert_eq!(records(&texts), [0..6, 6..7]);
}

#[test]
fn parameters_that_repeat_are_told_with_their_counts() {
    let texts: Vec<String> = (0..60)
        .map(|n| {
            format!("ERROR could not reach queue \"{}\" attempt {n}", ["orders", "orders", "emails"][n % 3])
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let text = told(&condense(&lines(&texts), None), ROOM);
    assert!(text.contains("queue: orders 40×, emails 20×"), "{text}");
    assert!(!text.contains("attempt:"), "{text}");
}

#[test]
fn a_line_of_ten_megabytes_costs_no_more_than_its_beginning() {
    let long = format!("payload \u{1f600}{}", "\u{e9}a ".repeat(2_500_000));
    let quoted = format!("\"{}", "[".repeat(10_000_000));
    let json = format!("{{\"msg\":\"{}", "\\".repeat(10_000_000));
    let grouping = group(&[&long, &quoted, &json]);
    assert!(grouping.templates.iter().all(|template| template.text.len() < 4_000));
    let text = told(&condense(&lines(&[&long]), None), ROOM);
    assert!(text.len() < 2_000 && text.contains("more bytes"), "{}", text.len());
}

#[test]
fn a_window_is_bounded_and_says_so() {
    let mut grouper = Grouper::new();
    let taken = (0..super::group::MAX_RECORDS + 5).filter(|n| grouper.add(&format!("tick {n}"))).count();
    assert_eq!(taken, super::group::MAX_RECORDS);
    assert_eq!(grouper.finish().left_out, 5);
}

fn some_line() -> impl Strategy<Value = String> {
    let word =
        prop_oneof!["[a-c]{1,3}", "[0-9]{1,4}", "[\"'\\[\\]{}=:,é ]{1,3}", "user", "failed:", "[A-Z]{2}"];
    proptest::collection::vec(word, 0..8).prop_map(|words| words.join(" "))
}

proptest! {
    /// The same lines in another order give the same templates, and each line the same one.
    #[test]
    fn order_makes_no_difference(texts in proptest::collection::vec(some_line(), 0..60), by in 0_usize..60) {
        let one: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut other = one.clone();
        other.reverse();
        let by = by % other.len().max(1);
        other.rotate_left(by);
        let (first, second) = (group(&one), group(&other));
        prop_assert_eq!(&first.templates, &second.templates);
        let mut pairs: Vec<_> = one.iter().zip(&first.of_record).collect();
        let mut others: Vec<_> = other.iter().zip(&second.of_record).collect();
        pairs.sort();
        others.sort();
        prop_assert_eq!(pairs, others);
    }

    /// Lines that were read twice are in the same groups as lines that were read once.
    #[test]
    fn reading_twice_changes_nothing(texts in proptest::collection::vec(some_line(), 0..60)) {
        let once: Vec<&str> = texts.iter().map(String::as_str).collect();
        let twice: Vec<&str> = once.iter().chain(&once).copied().collect();
        let (first, second) = (group(&once), group(&twice));
        prop_assert_eq!(&first.templates, &second.templates);
        prop_assert_eq!(&first.of_record[..], &second.of_record[..once.len()]);
    }

    /// Any text at all: nothing panics, no line is lost, and what is shown stands in the log.
    #[test]
    fn any_text_is_condensed(texts in proptest::collection::vec("\\PC{0,60}", 0..30)) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let digest = condense(&lines(&texts), Some(10));
        prop_assert_eq!(digest.kinds.iter().map(|kind| kind.count).sum::<usize>(), digest.records);
        for exemplar in digest.kinds.iter().flat_map(|kind| kind.hidden.iter().chain([&kind.exemplar])) {
            prop_assert!(exemplar.lines.iter().all(|line| texts.contains(&line.text.as_str())));
        }
    }
}
