//! `kubernetes_logs`: what the containers of a pod or of a workload's most troubled pods wrote, digested.
//! In the scope `workload` only the workload's own pods are read. Redacted before anything is cut.

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::Value;

use super::asked::{Asked, Words};
use super::log_pods::{containers, pods, restarts};
use super::reach::{Reach, refusal};
use super::table::{name, pod_status};
use super::{found, since};
use crate::evidence::classify;
use crate::inert::inert;
use crate::logs::digest::Line;
use crate::logs::lines::lines;
use crate::logs::screen::screen;
use crate::logs::told::clock;
use crate::redact::redact;
use crate::source::kubernetes::{Error, LogQuery};
use crate::tool::request::trouble_begins;
use crate::tool::{Bounds, Found, Refusal};

/// Lines read of one log where nothing else is asked for.
const TAIL_LINES: i64 = 300;
/// Lines read to search in, or of a time.
const SEARCHED_LINES: i64 = 5_000;
const MAX_TAIL_LINES: i64 = 2_000;
/// Bytes read of one log; more where lines are chosen from it.
const LOG_BYTES: i64 = 256 * 1024;
const SEARCHED_BYTES: i64 = 1024 * 1024;
/// A log whose last lines do not fit is read again with fewer of them.
const FEWER: i64 = 5;
/// What the digests of one call may take together; the rest of the answer is titles and notes.
const DIGEST_BYTES: usize = 4_800;
const AROUND_SECS: i64 = 60;
const MAX_AROUND_SECS: i64 = 3_600;
const MAX_PATTERN_BYTES: usize = 200;
const MAX_PATTERN_STATES: usize = 1 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    #[serde(alias = "pod", alias = "name", alias = "workload")]
    pub object: String,
    #[serde(default)]
    pub namespace: Option<String>,
    #[serde(default)]
    pub container: Option<String>,
    #[serde(default)]
    pub previous: bool,
    #[serde(default)]
    pub since: Option<String>,
    #[serde(default)]
    pub around: Option<String>,
    #[serde(default)]
    pub seconds: Option<i64>,
    #[serde(default)]
    pub grep: Option<String>,
    #[serde(default)]
    pub tail: Option<i64>,
}

/// Which lines are wanted.
struct Choice {
    previous: bool,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    grep: Option<Regex>,
    tail: Option<i64>,
}

/// One container's log as it was read.
struct Read {
    lines: Vec<Line>,
    /// It is the log of the instance before.
    previous: bool,
    query: String,
    /// The newest lines are missing.
    cut: bool,
}

pub async fn answer(reach: &Reach<'_>, arguments: Arguments) -> Result<Found, Refusal> {
    let words = Words {
        name: Some(&arguments.object),
        namespace: arguments.namespace.as_deref(),
        default_kind: "Pod",
        ..Words::default()
    };
    let asked = Asked::understand(&words)?.named()?;
    let namespace = reach.one_namespace(&asked)?;
    let choice = Choice::new(reach, &arguments, &asked)?;
    let container = arguments.container.clone().or_else(|| asked.flags.get("container").cloned());
    let (pods, others) = pods(reach, &asked, &namespace).await?;
    let mut wanted: Vec<(&Value, String)> = Vec::new();
    let mut notes = Vec::new();
    for pod in &pods {
        let (names, rest) = containers(pod, container.as_deref())?;
        wanted.extend(names.into_iter().map(|name| (pod, name)));
        if !rest.is_empty() {
            notes.push(format!("other containers of {}: {}", name(pod), rest.join(", ")));
        }
    }
    if !others.is_empty() {
        notes.push(format!("other pods, not read: {}", others.join(", ")));
    }
    let reads =
        join_all(wanted.iter().map(|(pod, container)| read(reach, &namespace, pod, container, &choice)))
            .await;
    if let ([Err(refusal)], [_]) = (reads.as_slice(), wanted.as_slice()) {
        return Err(refusal.clone());
    }
    let (mut digests, mut fulls, mut queries) = (Vec::new(), Vec::new(), Vec::new());
    for ((pod, container), read) in wanted.iter().zip(reads) {
        let title = |previous: bool| {
            let which = if previous { "previous" } else { "current" };
            format!("{} {container} ({which}, pod is {})", name(pod), pod_status(pod))
        };
        match read {
            Ok(read) => {
                let title = title(read.previous);
                digests.push(format!(
                    "{title}: {}",
                    section(&read, &choice, reach.bounds, DIGEST_BYTES / wanted.len().max(1))
                ));
                fulls.push(format!("{title}\n{}", full(&read.lines)));
                queries.push(read.query);
            }
            Err(refusal) => digests.push(format!("{}: not read, {refusal}", title(choice.previous))),
        }
    }
    digests.extend(notes);
    Ok(found(queries.join("; "), digests.join("\n"), fulls.join("\n\n")))
}

impl Choice {
    fn new(reach: &Reach<'_>, arguments: &Arguments, asked: &Asked) -> Result<Self, Refusal> {
        let flag = |name: &str| asked.flags.get(name).map(String::as_str);
        let bad = |text: &str| Refusal::Arguments(text.to_owned());
        let grep = arguments.grep.as_deref().filter(|text| !text.is_empty()).map(pattern).transpose()?;
        let tail = arguments.tail.or_else(|| flag("tail").and_then(|tail| tail.parse().ok()));
        let (mut from, mut to) = (None, None);
        if let Some(text) = arguments.since.as_deref().or_else(|| flag("since")) {
            from = Some(since::point("since", text, reach.bounds)?);
        }
        if let Some(text) = arguments.around.as_deref() {
            if from.is_some() {
                return Err(bad("`since` and `around` exclude each other"));
            }
            let at = since::point("around", text, reach.bounds)?;
            let seconds =
                TimeDelta::seconds(arguments.seconds.unwrap_or(AROUND_SECS).clamp(1, MAX_AROUND_SECS));
            (from, to) = (Some(at - seconds), Some(at + seconds));
        }
        Ok(Self {
            previous: arguments.previous || flag("previous").is_some(),
            from,
            to,
            grep,
            tail: tail.map(|tail| tail.clamp(1, MAX_TAIL_LINES)),
        })
    }

