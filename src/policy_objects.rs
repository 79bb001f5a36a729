//! The conductor that keeps the teams' policies in force: now and then it reads them in each cluster, has `policy` compile
//! them, hands what holds to all who ask, and writes into each object what became of it. Every replica reads; one at a
//! time writes. What cannot be read stays as it was known last.

mod conditions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use k8s_openapi::api::core::v1::Namespace;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::policy::team::{Fate, compile};
use crate::policy::{Allowed, Namespaces, Policies, Policy};
use crate::postgres::chore;
use crate::source::kubernetes::policy_object::{Condition, PolicyObject};
use crate::source::kubernetes::{Client, Error, MAX_PER_NAMESPACE, PolicyStatusWriter};
use crate::telemetry;

/// A start waits no longer for the policies of a cluster; what was not read by then is read soon after.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// Statuses written in one turn; what is left waits for the next.
const MAX_WRITES: usize = 256;
/// A namespace in which we may not write is tried again after this.
const REFUSED_FOR: Duration = Duration::from_secs(600);

const UNKNOWN: &str = "the cluster does not know the kind; `whodunit crd | kubectl apply -f -` tells it";

/// The policies of all teams, as they are in force.
pub struct PolicyObjects {
    pub clusters: Vec<Cluster>,
    pub allowed: Arc<Allowed>,
    /// What others look at.
    pub in_force: watch::Sender<Arc<Policies>>,
    pub every: Duration,
}

/// One cluster, and what is known of it.
pub struct Cluster {
    /// None: it is the only one.
    pub name: Option<String>,
    pub client: Client,
    pub writer: PolicyStatusWriter,
    /// Empty: all.
    pub namespaces: Vec<String>,
    pub known: Known,
}

/// What was read of a cluster last, and what came of it.
#[derive(Default)]
pub struct Known {
    namespaces: BTreeMap<String, Own>,
    /// Namespaces in which statuses could not be written, and since when.
    refused: Option<(Instant, BTreeSet<String>)>,
    refusal_told: bool,
    /// What is known is not in force yet: a look may end at any await.
    stale: bool,
    /// The fault that was told last, so that each is told once.
    fault: Option<String>,
    turns: usize,
}

/// Of one namespace.
struct Own {
    objects: Vec<PolicyObject>,
    policies: Arc<Vec<Policy>>,
    fates: Vec<Fate>,
}

impl PolicyObjects {
    /// Reads each cluster once, within a deadline, so that a start forgets no team's policy.
    pub async fn first(&mut self) {
        let (allowed, in_force) = (&self.allowed, &self.in_force);
        let looks = self.clusters.iter_mut().map(|cluster| async move {
            if tokio::time::timeout(FIRST_LOOK, cluster.look(allowed, in_force)).await.is_err() {
                tracing::warn!(cluster = cluster.called(), "its policies were not read before the start");
            }
        });
        futures::future::join_all(looks).await;
    }

    /// Keeps them fresh until `shutdown`; a cluster that does not answer delays no other.
    pub async fn run(self, pool: PgPool, shutdown: CancellationToken) {
        let Self { clusters, allowed, in_force, every } = self;
        let (pool, allowed, in_force) = (&pool, &allowed, &in_force);
        let loops = clusters.into_iter().map(|mut cluster| async move {
            loop {
                cluster.look(allowed, in_force).await;
                if let Err(error) = cluster.tell(pool, every).await {
                    tracing::warn!(%error, "no turn to write what became of policies");
                }
                tokio::time::sleep(every).await;
            }
        });
        shutdown.run_until_cancelled(futures::future::join_all(loops)).await;
    }
}

