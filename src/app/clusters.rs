//! The settings' clusters become sources: the top-level blocks are one, `clusters` are the others. A source that two
//! share is built for each with its own labels; what could read another's data is an error that names it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, ensure};

use super::rights;
use crate::evidence::{Fleet, Sources};
use crate::incident::resolve::{Reached, Resolver};
use crate::settings::{Cluster, ExcessRights, HttpSource, Kubernetes, Settings};
use crate::source::kubernetes;
use crate::source::{loki::Loki, prometheus::Prometheus, tempo::Tempo};

/// Everything that can be asked, by cluster.
#[derive(Debug, Clone)]
pub struct Clusters {
    pub fleet: Fleet,
    /// The cluster of alerts that name none.
    pub usual: String,
    /// What is done about rights that a cluster gives us too many of; by cluster.
    stances: BTreeMap<String, ExcessRights>,
}

/// The three kinds of sources that can be shared, with the name of their setting.
type Kind = (&'static str, fn(&Cluster) -> &HttpSource);
const KINDS: [Kind; 3] =
    [("prometheus", |one| &one.prometheus), ("loki", |one| &one.loki), ("tempo", |one| &one.tempo)];

/// Connects what is configured. A cluster that is away now is asked again by each investigation.
///
/// # Errors
/// Settings that cannot work: a file that is missing, an address that is none, two clusters that would read each
/// other's data.
pub async fn clusters(settings: &Settings, http: &reqwest::Client) -> anyhow::Result<Clusters> {
    let all = all(settings)?;
    let usual = settings.kubernetes.cluster.clone();
    let (mut sources, mut stances) = (BTreeMap::new(), BTreeMap::new());
    for one in &all {
        let place =
            if settings.clusters.is_empty() { String::new() } else { format!("cluster {}: ", one.name) };
        let built = connect(one, http, settings).await.with_context(|| format!("{place}its sources"))?;
        sources.insert(one.name.clone(), built);
        stances
            .extend(one.kubernetes.as_ref().map(|kubernetes| (one.name.clone(), kubernetes.excess_rights)));
    }
    let only = settings.clusters.is_empty().then(|| sources.remove(&usual)).flatten();
    let fleet = only.map_or(Fleet::Many(sources), Fleet::from);
    Ok(Clusters { fleet, usual, stances })
}

impl Clusters {
    /// Each with its name; the only one is called as in the settings.
    pub fn each(&self) -> impl Iterator<Item = (&str, &Sources)> {
        let usual = self.usual.as_str();
        self.fleet.iter().map(move |(name, sources)| (if name.is_empty() { usual } else { name }, sources))
    }

    /// # Errors
    /// A cluster in which we may do what we must not, and whose settings do not accept that.
    pub async fn check_rights(&self) -> anyhow::Result<()> {
        let checks =
            self.each().filter_map(|(name, sources)| {
                let (client, stance) = (sources.kubernetes.as_ref()?, *self.stances.get(name)?);
                Some(async move {
                    rights::check(client, stance).await.with_context(|| format!("cluster `{name}`"))
                })
            });
        futures::future::join_all(checks).await.into_iter().collect()
    }

    /// Finds the workloads of alerts, each in its own cluster.
    pub fn resolver(&self) -> Resolver {
        let reached = |sources: &Sources| Reached {
            kubernetes: sources.kubernetes.clone(),
            prometheus: sources.prometheus.clone(),
        };
        match &self.fleet {
            Fleet::One(sources) => Resolver::of(self.usual.clone(), reached(sources)),
            Fleet::Many(clusters) => {
                let each = clusters.iter().map(|(name, sources)| (name.clone(), reached(sources)));
                Resolver::of_many(self.usual.clone(), Arc::new(each.collect()))
            }
        }
    }
}

/// Every cluster with its sources as they are asked: shared ones with the address of whom they are shared with.
pub(super) fn all(settings: &Settings) -> anyhow::Result<Vec<Cluster>> {
    let mut all = Vec::new();
    let own = &settings.kubernetes;
    let sources = [&settings.prometheus, &settings.loki, &settings.tempo];
    let is_there = own.enabled || sources.iter().any(|one| one.url.is_some() || one.shared_with.is_some());
    if is_there || settings.clusters.is_empty() {
        let [prometheus, loki, tempo] = sources.map(Clone::clone);
        let kubernetes = own.enabled.then(|| own.clone());
        all.push(Cluster {
            name: own.cluster.clone(),
            aliases: Vec::new(),
            kubernetes,
            prometheus,
            loki,
            tempo,
        });
    }
    for cluster in &settings.clusters {
        check(cluster).with_context(|| format!("clusters: {}", cluster.name))?;
        ensure!(
            all.iter().all(|one| one.name != cluster.name),
            "clusters: two are called `{}`",
            cluster.name
        );
        all.push(cluster.clone());
    }
    let mut shared = all.clone();
    for one in &mut shared {
        let name = one.name.clone();
        for ((what, of), mine) in KINDS.iter().zip([&mut one.prometheus, &mut one.loki, &mut one.tempo]) {
            follow(&all, (*what, *of), mine).with_context(|| format!("clusters: {name}: {what}"))?;
        }
    }
    for (at, one) in shared.iter().enumerate() {
        for other in &shared[at + 1..] {
            apart(one, other)?;
        }
    }
    Ok(shared)
}

fn check(cluster: &Cluster) -> anyhow::Result<()> {
    ensure!(!cluster.name.trim().is_empty(), "it has no name");
    let Some(Kubernetes { url, kubeconfig, context, in_cluster, enabled, cluster: named, .. }) =
        &cluster.kubernetes
    else {
        return Ok(());
    };
    ensure!(named.is_empty(), "kubernetes.cluster: the name stands in `name`");
    // What would be found by itself is the cluster that we run in, which is another one.
    let told = url.is_some() || kubeconfig.is_some() || context.is_some() || *in_cluster;
    ensure!(told || !enabled, "kubernetes: say which: url, kubeconfig, context or in_cluster: true");
    Ok(())
}

/// Puts the address of another cluster's source in place of its name.
fn follow(all: &[Cluster], (what, of): Kind, source: &mut HttpSource) -> anyhow::Result<()> {
    let Some(owner) = source.shared_with.take() else { return Ok(()) };
    ensure!(source.url.is_none(), "url and shared_with: one of them");
    ensure!(
        !source.selector.is_empty(),
        "shared_with needs a selector, or its queries would read {owner}'s data"
    );
    let of_owner = all.iter().find(|one| one.name == owner).map(of);
    let of_owner = of_owner.with_context(|| format!("shared_with: no cluster is called `{owner}`"))?;
    ensure!(of_owner.url.is_some(), "shared_with: {owner} has no {what} of its own");
    *source = HttpSource { selector: std::mem::take(&mut source.selector), ..of_owner.clone() };
    Ok(())
}

/// Two clusters at one address, known by the same headers, must not be able to read the same data.
fn apart(one: &Cluster, other: &Cluster) -> anyhow::Result<()> {
    for (what, of) in KINDS {
        let (a, b) = (of(one), of(other));
        let same_place = a.url.is_some() && a.url == b.url && tenant(a) == tenant(b);
        let differ =
            a.selector.iter().any(|(label, value)| b.selector.get(label).is_some_and(|other| other != value));
        ensure!(
            !same_place || differ,
            "clusters: {} and {} read the same {what}: give each a selector with another value of one label, such as \
             selector: {{cluster: {}}}, or another tenant in headers",
            one.name,
            other.name,
            one.name
        );
    }
    Ok(())
}

/// What may part the data behind one address.
fn tenant(source: &HttpSource) -> Vec<(String, String)> {
    use secrecy::ExposeSecret;
    let headers = source.headers.iter();
    headers.map(|(name, value)| (name.to_ascii_lowercase(), value.expose_secret().to_owned())).collect()
}

async fn connect(one: &Cluster, http: &reqwest::Client, settings: &Settings) -> anyhow::Result<Sources> {
    let kubernetes = match one.kubernetes.as_ref().filter(|kubernetes| kubernetes.enabled) {
        Some(kubernetes) => Some(kubernetes::Client::connect(kubernetes).await.context(
            "no way to a Kubernetes cluster; set kubernetes.url, run inside a cluster, or set kubernetes.enabled: false",
        )?),
        None => None,
    };
    let log_tail_lines = one.kubernetes.as_ref().unwrap_or(&settings.kubernetes).log_tail_lines;
    Ok(Sources {
        kubernetes,
        prometheus: Prometheus::new(http.clone(), &one.prometheus).context("setting prometheus")?,
        loki: Loki::new(http.clone(), &one.loki).context("setting loki")?,
        tempo: Tempo::new(http.clone(), &one.tempo).context("setting tempo")?,
        log_tail_lines,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(settings: Value) -> anyhow::Result<Vec<Cluster>> {
        all(&serde_json::from_value(settings).unwrap())
    }

    #[test]
    fn a_shared_source_has_the_others_address_and_its_own_labels() {
        let shared = read(json!({
            "kubernetes": {"enabled": false},
            "clusters": [
                {"name": "hub", "loki": {"url": "http://loki", "headers": {"X-Scope-OrgID": "all"},
                                         "selector": {"cluster": "hub"}}},
                {"name": "a", "kubernetes": {"url": "http://a"},
                 "loki": {"shared_with": "hub", "selector": {"cluster": "a"}}},
            ],
        }))
        .unwrap();
        let [hub, a] = shared.as_slice() else { panic!("{shared:?}") };
        assert_eq!((a.loki.url.as_deref(), a.loki.headers.len()), (Some("http://loki"), 1));
        assert_eq!(
            (hub.loki.selector["cluster"].as_str(), a.loki.selector["cluster"].as_str()),
            ("hub", "a")
        );
        let alone = read(json!({"kubernetes": {"cluster": "lab"}})).unwrap();
        assert_eq!(alone.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["lab"]);
    }

    #[test]
    fn clusters_that_would_read_each_others_data_are_refused() {
        let loki = |of: Value| json!({"name": "a", "loki": of});
        let hub = json!({"name": "hub", "loki": {"url": "http://loki", "selector": {"cluster": "hub"}}});
        let bare = json!({"name": "hub", "loki": {"url": "http://loki"}});
        let same = "hub and a read the same loki";
        for (hub, a, why) in [
            (&hub, loki(json!({"shared_with": "hub"})), "shared_with needs a selector"),
            (&hub, loki(json!({"shared_with": "hub", "selector": {"cluster": "hub"}})), same),
            (&hub, loki(json!({"shared_with": "hub", "selector": {"other": "a"}})), same),
            (&bare, loki(json!({"shared_with": "hub", "selector": {"cluster": "a"}})), same),
            (&bare, loki(json!({"url": "http://loki"})), same),
            (
                &hub,
                loki(json!({"shared_with": "hup", "selector": {"cluster": "a"}})),
                "no cluster is called `hup`",
            ),
            (
                &hub,
                loki(json!({"shared_with": "hub", "url": "http://x", "selector": {"c": "a"}})),
                "one of them",
            ),
            (
                &hub,
                json!({"name": "a", "kubernetes": {}}),
                "say which: url, kubeconfig, context or in_cluster",
            ),
            (
                &hub,
                json!({"name": "a", "kubernetes": {"url": "http://a", "cluster": "b"}}),
                "stands in `name`",
            ),
            (&hub, json!({"name": "hub"}), "two are called `hub`"),
            (&hub, json!({"name": ""}), "it has no name"),
        ] {
            let settings = json!({"kubernetes": {"enabled": false}, "clusters": [hub, a]});
            let error = format!("{:#}", read(settings).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
        // Another tenant of one address is another source.
        let other = loki(json!({"url": "http://loki", "headers": {"X-Scope-OrgID": "a"}}));
        read(json!({"kubernetes": {"enabled": false}, "clusters": [bare, other]})).unwrap();
    }
}
