//! Channels as a seeded generator draws them: which senders post, how they name clusters, what breaks, how often, and
//! what else is said between. Each incident is looked for as in life, at several moments, among what stands there by
//! then. Beside the generated alerts stand those of the recorded Alertmanager.
//!
//! It assumes one thing about people: where no alert carries a cluster's name, one channel is one cluster's, because
//! else nobody could tell its messages apart.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::read;
use super::shapes::{
    Labels, alert, alertmanager, from_robusta, grafana, robusta, robusta_plain, robusta_saas, start,
};
use crate::alert::{Alert, Source};
use crate::settings::ThreadMatch;
use crate::slack::thread::choose::{Choice, Wanted, choose};
use crate::slack::thread::message::Candidate;
use crate::webhook;

const HISTORIES: u64 = 24;
const INCIDENTS: usize = 40;
/// Seconds after the incident at which the channel is read, as `pause` spaces them.
const LOOKS: [i64; 6] = [1, 2, 4, 8, 16, 30];

/// SplitMix64: the same histories on every machine.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n).unwrap()).unwrap()
    }

    fn seconds(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.below(usize::try_from(to - from).unwrap())).unwrap()
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn often(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn hash(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(self.of(b"bcdfghjklmnpqrstvwxz2456789"))).collect()
    }
}

/// How a message is formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Robusta,
    /// Without its table of labels.
    RobustaPlain,
    RobustaSaas,
    /// A template of the user's that prints the fingerprint.
    Fingerprint,
    /// Below a summary.
    Grouped,
    Alertmanager,
    /// A template that lists labels.
    AlertmanagerLabels,
    Grafana,
}

const FORMS: [Form; 8] = [
    Form::Robusta,
    Form::RobustaPlain,
    Form::RobustaSaas,
    Form::Fingerprint,
    Form::Grouped,
    Form::Alertmanager,
    Form::AlertmanagerLabels,
    Form::Grafana,
];

/// One channel's ways.
struct Ways {
    forms: Vec<Form>,
    clusters: Vec<&'static str>,
    /// Alerts carry a `cluster` label.
    labelled: bool,
    /// We get our alerts from Robusta instead of Alertmanager.
    through_robusta: bool,
}

impl Ways {
    fn draw(draw: &mut Draw) -> Self {
        let labelled = draw.often(60);
        let clusters = if labelled { vec!["prod-eu", "prod-us", "staging"] } else { vec!["prod-eu"] };
        let forms = (0..=draw.below(3)).map(|_| draw.of(&FORMS)).collect();
        Self { forms, clusters, labelled, through_robusta: draw.often(40) }
    }
}

