//! Is nothing broken? Facts and findings come in; what was checked and found well goes out, or None where
//! anything is wrong, unread or beyond what the API server's state can tell. Pure. It never guesses: an
//! alert about traffic or usage is not refuted by pods that look well.

use crate::facts::{ContainerFact, Facts, PodFact, RolloutFact};
use crate::report::{Evidence, Finding, Gap, RuledOut};
use crate::signature::{fire_by_design, state_decides};

/// A restart or a Warning this recent leaves doubt, in seconds.
const CALM_SECS: i64 = 60 * 60;
/// Warnings this recent are trouble that may not have shown yet, in seconds.
const WARNING_SECS: i64 = 15 * 60;
/// Quotes of one check.
const MAX_QUOTES: usize = 3;

/// Why this is not an incident.
pub struct Healthy {
    pub summary: String,
    /// What was looked at and found well.
    pub checked: Vec<RuledOut>,
    pub evidence: Vec<Evidence>,
}

/// What to say when nothing is broken; None when that is not certain.
pub fn judge(facts: &Facts, findings: &[Finding], gaps: &[Gap]) -> Option<Healthy> {
    if fire_by_design(&facts.alerts) {
        let names = facts.alerts.join(" and ");
        let summary = format!("{names} fires by design, to show that alerts arrive: nothing is broken.");
        return Some(Healthy { summary, checked: Vec::new(), evidence: Vec::new() });
    }
    let unread = gaps.iter().any(matters);
    if !findings.is_empty() || unread || !state_decides(&facts.alerts) {
        return None;
    }
    let mut checks = Checks {
        facts,
        healthy: Healthy { summary: String::new(), checked: Vec::new(), evidence: Vec::new() },
    };
    let parts: Vec<&Facts> = if facts.parts.is_empty() { vec![facts] } else { facts.parts.iter().collect() };
    for part in &parts {
        if !is_well(part, part.workload == facts.workload && part.workload.kind == "Namespace") {
            return None;
        }
        checks.take(part);
    }
    let mut healthy = checks.healthy;
    if healthy.checked.is_empty() {
        return None;
    }
    let lag = if facts.alerts.is_empty() {
        ""
    } else {
        " The alert may lag behind: what it measures is no longer so."
    };
    let pods = facts.affected.pods.total;
    let of = if parts.len() > 1 { format!(" of {} workloads", parts.len() - 1) } else { String::new() };
    let workload = facts.workload.short();
    let well = match pods {
        0 => format!("{workload} is well"),
        1 => format!("{workload} is well, and so is its one pod{of}"),
        _ => format!("{workload} is well, and so are all {pods} of its pods{of}"),
    };
    healthy.summary = format!("{well}.{lag}");
    Some(healthy)
}

/// A source that was asked and did not answer leaves doubt; one that is not configured was never needed for
/// what the state of objects decides.
fn matters(gap: &Gap) -> bool {
    gap.source == "kubernetes" || gap.source == "runbook" || !gap.why.starts_with("not configured")
}

/// `shell`: it stands for the namespace around the parts, which has nothing of its own to be ready.
fn is_well(facts: &Facts, shell: bool) -> bool {
    let calm = |row: &ContainerFact| {
        let since = row.exited_at.map(|at| (facts.observed_at - at).num_seconds());
        let ended_well = row.exit_code <= 0 && row.restarts == 0;
        !row.failing && (ended_well || since.is_some_and(|since| since > CALM_SECS))
    };
    let pods = facts.pods.iter().all(|pod| pod_is_well(pod, facts)) && facts.containers.iter().all(calm);
    let warned =
        facts.events.iter().any(|event| event.level == "Warning" && event.age_seconds < WARNING_SECS);
    let nodes = facts.nodes.iter().all(|node| node.ready == "True" && node.pressures.is_empty());
    let claims = facts.claims.iter().all(|claim| claim.phase == "Bound");
    let references =
        facts.references.iter().all(|row| row.optional || row.exists != "no" && row.key_exists != "no");
    let services =
        facts.services.iter().all(|row| !row.selects_workload || row.ready_endpoints > 0 || row.headless);
    let hpas = facts.hpas.iter().all(|row| {
        row.able_to_scale != "False" && row.scaling_active != "False" && row.limited_reason.is_empty()
    });
    let jobs = facts.jobs.iter().all(|row| !row.newest || row.complete || row.active > 0 && !row.failed);
    let rest = !warned && nodes && claims && references && services && hpas && jobs;
    pods && rest && facts.rollouts.iter().all(rolled_out) && (shell || exists(facts))
}

