//! One investigation without queue or people: workload and alerts in, report and ledger out. Joins runbook,
//! evidence, signature and investigation; what no signature explains goes to the agent, if there is a model.
//! `worker` and the command line call it. It stores nothing but the agent's steps, in the journal it is given.

mod fresh;
mod reasoner;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::sync::watch;
use tracing::Instrument;

pub use self::reasoner::Reasoner;
use self::reasoner::Subject;
use crate::alert::{Alert, Severity};
use crate::evidence::{self, Fleet, Wanted};
use crate::executor::Session;
use crate::facts::{Facts, Observation};
use crate::investigation::conclude::{Judgement, conclude};
use crate::investigation::healthy;
use crate::investigation::journal::{Journal, Left};
use crate::policy::{About, Chosen, Policies, Purse};
use crate::report::{Gap, Held, HeldBack, Report};
use crate::runbook::{self, Catalogue, Choice, Pulled, Standing};
use crate::settings::Investigate;
use crate::signature;
use crate::source::kubernetes::Scope;
use crate::workload::Workload;

/// Kept of an attempt's time for what comes after the agent: the report, and storing it.
const REPORT_TIME: Duration = Duration::from_secs(10);
pub struct Investigator {
    fleet: Fleet,
    /// None: no model is configured.
    reasoner: Option<Reasoner>,
    catalogue: watch::Sender<Arc<Catalogue>>,
    /// For `/readyz`.
    standing: watch::Sender<Standing>,
}

/// How one attempt goes on, and what it reads with.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    pub journal: &'a Journal,
    /// None: this process reads.
    pub session: Option<&'a Arc<Session>>,
    pub deadline: Duration,
}

impl Attempt<'_> {
    /// One that nobody goes on with: for the command line.
    pub fn only(deadline: Duration) -> Self {
        Self { journal: &Journal::Nowhere, session: None, deadline }
    }
}

/// A report and what it was read from.
pub struct Investigated {
    pub report: Report,
    pub observations: Vec<Observation>,
}

impl Investigator {
    pub fn new(
        fleet: impl Into<Fleet>,
        catalogue: impl Into<Arc<Catalogue>>,
        reasoner: Option<Reasoner>,
    ) -> Self {
        let catalogue = catalogue.into();
        let standing = watch::Sender::new(fresh::standing(&catalogue, &Pulled::default()));
        Self { fleet: fleet.into(), reasoner, catalogue: watch::Sender::new(catalogue), standing }
    }

    /// Which runbooks are in force, and what is wrong with others.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// The runbooks in force, now and later.
    pub fn catalogues(&self) -> watch::Receiver<Arc<Catalogue>> {
        self.catalogue.subscribe()
    }

