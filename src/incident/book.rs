//! The open page of the incident book: what is known of the workloads of one request, and the decisions
//! that its alerts lead to. Pure: `store` loads it and writes it back.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::decide::{self, Decision, Known, Occurrence, Rules};
use crate::alert::{Alert, Severity, Status};
use crate::workload::Workload;

/// Longer summaries are cut: a title is one line of a message.
const MAX_TITLE_CHARS: usize = 300;

/// An alert and the workload it is about.
#[derive(Debug, Clone)]
pub struct Placed {
    pub alert: Alert,
    pub workload: Workload,
    /// The cluster named the owner; false: from labels and the shape of names only.
    pub confident: bool,
}

/// One incident as the book holds it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub id: Uuid,
    pub workload: Workload,
    pub title: String,
    pub confident: bool,
    pub state: decide::Incident,
    /// New occurrences attached by this request.
    pub new_alerts: i32,
    /// The investigation to queue: the alert's name and severity, and when.
    pub enqueue: Option<(decide::Enqueue, String, Severity)>,
    pub change: Change,
}

/// What this request did to an incident, for those who tell people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    None,
    Touched,
    Opened,
    Reopened,
    Resolved,
    /// Opened and resolved within one request: there is no thread to tell.
    Passed,
}

/// A row for `alerts`: the alert, its decision and its incident.
#[derive(Debug, Clone)]
pub struct Line {
    pub id: Uuid,
    pub alert: Alert,
    pub decision: Decision,
    pub incident: Option<Uuid>,
    /// Its policy; "" where none fits.
    pub policy: String,
    /// Times the same occurrence came again within this request.
    pub repeats: i32,
}

impl Line {
    /// The decision's, with the policy's name where it was the policy's.
    pub fn reason(&self) -> String {
        match self.decision {
            Decision::Ignore(decide::NEVER) => format!("{} ({})", decide::NEVER, self.policy),
            decision => decision.reason().to_owned(),
        }
    }
}

/// What became of one alert that was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// None: ignored.
    pub incident: Option<Uuid>,
    /// The occurrence was known.
    pub repeat: bool,
}

/// An occurrence that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub incident: Option<Uuid>,
    /// Ignored because its policy said never: when it comes again, the policy of that moment counts.
    pub never: bool,
}

#[derive(Debug, Default)]
pub struct Book {
    /// Newest incident of each workload.
    pub entries: HashMap<Workload, Entry>,
    /// Occurrences already stored.
    pub seen: HashMap<(Occurrence, Status), Seen>,
    pub lines: Vec<Line>,
    /// Stored occurrences that came again, and how often.
    pub repeats: HashMap<(Occurrence, Status), i32>,
    line_of: HashMap<(Occurrence, Status), usize>,
}

impl Book {
    /// Enters one alert: decides about it and applies the decision.
    pub fn enter(&mut self, placed: &Placed, rules: &Rules, now: DateTime<Utc>) -> Entered {
        let occurrence = decide::occurrence(&placed.alert);
        let identity = (occurrence.clone(), placed.alert.status);
        if let Some(line) = self.line_of.get(&identity) {
            let line = &mut self.lines[*line];
            line.repeats += 1;
            return Entered { incident: line.incident, repeat: true };
        }
        let seen = self.seen.get(&identity).copied();
        if let Some(Seen { incident, never: false }) = seen {
            *self.repeats.entry(identity).or_default() += 1;
            return Entered { incident, repeat: true };
        }
        let entry = self.entries.get(&placed.workload);
        let known = self.known(occurrence, entry.map(|entry| entry.id));
        let terms = rules.terms(&placed.alert, &placed.workload, now);
        let decision = decide::decide(&placed.alert, known, entry.map(|entry| &entry.state), &terms, now);
        if seen.is_some() && matches!(decision, Decision::Ignore(_)) {
            *self.repeats.entry(identity).or_default() += 1;
            return Entered { incident: None, repeat: true };
        }
        let policy = terms.decided_by().to_owned();
        let incident = self.apply(placed, decision, now);
        self.line_of.insert(identity, self.lines.len());
        let alert = placed.alert.clone();
        self.lines.push(Line { id: Uuid::now_v7(), alert, decision, incident, policy, repeats: 0 });
        Entered { incident, repeat: seen.is_some() }
    }