/// What breaks: labels, summary and description, as kube-prometheus and teams write them.
#[expect(clippy::too_many_lines, reason = "a list of troubles, one after the other")]
fn trouble(draw: &mut Draw, ways: &Ways) -> (Labels, &'static str, String) {
    let namespace = draw.of(&["shop", "pay", "web", "db-eu", "kube-system"]);
    let app = draw.of(&["checkout", "cart", "api", "api-gateway", "worker", "auth", "billing"]);
    let pod = format!("{app}-{}-{}", draw.hash(9), draw.hash(5));
    let state = [("instance", "10.0.3.17:8080"), ("job", "kube-state-metrics")];
    let (mut labels, summary, description): (Vec<(&str, &str)>, _, _) = match draw.below(9) {
        0 => (
            vec![
                ("alertname", "KubePodCrashLooping"),
                ("pod", &pod),
                ("container", "app"),
                ("reason", "CrashLoopBackOff"),
            ],
            "Pod is crash looping.",
            format!("Pod {namespace}/{pod} (app) is in waiting state (reason: \"CrashLoopBackOff\")."),
        ),
        1 => (
            vec![("alertname", "KubePodNotReady"), ("pod", &pod)],
            "Pod has been in a non-ready state for more than 15 minutes.",
            format!("Pod {namespace}/{pod} has been in a non-ready state for longer than 15 minutes."),
        ),
        2 => (
            [
                &[
                    ("alertname", "KubeDeploymentReplicasMismatch"),
                    ("deployment", app),
                    ("container", "kube-state-metrics"),
                ],
                &state[..],
            ]
            .concat(),
            "Deployment has not matched the expected number of replicas.",
            format!(
                "Deployment {namespace}/{app} has not matched the expected number of replicas for longer than 15 minutes."
            ),
        ),
        3 => (
            vec![("alertname", "KubeStatefulSetReplicasMismatch"), ("statefulset", app)],
            "StatefulSet has not matched the expected number of replicas.",
            format!("StatefulSet {namespace}/{app} has not matched the expected number of replicas."),
        ),
        4 => (
            vec![("alertname", "KubeJobFailed"), ("job_name", &pod), ("condition", "true")],
            "Job failed to complete.",
            format!(
                "Job {namespace}/{pod} failed to complete. Removing failed job after investigation should clear this alert."
            ),
        ),
        5 => (
            vec![
                ("alertname", "KubePersistentVolumeFillingUp"),
                ("persistentvolumeclaim", app),
                ("node", "ip-10-0-3-17"),
            ],
            "PersistentVolume is filling up.",
            format!("The PersistentVolume claimed by {app} in Namespace {namespace} is only 2.1% free."),
        ),
        6 => (
            vec![("alertname", "CPUThrottlingHigh"), ("pod", &pod), ("container", "app")],
            "Processes experience elevated CPU throttling.",
            format!("31.2% throttling of CPU in namespace {namespace} for container app in pod {pod}."),
        ),
        7 => (
            vec![("alertname", "KubeHpaMaxedOut"), ("horizontalpodautoscaler", app)],
            "HPA is running at max replicas",
            format!("HPA {namespace}/{app} has been running at max replicas for longer than 15 minutes."),
        ),
        // No object at all: what it is about stands in a label that is no object of Kubernetes'.
        _ => (
            vec![("alertname", "HighErrorRate"), ("service", app)],
            "Too many requests fail",
            format!("Error rate of {app} in {namespace} is above 5 %."),
        ),
    };
    labels.push(("namespace", namespace));
    labels.push(("severity", draw.of(&["warning", "critical"])));
    let mut labels: Labels =
        labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if draw.often(50) {
        labels.insert("prometheus".to_owned(), "monitoring/k8s".to_owned());
    }
    if ways.labelled {
        labels.insert("cluster".to_owned(), draw.of(&ways.clusters).to_owned());
    }
    (labels, summary, description)
}

/// Whether the words of a message without labels can tell at all which alert it is about.
fn is_told_by_words(alert: &Alert, form: Form) -> bool {
    let objects = [
        "pod",
        "job_name",
        "persistentvolumeclaim",
        "statefulset",
        "deployment",
        "horizontalpodautoscaler",
        "node",
        "instance",
    ];
    let links = form == Form::RobustaSaas;
    let texts = ["summary", "description"].map(|name| alert.annotation(name).unwrap_or_default());
    let says = |value: &str| texts.iter().any(|text| text.contains(value));
    let object = objects.iter().find_map(|name| Some((*name, alert.label(name)?)));
    let named = object.is_some_and(|(name, value)| says(value) || (links && name == "pod"));
    named && alert.label("namespace").is_none_or(|namespace| links || says(namespace))
}

fn sent(draw: &mut Draw, ways: &Ways, opened: i64) -> Alert {
    let (labels, summary, description) = trouble(draw, ways);
    let mut sent = alert(&labels);
    sent.annotations = [("summary", summary.to_owned()), ("description", description)]
        .map(|(name, text)| (name.to_owned(), text))
        .into();
    sent.starts_at = start() + TimeDelta::seconds(opened - draw.seconds(0, 45));
    sent
}

/// The recorded Alertmanager's own alerts, each as one incident's.
fn recorded() -> Vec<Alert> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/recording/alertmanager/webhooks");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let bodies = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json"));
    let all = bodies.flat_map(|file| {
        let body = std::fs::read(file).unwrap();
        webhook::parse(Source::Alertmanager, &body, start()).unwrap()
    });
    let mut seen = BTreeSet::new();
    all.filter(|alert| alert.is_firing() && seen.insert(alert.labels.clone())).collect()
}

