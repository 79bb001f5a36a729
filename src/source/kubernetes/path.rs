//! Builds and judges request paths: which object is asked for, and whether it may be asked for at all.
//! Pure; every request passes `check` before it is sent. Secrets, tokens and everything that reaches into
//! a container or through a proxy are refused here, whatever the service account would be allowed.

use k8s_openapi::Resource;

use super::Error;

/// Longest name or namespace that the API accepts.
const MAX_NAME_CHARS: usize = 253;

/// `/api/v1/namespaces/shop/pods/x`: the path of a kind, "" for no namespace or no name.
pub(super) fn of<K: Resource>(namespace: &str, name: &str) -> Result<String, Error> {
    let prefix = if K::GROUP.is_empty() {
        format!("/api/{}", K::VERSION)
    } else {
        format!("/apis/{}", K::API_VERSION)
    };
    build(&prefix, K::URL_PATH_SEGMENT, namespace, name)
}

/// The path of a kind known by name only; None for kinds that are not built into Kubernetes.
pub(super) fn of_kind(kind: &str, namespace: &str, name: &str) -> Option<Result<String, Error>> {
    let (prefix, plural) = match kind {
        "Pod" => ("/api/v1", "pods"),
        "Service" => ("/api/v1", "services"),
        "PersistentVolumeClaim" => ("/api/v1", "persistentvolumeclaims"),
        "ReplicationController" => ("/api/v1", "replicationcontrollers"),
        "ServiceAccount" => ("/api/v1", "serviceaccounts"),
        "ConfigMap" => ("/api/v1", "configmaps"),
        "Deployment" => ("/apis/apps/v1", "deployments"),
        "ReplicaSet" => ("/apis/apps/v1", "replicasets"),
        "StatefulSet" => ("/apis/apps/v1", "statefulsets"),
        "DaemonSet" => ("/apis/apps/v1", "daemonsets"),
        "Job" => ("/apis/batch/v1", "jobs"),
        "CronJob" => ("/apis/batch/v1", "cronjobs"),
        _ => return None,
    };
    Some(build(prefix, plural, namespace, name))
}

pub(super) fn build(prefix: &str, plural: &str, namespace: &str, name: &str) -> Result<String, Error> {
    let mut path = prefix.to_owned();
    if !namespace.is_empty() {
        path.push_str("/namespaces/");
        path.push_str(segment(namespace)?);
    }
    path.push('/');
    path.push_str(plural);
    if !name.is_empty() {
        path.push('/');
        path.push_str(segment(name)?);
    }
    Ok(path)
}

/// Names come from labels and logs: one that is no object name must never become another path.
pub(super) fn segment(name: &str) -> Result<&str, Error> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    let dots = name.chars().all(|c| c == '.');
    if name.is_empty() || dots || name.len() > MAX_NAME_CHARS || !name.chars().all(legal) {
        return Err(Error::BadRequest(format!("not an object name: {name:?}")));
    }
    Ok(name)
}

/// Lets through what a reader of facts needs; the rest is refused before it is sent.
pub(super) fn check(path: &str) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::Refused(format!("{why}: {path}")));
    if matches!(path, "/version" | "/readyz" | "/livez" | "/healthz") {
        return Ok(());
    }
    if path.contains('%') || path.contains("..") || path.contains('?') {
        return refuse("not a plain path");
    }
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let rest = match segments.as_slice() {
        ["api", "v1", rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => return refuse("not a resource"),
    };
    let (resource, subresource) = match rest {
        ["namespaces", _, resource, tail @ ..] | [resource, tail @ ..] => (*resource, tail.get(1)),
        [] => return refuse("not a resource"),
    };
    if rest.iter().any(|part| part.is_empty()) || rest.len() > 5 {
        return refuse("not a resource");
    }
    if resource.eq_ignore_ascii_case("secrets") {
        return refuse("Secrets are never read");
    }
    if matches!(resource, "watch" | "proxy") {
        return refuse("neither watches nor proxies");
    }
    match subresource {
        None => Ok(()),
        Some(&"log") if resource == "pods" => Ok(()),
        Some(_) => refuse("no subresource but a pod's log"),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::{Node, Pod, Secret};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn typed_paths_are_the_documented_ones() {
        assert_eq!(of::<Pod>("shop", "a-1").unwrap(), "/api/v1/namespaces/shop/pods/a-1");
        assert_eq!(of::<Deployment>("shop", "").unwrap(), "/apis/apps/v1/namespaces/shop/deployments");
        assert_eq!(of::<Node>("", "node-1").unwrap(), "/api/v1/nodes/node-1");
        assert!(of_kind("Rollout", "shop", "x").is_none());
    }

    #[test]
    fn secrets_tokens_and_ways_into_containers_are_refused() {
        for path in [
            of::<Secret>("shop", "db").unwrap().as_str(),
            "/api/v1/secrets",
            "/api/v1/namespaces/shop/Secrets",
            "/api/v1/namespaces/shop/serviceaccounts/default/token",
            "/api/v1/namespaces/shop/pods/x/exec",
            "/api/v1/namespaces/shop/pods/x/attach",
            "/api/v1/namespaces/shop/pods/x/portforward",
            "/api/v1/namespaces/shop/pods/x/proxy",
            "/api/v1/namespaces/shop/services/x/proxy",
            "/api/v1/nodes/node-1/proxy/stats/summary",
            "/api/v1/nodes/node-1/proxy",
            "/api/v1/watch/secrets",
            "/api/v1/proxy/nodes/x",
            "/api/v1/namespaces/shop/pods/../secrets",
            "/api/v1/namespaces/shop/pods/%2e%2e/secrets",
            "/api/v1/namespaces//secrets",
            "/metrics",
            "/",
        ] {
            assert!(matches!(check(path), Err(Error::Refused(_))), "{path} passed");
        }
    }

    #[test]
    fn what_facts_need_passes() {
        for path in [
            "/version",
            "/readyz",
            "/api/v1/nodes",
            "/api/v1/namespaces",
            "/api/v1/namespaces/shop",
            "/api/v1/namespaces/shop/pods",
            "/api/v1/namespaces/shop/pods/x/log",
            "/apis/apps/v1/namespaces/shop/deployments/x",
            "/apis/storage.k8s.io/v1/storageclasses/fast-ssd",
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }

    proptest! {
        /// Whatever a label says, a built path never leaves its resource and never names a Secret.
        #[test]
        fn no_name_escapes_its_path(namespace in ".{0,20}", name in ".{0,20}") {
            if let Ok(path) = build("/api/v1", "pods", &namespace, &name) {
                prop_assert_eq!(check(&path), Ok(()));
                prop_assert!(path.split('/').any(|part| part == "pods"));
            }
        }
    }
}
