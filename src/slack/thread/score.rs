//! How surely a message is about an alert. One candidate and one alert come in; points of 100 and the reason go out,
//! or nothing where they contradict each other. Below `THRESHOLD` nobody may take it: it would be a guess. Pure.

use std::collections::BTreeMap;

use super::message::{Candidate, Sender};
use super::words::has_word;
use crate::alert::{Alert, Source};

/// From here on a message is the alert's.
pub const THRESHOLD: i32 = 80;
const EXACT: i32 = 100;
const SAME_LABELS: i32 = 95;
const SAME_VALUES: i32 = 90;
const NAMED_OBJECT: i32 = 92;
/// Several alerts in one message, all of one incident.
pub const GROUPED: i32 = 88;
/// Words without labels, in the named cluster.
pub const MOST_FOR_WORDS: i32 = 85;

/// Labels that name what an alert is about, the narrowest first.
const OBJECTS: [&str; 10] = [
    "pod",
    "job_name",
    "persistentvolumeclaim",
    "statefulset",
    "deployment",
    "daemonset",
    "cronjob",
    "horizontalpodautoscaler",
    "node",
    "instance",
];
/// What tells two alerts of one name apart, beside the objects.
const PLACES: [&str; 3] = ["alertname", "namespace", "container"];

/// How a link says that there is none.
const NO_NAMESPACE: [&str; 3] = ["", "None", "[null]"];

/// How well a message fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    pub score: i32,
    pub reason: &'static str,
}

/// `None`: the message is about something else. `cluster` is the incident's, "" where nobody knows.
pub fn fit(candidate: &Candidate, alert: &Alert, cluster: &str) -> Option<Fit> {
    if let Some(exact) = identity(candidate, alert) {
        return exact.then_some(Fit { score: EXACT, reason: "it carries the alert's own id" });
    }
    let labelled = alert.label("cluster").unwrap_or_default();
    if candidate.is_elsewhere(&[labelled, cluster]) {
        return None;
    }
    // Anybody may repeat labels and titles; an id is repeated by those that were told to print it.
    if candidate.sender == Sender::Unknown {
        return Some(Fit { score: 0, reason: "no form of a sender that is known" });
    }
    if !candidate.tables.is_empty() {
        return table(&candidate.tables[0], alert).filter(|_| candidate.tables.len() == 1);
    }
    match &candidate.alerts {
        Some(count) => headline(&count.rest, alert),
        None if candidate.sender == Sender::Robusta => {
            words(candidate, alert, !(labelled.is_empty() && cluster.is_empty()))
        }
        None => Some(Fit { score: 0, reason: "it lists no labels" }),
    }
}

/// Whether one table of labels is the alert's.
pub fn table(table: &BTreeMap<String, String>, alert: &Alert) -> Option<Fit> {
    let hidden = |name: &str, value: &str| name.starts_with("__") || value.contains("[redacted:");
    let ours = |name: &str| alert.label(name);
    let differs = |(name, value): (&String, &String)| {
        ours(name).is_some_and(|our| !hidden(name, our) && normal(our) != normal(value))
    };
    if table.iter().any(differs) || !table.contains_key("alertname") || ours("alertname").is_none() {
        return None;
    }
    let tells = |name: &str| PLACES.contains(&name) || OBJECTS.contains(&name);
    let more = |name: &String| ours(name).is_none() && !hidden(name, &table[name]) && name != "cluster";
    // Who has a label that tells alerts apart and the other has not is about another alert.
    if table.keys().any(|name| more(name) && tells(name)) {
        return None;
    }
    let lacking = |name: &&String| {
        let value = &alert.labels[*name];
        !value.is_empty() && !table.contains_key(*name) && !hidden(name, value) && *name != "cluster"
    };
    let lacks: Vec<&String> = alert.labels.keys().filter(lacking).collect();
    // Robusta adds the object's own labels to those of the alert.
    let added = alert.source == Source::Robusta;
    let object = OBJECTS.iter().any(|name| table.contains_key(*name));
    if !table.keys().any(more) && (lacks.is_empty() || (added && object)) {
        return Some(Fit { score: SAME_LABELS, reason: "it lists the alert's labels" });
    }
    if object && !lacks.iter().any(|name| tells(name)) {
        return Some(Fit { score: NAMED_OBJECT, reason: "it lists the alert's name, place and object" });
    }
    Some(Fit { score: 50, reason: "its labels do not tell the alert from others" })
}

