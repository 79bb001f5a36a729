//! The words by which models name objects, as kubectl's users write them.

use proptest::prelude::*;

use super::*;

fn understand(kind: &str, name: &str, namespace: &str) -> Result<Asked, Refusal> {
    let some = |text| (!str::is_empty(text)).then_some(text);
    Asked::understand(&Words {
        kind: some(kind),
        name: some(name),
        namespace: some(namespace),
        default_kind: "Pod",
    })
}

/// `Kind namespace/name`, with `.` for the own namespace.
fn short(asked: &Asked) -> String {
    let place = match &asked.place {
        Place::Own => ".",
        Place::All => "*",
        Place::Namespace(name) => name,
    };
    format!("{} {place}/{}", asked.kind.name, asked.name)
}

#[test]
fn kubectl_s_words_are_understood() {
    for (kind, name, namespace, expected) in [
        ("po", "x", "", "Pod ./x"),
        ("PODS", "x", "shop", "Pod shop/x"),
        ("deploy/x", "", "", "Deployment ./x"),
        ("deployment", "deploy/x", "", "Deployment ./x"),
        ("", "deploy/x", "", "Deployment ./x"),
        ("", "sts x", "shop", "StatefulSet shop/x"),
        ("", "x-5bccf", "", "Pod ./x-5bccf"),
        ("", "shop/x-5bccf", "", "Pod shop/x-5bccf"),
        ("", "pod/x -n shop", "", "Pod shop/x"),
        ("pods -n shop", "", "", "Pod shop/"),
        ("pods --namespace=shop -o wide", "", "shop", "Pod shop/"),
        ("po -A", "", "", "Pod */"),
        ("po", "", "*", "Pod */"),
        ("kubectl get pods", "", "", "Pod ./"),
        ("", "kubectl rollout history deploy/x -n shop", "", "Deployment shop/x"),
        ("apps/v1/deployments", "x", "", "Deployment ./x"),
        ("v1/pods/x", "", "", "Pod ./x"),
        ("deployments.apps", "x", "", "Deployment ./x"),
        ("deployments.v1.apps/x", "", "", "Deployment ./x"),
        ("shop/Deployment/x", "", "", "Deployment shop/x"),
        ("", "lab/shop/Deployment/x", "", "Deployment shop/x"),
        ("cm", "v1", "ns/shop", "ConfigMap shop/v1"),
        ("no", "node-1", "", "Node ./node-1"),
        ("svc", "`catalog`", "", "Service ./catalog"),
        ("es", "db", "", "ExternalSecret ./db"),
    ] {
        let asked = understand(kind, name, namespace);
        assert_eq!(short(&asked.unwrap()), expected, "{kind:?} {name:?} {namespace:?}");
    }
    let asked = understand("", "pod/x -c app --previous --tail=50", "").unwrap();
    let flag = |name| asked.flags.get(name).map(String::as_str);
    assert_eq!((flag("container"), flag("previous"), flag("tail")), (Some("app"), Some("true"), Some("50")));
}

#[test]
fn every_short_name_of_kubectl_is_known() {
    for (short, kind) in [
        ("po", "Pod"),
        ("deploy", "Deployment"),
        ("sts", "StatefulSet"),
        ("ds", "DaemonSet"),
        ("svc", "Service"),
        ("cm", "ConfigMap"),
        ("ns", "Namespace"),
        ("no", "Node"),
        ("pvc", "PersistentVolumeClaim"),
        ("pv", "PersistentVolume"),
        ("rs", "ReplicaSet"),
        ("hpa", "HorizontalPodAutoscaler"),
        ("cj", "CronJob"),
        ("ep", "Endpoints"),
        ("ing", "Ingress"),
        ("netpol", "NetworkPolicy"),
        ("quota", "ResourceQuota"),
        ("limits", "LimitRange"),
        ("sa", "ServiceAccount"),
        ("pdb", "PodDisruptionBudget"),
        ("sc", "StorageClass"),
        ("ev", "Event"),
        ("jobs", "Job"),
    ] {
        assert_eq!(understand(short, "", "").unwrap().kind.name, kind);
    }
}

#[test]
fn secrets_are_refused_in_every_spelling() {
    for (kind, name) in [
        ("secret", "db"),
        ("secrets", ""),
        ("Secret", "db"),
        ("SECRETS", "db"),
        ("v1/secrets", "db"),
        ("api/v1/secrets", "db"),
        ("/v1/secrets/db", ""),
        ("secret/db", ""),
        ("sec/db", ""),
        ("sec", "db"),
        ("secrets.v1", "db"),
        ("secret.v1./db", ""),
        ("shop/Secret/db", ""),
        ("pod", "secret/db"),
        ("configmap", "secrets/db"),
        ("", "secret/db"),
        ("", "secret db"),
        ("", "lab/shop/Secret/db"),
        ("kubectl get secret", "db"),
        ("se\u{200b}cret", "db"),
        ("\"secret\"", "db"),
        ("SecretList", ""),
    ] {
        let refusal = understand(kind, name, "").unwrap_err();
        assert!(matches!(refusal, Refusal::Scope(_)), "{kind:?} {name:?}: {refusal}");
    }
}

#[test]
fn what_is_not_clear_is_asked_back() {
    for (kind, name, namespace, words) in [
        ("deploymnt", "x", "", "Did you mean deploy?"),
        ("all", "", "", "cannot be read here"),
        ("pods,svc", "", "", "one kind at a time"),
        ("pod", "deploy/x", "", "is it a Pod or a Deployment?"),
        ("pod x", "y", "", "one object at a time"),
        ("pod -w", "", "", "flag -w is not understood"),
        ("pod -n", "", "", "-n needs a value"),
        ("", "pod/x -n shop", "prod-api", "which namespace: prod-api or shop?"),
        ("clusterrole", "x", "", "cannot be read here"),
    ] {
        let Err(Refusal::Arguments(text)) = understand(kind, name, namespace) else {
            panic!("{kind} {name}")
        };
        assert!(text.contains(words), "{kind} {name}: {text}");
    }
    assert!(understand("pod", "", "").unwrap().named().is_err());
}

proptest! {
    /// No text makes a kind of anything but the closed list, and none panics.
    #[test]
    fn no_text_is_more_than_a_question(kind in "(\\PC|[ /.-]){0,24}", name in "(\\PC|[ /.-]){0,24}") {
        if let Ok(asked) = understand(&kind, &name, "") {
            prop_assert!(KINDS.iter().any(|known| known == asked.kind));
        }
    }
}