/// A channel while it is written.
struct Channel {
    messages: Vec<(i64, Value)>,
    summary: Option<String>,
}

impl Channel {
    /// Each message of a channel has a time of its own.
    fn say(&mut self, seconds: i64, mut message: Value) -> String {
        let ts = format!("{}.{:06}", start().timestamp() + seconds, self.messages.len() + 1);
        message["ts"] = ts.clone().into();
        self.messages.push((seconds, message));
        ts
    }

    /// The bot's message about an alert, in this form.
    fn tell(&mut self, form: Form, alert: &Alert, (cluster, finding): (&str, &str), seconds: i64) -> String {
        let message = match form {
            Form::Robusta => robusta(alert, cluster, seconds),
            Form::RobustaPlain => robusta_plain(alert, cluster, seconds),
            Form::RobustaSaas => robusta_saas(alert, cluster, finding, seconds),
            Form::Fingerprint => {
                json!({"bot_id": "B0ROBUSTA", "text": alert.annotation("summary"), "blocks": [
                {"type": "section", "text": {"type": "mrkdwn",
                    "text": format!("*{}*\nfp:{}", alert.name(), alert.fingerprint)}}]})
            }
            Form::Grouped => {
                let summary = self.summary.clone().unwrap_or_else(|| {
                    self.say(seconds - 200, json!({
                        "bot_id": "B0ROBUSTA", "text": "Summary for: alertname, namespace", "reply_count": 1,
                        "blocks": [{"type": "section", "text": {"type": "mrkdwn",
                            "text": "*Alerts Summary - 4 Notifications*"}}],
                    }))
                });
                self.summary = Some(summary.clone());
                let mut reply = robusta(alert, cluster, seconds);
                reply["thread_ts"] = summary.into();
                reply
            }
            Form::Alertmanager => alertmanager(&[alert], seconds),
            Form::AlertmanagerLabels => {
                let mut message = alertmanager(&[alert], seconds);
                let rows = alert.labels.iter().map(|(name, value)| format!(" • *{name}:* `{value}`\n"));
                message["attachments"][0]["text"] =
                    format!("*Details:*\n{}", rows.collect::<String>()).into();
                message
            }
            Form::Grafana => grafana(&[alert], seconds),
        };
        self.say(seconds, message)
    }

    /// What looks like it and is something else, before and after. Returns what is about the same alert of the same
    /// object in another container: an incident is a workload's, so its thread is as good as the alert's own.
    fn noise(
        &mut self,
        draw: &mut Draw,
        ours: (&Alert, &str),
        (form, seconds): (Form, i64),
        ways: &Ways,
    ) -> Option<String> {
        let (alert, cluster) = ours;
        let near = |draw: &mut Draw| seconds + draw.seconds(-40, 40);
        let mut other = alert.clone();
        let way = draw.below(4);
        match way {
            0 => other.labels.insert("namespace".to_owned(), "elsewhere".to_owned()),
            1 => other.labels.insert("alertname".to_owned(), "KubePodNotScheduled".to_owned()),
            2 => other.labels.insert("pod".to_owned(), format!("checkout-{}-{}", draw.hash(9), draw.hash(5))),
            _ => other.labels.insert("container".to_owned(), "sidecar".to_owned()),
        };
        other.fingerprint = format!("{:016x}", draw.next());
        other
            .annotations
            .insert("description".to_owned(), format!("Something of {} is wrong.", draw.hash(12)));
        let at = near(draw);
        let said = self.tell(draw.of(&ways.forms), &other, (cluster, &draw.hash(12)), at);
        if ways.labelled && draw.often(50) {
            let elsewhere = ways.clusters.iter().find(|name| **name != cluster).copied().unwrap_or("lab");
            let mut moved = alert.clone();
            moved.labels.insert("cluster".to_owned(), elsewhere.to_owned());
            moved.fingerprint = format!("{:016x}", draw.next());
            let at = near(draw);
            self.tell(form, &moved, (elsewhere, &draw.hash(12)), at);
        }
        if draw.often(40) {
            let mut over = robusta(alert, cluster, 0);
            over["text"] = format!("[RESOLVED] {}", alert.annotation("summary").unwrap_or_default()).into();
            let at = near(draw);
            self.say(at, over);
        }
        if draw.often(30) {
            // The last time it fired, long over.
            let at = seconds - draw.seconds(7_200, 20_000);
            self.tell(form, alert, (cluster, &draw.hash(12)), at);
        }
        if draw.often(50) {
            let text = format!("anybody on {} of {cluster}? fp:{}", alert.name(), alert.fingerprint);
            let at = near(draw);
            self.say(at, json!({"user": "U1", "client_msg_id": "c1", "text": text}));
        }
        if draw.often(40) {
            let rows: Vec<String> =
                alert.labels.iter().map(|(name, value)| format!(" - {name} = {value}")).collect();
            let text = format!("Incident opened for {}\nLabels:\n{}", alert.name(), rows.join("\n"));
            let at = near(draw);
            self.say(at, json!({"bot_id": "B0PAGER", "text": text}));
        }
        let at = near(draw);
        self.say(at, json!({"bot_id": "B0CI", "text": format!("build {} passed", draw.below(9_999))}));
        Some(said).filter(|_| way == 3)
    }
}

