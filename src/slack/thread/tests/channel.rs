//! A day in a channel: what several senders post about many workloads of several clusters, with repeats, ends,
//! summaries, chatter and quotes between them. Every incident gets its own message or one of ours, never another's.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::read;
use super::shapes::{
    Labels, alert, alertmanager, at, from_robusta, grafana, incident, robusta, robusta_plain, robusta_saas,
    start,
};
use crate::alert::Alert;
use crate::settings::ThreadMatch;
use crate::slack::thread::choose::{Choice, Wanted, choose};

/// One incident, and the `ts` of the only right message; None where there is none.
struct Case {
    name: String,
    wanted: Wanted,
    right: Option<String>,
}

const NAMES: [&str; 4] =
    ["KubePodCrashLooping", "KubePodNotReady", "CPUThrottlingHigh", "KubeContainerWaiting"];
const CLUSTERS: [&str; 3] = ["prod-eu", "prod-us", "staging"];

/// The labels name the cluster where the sender is told to.
fn labels(n: usize, cluster: Option<&str>) -> Labels {
    let pod = format!("app-{}-6c5b{:04x}f-{:05x}", n / 3, n / 3, n * 7919);
    let mut labels: Labels = [
        ("alertname", NAMES[n % 4]),
        ("container", "app"),
        ("namespace", ["shop", "pay", "web"][n % 3]),
        ("pod", &pod),
        ("severity", ["warning", "critical"][n % 2]),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    labels.extend(cluster.map(|cluster| ("cluster".to_owned(), cluster.to_owned())));
    labels
}

/// `n` incidents of one sender's form, each posted about at its own time.
fn day() -> (Vec<Value>, Vec<Case>) {
    let (mut history, mut cases) = (Vec::new(), Vec::new());
    for n in 0..120_usize {
        let seconds = i64::try_from(n).unwrap() * 20;
        let cluster = CLUSTERS[n % 3];
        let sent = alert(&labels(n, Some(cluster)));
        let bare = alert(&labels(n, None));
        let finding = format!("5b3e2fb1-cb83-45ea-82ec-{n:012}");
        let (ours, message): (Alert, Option<Value>) = match n % 8 {
            0 => (sent.clone(), Some(robusta(&sent, cluster, seconds))),
            1 => (from(&sent, &finding, cluster), Some(robusta_saas(&sent, cluster, &finding, seconds))),
            2 => (bare.clone(), Some(robusta_plain(&bare, cluster, seconds))),
            3 => (sent.clone(), Some(alertmanager(&[&sent], seconds))),
            4 => (sent.clone(), Some(grafana(&[&sent], seconds))),
            5 => (from(&bare, "", cluster), Some(robusta(&bare, cluster, seconds))),
            6 => (sent.clone(), Some(printed(&sent, seconds))),
            // Only others' messages are about such alerts.
            _ => (sent.clone(), None),
        };
        let right = message.as_ref().map(|message| message["ts"].as_str().unwrap().to_owned());
        history.extend(message);
        history.extend(noise(n, seconds, cluster, &ours));
        let mut wanted = incident(cluster, vec![ours]);
        wanted.alerts[0].starts_at = start() + chrono::TimeDelta::seconds(seconds - 5);
        wanted.opened_at = start() + chrono::TimeDelta::seconds(seconds);
        cases.push(Case { name: format!("{n}: form {} in {cluster}", n % 8), wanted, right });
    }
    (history, cases)
}

fn from(alert: &Alert, finding: &str, cluster: &str) -> Alert {
    let mut ours = from_robusta(alert, finding);
    ours.labels.insert("cluster".to_owned(), cluster.to_owned());
    ours
}

/// A template of the user's that prints the fingerprint.
fn printed(alert: &Alert, seconds: i64) -> Value {
    let text = format!("*{}* in {}\nfp:{}", alert.name(), alert.labels["namespace"], alert.fingerprint);
    json!({"ts": at(seconds), "bot_id": "B0ROBUSTA", "text": "x", "blocks": [
        {"type": "section", "text": {"type": "mrkdwn", "text": text}}]})
}

/// What looks like it and is something else; nearer in time than the right one.
fn noise(n: usize, seconds: i64, cluster: &str, ours: &Alert) -> Vec<Value> {
    let elsewhere = CLUSTERS[(n + 1) % 3];
    let mut other = ours.clone();
    other.labels.insert("pod".to_owned(), format!("app-{}-6c5bffff-xxxxx", n / 3));
    let mut moved = ours.clone();
    moved.labels.insert("cluster".to_owned(), elsewhere.to_owned());
    let mut over = robusta(ours, cluster, seconds + 1);
    over["text"] = format!("[RESOLVED] {}", over["text"].as_str().unwrap()).into();
    let quote = json!({
        "ts": at(seconds + 2), "user": "U1", "client_msg_id": "c1",
        "text": format!("who looks at {} in {}? fp:{}", ours.name(), ours.labels["pod"], ours.fingerprint),
    });
    let chatter = json!({"ts": at(seconds + 3), "bot_id": "B0CI", "text": format!("build {n} of app-{} passed", n / 3)});
    let mut all = vec![over, quote, chatter];
    match n % 4 {
        0 => all.push(robusta(&other, cluster, seconds)),
        1 => all.push(alertmanager(&[ours, &other], seconds)),
        2 => all.push(grafana(&[&moved], seconds)),
        _ => all.push(robusta(ours, elsewhere, seconds)),
    }
    // Each message of a channel has a time of its own.
    for (at, message) in all.iter_mut().enumerate() {
        let ts = message["ts"].as_str().unwrap().replace(".000100", &format!(".{:06}", 200 + at));
        message["ts"] = ts.into();
    }
    all
}

#[test]
fn a_day_in_a_channel_brings_every_incident_to_its_own_message() {
    let (history, cases) = day();
    let candidates = read(&history);
    let mut taken = HashSet::new();
    let (mut matched, mut own, mut wrong, mut missed) = (0, 0, Vec::new(), Vec::new());
    for case in &cases {
        let choice = choose(&candidates, &case.wanted, ThreadMatch::Any, &taken);
        match (&choice, &case.right) {
            (Choice::Match { ts, .. }, Some(right)) if ts == right => matched += 1,
            (Choice::Match { .. }, _) => wrong.push((&case.name, format!("{choice:?}"))),
            (Choice::Nothing { .. }, None) => own += 1,
            (Choice::Nothing { reason, .. }, Some(_)) => missed.push((&case.name, reason.clone())),
        }
        if let Choice::Match { ts, .. } = choice {
            taken.insert(ts);
        }
    }
    let with_message = cases.iter().filter(|case| case.right.is_some()).count();
    println!(
        "threads over {} messages: {matched} of {with_message} matched, {own} of {} own, {} missed, {} wrong",
        history.len(),
        cases.len() - with_message,
        missed.len(),
        wrong.len()
    );
    assert!(history.len() >= 300);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(missed.len() * 100 <= with_message, "{missed:#?}");
}
