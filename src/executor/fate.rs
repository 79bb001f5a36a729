//! Why a Job is lost to its investigation: the Job, its pods and what was said about them come in, a sentence that names
//! the cause and the way out goes out, or nothing while all is well. Pure.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

use crate::source::kubernetes::Seen;

/// Of what a container said last.
const MAX_SAID_CHARS: usize = 500;
/// A Job whose pod ran and did not call for so long has a node that is gone, or cannot reach us any more. A call waits
/// 20 s at most.
const SILENCE: Duration = Duration::from_secs(75);

/// What is known beside the cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    /// Since the Job was created.
    pub age: Duration,
    /// Since it called last; None: it never did.
    pub silence: Option<Duration>,
    /// Within which it has to call first.
    pub start: Duration,
}

/// Why the Job will not answer any more; None: it may.
pub(super) fn lost(seen: &Seen, heard: Heard) -> Option<String> {
    if let Some(failed) = condition(&seen.job, "Failed").or_else(|| condition(&seen.job, "FailureTarget")) {
        return Some(format!("its Job failed ({failed}){}", told(seen)));
    }
    if condition(&seen.job, "Complete").is_some() {
        return Some(format!("its Job ended before the investigation did{}", told(seen)));
    }
    match heard.silence {
        None if heard.age >= heard.start => {
            let seconds = heard.start.as_secs();
            Some(format!("its Job's pod did not call within {seconds} s (job.start_secs){}", told(seen)))
        }
        Some(silence) if silence >= SILENCE => {
            Some(format!("its Job has not called for {} s{}", silence.as_secs(), told(seen)))
        }
        _ => None,
    }
}

/// The reason of a condition that holds.
fn condition(job: &Job, kind: &str) -> Option<String> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|one| one.type_ == kind && one.status == "True")?;
    Some(found.reason.clone().unwrap_or_else(|| kind.to_owned()))
}

/// What the pods say, else what was said about the Job, with `: ` before it.
fn told(seen: &Seen) -> String {
    let pods = seen.pods.iter().find_map(of_pod);
    let reason = match pods {
        Some(said) => Some(said),
        None if seen.pods.is_empty() => of_events(&seen.events),
        None => None,
    };
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// Why no pod was made: a quota, an admission webhook, the pod security level, a service account that is not there.
fn of_events(events: &[Event]) -> Option<String> {
    let warnings = events.iter().filter(|event| event.type_.as_deref() == Some("Warning"));
    let latest = warnings.max_by_key(|event| event.last_timestamp.clone().map(|time| time.0))?;
    Some(format!("no pod was made: {}", cut(latest.message.as_deref()?)))
}

fn of_pod(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    if let Some(reason) = status.reason.as_deref() {
        let message = status.message.as_deref().unwrap_or_default();
        return Some(format!("{reason}: {}", cut(message)));
    }
    let disrupted = status.conditions.iter().flatten().find(|one| {
        one.status == "True" && one.type_ == "DisruptionTarget"
            || one.status == "False" && one.type_ == "PodScheduled"
    });
    let containers = status.container_statuses.iter().flatten();
    containers.filter_map(of_container).next().or_else(|| {
        let disrupted = disrupted?;
        let reason = disrupted.reason.as_deref().unwrap_or(&disrupted.type_);
        Some(format!("{reason}: {}", cut(disrupted.message.as_deref().unwrap_or_default())))
    })
}

fn of_container(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().filter(|reason| *reason != "ContainerCreating")?;
        return Some(format!("{reason}: {}", cut(waiting.message.as_deref().unwrap_or_default())));
    }
    let ended = state.terminated.as_ref()?;
    let reason = ended.reason.as_deref().unwrap_or("Error");
    let way_out = if reason == "OOMKilled" { "; raise job.limits.memory" } else { "" };
    let said = ended.message.as_deref().map(|said| format!(", it said: {}", cut(said))).unwrap_or_default();
    Some(format!("{reason}, exit code {}{way_out}{said}", ended.exit_code))
}

