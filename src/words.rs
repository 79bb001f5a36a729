//! The words for what a report says in enums and numbers, in the language of `report.language`, shared by Slack's
//! blocks, the cards of other outlets, pages and plain text. Pure; what comes out still holds untrusted names and is escaped by whoever prints it.
//!
//! `table` names every fixed word, `english`, `korean` and `japanese` say it. What signatures and the model wrote
//! stays as it is.

mod choice;
mod english;
mod fill;
mod japanese;
mod korean;
mod table;

use chrono::{DateTime, TimeDelta, Utc};

pub(crate) use self::choice::{changed_first, evidence_order, timeline};
pub(crate) use self::choice::{is_victim, is_wide, said_at};
pub use self::fill::fill;
pub use self::table::Words;
use crate::report::{
    Affected, Category, Changed, Confidence, Cost, Coverage, Held, HeldBack, Near, Outcome, Radius, Report,
    Risk, RunbookUse, TimelineEntry,
};

/// Workloads named one by one; beyond that they are counted.
const MAX_NAMED: usize = 5;

impl Words {
    /// The words of a language by its tag (`ko`, `ja-JP`); English where there are none.
    pub fn of(tag: &str) -> &'static Self {
        let primary = tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        match primary.as_str() {
            "ko" => &korean::WORDS,
            "ja" => &japanese::WORDS,
            _ => &english::WORDS,
        }
    }

    pub(crate) fn verdict(&self, outcome: Outcome) -> &'static str {
        match outcome {
            Outcome::KnownPattern | Outcome::RootCause => self.cause_found,
            Outcome::Inconclusive => self.no_cause,
            Outcome::NotAnIncident => self.nothing_broken,
        }
    }

    /// The label before a cause's statement: what is not proven is not told as if it were.
    pub(crate) fn why(&self, outcome: Outcome) -> &'static str {
        if outcome == Outcome::Inconclusive { self.suspected } else { self.why }
    }

    pub(crate) fn at_fault(&self, outcome: Outcome) -> &'static str {
        if outcome == Outcome::Inconclusive { self.suspect } else { self.at_fault }
    }

    pub(crate) fn category(&self, category: Category) -> &'static str {
        match category {
            Category::Code => self.code,
            Category::Configuration => self.configuration,
            Category::Image => self.image,
            Category::Resources => self.resources,
            Category::Dependency => self.dependency,
            Category::Platform => self.platform,
            Category::External => self.external,
        }
    }

    /// "high, 3 of 3 quotes found word for word" (in what was read).
    pub(crate) fn confidence(&self, report: &Report) -> String {
        let level = self.confidence_level(report.confidence);
        let verified = report.evidence.iter().filter(|evidence| evidence.verified).count();
        match report.evidence.len() {
            0 => fill(self.nothing_to_quote, &[("level", level)]),
            all => {
                let (verified, all) = (verified.to_string(), all.to_string());
                fill(self.quotes_found, &[("level", level), ("verified", &verified), ("all", &all)])
            }
        }
    }

    pub(crate) fn confidence_level(&self, confidence: Confidence) -> &'static str {
        match confidence {
            Confidence::Low => self.low,
            Confidence::Medium => self.medium,
            Confidence::High => self.high,
        }
    }

    pub(crate) fn risk(&self, risk: Risk) -> &'static str {
        match risk {
            Risk::None => self.risk_none,
            Risk::Low => self.risk_low,
            Risk::High => self.risk_high,
        }
    }

    /// "this workload only; 2 of 2 pods unhealthy; in common: node node-3 (8 of 8)".
    pub(crate) fn how_far(&self, affected: &Affected) -> String {
        let radius = match affected.radius {
            Radius::None => self.radius_none,
            Radius::Pod => self.radius_pod,
            Radius::Workload => self.radius_workload,
            Radius::Node => self.radius_node,
            Radius::Namespace => self.radius_namespace,
            Radius::Namespaces => self.radius_namespaces,
            Radius::Cluster => self.radius_cluster,
        };
        let mut parts = vec![radius.to_owned()];
        let pods = affected.pods;
        if pods.total > 0 {
            let (unhealthy, total) = (pods.unhealthy.to_string(), pods.total.to_string());
            parts.push(fill(self.pods_unhealthy, &[("unhealthy", &unhealthy), ("total", &total)]));
        }
        if affected.workloads.len() > 1 {
            parts.push(self.listed(&affected.workloads));
        }
        if let Some(factor) = affected.shared_factor.as_deref().filter(|factor| !factor.is_empty()) {
            parts.push(fill(self.in_common, &[("what", factor)]));
        }
        parts.join("; ")
    }

    /// "a, b, c and 4 more".
    pub(crate) fn listed(&self, names: &[String]) -> String {
        let shown = names.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        self.and_more(shown, names.len().saturating_sub(MAX_NAMED))
    }

    pub(crate) fn and_more(&self, shown: String, more: usize) -> String {
        match more {
            0 => shown,
            more => fill(self.and_more, &[("list", &shown), ("more", &more.to_string())]),
        }
    }

    pub(crate) fn runbook(&self, used: &RunbookUse) -> String {
        let name = match (used.name.as_str(), used.revision.as_str()) {
            ("", _) => return self.runbook_none.to_owned(),
            (name, "") => name.to_owned(),
            (name, revision) => {
                let revision: String = revision.chars().take(12).collect();
                fill(self.runbook_at, &[("name", name), ("revision", &revision)])
            }
        };
        let said = match used.coverage {
            Coverage::Covered => self.runbook_covered,
            Coverage::Partial => self.runbook_partial,
            Coverage::None => self.runbook_not_covering,
        };
        fill(said, &[("name", &name)])
    }

    /// "Investigated in 0.8 s, no model asked." or "Investigated in 41 s, 12 steps, 48210 tokens, $0.08."
    pub(crate) fn investigated_in(&self, cost: &Cost) -> String {
        fill(self.investigated_in, &[("cost", &self.cost(cost))])
    }

    /// Why no model was asked, or not to its end; "" where nothing held it back.
    pub(crate) fn held_back(&self, report: &Report) -> String {
        let Some(HeldBack { why, policy, namespace, limit }) = &report.held_back else {
            return String::new();
        };
        let (said, limit) = match why {
            Held::Policy => (self.held_policy, String::new()),
            Held::PolicyMoney => (self.held_policy_money, format!("{limit:.2}")),
            Held::NamespaceMoney => (self.held_namespace_money, format!("{limit:.2}")),
            Held::NamespaceInvestigations => (self.held_namespace_investigations, format!("{limit:.0}")),
        };
        fill(said, &[("policy", policy), ("namespace", namespace), ("limit", &limit)])
    }

    /// "0.8 s, no model asked" or "41 s, 12 steps, 48210 tokens, $0.08".
    pub(crate) fn cost(&self, cost: &Cost) -> String {
        let seconds = cost.seconds.max(0.0);
        let seconds = if seconds < 10.0 { format!("{seconds:.1}") } else { format!("{seconds:.0}") };
        let tokens = cost.input_tokens.saturating_add(cost.output_tokens);
        if tokens == 0 {
            fill(self.cost_without_model, &[("seconds", &seconds)])
        } else {
            let (steps, tokens, usd) =
                (cost.steps.to_string(), tokens.to_string(), format!("{:.2}", cost.usd.max(0.0)));
            let all = [("seconds", seconds.as_str()), ("steps", &steps), ("tokens", &tokens), ("usd", &usd)];
            fill(self.cost_with_model, &all)
        }
    }

    pub(crate) fn moment(&self, at: DateTime<Utc>) -> String {
        at.format(self.moment).to_string()
    }

    /// "45 s", "18 min", "2 h 5 min", "3 d 4 h"; never negative, clocks may differ.
    pub fn span(&self, span: TimeDelta) -> String {
        let seconds = span.num_seconds().max(0);
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        let (n, m, h, d) =
            (seconds.to_string(), (minutes % 60).to_string(), (hours % 24).to_string(), days.to_string());
        match (days, hours, minutes) {
            (0, 0, 0) => fill(self.seconds, &[("n", &n)]),
            (0, 0, _) => fill(self.minutes, &[("n", &m)]),
            (0, _, _) => fill(self.hours, &[("h", &h), ("m", &m)]),
            _ => fill(self.days, &[("d", &d), ("h", &h)]),
        }
    }

    /// What the list of things that were looked at and found well is called.
    pub(crate) fn found_well(&self, outcome: Outcome) -> &'static str {
        if outcome == Outcome::NotAnIncident { self.checked_and_well } else { self.what_it_is_not }
    }

    /// "rollout of revision 7 (image a:1 → a:2), 3 min before the onset, the workload itself"
    pub(crate) fn changed(&self, one: &Changed) -> String {
        let span = self.span(TimeDelta::try_seconds(one.seconds_before.saturating_abs()).unwrap_or_default());
        let when = match one.seconds_before {
            0 => self.at_onset.to_owned(),
            before if before > 0 => fill(self.before_onset, &[("span", &span)]),
            _ => fill(self.after_onset, &[("span", &span)]),
        };
        let near = match one.near {
            Near::Itself => self.near_itself,
            Near::Uses => self.near_uses,
            Near::Owner => self.near_owner,
            Near::Node => self.near_node,
            Near::Service => self.near_service,
            Near::Callee => self.near_callee,
            Near::Caller => self.near_caller,
            Near::Neighbour => self.near_neighbour,
        };
        let line = fill(self.changed, &[("what", one.what.as_str()), ("when", &when), ("near", near)]);
        if one.why.is_empty() { line } else { format!("{line}; {}", one.why) }
    }

    /// " (changed first: only pods of this revision fail)", or nothing.
    pub(crate) fn trigger(&self, entry: &TimelineEntry) -> String {
        match (entry.trigger, entry.why.as_str()) {
            (false, _) => String::new(),
            (true, "") => format!(" ({})", self.trigger),
            (true, why) => format!(" ({})", fill(self.trigger_because, &[("why", why)])),
        }
    }
}