/// One incident and what it can be told by.
struct Case {
    what: String,
    form: Form,
    opened: i64,
    wanted: Wanted,
    /// Where its own messages stand; none where nobody posted about it.
    right: BTreeSet<String>,
    /// As good as right, and not counted.
    as_good: Option<String>,
    /// Words without labels and without an object tell nobody which of several alerts they are about.
    decidable: bool,
}

fn history(seed: u64, recorded: &[Alert]) -> (Channel, Vec<Case>) {
    let mut draw = Draw(seed);
    let ways = Ways::draw(&mut draw);
    let mut channel = Channel { messages: Vec::new(), summary: None };
    let mut cases = Vec::new();
    let mut labels_seen = BTreeSet::new();
    for n in 0..INCIDENTS {
        let opened = 20_000 + i64::try_from(n).unwrap() * draw.seconds(90, 110);
        let sent = match recorded.get(n).filter(|_| seed.is_multiple_of(4)) {
            Some(alert) => {
                let mut alert = alert.clone();
                alert.starts_at = start() + TimeDelta::seconds(opened - 20);
                alert
            }
            None => sent(&mut draw, &ways, opened),
        };
        // A second incident of the same labels within the hour would be the first one again.
        if !labels_seen.insert(sent.labels.clone()) {
            continue;
        }
        let cluster = sent.label("cluster").unwrap_or("prod-eu").to_owned();
        let form = draw.of(&ways.forms);
        let finding = format!("5b3e2fb1-cb83-45ea-{:04x}-{n:012x}", seed);
        let mut right = BTreeSet::new();
        if draw.often(92) {
            let at = opened + draw.seconds(-20, 25);
            right.insert(channel.tell(form, &sent, (&cluster, &finding), at));
            if draw.often(15) {
                // Repeated, as after a change of its group.
                right.insert(channel.tell(form, &sent, (&cluster, &finding), at + draw.seconds(300, 600)));
            }
        }
        let as_good = channel.noise(&mut draw, (&sent, &cluster), (form, opened), &ways);
        let worded = form == Form::RobustaPlain || (form == Form::RobustaSaas && !ways.through_robusta);
        let decidable = !worded || is_told_by_words(&sent, form);
        let mut ours = sent.clone();
        if ways.through_robusta {
            // To the alert's labels Robusta adds those of the object that it found: a pod's has its own.
            ours = from_robusta(&sent, &finding);
            if sent.label("pod").is_none() {
                ours.labels.clone_from(&sent.labels);
            } else if let Some(node) = sent.label("node") {
                ours.labels.insert("node".to_owned(), node.to_owned());
            }
            ours.labels.insert("cluster".to_owned(), cluster.clone());
        }
        let opened_at = start() + TimeDelta::seconds(opened);
        cases.push(Case {
            what: format!("seed {seed}, incident {n}: {form:?}, {:?}", sent.labels),
            form,
            opened,
            wanted: Wanted { cluster, opened_at, alerts: vec![ours] },
            right,
            as_good,
            decidable,
        });
    }
    channel.messages.sort_by_key(|(at, _)| *at);
    (channel, cases)
}

