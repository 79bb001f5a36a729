//! A model's conclusion becomes a report: what it wrote comes in, what holds against the ledger goes out, with a
//! confidence that is counted, never claimed. Pure. What is not proven is struck and listed as unproven.

mod arguments;

use super::advice;
use super::guards::{self, Objection};
use super::verify::{self, Quoted, Struck};
use crate::facts::Observation;
use crate::report::{
    Category, Cause, Confidence, Evidence, Gap, NextStep, Outcome, Report, Risk, RuledOut, Unproven,
};
use crate::workload::{ObjectRef, Workload};

use arguments::{Advice, Claimed, Named};
pub use arguments::{CONCLUDE, Conclusion, read, schema};

const MAX_SUMMARY_CHARS: usize = 1_000;
const MAX_CAUSE_CHARS: usize = 500;
const MAX_STEP_CHARS: usize = 300;
const MAX_NAME_CHARS: usize = 253;
const MAX_QUOTES: usize = 12;
const MAX_RULED_OUT: usize = 8;
const MAX_NEXT_STEPS: usize = 5;
/// Observations named when there is no conclusion.
const MAX_READ_SHOWN: usize = 4;
const MAX_QUERY_CHARS: usize = 90;

/// A conclusion whose quotes were checked.
#[derive(Debug, Clone)]
pub struct Draft {
    claimed: Claimed,
    summary: String,
    cause: String,
    category: Category,
    object: ObjectRef,
    evidence: Vec<Evidence>,
    struck: Vec<Struck>,
    ruled_out: Vec<RuledOut>,
    /// Evidence of what was ruled out.
    also: Vec<Evidence>,
    unproven: Vec<Unproven>,
    next_steps: Vec<NextStep>,
}

/// Checks every quote; what has none that holds is no part of the draft.
pub fn draft(conclusion: Conclusion, observations: &[Observation], workload: &Workload) -> Draft {
    let quoted: Vec<Quoted> = conclusion.evidence.into_iter().take(MAX_QUOTES).collect();
    let (evidence, struck) = verify::check(&quoted, observations);
    let mut ruled_out = Vec::new();
    let mut also = Vec::new();
    let mut unproven = Vec::new();
    for one in conclusion.ruled_out.into_iter().take(MAX_RULED_OUT) {
        let statement = advice::text(&one.statement, MAX_STEP_CHARS);
        let quoted: Vec<Quoted> = one.evidence.into_iter().take(MAX_QUOTES).collect();
        let (held, _) = verify::check(&quoted, observations);
        if statement.is_empty() {
            continue;
        }
        if held.is_empty() {
            let why = "no quote holds for ruling it out".to_owned();
            unproven.push(Unproven { statement, why });
            continue;
        }
        let mut ids: Vec<String> = held.iter().map(|one| one.id.clone()).collect();
        ids.dedup();
        ruled_out.push(RuledOut { statement, evidence: ids });
        also.extend(held);
    }
    let impact = advice::text(&conclusion.impact, MAX_STEP_CHARS);
    let mut summary = advice::text(&conclusion.summary, MAX_SUMMARY_CHARS);
    if !impact.is_empty() && !summary.contains(&impact) {
        summary = format!("{} Impact: {impact}", sentence(&summary)).trim().to_owned();
    }
    Draft {
        claimed: conclusion.outcome,
        summary,
        cause: advice::text(&conclusion.root_cause, MAX_CAUSE_CHARS),
        category: conclusion.category.unwrap_or(Category::Code),
        object: object(&conclusion.object, observations, workload),
        evidence,
        struck,
        ruled_out,
        also,
        unproven,
        next_steps: conclusion.next_steps.into_iter().filter_map(next_step).take(MAX_NEXT_STEPS).collect(),
    }
}

/// With a full stop, so that another sentence can follow.
fn sentence(text: &str) -> String {
    match text.chars().next_back() {
        None | Some('.' | '!' | '?' | '…') => text.to_owned(),
        Some(_) => format!("{text}."),
    }
}

/// The object at fault, if anything was read about one of that name; else the workload itself.
fn object(named: &Named, observations: &[Observation], workload: &Workload) -> ObjectRef {
    let name = advice::text(&named.name, MAX_NAME_CHARS);
    let kind = advice::text(&named.kind, MAX_NAME_CHARS);
    let known = name.len() > 1 && observations.iter().any(|one| verify::stands_in(&name, &one.text));
    if kind.is_empty() || !known {
        return workload.object();
    }
    let namespace = advice::text(&named.namespace, MAX_NAME_CHARS);
    ObjectRef { cluster: workload.cluster.clone(), kind, namespace, name }
}

fn next_step(advice: Advice) -> Option<NextStep> {
    let text = advice::text(&advice.text, MAX_STEP_CHARS);
    let claimed = match advice.risk.to_ascii_lowercase().as_str() {
        "none" => Risk::None,
        "low" | "medium" | "" => Risk::Low,
        _ => Risk::High,
    };
    if text.is_empty() {
        return None;
    }
    Some(match advice::command(&advice.command) {
        Some((command, least)) => NextStep { text, command, risk: claimed.max(least) },
        None => NextStep { text, command: String::new(), risk: claimed },
    })
}

impl Draft {
    fn objections(&self) -> Vec<Objection> {
        let names = [self.object.name.clone(), self.object.namespace.clone()];
        let claim = match self.claimed {
            // Who concludes nothing may wonder about anything.
            Claimed::Inconclusive => String::new(),
            _ => format!("{}\n{}", self.cause, self.summary),
        };
        guards::objections(&guards::Checked {
            claim: &claim,
            evidence: &self.evidence,
            ruled_out: &self.ruled_out,
            next_steps: &self.next_steps,
            names: &names,
        })
    }