/// Of pages and terminals.
pub(crate) fn english() -> &'static Words {
    &english::WORDS
}

/// With a full stop at its end.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?', '…', '。']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::PodCount;

    #[test]
    fn times_read_as_people_say_them() {
        for (seconds, words) in
            [(-5, "0 s"), (45, "45 s"), (1080, "18 min"), (7500, "2 h 5 min"), (273_600, "3 d 4 h")]
        {
            assert_eq!(Words::of("en").span(TimeDelta::seconds(seconds)), words);
        }
        assert_eq!(Words::of("ko-KR").span(TimeDelta::seconds(7500)), "2시간 5분");
        assert_eq!(Words::of("ja").span(TimeDelta::seconds(273_600)), "3日4時間");
        let at = "2026-11-21T10:02:11Z".parse().unwrap();
        assert_eq!(Words::of("ja").moment(at), "2026年11月21日 10:02:11 UTC");
        assert_eq!(Words::of("de").moment(at), "2026-11-21 10:02:11 UTC", "English where there are no words");
    }

    #[test]
    fn the_reach_names_what_is_shared_and_counts_the_rest() {
        let affected = Affected {
            radius: Radius::Node,
            workloads: (1..=7).map(|n| format!("Deployment shop/w{n}")).collect(),
            pods: PodCount { unhealthy: 8, total: 9 },
            shared_factor: Some("node node-3 (8 of 8)".to_owned()),
        };
        let words = Words::of("").how_far(&affected);
        assert!(
            words.starts_with("workloads on one node; 8 of 9 pods unhealthy; Deployment shop/w1, "),
            "{words}"
        );
        assert!(words.ends_with("w5 and 2 more; in common: node node-3 (8 of 8)"), "{words}");
    }

    /// `{name}`s of a text, sorted.
    fn places(text: &str) -> Vec<&str> {
        let mut found: Vec<&str> =
            text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn each_language_says_everything_and_leaves_nothing_out() {
        let english = Words::of("en").entries();
        for tag in ["ko", "ja"] {
            for ((name, ours), (_, theirs)) in english.iter().zip(Words::of(tag).entries()) {
                assert_eq!(places(ours), places(theirs), "{tag}: {name}");
                assert!(!theirs.is_empty(), "{tag}: {name}");
                // Words are printed as they are: nothing in them may mean something to Slack or Teams.
                assert!(!theirs.contains(['<', '>', '&', '*', '_', '~', '`', '@']), "{tag}: {name}");
                let same =
                    *ours == theirs && ours.chars().any(|c| c.is_ascii_lowercase()) && !ours.contains('{');
                assert!(!same, "{tag}: {name} is English");
            }
        }
        assert!(
            english
                .iter()
                .all(|(name, text)| !text.contains(['<', '>', '&', '*', '_', '~', '`', '@'])
                    || name.is_empty())
        );
    }
}
