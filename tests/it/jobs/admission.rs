//! The shipped ValidatingAdmissionPolicy, evaluated over the Job that the program creates and over what somebody would
//! make of it with whodunit's credentials. The expressions are read from the file that is applied.

use cel::{Context, Program, Value as Cel};
use serde_json::{Value, json};

use crate::house::fixture;

/// Expressions of the policy, with their messages.
fn validations() -> Vec<(Program, String)> {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kustomize/overlays/jobs/cluster.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let documents = text.split("\n---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    let policy = documents.into_iter().find(|one| one["kind"] == "ValidatingAdmissionPolicy").unwrap();
    assert_eq!(
        policy["spec"]["variables"],
        json!([{"name": "pod", "expression": "object.spec.template.spec"}])
    );
    let validations = policy["spec"]["validations"].as_array().unwrap().clone();
    let each = validations.iter().map(|one| {
        let expression = one["expression"].as_str().unwrap();
        (Program::compile(expression).unwrap(), one["message"].as_str().unwrap().to_owned())
    });
    each.collect()
}

/// What the API server would say; None: it is let in.
fn refused(job: &Value) -> Option<String> {
    let pod = &job["spec"]["template"]["spec"];
    let mut context = Context::default();
    context.add_variable("variables", json!({"pod": pod})).unwrap();
    // An expression that fails refuses as well: `failurePolicy: Fail`.
    let validations = validations();
    let broken =
        validations.iter().find(|(program, _)| !matches!(program.execute(&context), Ok(Cel::Bool(true))));
    broken.map(|(_, message)| message.clone())
}

#[test]
fn whodunits_account_creates_readers_and_no_other_job() {
    let mut job: Value = serde_json::from_slice(&fixture("executor/job.json")).unwrap();
    job["spec"]["template"]["spec"]["containers"][0]["image"] = json!("whodunit:0.1.0");
    assert_eq!(refused(&job), None);
    let container = "/spec/template/spec/containers/0";
    let pod = "/spec/template/spec";
    for (place, key, value) in [
        (pod, "serviceAccountName", json!("default")),
        (pod, "serviceAccountName", Value::Null),
        (pod, "hostNetwork", json!(true)),
        (pod, "hostPID", json!(true)),
        (pod, "securityContext", Value::Null),
        (pod, "initContainers", json!([{"name": "x", "image": "whodunit:0.1.0"}])),
        (pod, "volumes", json!([{"name": "x", "secret": {"secretName": "db"}}])),
        (pod, "volumes", json!([{"name": "x", "hostPath": {"path": "/"}}])),
        (pod, "volumes", json!([{"name": "x", "configMap": {"name": "app"}}])),
        (pod, "volumes", json!([{"name": "x", "projected": {"sources": [{"secret": {"name": "db"}}]}}])),
        (container, "image", json!("busybox")),
        (container, "command", json!(["sh"])),
        (container, "args", json!(["serve"])),
        (container, "args", Value::Null),
        (container, "envFrom", json!([{"secretRef": {"name": "db"}}])),
        (container, "env", json!([{"name": "X", "valueFrom": {"secretKeyRef": {"name": "db", "key": "x"}}}])),
        (container, "securityContext", json!({"privileged": true})),
        (container, "securityContext", Value::Null),
    ] {
        let mut other = job.clone();
        let object = other.pointer_mut(place).unwrap().as_object_mut().unwrap();
        match value.clone() {
            Value::Null => object.remove(key),
            value => object.insert(key.to_owned(), value),
        };
        assert!(refused(&other).is_some(), "{key}: {value} is let in");
    }
    let mut two = job.clone();
    let containers = two.pointer_mut("/spec/template/spec/containers").unwrap().as_array_mut().unwrap();
    containers.push(containers[0].clone());
    assert!(refused(&two).is_some());
}