/// Ids that are there on both sides decide alone, for and against.
fn identity(candidate: &Candidate, alert: &Alert) -> Option<bool> {
    let fingerprint = alert.fingerprint.to_ascii_lowercase();
    if candidate.fingerprints.contains(&fingerprint) {
        return Some(true);
    }
    let findings: Vec<String> = candidate.linked("finding").collect();
    // Of a finding the sender's own id is kept.
    let finding = if alert.source == Source::Robusta { alert.group_key.as_str() } else { "" };
    if !findings.is_empty() && !finding.is_empty() {
        return Some(findings.iter().any(|id| id.eq_ignore_ascii_case(finding)));
    }
    (!candidate.fingerprints.is_empty()).then_some(false)
}

/// Alertmanager's and Grafana's default headline has all values of one alert's labels, and nothing else.
fn headline(rest: &str, alert: &Alert) -> Option<Fit> {
    let said = tokens(rest);
    let name = alert.label("alertname").filter(|name| tokens(name).iter().all(|word| said.contains(word)));
    name?;
    let values = |labels: &mut dyn Iterator<Item = (&String, &String)>| {
        let mut words: Vec<String> = labels.flat_map(|(_, value)| tokens(value)).collect();
        words.sort_unstable();
        words
    };
    let public = |(name, _): &(&String, &String)| !name.starts_with("__");
    let ours = values(&mut alert.labels.iter().filter(public));
    let mut sorted = said.clone();
    sorted.sort_unstable();
    if sorted == ours {
        return Some(Fit {
            score: SAME_VALUES,
            reason: "its headline has the values of all of the alert's labels",
        });
    }
    if alert.source != Source::Robusta {
        return Some(Fit { score: 40, reason: "its headline has the alert's name and other values" });
    }
    // Robusta knows more labels than the alert had: the headline's have to be among them, and to name the object.
    let mut left = ours;
    let all =
        said.iter().all(|word| left.iter().position(|our| our == word).map(|at| left.remove(at)).is_some());
    let has = |name: &str| {
        alert.label(name).is_none_or(|value| tokens(value).iter().all(|word| said.contains(word)))
    };
    let object = OBJECTS.iter().find_map(|name| alert.label(name));
    let named = object.is_some_and(|value| said.iter().any(|word| word == value)) && has("namespace");
    match (all, named) {
        (true, true) => {
            Some(Fit { score: NAMED_OBJECT, reason: "its headline has the alert's name, place and object" })
        }
        _ => Some(Fit { score: 40, reason: "its headline has the alert's name and other values" }),
    }
}

/// Robusta's message without labels: title, place and object in its words or links. All three, or it is a guess.
fn words(candidate: &Candidate, alert: &Alert, knows_cluster: bool) -> Option<Fit> {
    let linked = |key: &str| candidate.linked(key).collect::<Vec<_>>();
    let contradicts = |key: &str, ours: Option<&str>| {
        let theirs = linked(key);
        !theirs.is_empty() && ours.is_some_and(|ours| !theirs.iter().any(|one| one == ours))
    };
    let (name, namespace) = (alert.label("alertname")?, alert.label("namespace"));
    // What has no namespace is not what has one.
    let names_one = linked("namespaces").iter().any(|one| !NO_NAMESPACE.contains(&one.as_str()));
    if contradicts("names", Some(name))
        || contradicts("namespaces", namespace)
        || (namespace.is_none() && names_one)
    {
        return None;
    }
    let text = &candidate.text;
    let title = alert.annotation("summary").unwrap_or_default();
    let titled = !title.is_empty() && text.lines().any(|line| line.trim_matches(['*', ' ']) == title.trim());
    let mut score = 0;
    if titled || has_word(text, name) || linked("names").iter().any(|one| one == name) {
        score += 35;
    }
    let placed = |place: &str| has_word(text, place) || linked("namespaces").iter().any(|one| one == place);
    if namespace.is_none_or(placed) {
        score += 15;
    }
    let object = OBJECTS.iter().find_map(|name| alert.label(name));
    if object.is_some_and(|object| has_word(text, object) || linked("name").iter().any(|one| one == object)) {
        score += 30;
    }
    if knows_cluster && !candidate.clusters().is_empty() && score == THRESHOLD {
        score = MOST_FOR_WORDS;
    }
    let reason = if score >= THRESHOLD {
        "its words have the alert's title, place and object"
    } else {
        "its words have only a part of title, place and object"
    };
    Some(Fit { score, reason })
}

/// Words of a headline or a label's value; parentheses are the template's.
fn tokens(text: &str) -> Vec<String> {
    text.split(|c: char| c.is_whitespace() || c == '(' || c == ')')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Values in a table lost their outer white space.
fn normal(value: &str) -> &str {
    value.trim_matches(['*', '`', ' '])
}