fn cut(text: &str) -> String {
    text.trim().chars().take(MAX_SAID_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(job: Value, pods: Value, events: Value) -> Seen {
        let job = serde_json::from_value(
            json!({"spec": {"template": {"spec": {"containers": []}}}, "status": job}),
        );
        Seen {
            job: job.unwrap(),
            pods: serde_json::from_value(pods).unwrap(),
            events: serde_json::from_value(events).unwrap(),
        }
    }

    fn heard(age: u64, silence: Option<u64>) -> Heard {
        let seconds = Duration::from_secs;
        Heard { age: seconds(age), silence: silence.map(seconds), start: seconds(90) }
    }

    fn failed(reason: &str) -> Value {
        json!({"conditions": [{"type": "Failed", "status": "True", "reason": reason}]})
    }

    fn waiting(reason: &str) -> Value {
        let state = json!({"waiting": {"reason": reason, "message": "Back-off pulling image \"w:1\""}});
        json!([{"status": {"phase": "Pending", "containerStatuses": [
            {"name": "reader", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}}])
    }

    #[test]
    fn a_job_that_will_not_answer_says_why() {
        let ended = |reason: &str, code: i32, said: Value| {
            let state = json!({"terminated": {"reason": reason, "exitCode": code, "message": said}});
            json!([{"status": {"phase": "Failed", "containerStatuses": [
                {"name": "reader", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}}])
        };
        let evicted = json!([{"status": {"phase": "Failed", "reason": "Evicted",
            "message": "The node was low on resource: memory."}}]);
        let unscheduled = json!([{"status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}]}}]);
        let event = |at: &str, kind: &str, text: &str| json!({"metadata": {}, "involvedObject": {}, "type": kind, "lastTimestamp": at, "message": text});
        let events = json!([
            event("2026-11-22T10:00:05Z", "Warning", "pods \"x\" is forbidden: exceeded quota: small"),
            event("2026-11-22T10:00:00Z", "Warning", "an older one"),
            event("2026-11-22T10:00:09Z", "Normal", "Created pod"),
        ]);
        let none = || json!([]);
        for (seen, heard, expected) in [
            (
                seen(failed("BackoffLimitExceeded"), ended("OOMKilled", 137, Value::Null), none()),
                heard(5, Some(1)),
                "its Job failed (BackoffLimitExceeded): OOMKilled, exit code 137; raise job.limits.memory",
            ),
            (
                seen(failed("BackoffLimitExceeded"), ended("Error", 1, json!("too many rights\n")), none()),
                heard(5, None),
                "its Job failed (BackoffLimitExceeded): Error, exit code 1, it said: too many rights",
            ),
            (
                seen(failed("BackoffLimitExceeded"), evicted, none()),
                heard(5, Some(1)),
                "its Job failed (BackoffLimitExceeded): Evicted: The node was low on resource: memory.",
            ),
            (
                seen(failed("DeadlineExceeded"), none(), none()),
                heard(300, Some(1)),
                "its Job failed (DeadlineExceeded)",
            ),
            (
                seen(json!({"conditions": [{"type": "Complete", "status": "True"}]}), none(), none()),
                heard(5, Some(1)),
                "its Job ended before the investigation did",
            ),
            (
                seen(json!({}), waiting("ImagePullBackOff"), none()),
                heard(90, None),
                "its Job's pod did not call within 90 s (job.start_secs): ImagePullBackOff: Back-off pulling image \"w:1\"",
            ),
            (
                seen(json!({}), unscheduled, none()),
                heard(90, None),
                "its Job's pod did not call within 90 s (job.start_secs): Unschedulable: 0/3 nodes are available",
            ),
            (
                seen(json!({}), none(), events),
                heard(91, None),
                "its Job's pod did not call within 90 s (job.start_secs): no pod was made: pods \"x\" is forbidden: \
                 exceeded quota: small",
            ),
            (seen(json!({}), none(), none()), heard(200, Some(80)), "its Job has not called for 80 s"),
        ] {
            assert_eq!(lost(&seen, heard).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_job_that_may_still_answer_is_waited_for() {
        for (seen, heard) in [
            (seen(json!({"active": 1}), json!([]), json!([])), heard(89, None)),
            (seen(json!({"active": 1}), waiting("ContainerCreating"), json!([])), heard(40, None)),
            (seen(json!({"active": 1}), json!([]), json!([])), heard(200, Some(30))),
            (
                seen(json!({"conditions": [{"type": "Failed", "status": "False"}]}), json!([]), json!([])),
                heard(1, None),
            ),
        ] {
            assert_eq!(lost(&seen, heard), None);
        }
    }
}
