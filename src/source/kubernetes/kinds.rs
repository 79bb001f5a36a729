//! The kinds that may be asked for by name, with kubectl's spellings of them. A closed list: what does not
//! stand here cannot be read untyped, and Secrets do not stand here.

/// One kind of object.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// `Deployment`
    pub name: &'static str,
    /// `deployments`
    pub plural: &'static str,
    /// kubectl's short names.
    pub short: &'static [&'static str],
    /// `apps/v1`
    pub api_version: &'static str,
    pub namespaced: bool,
}

const fn namespaced(
    name: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    api_version: &'static str,
) -> Kind {
    Kind { name, plural, short, api_version, namespaced: true }
}

/// Kinds without a namespace are few: what stands here may be read in every scope.
const fn cluster_wide(
    name: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    api_version: &'static str,
) -> Kind {
    Kind { name, plural, short, api_version, namespaced: false }
}

/// Built-in kinds, and the custom resources that often stand above a workload.
pub const KINDS: [Kind; 33] = [
    namespaced("Pod", "pods", &["po"], "v1"),
    namespaced("Service", "services", &["svc"], "v1"),
    namespaced("ConfigMap", "configmaps", &["cm"], "v1"),
    namespaced("Event", "events", &["ev"], "v1"),
    namespaced("Endpoints", "endpoints", &["ep", "endpoint"], "v1"),
    namespaced("EndpointSlice", "endpointslices", &["eps"], "discovery.k8s.io/v1"),
    namespaced("PersistentVolumeClaim", "persistentvolumeclaims", &["pvc"], "v1"),
    namespaced("ReplicationController", "replicationcontrollers", &["rc"], "v1"),
    namespaced("ServiceAccount", "serviceaccounts", &["sa"], "v1"),
    namespaced("ResourceQuota", "resourcequotas", &["quota", "quotas"], "v1"),
    namespaced("LimitRange", "limitranges", &["limits", "limit"], "v1"),
    namespaced("Deployment", "deployments", &["deploy", "dep"], "apps/v1"),
    namespaced("ReplicaSet", "replicasets", &["rs"], "apps/v1"),
    namespaced("StatefulSet", "statefulsets", &["sts"], "apps/v1"),
    namespaced("DaemonSet", "daemonsets", &["ds"], "apps/v1"),
    namespaced("ControllerRevision", "controllerrevisions", &[], "apps/v1"),
    namespaced("Job", "jobs", &[], "batch/v1"),
    namespaced("CronJob", "cronjobs", &["cj"], "batch/v1"),
    namespaced("HorizontalPodAutoscaler", "horizontalpodautoscalers", &["hpa"], "autoscaling/v2"),
    namespaced("Ingress", "ingresses", &["ing"], "networking.k8s.io/v1"),
    namespaced("NetworkPolicy", "networkpolicies", &["netpol"], "networking.k8s.io/v1"),
    namespaced("PodDisruptionBudget", "poddisruptionbudgets", &["pdb"], "policy/v1"),
    namespaced("Lease", "leases", &[], "coordination.k8s.io/v1"),
    namespaced("Rollout", "rollouts", &[], "argoproj.io/v1alpha1"),
    namespaced("ScaledObject", "scaledobjects", &[], "keda.sh/v1alpha1"),
    namespaced("Certificate", "certificates", &["cert"], "cert-manager.io/v1"),
    namespaced("ExternalSecret", "externalsecrets", &["es"], "external-secrets.io/v1"),
    cluster_wide("Node", "nodes", &["no"], "v1"),
    cluster_wide("Namespace", "namespaces", &["ns"], "v1"),
    cluster_wide("PersistentVolume", "persistentvolumes", &["pv"], "v1"),
    cluster_wide("StorageClass", "storageclasses", &["sc"], "storage.k8s.io/v1"),
    cluster_wide("PriorityClass", "priorityclasses", &["pc"], "scheduling.k8s.io/v1"),
    cluster_wide("IngressClass", "ingressclasses", &[], "networking.k8s.io/v1"),
];

/// Usage of pods and nodes, where a metrics server runs; no objects that anybody asks for by name.
pub const POD_METRICS: Kind = namespaced("PodMetrics", "pods", &[], "metrics.k8s.io/v1beta1");
pub const NODE_METRICS: Kind = cluster_wide("NodeMetrics", "nodes", &[], "metrics.k8s.io/v1beta1");

