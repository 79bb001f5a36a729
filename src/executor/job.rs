//! The object that is created for one attempt: settings and a claim come in, a batch/v1 Job goes out. Pure. It runs as
//! nobody, writes nowhere, has one short-lived token of its own service account, and no credential of the service but
//! the one for its own questions.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::settings;

/// Finished Jobs are kept so long, in seconds: shorter than any rule about failed Jobs waits, long enough to be looked at.
const KEPT_SECS: u32 = 120;
/// A token may not be asked for for less, in seconds.
const MIN_TOKEN_SECS: u64 = 600;
const GRACE_SECS: u32 = 5;
/// Where the Secret with the tenant's sources is mounted.
const SOURCES: &str = "/etc/whodunit/sources";
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// User and group of the image.
const NOBODY: u32 = 65532;
/// What its Jobs and pods are called by labels, for NetworkPolicies and for ourselves.
pub(super) const NAME: &str = "whodunit-reader";

/// One attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    pub investigation: Uuid,
    pub attempt: i32,
    pub namespace: &'a str,
    /// Proves to the service whose questions it may answer.
    pub token: &'a str,
    /// After which Kubernetes ends it, in seconds.
    pub deadline_secs: u64,
}

/// Unique by attempt: a Job that a lost answer left behind is never taken for another.
pub(super) fn name(investigation: Uuid, attempt: i32) -> String {
    format!("{NAME}-{}-{attempt}", investigation.simple())
}

/// Is this one of ours? They are not read by another Job: a fault that every Job has would make Jobs for ever.
pub(super) fn is_ours(kind: &str, name: &str) -> bool {
    matches!(kind, "Job" | "Pod") && name.starts_with(&format!("{NAME}-"))
}

pub(super) fn object(settings: &settings::Job, run: Run<'_>) -> Value {
    let labels = json!({
        "app.kubernetes.io/name": NAME,
        "app.kubernetes.io/managed-by": "whodunit",
        "whodunit.dev/investigation": run.investigation.to_string(),
    });
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name(run.investigation, run.attempt), "namespace": run.namespace, "labels": labels},
        "spec": {
            // Another attempt is the queue's to make, with its own count and waits.
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": run.deadline_secs,
            "ttlSecondsAfterFinished": KEPT_SECS,
            "template": {"metadata": {"labels": labels}, "spec": pod(settings, run)},
        },
    })
}

fn pod(settings: &settings::Job, run: Run<'_>) -> Value {
    let mut pod = json!({
        "restartPolicy": "Never",
        "serviceAccountName": settings.service_account,
        // Mounted below: for a time, and for nothing but the API server.
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE_SECS,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": NOBODY, "runAsGroup": NOBODY, "fsGroup": NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container(settings, run)],
        "volumes": volumes(settings, run),
    });
    let Value::Object(spec) = &mut pod else { return pod };
    optional(spec, settings);
    pod
}

fn optional(spec: &mut Map<String, Value>, settings: &settings::Job) {
    let secrets = settings.image_pull_secrets.iter().map(|name| json!({"name": name})).collect::<Vec<_>>();
    for (key, value, is_empty) in [
        ("imagePullSecrets", json!(secrets), secrets.is_empty()),
        ("nodeSelector", json!(settings.node_selector), settings.node_selector.is_empty()),
        ("tolerations", json!(settings.tolerations), settings.tolerations.is_empty()),
        ("priorityClassName", json!(settings.priority_class), settings.priority_class.is_empty()),
    ] {
        if !is_empty {
            spec.insert(key.to_owned(), value);
        }
    }
}

fn container(settings: &settings::Job, run: Run<'_>) -> Value {
    json!({
        "name": "reader",
        "image": settings.image,
        "args": ["reader"],
        "env": [
            {"name": "WHODUNIT_READER_SERVICE", "value": settings.service_url},
            {"name": "WHODUNIT_READER_TOKEN", "value": run.token},
            {"name": "WHODUNIT_READER_SOURCES", "value": format!("{SOURCES}/whodunit.yaml")},
        ],
        "resources": {"requests": settings.requests, "limits": settings.limits},
        // Its last words become part of why an attempt failed.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "account", "mountPath": ACCOUNT, "readOnly": true},
            {"name": "sources", "mountPath": SOURCES, "readOnly": true},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    })
}

fn volumes(settings: &settings::Job, run: Run<'_>) -> Value {
    json!([
        {"name": "account", "projected": {"defaultMode": 0o440, "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": run.deadline_secs.max(MIN_TOKEN_SECS)}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ]}},
        {"name": "sources", "secret": {
            "secretName": settings.sources_secret, "optional": true, "defaultMode": 0o440,
            "items": [{"key": "whodunit.yaml", "path": "whodunit.yaml"}],
        }},
        {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written anew with WHODUNIT_WRITE_FIXTURES=1; `make deploy-check` holds it against the schemas of Kubernetes and
    /// the restricted pod security level.
    const SNAPSHOT: &str = "tests/fixtures/executor/job.json";

    fn run() -> Run<'static> {
        Run {
            investigation: Uuid::from_u128(0x0199_aaaa_bbbb_7ccc_8ddd_eeee_ffff_0001),
            attempt: 2,
            namespace: "shop",
            token: "of-this-attempt",
            deadline_secs: 240,
        }
    }

    #[test]
    fn the_job_is_the_one_that_was_looked_at() {
        let settings = settings::Job {
            image: "registry.example/whodunit:0.1.0".to_owned(),
            service_url: "http://whodunit.monitoring.svc:8080".to_owned(),
            ..settings::Job::default()
        };
        let written = serde_json::to_string_pretty(&object(&settings, run())).unwrap() + "\n";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(SNAPSHOT);
        if std::env::var_os("WHODUNIT_WRITE_FIXTURES").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &written).unwrap();
        }
        assert_eq!(written, std::fs::read_to_string(&path).unwrap(), "{SNAPSHOT}");
    }

    #[test]
    fn what_the_settings_add_stands_in_the_pod_and_only_there() {
        let settings = settings::Job {
            image_pull_secrets: vec!["registry".to_owned()],
            node_selector: [("pool".to_owned(), "tools".to_owned())].into(),
            tolerations: vec![json!({"key": "tools", "operator": "Exists"})],
            priority_class: "low".to_owned(),
            ..settings::Job::default()
        };
        let object = object(&settings, run());
        let spec = &object["spec"]["template"]["spec"];
        assert_eq!(spec["imagePullSecrets"], json!([{"name": "registry"}]));
        assert_eq!(spec["nodeSelector"], json!({"pool": "tools"}));
        assert_eq!(spec["tolerations"][0]["key"], "tools");
        assert_eq!(spec["priorityClassName"], "low");
        assert!(is_ours("Job", object["metadata"]["name"].as_str().unwrap()));
        assert!(!is_ours("Deployment", "whodunit-reader-x") && !is_ours("Job", "whodunit-readers"));
    }
}
