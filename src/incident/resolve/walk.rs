//! Follows a hint through the live cluster to the top owner: owner references, selectors, claims, scale
//! targets; for pods that are gone Prometheus' memory and the name's shape, checked against the API.

use chrono::{DateTime, Utc};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{Hint, Resolved, shape};
use crate::source::kubernetes::{Client, Error, ListQuery, controller};
use crate::source::prometheus::{self, Prometheus};
use crate::workload::Workload;

/// Owners above owners: Pod, Job, CronJob, an operator's own kind; more is a loop.
const MAX_OWNERS: usize = 6;
/// How far back Prometheus is asked about a pod that is gone.
const GONE_WINDOW: &str = "24h";

pub(super) struct Walk<'a> {
    pub client: &'a Client,
    pub prometheus: Option<&'a Prometheus>,
    pub cluster: &'a str,
    pub now: DateTime<Utc>,
}

impl Walk<'_> {
    pub async fn follow(&self, hint: &Hint) -> Result<Resolved, Error> {
        match hint {
            Hint::Object { kind: "HorizontalPodAutoscaler", namespace, name } => {
                self.autoscaler(namespace, name).await
            }
            Hint::Object { kind: "PodDisruptionBudget", namespace, name } => {
                self.disruption_budget(namespace, name).await
            }
            Hint::Object { kind: "PersistentVolumeClaim", namespace, name } => {
                self.claim(namespace, name).await
            }
            Hint::Object { kind, namespace, name } => self.top(namespace, kind, name).await,
            Hint::Pod { namespace, name } => self.pod(namespace, name).await,
            Hint::Application { namespace, name, otherwise } => {
                self.application(namespace, name, otherwise.as_deref()).await
            }
            Hint::Volume { name } => self.volume(name).await,
            Hint::NodeAddress { address } => self.node_at(address).await,
            Hint::Node { .. } | Hint::Namespace { .. } | Hint::Component { .. } => {
                Ok(Resolved { workload: super::unasked(hint, self.cluster), confident: true })
            }
        }
    }

    fn sure(&self, namespace: &str, kind: &str, name: &str) -> Resolved {
        let workload = Workload::new(self.cluster, namespace, kind, name);
        Resolved { workload, confident: true }
    }

    /// Up the owner references as far as they go. An owner that is gone is read from its name's shape.
    pub(super) async fn top(&self, namespace: &str, kind: &str, name: &str) -> Result<Resolved, Error> {
        let (mut kind, mut name) = (kind.to_owned(), name.to_owned());
        for _level in 0..MAX_OWNERS {
            match self.client.owner(&kind, namespace, &name).await {
                Ok(Some(owner)) => (kind, name) = (owner.kind, owner.name),
                Ok(None) => break,
                Err(Error::NotFound) => {
                    let above = match kind.as_str() {
                        "ReplicaSet" => shape::deployment_of_set(&name).map(|owner| ("Deployment", owner)),
                        "Job" => shape::cronjob_of_job(&name).map(|owner| ("CronJob", owner)),
                        _ => None,
                    };
                    let Some((above, owner)) = above else { break };
                    (kind, name) = (above.to_owned(), owner.to_owned());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.sure(namespace, &kind, &name))
    }

    async fn pod(&self, namespace: &str, name: &str) -> Result<Resolved, Error> {
        match self.client.owner("Pod", namespace, name).await {
            Ok(Some(owner)) => return self.top(namespace, &owner.kind, &owner.name).await,
            Ok(None) => return Ok(self.sure(namespace, "Pod", name)),
            Err(Error::NotFound) => {}
            // A value that is no object's name at all can still be an application's.
            Err(Error::BadRequest(_)) => return Ok(self.unsure(namespace, "Pod", name)),
            Err(error) => return Err(error),
        }
        if let Some((kind, owner)) = self.remembered(namespace, name).await {
            return self.top(namespace, &kind, &owner).await;
        }
        if let Some((kind, owner)) = shape::owner_of_pod(name) {
            let candidates: &[&str] = if kind == "DaemonSet" { &["DaemonSet", "Job"] } else { &[kind] };
            for candidate in candidates {
                if self.exists(candidate, namespace, owner).await? {
                    return self.top(namespace, candidate, owner).await;
                }
            }
            return Ok(self.unsure(namespace, kind, owner));
        }
        // `pod="api-gateway"` on an application's alert is the Deployment of that name.
        match self.same_name(namespace, name).await? {
            Some(resolved) => Ok(resolved),
            None => Ok(self.unsure(namespace, "Pod", name)),
        }
    }

    fn unsure(&self, namespace: &str, kind: &str, name: &str) -> Resolved {
        Resolved { confident: false, ..self.sure(namespace, kind, name) }
    }

    /// kube-state-metrics' last word on a pod that the API no longer has.
    async fn remembered(&self, namespace: &str, pod: &str) -> Option<(String, String)> {
        let labels = [("namespace", namespace), ("pod", pod)];
        let selector = prometheus::selector("kube_pod_owner", &labels);
        let promql = format!("last_over_time({selector}[{GONE_WINDOW}])");
        let answer = self.prometheus?.query(&promql, self.now).await.ok()?;
        let series = answer.series.first()?;
        let owner =
            |key: &str| series.labels.get(key).filter(|value| !value.is_empty() && *value != "<none>");
        Some((owner("owner_kind")?.clone(), owner("owner_name")?.clone()))
    }

    async fn exists(&self, kind: &str, namespace: &str, name: &str) -> Result<bool, Error> {
        match self.client.metadata(kind, namespace, name).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A controller of exactly this name.
    async fn same_name(&self, namespace: &str, name: &str) -> Result<Option<Resolved>, Error> {
        for kind in ["Deployment", "StatefulSet", "DaemonSet"] {
            if self.exists(kind, namespace, name).await? {
                return self.top(namespace, kind, name).await.map(Some);
            }
        }
        Ok(None)
    }

    /// The owner that most pods of a selector share; None when it selects nothing.
    async fn owner_of_selected(&self, namespace: &str, selector: &str) -> Result<Option<Resolved>, Error> {
        if selector.is_empty() {
            return Ok(None);
        }
        let pods = self.client.list::<Pod>(namespace, &ListQuery::labels(selector)).await?;
        self.owner_of_pods(namespace, &pods.value.items).await
    }

    async fn owner_of_pods(&self, namespace: &str, pods: &[Pod]) -> Result<Option<Resolved>, Error> {
        let mut counts: std::collections::BTreeMap<(String, String), usize> =
            std::collections::BTreeMap::new();
        for pod in pods {
            let owner = controller(&pod.metadata).map_or_else(
                || ("Pod".to_owned(), pod.metadata.name.clone().unwrap_or_default()),
                |owner| (owner.kind, owner.name),
            );
            *counts.entry(owner).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(owner, count)| (*count, std::cmp::Reverse(owner.clone())));
        match most {
            Some(((kind, name), _)) => self.top(namespace, &kind, &name).await.map(Some),
            None => Ok(None),
        }
    }

    async fn application(
        &self,
        namespace: &str,
        name: &str,
        otherwise: Option<&str>,
    ) -> Result<Resolved, Error> {
        let service = match self.client.get::<Service>(namespace, name).await {
            Ok(service) => Some(service.value),
            Err(Error::NotFound | Error::BadRequest(_)) => None,
            Err(error) => return Err(error),
        };
        let selector = service.as_ref().and_then(|service| service.spec.as_ref()?.selector.as_ref());
        if let Some(selector) = selector {
            let selector: Vec<String> =
                selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
            if let Some(owner) = self.owner_of_selected(namespace, &selector.join(",")).await? {
                return Ok(owner);
            }
        }
        if let Some(resolved) = self.same_name(namespace, name).await? {
            return Ok(resolved);
        }
        if service.is_some() {
            return Ok(self.sure(namespace, "Service", name));
        }
        for label in ["app.kubernetes.io/name", "app"] {
            // A value that is no label value would make the selector an error.
            if name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_')) {
                let selector = format!("{label}={name}");
                if let Some(owner) = self.owner_of_selected(namespace, &selector).await? {
                    return Ok(owner);
                }
            }
        }
        Ok(match otherwise {
            Some(component) => self.sure("", "Cluster", &component.replace('/', "-")),
            None => self.unsure(namespace, "Service", name),
        })
    }

    async fn autoscaler(&self, namespace: &str, name: &str) -> Result<Resolved, Error> {
        match self.client.get::<HorizontalPodAutoscaler>(namespace, name).await {
            Ok(hpa) => {
                let target = hpa.value.spec.scale_target_ref;
                self.top(namespace, &target.kind, &target.name).await
            }
            Err(Error::NotFound) => Ok(self.unsure(namespace, "HorizontalPodAutoscaler", name)),
            Err(error) => Err(error),
        }
    }

    async fn disruption_budget(&self, namespace: &str, name: &str) -> Result<Resolved, Error> {
        let budget = match self.client.get::<PodDisruptionBudget>(namespace, name).await {
            Ok(budget) => budget.value,
            Err(Error::NotFound) => return Ok(self.unsure(namespace, "PodDisruptionBudget", name)),
            Err(error) => return Err(error),
        };
        let selector = budget.spec.and_then(|spec| spec.selector).map(|selector| selector_text(&selector));
        let owner = self.owner_of_selected(namespace, &selector.unwrap_or_default()).await?;
        Ok(owner.unwrap_or_else(|| self.sure(namespace, "PodDisruptionBudget", name)))
    }

    async fn claim(&self, namespace: &str, name: &str) -> Result<Resolved, Error> {
        let pods = self.client.list::<Pod>(namespace, &ListQuery::default()).await?.value.items;
        let mounts = |pod: &Pod| {
            let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
            volumes.iter().any(|v| v.persistent_volume_claim.as_ref().is_some_and(|c| c.claim_name == name))
        };
        let mounting: Vec<Pod> = pods.into_iter().filter(mounts).collect();
        let owner = self.owner_of_pods(namespace, &mounting).await?;
        Ok(owner.unwrap_or_else(|| self.sure(namespace, "PersistentVolumeClaim", name)))
    }

    async fn volume(&self, name: &str) -> Result<Resolved, Error> {
        match self.client.get::<PersistentVolume>("", name).await {
            Ok(volume) => {
                let claim = volume.value.spec.and_then(|spec| spec.claim_ref);
                match claim.and_then(|claim| Some((claim.namespace?, claim.name?))) {
                    Some((namespace, claim)) => self.claim(&namespace, &claim).await,
                    None => Ok(self.sure("", "PersistentVolume", name)),
                }
            }
            Err(Error::NotFound) => Ok(self.unsure("", "PersistentVolume", name)),
            Err(error) => Err(error),
        }
    }

    async fn node_at(&self, address: &str) -> Result<Resolved, Error> {
        let nodes = self.client.list::<Node>("", &ListQuery::default()).await?.value.items;
        let has = |node: &&Node| {
            let addresses = node.status.as_ref().and_then(|status| status.addresses.as_deref());
            addresses.unwrap_or_default().iter().any(|known| known.address == address)
        };
        let name = nodes.iter().find(has).and_then(|node| node.metadata.name.as_deref());
        Ok(match name {
            Some(name) => self.sure("", "Node", name),
            None => self.unsure("", "Node", address),
        })
    }
}

/// A label selector as the API reads it in a query.
fn selector_text(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let expressions = selector.match_expressions.iter().flatten().map(|expression| {
        let values = expression.values.as_deref().unwrap_or_default().join(",");
        match expression.operator.as_str() {
            "In" => format!("{} in ({values})", expression.key),
            "NotIn" => format!("{} notin ({values})", expression.key),
            "DoesNotExist" => format!("!{}", expression.key),
            _ => expression.key.clone(),
        }
    });
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}
