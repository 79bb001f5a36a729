//! A log on one screen: lines come in, repeated ones go out once with their count, first and last time, the
//! rare and the telling ones kept, the last ones verbatim. What is shown is always a whole line of the log
//! as it stands there. Pure.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::evidence::classify;
use crate::tool::bounded::cut;

/// A log this short is shown as it is, unless it repeats itself.
const SHORT_LINES: usize = 25;
/// Most kinds of lines that are shown.
const MAX_GROUPS: usize = 32;
/// The last lines stand verbatim: they are nearest to a death.
const LAST_LINES: usize = 6;
const MAX_LINE_CHARS: usize = 300;
/// How much of a line decides whether it is of the same kind as another.
const TEMPLATE_CHARS: usize = 160;
/// A word with digits in it that is at least this long is an id.
const LONG_ID_CHARS: usize = 9;
/// Also a shorter one, with digits among its letters as in a pod's name.
const SHORT_ID_CHARS: usize = 5;
/// `ms`, `GiB`
const MAX_UNIT_CHARS: usize = 3;

/// One line of a log, redacted, without the kubelet's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub at: Option<DateTime<Utc>>,
    pub text: String,
}

/// Lines that differ in numbers and ids only.
struct Group<'a> {
    count: usize,
    first: usize,
    first_at: Option<DateTime<Utc>>,
    last: &'a Line,
    weight: i32,
    class: &'static str,
}

/// Splits a log with the kubelet's times, in order of time: two streams may arrive mixed.
pub fn lines(text: &str) -> Vec<Line> {
    let line = |line: &str| {
        let (stamp, rest) = line.split_once(' ').unwrap_or((line, ""));
        match DateTime::parse_from_rfc3339(stamp) {
            Ok(at) => Line { at: Some(at.with_timezone(&Utc)), text: rest.trim_end().to_owned() },
            Err(_) => Line { at: None, text: line.trim_end().to_owned() },
        }
    };
    let mut lines: Vec<Line> = text.lines().map(line).filter(|line| !line.text.trim().is_empty()).collect();
    // A line without a time belongs to the one before it.
    let mut last = None;
    let mut keyed: Vec<(Option<DateTime<Utc>>, Line)> = Vec::with_capacity(lines.len());
    for line in lines.drain(..) {
        last = line.at.or(last);
        keyed.push((last, line));
    }
    keyed.sort_by_key(|(at, _)| *at);
    keyed.into_iter().map(|(_, line)| line).collect()
}

/// At most about `max_bytes`; what says most comes first when room is short.
pub fn digest(lines: &[Line], max_bytes: usize) -> String {
    let groups = groups(lines);
    if lines.is_empty() {
        return String::new();
    }
    let all = lines.iter().map(shown).collect::<Vec<_>>().join("\n");
    if lines.len() <= SHORT_LINES && groups.len() * 2 > lines.len() && all.len() <= max_bytes {
        return all;
    }
    let mut out = Vec::new();
    let classes = classes(&groups);
    if !classes.is_empty() {
        out.push(format!("failures by class: {classes}"));
    }
    let mut by_weight: Vec<&Group<'_>> = groups.iter().collect();
    by_weight.sort_by_key(|group| (std::cmp::Reverse(group.weight), group.count));
    let room = max_bytes / 3 * 2;
    let fitting = within(by_weight.iter().map(|group| counted(group)), room).min(MAX_GROUPS);
    let left = by_weight.split_off(fitting);
    by_weight.sort_by_key(|group| group.first);
    out.extend(by_weight.iter().map(|group| counted(group)));
    if !left.is_empty() {
        let sum: usize = left.iter().map(|group| group.count).sum();
        out.push(format!("{} more kinds of lines ({sum} lines) left out; grep finds them", left.len()));
    }
    let last: Vec<&Line> = lines.iter().rev().take(LAST_LINES).collect();
    let last = &last[..within(last.iter().map(|line| shown(line)), max_bytes - room)];
    let mut kinds: Vec<String> = last.iter().map(|line| template(&line.text)).collect();
    kinds.dedup();
    // Of one kind, they were told above.
    if kinds.len() > 1 {
        out.push(format!("the last {} lines:", last.len()));
        out.extend(last.iter().rev().map(|line| shown(line)));
    }
    out.join("\n")
}