/// The kind that a word means: kind, plural or short name, in any case.
pub fn kind(word: &str) -> Option<&'static Kind> {
    let word = word.to_ascii_lowercase();
    KINDS.iter().find(|kind| {
        kind.plural == word || kind.name.eq_ignore_ascii_case(&word) || kind.short.contains(&word.as_str())
    })
}

impl Kind {
    /// Not part of Kubernetes itself, so a cluster may not have it.
    pub fn is_custom(&self) -> bool {
        self.api_version
            .split_once('/')
            .is_some_and(|(group, _)| group.contains('.') && !group.ends_with(".k8s.io"))
    }

    /// `/apis/apps/v1`
    pub(super) fn prefix(&self) -> String {
        let root = if self.api_version.contains('/') { "apis" } else { "api" };
        format!("/{root}/{}", self.api_version)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_spelling_means_one_kind() {
        let mut seen = BTreeSet::new();
        for kind in &KINDS {
            let name = kind.name.to_ascii_lowercase();
            let spellings: BTreeSet<&str> =
                kind.short.iter().copied().chain([kind.plural, name.as_str()]).collect();
            for spelling in spellings {
                assert!(seen.insert(spelling.to_owned()), "{spelling} means two kinds");
                assert_eq!(super::kind(&spelling.to_uppercase()), Some(kind));
            }
        }
        assert!(seen.iter().all(|word| !matches!(word.as_str(), "secret" | "secrets")));
        assert_eq!(kind("secrets"), None);
    }

    #[test]
    fn kinds_without_a_namespace_are_the_named_ones() {
        let wide: Vec<&str> = KINDS.iter().filter(|kind| !kind.namespaced).map(|kind| kind.plural).collect();
        let named = [
            "nodes",
            "namespaces",
            "persistentvolumes",
            "storageclasses",
            "priorityclasses",
            "ingressclasses",
        ];
        assert_eq!(wide, named);
        assert!(kind("rollout").unwrap().is_custom());
        assert!(!kind("ing").unwrap().is_custom() && !kind("deploy").unwrap().is_custom());
    }

    /// The rules of the chart's roles; kustomize has the same ones, which scripts/deploy-check holds.
    const ROLES: [&str; 4] = [
        include_str!("../../../deploy/helm/whodunit/files/rules-namespaced.yaml"),
        include_str!("../../../deploy/helm/whodunit/files/rules-cluster.yaml"),
        include_str!("../../../deploy/helm/whodunit/files/rules-custom.yaml"),
        include_str!("../../../deploy/helm/whodunit/files/rules-policies.yaml"),
    ];

    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Rule {
        api_groups: Vec<String>,
        resources: Vec<String>,
        verbs: Vec<String>,
    }

    fn shipped() -> Vec<Rule> {
        ROLES.iter().flat_map(|text| serde_saphyr::from_str::<Vec<Rule>>(text).unwrap()).collect()
    }

    #[test]
    fn the_shipped_roles_grant_what_is_read() {
        let rules = shipped();
        let grants = |group: &str, plural: &str| {
            rules.iter().any(|rule| {
                rule.api_groups.iter().any(|one| one == group)
                    && rule.resources.iter().any(|one| one == plural)
                    && ["get", "list"].iter().all(|verb| rule.verbs.iter().any(|one| one == verb))
            })
        };
        let lacking: Vec<&str> = KINDS
            .iter()
            .chain([&POD_METRICS, &NODE_METRICS])
            .filter(|kind| {
                !grants(kind.api_version.rsplit_once('/').map_or("", |(group, _)| group), kind.plural)
            })
            .map(|kind| kind.name)
            .collect();
        assert!(lacking.is_empty(), "{lacking:?}");
        assert!(grants("", "pods/log") && grants("whodunit.dev", "investigationpolicies"));
        for shared in super::super::scope::SHARED_KINDS {
            assert!(rules.iter().any(|rule| rule.resources.iter().any(|one| one == shared)), "{shared}");
        }
    }

    #[test]
    fn the_shipped_roles_write_nothing_and_see_no_secret() {
        for rule in shipped() {
            assert!(rule.verbs.iter().all(|verb| verb == "get" || verb == "list"), "{:?}", rule.verbs);
            for word in rule.resources.iter().chain(&rule.api_groups) {
                assert!(!word.contains('*'), "{word}");
                assert!(!word.starts_with("secret"), "{word}");
                assert!(word == "pods/log" || !word.contains('/'), "{word}");
            }
        }
    }
}