/// As the looks of one head go: the first that is sure decides.
fn found(messages: &[(i64, Candidate)], case: &Case, taken: &HashSet<String>) -> Choice {
    let mut last = None;
    for look in LOOKS {
        let standing: Vec<Candidate> =
            messages.iter().filter(|(at, _)| *at <= case.opened + look).map(|(_, one)| one.clone()).collect();
        match choose(&standing, &case.wanted, ThreadMatch::Any, taken) {
            nothing @ Choice::Nothing { .. } => last = Some(nothing),
            matched => return matched,
        }
    }
    last.unwrap()
}

#[derive(Default)]
struct Tally {
    matched: usize,
    missed: usize,
    own: usize,
    undecidable: usize,
}

#[test]
fn in_channels_of_every_kind_nearly_all_are_found_and_none_is_mistaken() {
    let recorded = recorded();
    assert!(recorded.len() >= 10, "only {} alerts are recorded", recorded.len());
    let (mut wrong, mut missed, mut messages) = (Vec::new(), Vec::new(), 0);
    let mut tallies: BTreeMap<Form, Tally> = BTreeMap::new();
    for seed in 1..=HISTORIES {
        let (channel, cases) = history(seed, &recorded);
        let said = channel.messages.len();
        assert!(said >= 100, "a history of {said}");
        messages += said;
        let bodies: Vec<Value> = channel.messages.iter().map(|(_, message)| message.clone()).collect();
        let candidates: Vec<(i64, Candidate)> =
            read(&bodies).into_iter().map(|one| ((one.at - start()).num_seconds(), one)).collect();
        let mut taken = HashSet::new();
        for case in &cases {
            let tally = tallies.entry(case.form).or_default();
            match (found(&candidates, case, &taken), case.right.is_empty()) {
                (Choice::Match { ts, .. }, _) if case.right.contains(&ts) => {
                    tally.matched += 1;
                    taken.insert(ts);
                }
                (Choice::Match { ts, .. }, _) if case.as_good.as_ref() == Some(&ts) => {
                    tally.undecidable += 1;
                    taken.insert(ts);
                }
                (choice @ Choice::Match { .. }, _) => wrong.push(format!("{}: {choice:?}", case.what)),
                (Choice::Nothing { .. }, true) => tally.own += 1,
                (Choice::Nothing { .. }, false) if !case.decidable => tally.undecidable += 1,
                (Choice::Nothing { reason, .. }, false) => {
                    tally.missed += 1;
                    missed.push(format!("{}: {reason}", case.what));
                }
            }
        }
    }
    println!("{messages} messages in {HISTORIES} channels");
    let all = |part: fn(&Tally) -> usize| tallies.values().map(part).sum::<usize>();
    for (form, tally) in &tallies {
        println!(
            "{:20} matched {:4}  missed {:3}  no message of its own {:3}  undecidable {:3}",
            format!("{form:?}"),
            tally.matched,
            tally.missed,
            tally.own,
            tally.undecidable
        );
    }
    let (matched, lost) = (all(|tally| tally.matched), all(|tally| tally.missed));
    let rest = all(|tally| tally.own) + all(|tally| tally.undecidable);
    missed.iter().for_each(|one| println!("missed {one}"));
    println!("matched {matched} of {}, own parent {}, wrong {}", matched + lost, rest + lost, wrong.len());
    assert!(messages >= 300 && matched >= 300);
    assert_eq!(tallies.len(), FORMS.len(), "each form was drawn");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(lost * 100 <= matched + lost, "{missed:#?}");
}
