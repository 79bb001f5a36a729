//! What was tested, for a terminal: a table of families, each case that failed with what was expected and
//! what was found, and the totals. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Tested, Verdict};
use crate::report::Role;

/// Ids listed in a row.
const MAX_SHOWN_IDS: usize = 20;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Cases that failed.
    Failures,
    /// Every case, with what was found in it.
    All,
}

#[derive(Default)]
struct Sum {
    cases: usize,
    matched: usize,
    missed: usize,
    false_findings: usize,
    faulty: usize,
}

impl Sum {
    fn add(&mut self, verdict: &Verdict) {
        self.cases += 1;
        self.matched += verdict.matched;
        self.missed += verdict.missed.len();
        self.false_findings += verdict.false_findings.len();
        self.faulty += verdict.faulty.len();
    }
}

pub fn text(tested: &Tested, detail: Detail) -> String {
    let mut out = String::new();
    for fault in &tested.faults {
        let _ = writeln!(out, "FAULT {fault}");
    }
    let shown = |verdict: &&Verdict| detail == Detail::All || !verdict.passed();
    for verdict in tested.verdicts.iter().filter(shown) {
        one(&mut out, verdict, detail);
    }
    table(&mut out, tested);
    let ids = &tested.without_near_miss;
    if !ids.is_empty() {
        let shown = ids.iter().take(MAX_SHOWN_IDS).map(String::as_str).collect::<Vec<_>>().join(", ");
        let rest = if ids.len() > MAX_SHOWN_IDS { ", …; --output json lists all" } else { "" };
        let _ = writeln!(out, "{} signatures without a near miss: {shown}{rest}", ids.len());
    }
    out
}

fn one(out: &mut String, verdict: &Verdict, detail: Detail) {
    let word = if verdict.passed() { "ok" } else { "FAILED" };
    let _ = writeln!(out, "{word} {}/{}  ({})", verdict.family, verdict.name, verdict.path);
    let _ = writeln!(out, "    {}", verdict.about);
    for (what, lines) in
        [("missed", &verdict.missed), ("false", &verdict.false_findings), ("faulty", &verdict.faulty)]
    {
        for line in lines {
            let _ = writeln!(out, "  {what}: {line}");
        }
    }
    if verdict.found.is_empty() {
        let _ = writeln!(out, "  found nothing");
    }
    for found in &verdict.found {
        let role = if found.role == Role::Primary { "primary" } else { "secondary" };
        let _ = writeln!(out, "  found {role} {} on {}", found.signature, found.object);
        let _ = writeln!(out, "    {}", found.statement);
    }
    if detail == Detail::All || !verdict.passed() {
        verdict.gaps.iter().for_each(|gap| {
            let _ = writeln!(out, "  gap: {gap}");
        });
    }
    out.push('\n');
}

fn table(out: &mut String, tested: &Tested) {
    let mut families: BTreeMap<&str, Sum> = BTreeMap::new();
    let mut all = Sum::default();
    for verdict in &tested.verdicts {
        families.entry(&verdict.family).or_default().add(verdict);
        all.add(verdict);
    }
    let width = families.keys().map(|name| name.chars().count()).max().unwrap_or(0).max("family".len());
    let _ = writeln!(
        out,
        "{:<width$}  {:>5}  {:>7}  {:>6}  {:>5}  {:>6}",
        "family", "cases", "matched", "missed", "false", "faulty"
    );
    for (name, sum) in families.iter().map(|(name, sum)| (*name, sum)).chain([("total", &all)]) {
        let _ = writeln!(
            out,
            "{name:<width$}  {:>5}  {:>7}  {:>6}  {:>5}  {:>6}",
            sum.cases, sum.matched, sum.missed, sum.false_findings, sum.faulty
        );
    }
    let _ = writeln!(
        out,
        "{} signatures, {} cases: {} matched, {} missed, {} false, {} faulty, {} faults, in {:.1} s.",
        tested.signatures,
        all.cases,
        all.matched,
        all.missed,
        all.false_findings,
        all.faulty,
        tested.faults.len(),
        tested.seconds
    );
}
