//! Logs of pods that the API no longer has: those that an alert names, and those of a Job that failed. Facts
//! and alerts come in, one bounded query goes to Loki, and its lines become one log for each pod.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, SecondsFormat, Utc};

use super::Sources;
use super::logs::Digest;
use super::objects::{LogRead, Objects, gap};
use crate::alert::Alert;
use crate::facts::{Facts, JobFact};
use crate::report::Gap;
use crate::source::loki::{Found, Loki, Order};

/// Pods and Jobs that one query names.
const MAX_NAMED: usize = 5;
/// Logs that are kept of its answer.
const MAX_LOGS: usize = 6;
/// Lines asked for.
const MAX_LINES: usize = 500;
/// How long before the alert or the Job's beginning is looked.
const BEFORE_MINUTES: i64 = 30;
/// Longest time that one query looks back.
const MAX_HOURS: i64 = 12;
/// What a Job's controller puts after its name for a pod's: five letters and digits, the index before them.
const JOB_POD: &str = "(-[0-9]+)?-[a-z0-9]{5}";

/// What is gone and when it was there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Gone {
    pods: BTreeSet<String>,
    jobs: BTreeSet<String>,
    since: Option<DateTime<Utc>>,
}

/// Nothing is asked where nothing is gone; without Loki that is a gap.
pub(super) async fn read(
    sources: &Sources,
    alerts: &[Alert],
    draft: &Facts,
    objects: &Objects,
) -> (Vec<LogRead>, Vec<Gap>) {
    let gone = gone(alerts, draft, objects);
    if gone.pods.is_empty() && gone.jobs.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let what = format!("logs of {}, which the API no longer has", gone.told());
    let Some(loki) = &sources.loki else {
        let why = "not configured for this investigation";
        return (Vec::new(), vec![gap("loki", &what, why)]);
    };
    match ask(loki, &gone, objects).await {
        Ok(found) => (into_logs(&found), Vec::new()),
        Err(why) => (Vec::new(), vec![gap("loki", &what, &why)]),
    }
}

fn gone(alerts: &[Alert], draft: &Facts, objects: &Objects) -> Gone {
    let mut gone = Gone::default();
    if !objects.pods.known || objects.namespace.is_empty() {
        return gone;
    }
    let known = |name: &str| objects.pods.items.iter().any(|pod| pod.metadata.name.as_deref() == Some(name));
    let mut took = |at: Option<DateTime<Utc>>| gone.since = gone.since.into_iter().chain(at).min();
    for alert in alerts.iter().filter(|alert| alert.is_firing()) {
        let label = |name: &str| alert.labels.get(name).map(String::as_str).unwrap_or_default();
        let named = label("pod");
        if label("namespace") == objects.namespace && is_name(named) && !known(named) {
            gone.pods.insert(named.to_owned());
            took(Some(alert.starts_at));
        }
    }
    for job in draft.jobs.iter().filter(|job| job.failed && job.newest && job.failed_pods > 0) {
        let has_pods = draft.pods.iter().any(|pod| pod.owner_kind == "Job" && pod.owner_name == job.name);
        if !has_pods && is_name(&job.name) {
            gone.jobs.insert(job.name.clone());
            took(job.started_at.or(job.finished_at));
        }
    }
    while gone.pods.len() > MAX_NAMED {
        gone.pods.pop_last();
    }
    while gone.jobs.len() > MAX_NAMED {
        gone.jobs.pop_last();
    }
    gone
}

impl Gone {
    fn told(&self) -> String {
        let pods = self.pods.iter().map(|pod| format!("pod {pod}"));
        pods.chain(self.jobs.iter().map(|job| format!("the pods of Job {job}")))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Only names of Kubernetes get here, so a dot is the one character that a pattern reads otherwise.
    fn pattern(&self) -> String {
        let plain = |name: &String| name.replace('.', "[.]");
        let pods = self.pods.iter().map(plain);
        pods.chain(self.jobs.iter().map(|job| format!("{}{JOB_POD}", plain(job))))
            .collect::<Vec<_>>()
            .join("|")
    }
}

/// An alert's label may hold anything.
fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    !text.is_empty() && text.len() <= 253 && text.bytes().all(plain)
}

