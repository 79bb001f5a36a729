//! Compares what must be found with what was: a case and a report come in, a verdict goes out. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use super::case::{Case, Expected};
use crate::report::{Finding, Report, Role};

/// What a replay of one case showed.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    pub family: String,
    pub name: String,
    pub path: String,
    pub about: String,
    /// Expected findings that were there.
    pub matched: usize,
    /// Expected findings that were not, or not so.
    pub missed: Vec<String>,
    /// Findings that nobody expected, or that were ruled out.
    #[serde(rename = "false")]
    pub false_findings: Vec<String>,
    /// Anything else: a quote that does not hold, a signature that cannot be judged, another outcome.
    pub faulty: Vec<String>,
    /// Everything that was found, for the author.
    pub found: Vec<FoundHere>,
    pub gaps: Vec<String>,
}

/// A finding, in short.
#[derive(Debug, Clone, Serialize)]
pub struct FoundHere {
    pub role: Role,
    pub signature: String,
    pub object: String,
    pub statement: String,
}

impl Verdict {
    pub fn passed(&self) -> bool {
        self.missed.is_empty() && self.false_findings.is_empty() && self.faulty.is_empty()
    }

    fn empty(case: &Case) -> Self {
        Self {
            family: case.family.clone(),
            name: case.name.clone(),
            path: case.path.clone(),
            about: case.about.clone(),
            matched: 0,
            missed: Vec::new(),
            false_findings: Vec::new(),
            faulty: Vec::new(),
            found: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// A case that could not be replayed.
    pub(super) fn broken(case: &Case, why: String) -> Self {
        Self { faulty: vec![why], ..Self::empty(case) }
    }
}

/// `catch_alls` are ids of signatures that know no cause: they may be there without being expected.
pub(super) fn judge(case: &Case, report: &Report, catch_alls: &BTreeSet<String>) -> Verdict {
    let mut verdict = Verdict::empty(case);
    let mut unexpected: Vec<&Finding> =
        report.findings.iter().filter(|finding| finding.role == Role::Primary).collect();
    for expected in &case.expect {
        match take(&mut unexpected, expected) {
            Some(finding) => weigh(&mut verdict, expected, finding),
            None => verdict.missed.push(absent(expected, "as a primary finding", report)),
        }
    }
    for expected in &case.also {
        let fits = |finding: &&Finding| is_meant(finding, expected);
        match report.findings.iter().find(fits) {
            Some(finding) => {
                unexpected.retain(|one| !std::ptr::eq(*one, finding));
                weigh(&mut verdict, expected, finding);
            }
            None => verdict.missed.push(absent(expected, "at all", report)),
        }
    }
    unexpected.retain(|finding| !catch_alls.contains(&finding.signature));
    let ruled_out = report.findings.iter().filter(|one| Some(&one.signature) == case.near_miss_of.as_ref());
    for finding in ruled_out {
        unexpected.retain(|one| !std::ptr::eq(*one, finding));
        let what = named(finding);
        verdict.false_findings.push(format!("{what}: this is the near miss of it"));
    }
    verdict.false_findings.extend(unexpected.into_iter().map(|one| format!("{}: not expected", named(one))));
    unproven(&mut verdict, report);
    if let Some(outcome) = case.outcome.filter(|outcome| *outcome != report.outcome) {
        let (is, must) = (report.outcome.as_str(), outcome.as_str());
        verdict.faulty.push(format!("the outcome is {is}, not {must}"));
    }
    verdict.found = report.findings.iter().map(FoundHere::from).collect();
    let gaps = report.gaps.iter().map(|gap| format!("{}: {}: {}", gap.source, gap.what, gap.why));
    verdict.gaps = gaps.collect();
    verdict
}

/// Takes the finding that is meant: the right object first, else any of the signature.
fn take<'r>(findings: &mut Vec<&'r Finding>, expected: &Expected) -> Option<&'r Finding> {
    let exact = findings.iter().position(|finding| is_meant(finding, expected));
    let any = || findings.iter().position(|finding| finding.signature == expected.signature);
    exact.or_else(any).map(|index| findings.remove(index))
}

fn is_meant(finding: &Finding, expected: &Expected) -> bool {
    let object = expected.object.as_ref();
    finding.signature == expected.signature && object.is_none_or(|object| *object == finding.object.short())
}

fn weigh(verdict: &mut Verdict, expected: &Expected, finding: &Finding) {
    let before = verdict.missed.len();
    let id = &expected.signature;
    if let Some(object) = expected.object.as_ref().filter(|object| **object != finding.object.short()) {
        verdict.missed.push(format!("{id} blames {}, not {object}", finding.object.short()));
    }
    for text in expected.says.iter().filter(|text| !finding.statement.contains(*text)) {
        verdict.missed.push(format!("{id} does not say `{text}`"));
    }
    if verdict.missed.len() == before {
        verdict.matched += 1;
    }
}

fn absent(expected: &Expected, how: &str, report: &Report) -> String {
    let id = &expected.signature;
    let on = expected.object.as_ref().map(|object| format!(" on {object}")).unwrap_or_default();
    let other = report.findings.iter().find(|finding| finding.signature == *id);
    match other {
        Some(finding) if finding.role == Role::Secondary => {
            format!("{id}{on}: found as a consequence of another finding, expected as primary")
        }
        _ => format!("{id}{on}: not found {how}"),
    }
}

/// Findings without a quote, quotes that were struck, causes that say nothing to do, and signatures that could not be
/// judged.
fn unproven(verdict: &mut Verdict, report: &Report) {
    for finding in &report.findings {
        if finding.quotes.is_empty() {
            verdict.faulty.push(format!("{}: nothing is quoted that proves it", finding.signature));
        }
        let is_cause = finding.role == Role::Primary;
        if is_cause && finding.next_steps.is_empty() && report.next_steps.is_empty() {
            verdict.faulty.push(format!("{}: no step of its `fix` is left to take", finding.signature));
        }
        for (id, quote) in &finding.quotes {
            let mut evidence = report.evidence.iter();
            if !evidence.any(|one| one.verified && one.id == *id && one.quote == *quote) {
                verdict.faulty.push(format!("{}: {id} does not say `{quote}`", finding.signature));
            }
        }
    }
    let unjudged = report.gaps.iter().filter(|gap| gap.source == "runbook");
    verdict.faulty.extend(unjudged.map(|gap| format!("{}: {}", gap.what, gap.why)));
}

fn named(finding: &Finding) -> String {
    format!("{} on {}", finding.signature, finding.object.short())
}

impl From<&Finding> for FoundHere {
    fn from(finding: &Finding) -> Self {
        Self {
            role: finding.role,
            signature: finding.signature.clone(),
            object: finding.object.short(),
            statement: finding.statement.clone(),
        }
    }
}