    fn known(&self, occurrence: Occurrence, incident: Option<Uuid>) -> Known {
        let mut half = (occurrence, Status::Resolved);
        if self.stored(&half).is_some() {
            return Known::Over;
        }
        half.1 = Status::Firing;
        let here = incident.is_some() && self.stored(&half) == Some(incident);
        if here { Known::FiresHere } else { Known::Nothing }
    }

    /// The incident of an occurrence that is stored, or was entered before in this request.
    fn stored(&self, identity: &(Occurrence, Status)) -> Option<Option<Uuid>> {
        let line = self.line_of.get(identity).map(|line| self.lines[*line].incident);
        line.or_else(|| self.seen.get(identity).map(|seen| seen.incident))
    }

    fn apply(&mut self, placed: &Placed, decision: Decision, now: DateTime<Utc>) -> Option<Uuid> {
        match decision {
            Decision::Ignore(_) => return None,
            Decision::Open(_) => {
                self.entries.insert(placed.workload.clone(), Entry::open(placed));
            }
            Decision::Attach(_) | Decision::Reopen(_) | Decision::Resolve { .. } => {}
        }
        let entry = self.entries.get_mut(&placed.workload)?;
        entry.new_alerts += 1;
        if entry.change == Change::None {
            entry.change = Change::Touched;
        }
        match decision {
            Decision::Resolve { last } => entry.resolve(last, now),
            _ => entry.fire(&placed.alert, decision, now),
        }
        Some(entry.id)
    }
}

impl Entry {
    fn open(placed: &Placed) -> Self {
        Self {
            id: Uuid::now_v7(),
            workload: placed.workload.clone(),
            title: title(&placed.alert, &placed.workload),
            confident: placed.confident,
            state: decide::Incident {
                open: true,
                severity: placed.alert.severity,
                covered: BTreeSet::new(),
                firing: 0,
                queued: false,
                investigated_at: None,
                resolved_at: None,
            },
            new_alerts: 0,
            enqueue: None,
            change: Change::Opened,
        }
    }

    fn fire(&mut self, alert: &Alert, decision: Decision, now: DateTime<Utc>) {
        if matches!(decision, Decision::Reopen(_)) {
            self.state.open = true;
            self.state.resolved_at = None;
            self.state.severity = alert.severity;
            self.change = if self.change == Change::Passed { Change::Opened } else { Change::Reopened };
        }
        self.state.firing += 1;
        self.state.severity = self.state.severity.max(alert.severity);
        if let Some(enqueue) = decision.enqueue() {
            self.state.queued = true;
            self.state.investigated_at = Some(now);
            self.enqueue = Some((enqueue, decide::name(alert), alert.severity));
        }
        // Also the name that joins a waiting investigation is covered by it.
        self.state.covered.insert(decide::name(alert));
    }

    fn resolve(&mut self, last: bool, now: DateTime<Utc>) {
        self.state.firing = (self.state.firing - 1).max(0);
        if last {
            if self.state.queued {
                // What waited is cancelled, so nobody has looked: the names are covered by nothing.
                self.state.covered.clear();
                self.state.investigated_at = None;
            }
            self.state.open = false;
            self.state.queued = false;
            self.state.resolved_at = Some(now);
            self.enqueue = None;
            self.change = if self.change == Change::Opened { Change::Passed } else { Change::Resolved };
        }
    }
}

/// The sender's own line, else the alert's name and where.
fn title(alert: &Alert, workload: &Workload) -> String {
    let summary = alert.annotation("summary").and_then(|text| text.lines().next()).map(str::trim);
    match summary {
        Some(line) if !line.is_empty() => line.chars().take(MAX_TITLE_CHARS).collect(),
        _ => format!("{} on {}", alert.name(), workload.short()),
    }
}