/// How many of these texts fit, at least one.
fn within(texts: impl Iterator<Item = String>, max_bytes: usize) -> usize {
    let sums = texts.scan(0, |sum, text| {
        *sum += text.len() + 1;
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= max_bytes).count().max(1)
}

fn groups(lines: &[Line]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (index, line) in lines.iter().enumerate() {
        let at = *known.entry(template(&line.text)).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => (group.count, group.last) = (group.count + 1, line),
            None => {
                let judgement = classify::judge(&line.text);
                let (weight, class) = (judgement.weight, judgement.class);
                groups.push(Group { count: 1, first: index, first_at: line.at, last: line, weight, class });
            }
        }
    }
    groups
}

/// What a line says without its numbers and ids.
pub fn template(text: &str) -> String {
    let mut out = String::with_capacity(TEMPLATE_CHARS);
    for word in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        if digits > 0 && is_id(word) {
            out.push('#');
            out.extend(word.chars().last().filter(|c| !c.is_alphanumeric()));
        } else if digits > 0 {
            let mut in_number = false;
            for c in word.chars() {
                if !c.is_ascii_digit() {
                    out.push(c);
                } else if !in_number {
                    out.push('#');
                }
                in_number = c.is_ascii_digit();
            }
        } else {
            out.push_str(word);
        }
        if out.len() >= TEMPLATE_CHARS {
            break;
        }
    }
    out
}

/// `7f3a9c0399e1`, `x2nj2`; neither `worker12` nor `300ms`.
fn is_id(word: &str) -> bool {
    let word = word.trim_end_matches(|c: char| !c.is_alphanumeric());
    let digits: Vec<bool> = word.chars().map(|c| c.is_ascii_digit()).collect();
    let changes = digits.windows(2).filter(|pair| pair.first() != pair.last()).count();
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit()).chars().count();
    let is_measure = digits.first() == Some(&true) && changes <= 1 && unit <= MAX_UNIT_CHARS;
    let is_mixed = changes > 1 || changes == 1 && digits.first() == Some(&true);
    !is_measure && (digits.len() >= LONG_ID_CHARS || digits.len() >= SHORT_ID_CHARS && is_mixed)
}