    /// The runbooks in force now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.borrow())
    }

    /// What asks the models; None without one.
    pub fn reasoner(&self) -> Option<&Reasoner> {
        self.reasoner.as_ref()
    }

    /// A source that does not answer is a gap in the report, a model that does not answer as well. It ends
    /// within the deadline, and goes on with what an earlier attempt left in the journal.
    ///
    /// # Errors
    /// The journal's, and that of a Job that cannot read.
    pub async fn investigate(
        &self,
        workload: &Workload,
        alerts: &[Alert],
        attempt: Attempt<'_>,
    ) -> anyhow::Result<Investigated> {
        let Attempt { journal, session, deadline } = attempt;
        let started = Instant::now();
        let catalogue = self.catalogue();
        let choice = catalogue.choose(alerts, workload);
        let scope = scope(&choice, workload);
        let left = if self.reasoner.is_some() { journal.take_over().await? } else { None };
        let (facts, left) = match left {
            Some(Left { facts, opening, ledger }) => (facts, Some((opening, ledger))),
            None => {
                let gathered = self.gather((&choice, scope.clone()), workload, alerts, session);
                (gathered.instrument(tracing::info_span!("gather_facts")).await?, None)
            }
        };
        let found = signature::find(&facts, &catalogue.signatures(alerts, workload));
        let gaps: Vec<Gap> = facts.gaps.iter().chain(&found.gaps).cloned().collect();
        let healthy = healthy::judge(&facts, &found.findings, &gaps).is_some();
        let (mut run, mut held_back) = (None, None);
        let policies = self.reasoner.as_ref().map(|reasoner| Arc::clone(&reasoner.policies.borrow()));
        let ruled = policies.as_ref().map(|policies| ruled(policies, workload, alerts));
        if let (Some(reasoner), Some(ruled)) = (&self.reasoner, &ruled)
            && !found.explained
            && !healthy
        {
            held_back = ruled.held_back(journal).await?;
            if held_back.is_none() {
                let subject = Subject {
                    alerts,
                    catalogue,
                    choice: &choice,
                    facts: &facts,
                    found: &found,
                    scope,
                    ruled,
                    session,
                };
                let left_time = deadline.saturating_sub(started.elapsed() + REPORT_TIME);
                run = Some(reasoner.reason(&subject, left, journal, left_time).await?);
            }
        }
        let mut gaps = found.gaps;
        if let Some(run) = &run {
            gaps.extend(run.ledger.gaps());
        }
        let judgement = Judgement {
            findings: found.findings,
            explained: found.explained,
            gaps,
            runbook: choice.as_used(),
            seconds: started.elapsed().as_secs_f64(),
        };
        let mut report = conclude(&facts, judgement);
        report.policy = ruled.and_then(|ruled| ruled.chosen.as_used());
        report.held_back = held_back;
        Ok(match run {
            None => Investigated { report, observations: facts.observations },
            Some(run) => {
                let observations = run.ledger.observations.clone();
                Investigated { report: run.report(report, facts.observations.len()), observations }
            }
        })
    }

    /// From the workload's own cluster, never another's.
    async fn gather(
        &self,
        (choice, scope): (&Choice, Scope),
        workload: &Workload,
        alerts: &[Alert],
        session: Option<&Arc<Session>>,
    ) -> anyhow::Result<Facts> {
        let wanted = wanted(choice.runbook.as_deref());
        if let Some(session) = session {
            return session.gather((workload, alerts), scope, wanted).await;
        }
        let own = self.fleet.of(&workload.cluster);
        let sources = own.cloned().unwrap_or_default().only(wanted);
        let mut facts = Box::pin(evidence::gather(&sources, scope, workload, alerts)).await;
        if own.is_none() {
            let name = if workload.cluster.is_empty() { "without a name" } else { &workload.cluster };
            facts.gaps = vec![Gap {
                source: "cluster".to_owned(),
                what: format!("everything in the cluster {name}"),
                why: "it is not one of those in the settings".to_owned(),
            }];
        }
        Ok(facts)
    }

    /// What can be asked of which cluster.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }
}

/// The policy of an investigation, and whose money it spends.
struct Ruled<'p> {
    chosen: Chosen<'p>,
    purse: Purse,
}

impl Ruled<'_> {
    /// Why no model is asked.
    async fn held_back(&self, journal: &Journal) -> anyhow::Result<Option<HeldBack>> {
        match self.chosen.investigate() {
            Investigate::Always => journal.admit(&self.purse).await,
            // What is never investigated is looked at when somebody asks for it: without a model.
            Investigate::SignaturesOnly | Investigate::Never => {
                let policy = self.chosen.decided_by().to_owned();
                let (namespace, limit) = (String::new(), 0.0);
                Ok(Some(HeldBack { why: Held::Policy, policy, namespace, limit }))
            }
        }
    }
}

/// Of an incident by its worst alert, and by the time that it is now.
fn ruled<'p>(policies: &'p Policies, workload: &Workload, alerts: &[Alert]) -> Ruled<'p> {
    let severity = alerts.iter().map(|alert| alert.severity).max().unwrap_or(Severity::None);
    let chosen = policies.choose(&About { workload, severity, alerts, at: Utc::now() });
    let purse = policies.purse(workload, &chosen);
    Ruled { chosen, purse }
}

/// A team's runbook that lists its sources is asked of no others, not even for facts. What the built-in ones
/// list is their advice to the model.
fn wanted(runbook: Option<&runbook::Runbook>) -> Wanted {
    let Some(runbook) = runbook.filter(|runbook| !runbook.builtin) else { return Wanted::ALL };
    let listed = |tool| runbook.tools.contains(&tool);
    Wanted {
        prometheus: listed(runbook::Tool::Prometheus),
        loki: listed(runbook::Tool::Loki),
        tempo: listed(runbook::Tool::Tempo),
    }
}

/// What the runbook's header allows, in terms of this workload. Without a runbook: its namespace. What
/// belongs to no namespace, such as a node, cannot be looked at within one.
fn scope(choice: &Choice, workload: &Workload) -> Scope {
    let namespace = if workload.kind == "Namespace" { &workload.name } else { &workload.namespace };
    let allowed = choice.runbook.as_ref().map(|runbook| runbook.scope).unwrap_or_default();
    match allowed {
        _ if namespace.is_empty() => Scope::Cluster,
        runbook::Scope::Cluster => Scope::Cluster,
        runbook::Scope::Namespace => Scope::Namespace(namespace.clone()),
        runbook::Scope::Workload => Scope::Workload { namespace: namespace.clone() },
    }
}