async fn ask(loki: &Loki, gone: &Gone, objects: &Objects) -> Result<Found, String> {
    let now = objects.now;
    let since = gone.since.unwrap_or(now).min(now) - Duration::minutes(BEFORE_MINUTES);
    let since = since.max(now - Duration::hours(MAX_HOURS));
    let logql = format!("{{namespace=\"{}\",pod=~\"{}\"}}", objects.namespace, gone.pattern());
    loki.query(&logql, (since, now), MAX_LINES, Order::NewestFirst).await.map_err(|error| error.to_string())
}

/// One log for each pod and container that Loki has lines of.
fn into_logs(found: &Found) -> Vec<LogRead> {
    let label = |stream: usize, name: &str| {
        found.streams.get(stream).and_then(|labels| labels.get(name)).cloned().unwrap_or_default()
    };
    let mut texts: BTreeMap<(String, String), String> = BTreeMap::new();
    for line in &found.lines {
        let text = texts.entry((label(line.stream, "pod"), label(line.stream, "container"))).or_default();
        let at = line.at.to_rfc3339_opts(SecondsFormat::Nanos, true);
        text.push_str(&format!("{at} {}\n", line.text.replace('\n', " ")));
    }
    let logs = texts.into_iter().map(|((pod, container), text)| LogRead {
        pod,
        container,
        previous: false,
        source: "loki".to_owned(),
        query: found.query.clone(),
        milliseconds: found.milliseconds,
        text,
    });
    logs.take(MAX_LOGS).collect()
}

/// Tells each Job what the logs of its pods say: the weightiest line, the last of equals.
pub(super) fn tell(jobs: &mut [JobFact], digests: &[(String, Digest)]) {
    for job in jobs.iter_mut() {
        let own = digests.iter().filter(|(pod, _)| is_of(&job.name, pod));
        let lines = own.flat_map(|(_, digest)| digest.lines.iter().map(move |line| (digest, line)));
        let telling = lines.filter(|(_, line)| !line.judgement.class.is_empty());
        if let Some((digest, line)) = telling.max_by_key(|(_, line)| (line.judgement.weight, line.at)) {
            line.judgement.class.clone_into(&mut job.log_class);
            job.log_line.clone_from(&line.text);
            job.log_evidence.clone_from(&digest.evidence);
        }
    }
}

/// `import-7-x2kfp` is a pod of Job `import` (its index 7) and of Job `import-7`: both have failed here.
fn is_of(job: &str, pod: &str) -> bool {
    let Some(rest) = pod.strip_prefix(job).and_then(|rest| rest.strip_prefix('-')) else { return false };
    let last = rest.rsplit('-').next().unwrap_or(rest);
    let index = rest.strip_suffix(last).unwrap_or_default().trim_end_matches('-');
    last.len() == 5 && index.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_s_job_is_told_by_its_name() {
        assert!(is_of("import", "import-x2kfp") && is_of("import", "import-7-x2kfp"));
        assert!(!is_of("import", "import-nightly-x2kfp") && !is_of("import", "importer-x2kfp"));
        assert!(!is_of("import", "import") && !is_of("import", "import-"));
    }

    #[test]
    fn what_is_no_name_is_not_asked_for() {
        assert!(is_name("import-x2kfp") && is_name("a.b"));
        assert!(!is_name("") && !is_name("x\"} or {n=\"") && !is_name("a|b") && !is_name("A"));
        let gone = Gone {
            pods: BTreeSet::from(["a.b-x".to_owned()]),
            jobs: BTreeSet::from(["load".to_owned()]),
            since: None,
        };
        assert_eq!(gone.pattern(), "a[.]b-x|load(-[0-9]+)?-[a-z0-9]{5}");
        assert_eq!(gone.told(), "pod a.b-x, the pods of Job load");
    }
}