/// `refused 120, timeout 3`
fn classes(groups: &[Group<'_>]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for group in groups.iter().filter(|group| !group.class.is_empty()) {
        match counts.iter_mut().find(|(class, _)| *class == group.class) {
            Some((_, count)) => *count += group.count,
            None => counts.push((group.class, group.count)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.iter().map(|(class, count)| format!("{class} {count}")).collect::<Vec<_>>().join(", ")
}

/// `120× 06:59:51–07:05:01 ERROR: Connection refused`
fn counted(group: &Group<'_>) -> String {
    if group.count == 1 {
        return shown(group.last);
    }
    let span = match (group.first_at, group.last.at) {
        (Some(first), Some(last)) if clock(first) != clock(last) => {
            format!(" {}–{}", clock(first), clock(last))
        }
        (_, Some(last)) => format!(" {}", clock(last)),
        _ => String::new(),
    };
    format!("{}×{span} {}", group.count, cut(&group.last.text, MAX_LINE_CHARS))
}

fn shown(line: &Line) -> String {
    let text = cut(&line.text, MAX_LINE_CHARS);
    line.at.map_or_else(|| text.to_string(), |at| format!("{} {text}", clock(at)))
}

pub fn clock(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOM: usize = 6_000;

    fn log(count: usize, text: impl Fn(usize) -> String) -> String {
        let start: DateTime<Utc> = "2026-11-21T07:00:00Z".parse().unwrap();
        let line = |n: usize| {
            let at = start + chrono::TimeDelta::seconds(i64::try_from(n).unwrap());
            format!("{} {}\n", at.to_rfc3339(), text(n))
        };
        (0..count).map(line).collect()
    }

    #[test]
    fn repeated_lines_are_counted_and_rare_ones_kept() {
        let text = log(400, |n| match n {
            17 => "config loaded from /etc/app/app.yaml".to_owned(),
            250 => "FATAL: relation \"products\" does not exist".to_owned(),
            n if n % 10 == 3 => {
                format!("level=error msg=\"dial tcp 10.0.0.{n}:5432: connect: connection refused\"")
            }
            n => format!("level=info msg=\"GET /items\" id=7f3a9c{n:04}e1 took={n}ms"),
        });
        let digest = digest(&lines(&text), ROOM);
        let start: Vec<&str> = digest.lines().collect();
        assert_eq!(
            start,
            [
                "failures by class: refused 40, missing-relation 1",
                "358× 07:00:00–07:06:39 level=info msg=\"GET /items\" id=7f3a9c0399e1 took=399ms",
                "40× 07:00:03–07:06:33 level=error msg=\"dial tcp 10.0.0.393:5432: connect: connection refused\"",
                "07:00:17 config loaded from /etc/app/app.yaml",
                "07:04:10 FATAL: relation \"products\" does not exist",
            ],
            "{digest}"
        );
        let small = super::digest(&lines(&text), 400);
        assert!(small.len() <= 600 && small.contains("FATAL: relation"), "{small}");
        assert!(small.contains("more kinds of lines"), "{small}");
    }

    #[test]
    fn numbers_and_ids_make_no_difference() {
        for (one, other) in [
            ("Created pod: checkout-9c8489d65-q98sc", "Created pod: checkout-66f478c98f-x2nj2"),
            ("took 99ms at 10.0.0.7:5432", "took 1200ms at 10.0.12.9:5432"),
            ("id=7f3a9c0399e1 done", "id=1c02ff7a91b4 done"),
        ] {
            assert_eq!(template(one), template(other));
        }
        assert_ne!(template("worker12 failed"), template("server12 failed"));
    }

    #[test]
    fn a_short_log_stays_as_it_is_in_order_of_time() {
        let text =
            "2026-11-21T06:59:51.4398Z FATAL: it broke\n  at main\n2026-11-21T06:59:51.4301Z starting\n";
        assert_eq!(digest(&lines(text), ROOM), "06:59:51 starting\n06:59:51 FATAL: it broke\n  at main");
        assert_eq!(digest(&lines(""), ROOM), "");
    }

    #[test]
    fn many_different_lines_say_how_many_are_left_out() {
        let words: Vec<String> = (0..200_u32)
            .map(|n| char::from_u32(97 + n % 26).unwrap().to_string().repeat(1 + n as usize / 26))
            .collect();
        let text = log(200, |n| format!("step {}", words[n]));
        let digest = digest(&lines(&text), ROOM);
        assert!(digest.contains("168 more kinds of lines (168 lines) left out"), "{digest}");
        assert_eq!(digest.lines().count(), MAX_GROUPS + 2 + LAST_LINES);
    }

    proptest! {
        /// Every line that is shown stands in the log, whatever the log is.
        #[test]
        fn nothing_is_made_up(parts in proptest::collection::vec("[a-c0-9 ]{1,6}", 0..80)) {
            let text = log(parts.len(), |n| parts[n].clone());
            let lines = lines(&text);
            for shown in digest(&lines, ROOM).lines() {
                let known = lines.iter().any(|line| shown.ends_with(&line.text));
                prop_assert!(known || shown.contains("lines") || shown.starts_with("failures"), "{shown}");
            }
        }
    }
}