fn pod_is_well(pod: &PodFact, facts: &Facts) -> bool {
    let finished = pod.phase == "Succeeded";
    // A failed pod that its controller made good for is healthy; an old Job's is judged by the newest.
    let made_good = pod.phase == "Failed" && pod.healthy;
    let of_old_job =
        pod.owner_kind == "Job" && facts.jobs.iter().any(|job| job.name == pod.owner_name && !job.newest);
    (finished || made_good || of_old_job || pod.ready) && !pod.terminating
}

fn rolled_out(row: &RolloutFact) -> bool {
    row.desired == row.ready
        && row.desired == row.available
        && row.desired == row.updated
        && row.stuck_reason.is_empty()
        && row.replica_failure.is_empty()
        && !row.paused
        && !row.generation_lag
}

/// The subject itself was seen: silence about something that is not there is no health.
fn exists(facts: &Facts) -> bool {
    let (kind, name) = (facts.workload.kind.as_str(), facts.workload.name.as_str());
    match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" => facts
            .rollouts
            .iter()
            .any(|row| row.kind == kind && row.name == name && (row.desired > 0 || kind == "DaemonSet")),
        "Job" => facts.jobs.iter().any(|row| row.name == name && row.complete),
        "CronJob" => facts.cronjobs.iter().any(|row| row.name == name && !row.suspended),
        "PersistentVolumeClaim" => facts.claims.iter().any(|row| row.name == name && row.exists),
        "Service" => facts.services.iter().any(|row| row.name == name && row.ready_endpoints > 0),
        "Node" => facts.nodes.iter().any(|row| row.name == name),
        "Pod" | "ReplicaSet" | "HorizontalPodAutoscaler" => !facts.pods.is_empty(),
        // Nothing is known about how an operator's own kind shows its health.
        _ => false,
    }
}

/// Writes down what was found well, with quotes.
struct Checks<'f> {
    facts: &'f Facts,
    healthy: Healthy,
}

impl Checks<'_> {
    fn take(&mut self, part: &Facts) {
        let who = part.workload.short();
        let rollouts = part.rollouts.iter().map(|row| (row.evidence.as_str(), row.quote.as_str())).collect();
        self.check(format!("{who} is rolled out and all its pods are available"), rollouts);
        let pods: Vec<(&str, &str)> =
            part.pods.iter().map(|row| (row.evidence.as_str(), row.quote.as_str())).collect();
        let what = format!(
            "{} {} ready or finished as meant",
            pods.len(),
            if pods.len() == 1 { "pod of it is" } else { "pods of it are" }
        );
        self.check(format!("{who}: {what}, and no container restarted within the last hour"), pods);
        let jobs = part
            .jobs
            .iter()
            .filter(|row| row.newest)
            .map(|row| (row.evidence.as_str(), row.quote.as_str()))
            .collect();
        self.check(format!("{who}: the newest job did not fail"), jobs);
        let claims = part.claims.iter().map(|row| (row.evidence.as_str(), row.quote.as_str())).collect();
        self.check(format!("{who}: its claims are bound"), claims);
        let services = part
            .services
            .iter()
            .filter(|row| row.selects_workload)
            .map(|row| (row.evidence.as_str(), row.quote.as_str()))
            .collect();
        self.check(format!("{who}: its Services have ready addresses"), services);
        let nodes = part.nodes.iter().map(|row| (row.evidence.as_str(), row.quote.as_str())).collect();
        self.check(format!("{who}: its nodes are ready and short of nothing"), nodes);
    }

    /// Only what has a quote that stands in an observation was checked.
    fn check(&mut self, statement: String, quotes: Vec<(&str, &str)>) {
        let mut ids: Vec<String> = Vec::new();
        for (id, quote) in quotes.into_iter().take(MAX_QUOTES) {
            let observation = self.facts.observations.iter().find(|one| one.id == id);
            let Some(observation) = observation.filter(|one| !quote.is_empty() && one.text.contains(quote))
            else {
                continue;
            };
            let evidence = Evidence {
                id: id.to_owned(),
                source: observation.source.clone(),
                query: observation.query.clone(),
                quote: quote.to_owned(),
                verified: true,
            };
            if !self.healthy.evidence.contains(&evidence) {
                self.healthy.evidence.push(evidence);
            }
            if !ids.contains(&id.to_owned()) {
                ids.push(id.to_owned());
            }
        }
        if !ids.is_empty() {
            self.healthy.checked.push(RuledOut { statement, evidence: ids });
        }
    }
}
