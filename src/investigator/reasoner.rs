//! What asks a model: a case with its facts and findings comes in, an agent's run comes out, held to the runbook's tools,
//! the policy's models and money, and the time that is left. Whether a model is asked at all is decided before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Ruled;
use crate::alert::Alert;
use crate::executor::{Relayed, Session};
use crate::facts::Facts;
use crate::investigation::agent::{self, Means, Opening};
use crate::investigation::budget::Limits;
use crate::investigation::journal::Journal;
use crate::investigation::ledger::Ledger;
use crate::investigation::prompt::Case;
use crate::llm::Ladder;
use crate::policy::Policies;
use crate::runbook::{self, Catalogue, Choice};
use crate::settings;
use crate::signature::Found;
use crate::source::kubernetes::Scope;
use crate::tool::mcp;
use crate::tool::runbook::RunbookRead;
use crate::tool::{Bounds, Tool, Toolbox};

/// Groups that every runbook allows: they hold what its author and we wrote.
const ALWAYS_ALLOWED: [&str; 2] = ["runbook", "memory"];
/// Hex digits of the word that marks data in one run.
const FENCE_DIGITS: usize = 16;

/// What asks a model.
pub struct Reasoner {
    pub ladder: Ladder,
    /// Shared by all runs.
    pub tools: Vec<Arc<dyn Tool>>,
    /// Those that ask one of several clusters: only its own incidents get them.
    pub by_cluster: BTreeMap<String, Vec<Arc<dyn Tool>>>,
    /// Their tools are offered where a runbook names the server.
    pub mcp: Arc<mcp::Servers>,
    pub settings: settings::Agent,
    /// Who of the alerts gets a model, which one, and at whose expense.
    pub policies: watch::Receiver<Arc<Policies>>,
    /// Tag of the language that it writes in.
    pub language: String,
}

/// What a run is about.
pub(super) struct Subject<'s> {
    pub alerts: &'s [Alert],
    pub catalogue: Arc<Catalogue>,
    pub choice: &'s Choice,
    pub facts: &'s Facts,
    pub found: &'s Found,
    pub scope: Scope,
    pub ruled: &'s Ruled<'s>,
    pub session: Option<&'s Arc<Session>>,
}

impl Reasoner {
    /// Under policies that may change.
    #[must_use]
    pub fn under(self, policies: watch::Receiver<Arc<Policies>>) -> Self {
        Self { policies, ..self }
    }

    pub(super) async fn reason(
        &self,
        subject: &Subject<'_>,
        left: Option<(Opening, Ledger)>,
        journal: &Journal,
        time: Duration,
    ) -> anyhow::Result<agent::Ran> {
        if let Some(session) = subject.session {
            session.ready().await?;
        }
        let runbook = subject.choice.runbook.as_deref();
        let toolbox = self.toolbox(subject, runbook).await;
        let budget = runbook.map(|runbook| runbook.budget).unwrap_or_default();
        let before = left.as_ref().map_or(0, |(_, ledger)| ledger.milliseconds());
        let agent = subject.ruled.chosen.agent(&self.settings);
        let limits = Limits::new(&agent, budget).within(Duration::from_millis(before) + time);
        let bounds = subject.bounds();
        let (opening, ledger) = match left {
            Some(left) => left,
            None => {
                let case = Case {
                    alerts: subject.alerts,
                    facts: subject.facts,
                    findings: &subject.found.findings,
                    gaps: &subject.found.gaps,
                    runbook,
                    readable: &bounds.readable(),
                    language: &self.language,
                };
                let opening = agent::opening(&case, &toolbox, &limits, &fence_word());
                journal.begin(&opening, subject.facts).await?;
                let observations = subject.facts.observations.clone();
                (opening, Ledger { observations, steps: Vec::new() })
            }
        };
        let some = subject.ruled.chosen.models().map(|models| self.ladder.only(&models));
        let means = Means {
            ladder: some.as_ref().unwrap_or(&self.ladder),
            toolbox: &toolbox,
            bounds: &bounds,
            journal,
            limits,
            purse: &subject.ruled.purse,
        };
        agent::run(means, opening, ledger).await
    }

    /// The tools that the runbook's header allows.
    async fn toolbox(&self, subject: &Subject<'_>, runbook: Option<&runbook::Runbook>) -> Toolbox {
        let mut tools: Vec<Box<dyn Tool>> = Vec::with_capacity(self.tools.len() + 1);
        let own = self.by_cluster.get(&subject.facts.workload.cluster).into_iter().flatten();
        for tool in self.tools.iter().chain(own).cloned().chain(self.mcp.tools().await) {
            match subject.session.filter(|_| asks_a_source(tool.as_ref())) {
                Some(session) => tools.push(Box::new(Relayed::new(tool, session))),
                None => tools.push(Box::new(tool)),
            }
        }
        let catalogue = Arc::clone(&subject.catalogue);
        tools.push(Box::new(RunbookRead::new(catalogue, subject.alerts, &subject.facts.workload)));
        let named = runbook.map_or(&runbook::Tool::ALL[..], |runbook| &runbook.tools);
        let named = named.iter().map(ToString::to_string);
        let allowed: Vec<String> = named.chain(ALWAYS_ALLOWED.map(str::to_owned)).collect();
        Toolbox::new(tools, &allowed, Duration::from_secs(self.settings.tool_secs))
    }
}

impl Subject<'_> {
    fn bounds(&self) -> Bounds {
        let now = self.facts.observed_at;
        let firing = self.alerts.iter().filter(|alert| alert.is_firing());
        let (namespaces, own_pods_only) = match &self.scope {
            Scope::Cluster => (Vec::new(), false),
            Scope::Namespace(namespace) => (vec![namespace.clone()], false),
            Scope::Namespaces(namespaces) => (namespaces.clone(), false),
            Scope::Workload { namespace } => (vec![namespace.clone()], true),
        };
        Bounds {
            workload: self.facts.workload.clone(),
            namespaces,
            own_pods_only,
            // What every scope may see of nodes and storage.
            nothing_shared: false,
            onset: firing.map(|alert| alert.starts_at).min().unwrap_or(now),
            now,
        }
    }
}

/// Nobody who writes into a cluster can know it.
fn fence_word() -> String {
    let word = uuid::Uuid::now_v7().simple().to_string();
    word[word.len() - FENCE_DIGITS..].to_owned()
}

/// What earlier investigations found, runbooks and MCP servers are this process's; the sources are the cluster's.
fn asks_a_source(tool: &dyn Tool) -> bool {
    runbook::Tool::ALL.iter().any(|source| source.to_string() == tool.group())
}