    fn query(&self, container: &str) -> LogQuery {
        let chosen = self.grep.is_some() || self.from.is_some();
        let tail_lines = match (self.to, chosen) {
            // From the beginning of the span on: its end is reached first.
            (Some(_), _) => 0,
            (None, true) => SEARCHED_LINES,
            (None, false) => self.tail.unwrap_or(TAIL_LINES),
        };
        LogQuery {
            container: container.to_owned(),
            previous: self.previous,
            tail_lines,
            since: self.from,
            limit_bytes: if chosen { SEARCHED_BYTES } else { LOG_BYTES },
        }
    }

    fn lines(&self, text: &str) -> Vec<Line> {
        let text = inert(text);
        let text = redact(&text);
        let mut lines = lines(&text);
        lines.retain(|line| {
            let in_time = line.at.is_none_or(|at| {
                self.from.is_none_or(|from| at >= from) && self.to.is_none_or(|to| at <= to)
            });
            in_time && self.grep.as_ref().is_none_or(|grep| grep.is_match(&line.text))
        });
        let tail = self.tail.and_then(|tail| usize::try_from(tail).ok()).unwrap_or(usize::MAX);
        let skipped = lines.len().saturating_sub(tail);
        lines.drain(..skipped);
        lines
    }
}

/// Case does not matter: nobody knows how a stranger's program writes "error".
fn pattern(text: &str) -> Result<Regex, Refusal> {
    if text.len() > MAX_PATTERN_BYTES {
        return Err(Refusal::Arguments(format!("`grep`: at most {MAX_PATTERN_BYTES} bytes")));
    }
    let mut builder = RegexBuilder::new(text);
    builder.case_insensitive(true).size_limit(MAX_PATTERN_STATES).dfa_size_limit(MAX_PATTERN_STATES);
    builder.build().map_err(|error| {
        let why = error.to_string();
        Refusal::Arguments(format!("`grep`: {}", why.lines().last().unwrap_or("no regular expression")))
    })
}

async fn read(
    reach: &Reach<'_>,
    namespace: &str,
    pod: &Value,
    container: &str,
    choice: &Choice,
) -> Result<Read, Refusal> {
    let scoped = reach.for_logs_of(name(pod));
    let mut query = choice.query(container);
    let what = format!("log of {} {container}", name(pod));
    let told = |error: &Error| match error {
        // "previous terminated container not found", "waiting to start: …": an answer, and no wrong question.
        Error::BadRequest(why) => Refusal::Failed(format!("no log: {why}")),
        error => refusal(error, &what),
    };
    let mut answer = scoped.log(namespace, name(pod), &query).await.map_err(|error| told(&error))?;
    let is_cut = |text: &str, limit: i64| i64::try_from(text.len()).unwrap_or(i64::MAX) >= limit;
    if is_cut(&answer.value, query.limit_bytes) && query.tail_lines > FEWER {
        query.tail_lines /= FEWER;
        answer = scoped.log(namespace, name(pod), &query).await.map_err(|error| told(&error))?;
    }
    // A container that has just been started again has nothing to say yet; its death is in the log before.
    if answer.value.trim().is_empty() && !choice.previous && restarts(pod, container) > 0 {
        query.previous = true;
        match scoped.log(namespace, name(pod), &query).await {
            Ok(before) if !before.value.trim().is_empty() => answer = before,
            _ => query.previous = false,
        }
    }
    let cut = is_cut(&answer.value, query.limit_bytes);
    let lines = choice.lines(&answer.value);
    Ok(Read { lines, previous: query.previous, query: answer.query, cut })
}

fn section(read: &Read, choice: &Choice, bounds: &Bounds, max_bytes: usize) -> String {
    let mut text = match (read.lines.first(), read.lines.last()) {
        (Some(first), Some(last)) => {
            let span = first.at.zip(last.at).filter(|(from, to)| from != to);
            let span = span.map(|(from, to)| format!(" {}–{}", clock(from), clock(to)));
            let lines = if read.lines.len() == 1 { "line" } else { "lines" };
            format!("{} {lines}{}", read.lines.len(), span.unwrap_or_default())
        }
        _ => "no lines".to_owned(),
    };
    if let Some(grep) = &choice.grep {
        text.push_str(&format!(" matching {:?}", grep.as_str()));
    }
    if read.cut {
        text.push_str(
            " (the log is longer than what is read at once: newer lines are missing, narrow since or around)",
        );
    }
    if read.previous && !choice.previous {
        text.push_str(" (the current instance has written nothing)");
    }
    if read.lines.is_empty() {
        text
    } else {
        let screen = screen(&read.lines, Some(trouble_begins(bounds)), classify::class_and_weight, max_bytes);
        format!("{text}\n{screen}")
    }
}

fn full(lines: &[Line]) -> String {
    let line = |line: &Line| match line.at {
        Some(at) => format!("{} {}", at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true), line.text),
        None => line.text.clone(),
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}