    /// Why this cannot be believed yet, for the model; empty: it can.
    pub fn send_back(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.evidence.is_empty() && self.claimed != Claimed::Inconclusive {
            words.push(format!("No quote holds. {}", self.why_struck()));
        }
        words.extend(self.objections().iter().map(|one| one.words().to_owned()));
        words
    }

    fn why_struck(&self) -> String {
        if self.struck.is_empty() {
            return "`evidence` is empty.".to_owned();
        }
        let one = |struck: &Struck| {
            let quote = advice::text(&struck.quoted.quote, 80);
            format!("{} \"{quote}\": {}.", advice::text(&struck.quoted.id, 10), struck.why)
        };
        self.struck.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// The report, over one that was written from facts and findings alone.
    pub fn report(mut self, base: Report) -> Report {
        let mut exotic = None;
        for objection in self.objections().into_iter().rev() {
            match objection {
                Objection::Exotic(missing) => exotic = Some(missing),
                Objection::Timing { step, .. } => {
                    let dropped = self.next_steps.remove(step);
                    let why = "it asks for more time, and nothing shows that time is the cause".to_owned();
                    self.unproven.push(Unproven { statement: dropped.text, why });
                }
            }
        }
        let refuted = match (self.claimed, &exotic) {
            (Claimed::Inconclusive, _) => None,
            (_, Some(missing)) => Some(missing.clone()),
            _ if self.evidence.is_empty() => Some(format!("No quote holds. {}", self.why_struck())),
            _ => None,
        };
        match refuted {
            Some(why) => self.demoted(base, &why),
            None => self.accepted(base),
        }
    }

    /// Nothing of what it claims is shown as a fact.
    fn demoted(self, base: Report, why: &str) -> Report {
        let statement = if self.cause.is_empty() { self.summary.clone() } else { self.cause.clone() };
        let summary = format!(
            "No cause could be proven. Suspected, and not shown: {} {}",
            sentence(&statement),
            base.summary
        );
        let mut report = Report { summary, ..base };
        report.unproven.push(Unproven { statement, why: why.to_owned() });
        self.add_to(report)
    }

    fn accepted(self, base: Report) -> Report {
        let mut report = base;
        match self.claimed {
            Claimed::RootCause => {
                report.outcome = Outcome::RootCause;
                report.confidence = self.confidence(&report.gaps);
                report.cause = Some(Cause {
                    id: category_id(self.category).to_owned(),
                    category: self.category,
                    statement: self.cause.clone(),
                    object: self.object.clone(),
                });
                report.summary =
                    if self.summary.is_empty() { self.cause.clone() } else { self.summary.clone() };
            }
            Claimed::NotAnIncident => {
                report.outcome = Outcome::NotAnIncident;
                report.confidence = self.confidence(&report.gaps);
                report.summary.clone_from(&self.summary);
            }
            Claimed::Inconclusive if self.evidence.is_empty() || self.summary.is_empty() => {}
            Claimed::Inconclusive => report.summary.clone_from(&self.summary),
        }
        self.add_to(report)
    }

    /// What holds in any case: evidence, causes ruled out, advice.
    fn add_to(self, mut report: Report) -> Report {
        for one in self.evidence.into_iter().chain(self.also) {
            if !report.evidence.contains(&one) {
                report.evidence.push(one);
            }
        }
        report.ruled_out = self.ruled_out;
        report.unproven.extend(self.unproven);
        if !self.next_steps.is_empty() {
            report.next_steps = self.next_steps;
        }
        report
    }

    /// Counted: quotes on the object itself, observations, sources, and what was struck.
    fn confidence(&self, gaps: &[Gap]) -> Confidence {
        let direct = self.evidence.iter().any(|one| verify::stands_in(&self.object.name, &one.quote));
        let count = |part: fn(&Evidence) -> &String| {
            let mut parts: Vec<&String> = self.evidence.iter().map(part).collect();
            parts.sort_unstable();
            parts.dedup();
            parts.len()
        };
        let (observations, sources) = (count(|one| &one.id), count(|one| &one.source));
        let dark = gaps.iter().any(|gap| gap.source == "kubernetes");
        let broad = observations >= 2 && (sources >= 2 || !self.ruled_out.is_empty());
        match (direct, broad) {
            (true, true) if self.struck.is_empty() && !dark => Confidence::High,
            (true, _) | (_, true) => Confidence::Medium,
            _ => Confidence::Low,
        }
    }
}

/// The report of a run that gave no conclusion: what signatures found, what else was read, and why it ended.
pub fn without_conclusion(base: Report, why: &str, read: &[Observation]) -> Report {
    let mut summary = format!("{} The investigator gave no conclusion: {}", base.summary, sentence(why));
    if !read.is_empty() {
        let shown: Vec<String> = read
            .iter()
            .take(MAX_READ_SHOWN)
            .map(|one| format!("{} ({})", one.id, advice::text(&one.query, MAX_QUERY_CHARS)))
            .collect();
        let rest = read.len().saturating_sub(MAX_READ_SHOWN);
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        summary += &format!(" Read on the way: {}{more}.", shown.join(", "));
    }
    Report { summary, ..base }
}

fn category_id(category: Category) -> &'static str {
    match category {
        Category::Code => "code",
        Category::Configuration => "configuration",
        Category::Image => "image",
        Category::Resources => "resources",
        Category::Dependency => "dependency",
        Category::Platform => "platform",
        Category::External => "external",
    }
}

#[cfg(test)]
mod tests;