impl Cluster {
    fn called(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Reads what there is, and puts it in force where it changed.
    async fn look(&mut self, allowed: &Arc<Allowed>, in_force: &watch::Sender<Arc<Policies>>) {
        let before: Vec<String> = self.known.namespaces.keys().cloned().collect();
        let (read, fault) = self.read(&before).await;
        self.note(fault);
        let Some(read) = read else { return };
        for name in before.into_iter().filter(|name| !read.contains_key(name)) {
            self.known.namespaces.remove(&name);
            self.known.stale = true;
        }
        for (name, objects) in read {
            self.take(name, objects, allowed).await;
        }
        if std::mem::take(&mut self.known.stale) {
            let own = self.known.namespaces.iter().filter(|(_, own)| !own.policies.is_empty());
            let namespaces: Namespaces =
                own.map(|(name, own)| (name.clone(), Arc::clone(&own.policies))).collect();
            let count: usize = namespaces.values().map(|policies| policies.len()).sum();
            tracing::info!(cluster = self.called(), policies = count, "the teams' policies changed");
            let name = self.name.as_deref();
            in_force.send_modify(|policies| *policies = Arc::new(policies.with_teams(name, namespaces)));
        }
        let fates = || self.known.namespaces.values().flat_map(|own| &own.fates);
        let accepted = fates().filter(|fate| matches!(fate, Fate::InForce | Fate::Shadowed(_))).count();
        for (state, count) in [("accepted", accepted), ("refused", fates().count() - accepted)] {
            let labels = [("cluster", self.called().to_owned()), ("state", state.to_owned())];
            metrics::gauge!(telemetry::POLICY_OBJECTS, &labels).set(count as f64);
        }
    }

    /// What each namespace has now; None where nothing at all could be read. A namespace that cannot be read has what
    /// it had.
    async fn read(&self, before: &[String]) -> (Option<BTreeMap<String, Vec<PolicyObject>>>, Option<String>) {
        let named = if self.namespaces.is_empty() {
            match self.client.policy_objects("").await {
                Ok(list) if !list.crowded => {
                    let fault = list.unknown.then(|| UNKNOWN.to_owned());
                    return (Some(by_namespace(list.objects)), fault);
                }
                Ok(_) => match self.client.names::<Namespace>("").await {
                    Ok(names) => names.value,
                    Err(error) => return (None, Some(format!("its namespaces: {error}"))),
                },
                Err(error) => return (None, Some(error.to_string())),
            }
        } else {
            self.namespaces.clone()
        };
        let (mut read, mut fault) = (BTreeMap::new(), None);
        for name in named {
            match self.client.policy_objects(&name).await {
                Ok(list) => {
                    if list.crowded {
                        fault = Some(format!(
                            "{name} has more than {MAX_PER_NAMESPACE} policies; the first by name are read"
                        ));
                    }
                    if list.unknown {
                        fault = Some(UNKNOWN.to_owned());
                    }
                    read.insert(name, list.objects);
                }
                Err(error) => {
                    if before.contains(&name)
                        && let Some(own) = self.known.namespaces.get(&name)
                    {
                        read.insert(name.clone(), own.objects.clone());
                    }
                    fault = Some(format!("{name}: {error}"));
                }
            }
        }
        read.retain(|_, objects| !objects.is_empty());
        (Some(read), fault)
    }

    /// Compiles what a namespace has now, where it is not what it had.
    async fn take(&mut self, name: String, objects: Vec<PolicyObject>, allowed: &Arc<Allowed>) {
        if let Some(own) = self.known.namespaces.get_mut(&name)
            && own.objects.len() == objects.len()
            && objects.iter().zip(&own.objects).all(|(now, before)| now.is_as(before))
        {
            own.objects = objects;
            return;
        }
        let allowed = Arc::clone(allowed);
        // Globs take a while to compile, and other tasks wait behind this one.
        let compiled = tokio::task::spawn_blocking(move || {
            let (policies, fates) = compile(&objects, &allowed);
            Own { objects, policies: Arc::new(policies), fates }
        });
        match compiled.await {
            Ok(own) => {
                self.known.namespaces.insert(name, own);
                self.known.stale = true;
            }
            Err(error) => tracing::error!(%error, namespace = name, "policies could not be compiled"),
        }
    }

    /// A fault is told when it begins and when it ends.
    fn note(&mut self, fault: Option<String>) {
        match &fault {
            Some(fault) if self.known.fault.as_ref() != Some(fault) => tracing::warn!(
                cluster = self.called(),
                fault,
                "the teams' policies could not all be read; those known last stay in force"
            ),
            None if self.known.fault.is_some() => {
                tracing::info!(cluster = self.called(), "the teams' policies are read again");
            }
            _ => {}
        }
        self.known.fault = fault;
    }

    /// Writes what became of policies where it does not stand there yet, if it is this replica's turn.
    ///
    /// # Errors
    /// The database's.
    async fn tell(&mut self, pool: &PgPool, every: Duration) -> Result<(), sqlx::Error> {
        if self.known.refused.as_ref().is_some_and(|(since, _)| since.elapsed() > REFUSED_FOR) {
            self.known.refused = None;
        }
        let mut pending = self.pending();
        if pending.is_empty() {
            return Ok(());
        }
        let turn = format!("policy status {}", self.called());
        // A little less than the interval, or every second turn would come too early.
        if !chore::turn(pool, &turn, every.mul_f64(0.9)).await? {
            return Ok(());
        }
        // Many in some namespaces must not keep the last ones from ever being told.
        let start = self.known.turns.wrapping_mul(MAX_WRITES) % pending.len();
        self.known.turns = self.known.turns.wrapping_add(1);
        pending.rotate_left(start);
        let (writer, mut forbidden) = (self.writer.clone(), BTreeSet::new());
        for (object, conditions) in pending.into_iter().take(MAX_WRITES) {
            if forbidden.contains(&object.namespace) {
                continue;
            }
            let (namespace, name) = (&object.namespace, &object.name);
            match writer.write(&object, &conditions).await {
                Ok(()) => tracing::debug!(namespace, name, "wrote what became of a policy"),
                Err(Error::Forbidden(_)) => {
                    forbidden.insert(namespace.clone());
                }
                // Changed or gone since it was read: the next look sees it as it is then.
                Err(error @ (Error::NotFound | Error::BadRequest(_))) => {
                    tracing::debug!(namespace, name, %error, "a policy's status was not written");
                }
                Err(error) => {
                    tracing::debug!(%error, "statuses of policies are written later");
                    break;
                }
            }
        }
        self.refuse(forbidden);
        Ok(())
    }

    fn pending(&self) -> Vec<(PolicyObject, Vec<Condition>)> {
        let now = Utc::now();
        let refused = |name: &str| self.known.refused.as_ref().is_some_and(|(_, names)| names.contains(name));
        let own = self.known.namespaces.iter().filter(|(name, _)| !refused(name));
        let each = own.flat_map(|(_, own)| own.objects.iter().zip(&own.fates));
        each.filter_map(|(object, fate)| Some((object.clone(), conditions::next(object, fate, now)?)))
            .collect()
    }

    /// Without the right to write the policies are in force nevertheless; that is said once.
    fn refuse(&mut self, forbidden: BTreeSet<String>) {
        if forbidden.is_empty() {
            return;
        }
        if !self.known.refusal_told {
            self.known.refusal_told = true;
            tracing::warn!(
                cluster = self.called(),
                namespaces = forbidden.len(),
                "what became of the teams' policies may not be written: patch on investigationpolicies/status is \
                 missing; the policies are in force"
            );
        }
        let (_, names) = self.known.refused.get_or_insert_with(|| (Instant::now(), BTreeSet::new()));
        names.extend(forbidden);
    }
}

fn by_namespace(objects: Vec<PolicyObject>) -> BTreeMap<String, Vec<PolicyObject>> {
    let mut all: BTreeMap<String, Vec<PolicyObject>> = BTreeMap::new();
    for object in objects {
        all.entry(object.namespace.clone()).or_default().push(object);
    }
    all
}
