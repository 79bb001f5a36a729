//! Which runbook an investigation follows: the most specific one whose every key holds. Pure; the same
//! alerts and runbooks give the same choice, with the reason in words.

use globset::GlobBuilder;

use super::header::Match;
use super::{Runbook, Shared};
use crate::alert::Alert;
use crate::report::{Coverage, RunbookUse};
use crate::workload::Workload;

/// The choice, and why.
#[derive(Debug, Clone)]
pub struct Choice {
    pub runbook: Option<Shared>,
    pub coverage: Coverage,
    pub reason: String,
}

impl Choice {
    /// As the report records it.
    pub fn as_used(&self) -> RunbookUse {
        let of =
            |part: fn(&Runbook) -> &String| self.runbook.as_deref().map(part).cloned().unwrap_or_default();
        RunbookUse {
            name: of(|runbook| &runbook.name),
            revision: of(|runbook| &runbook.revision),
            coverage: self.coverage,
            reason: self.reason.clone(),
        }
    }
}

/// Which keys of `match` were given, the weightiest first: workload name, label, alert name, namespace, kind.
type Weight = (bool, usize, bool, bool, bool);

fn weight(keys: &Match) -> Weight {
    (
        keys.workload.name.is_some(),
        keys.labels.len(),
        !keys.alerts.is_empty(),
        !keys.namespaces.is_empty(),
        keys.workload.kind.is_some(),
    )
}

/// Ties go to a runbook of a folder before a built-in one, then to the first path.
pub fn choose(runbooks: &[Shared], alerts: &[Alert], workload: &Workload) -> Choice {
    let fitting =
        runbooks.iter().filter_map(|runbook| Some((runbook, reason(&runbook.matches, alerts, workload)?)));
    let best = fitting.max_by(|(one, _), (other, _)| {
        let order = weight(&one.matches).cmp(&weight(&other.matches));
        order.then(other.builtin.cmp(&one.builtin)).then_with(|| other.path.cmp(&one.path))
    });
    match best {
        Some((runbook, reason)) => {
            Choice { runbook: Some(runbook.clone()), coverage: coverage(runbook), reason }
        }
        None => Choice {
            runbook: None,
            coverage: Coverage::None,
            reason: "no runbook matches this alert or workload".to_owned(),
        },
    }
}

/// Does this runbook concern these alerts?
pub(super) fn applies(runbook: &Runbook, alerts: &[Alert], workload: &Workload) -> bool {
    reason(&runbook.matches, alerts, workload).is_some()
}

fn coverage(runbook: &Runbook) -> Coverage {
    let (name, labels, alerts, _, _) = weight(&runbook.matches);
    if !runbook.builtin && (name || labels > 0 || alerts) { Coverage::Covered } else { Coverage::Partial }
}

/// Why all keys hold, or None. Alert name and labels must hold for one and the same alert.
fn reason(keys: &Match, alerts: &[Alert], workload: &Workload) -> Option<String> {
    let mut words = Vec::new();
    if let Some(name) = &keys.workload.name {
        words.push(
            fits(name, &workload.name).then(|| format!("workload name {} fits `{name}`", workload.name))?,
        );
    }
    if !keys.labels.is_empty() || !keys.alerts.is_empty() {
        words.extend(alerts.iter().find_map(|alert| alert_reason(keys, alert))?);
    }
    if !keys.namespaces.is_empty() {
        let glob = keys.namespaces.iter().find(|glob| fits(glob, &workload.namespace))?;
        words.push(format!("namespace {} fits `{glob}`", workload.namespace));
    }
    if let Some(kind) = &keys.workload.kind {
        words.push(fits(kind, &workload.kind).then(|| format!("kind {} fits `{kind}`", workload.kind))?);
    }
    if words.is_empty() {
        words.push("it matches everything, and nothing more specific fits".to_owned());
    }
    Some(words.join("; "))
}

fn alert_reason(keys: &Match, alert: &Alert) -> Option<Vec<String>> {
    let mut words = Vec::new();
    for (label, glob) in &keys.labels {
        let value = alert.label(label)?;
        words.push(fits(glob, value).then(|| format!("label {label}={value} fits `{glob}`"))?);
    }
    if !keys.alerts.is_empty() {
        let glob = keys.alerts.iter().find(|glob| fits(glob, alert.name()))?;
        words.push(format!("alert {} fits `{glob}`", alert.name()));
    }
    Some(words)
}

/// Globs were checked when the runbook was read; one that does not compile fits nothing.
fn fits(glob: &str, text: &str) -> bool {
    GlobBuilder::new(glob).build().is_ok_and(|glob| glob.compile_matcher().is_match(text))
}

/// What `runbooks explain` prints: the choice first, then each runbook that would also fit, in order.
pub fn explain(runbooks: &[Shared], alerts: &[Alert], workload: &Workload) -> String {
    let choice = choose(runbooks, alerts, workload);
    let Some(chosen) = &choice.runbook else { return choice.reason };
    let mut lines = vec![format!("{} ({}): {}", chosen.name, chosen.path, choice.reason)];
    let mut others: Vec<&Shared> = runbooks
        .iter()
        .filter(|other| other.path != chosen.path && applies(other, alerts, workload))
        .collect();
    others.sort_by(|one, other| {
        weight(&other.matches).cmp(&weight(&one.matches)).then_with(|| one.path.cmp(&other.path))
    });
    for other in others {
        let why = reason(&other.matches, alerts, workload).unwrap_or_default();
        lines.push(format!("  less specific: {} ({}): {why}", other.name, other.path));
    }
    lines.join("\n")
}
