//! Investigations that a Job of the workload's namespace reads for: a stand-in takes the Jobs as an API server does, and
//! runs the real program for each, as a kubelet would, or lets it come to grief in the ways that pods do.

mod admission;
mod door;
mod kubelet;

use std::sync::Arc;

use serde_json::{Value, json};
use whodunit::settings::Settings;

use crate::house::{House, HouseOptions, fixture};
use crate::model::{ModelServer, Said, call, case_file, conclusion, only_investigation, quotable, told};
use kubelet::{Fate, Tenant};

const POST: &str = "/webhooks/alertmanager";

fn firing(labels: &Value) -> String {
    let alert = json!({"status": "firing", "startsAt": "2026-11-21T07:03:19.889Z", "endsAt": "0001-01-01T00:00:00Z",
                       "generatorURL": "", "labels": labels, "annotations": {}});
    json!({"version": "4", "groupKey": "g", "truncatedAlerts": 0, "status": "firing", "receiver": "r",
           "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": [alert]})
    .to_string()
}

fn of_deployment(namespace: &str, name: &str) -> String {
    firing(
        &json!({"alertname": "KubeDeploymentReplicasMismatch", "severity": "warning", "namespace": namespace,
                   "deployment": name}),
    )
}

/// A service whose cluster lets it do nothing but find owners and create Jobs.
async fn house(tenant: &Arc<Tenant>, options: HouseOptions) -> House {
    let url = tenant.url.clone();
    let adjust = options.with;
    let with = move |settings: &mut Settings| {
        if let Some(adjust) = adjust {
            adjust(settings);
        }
        settings.kubernetes.url = Some(url);
        settings.worker.executor = whodunit::settings::Executor::KubernetesJob;
        settings.job.image = "whodunit:test".to_owned();
        // The kubelet puts the address in its place: nobody knows it yet.
        settings.job.service_url = "http://whodunit.monitoring.svc:8080".to_owned();
    };
    let house = House::start(HouseOptions { with: Some(Box::new(with)), ..options }).await;
    tenant.serves(&house.base_url);
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_reads_what_the_service_would_and_the_service_reads_nothing() {
    let plain = House::start(HouseOptions::default()).await;
    assert_eq!(plain.post(POST, of_deployment("prod-api", "user-service")).await.0, 202);
    plain.settle().await;
    let expected = only_investigation(&plain).await["report"].take();

    let tenant = Tenant::start(vec![Fate::Runs]).await;
    let house = house(&tenant, HouseOptions::default()).await;
    assert_eq!(house.post(POST, of_deployment("prod-api", "user-service")).await.0, 202);
    house.settle().await;
    let report = only_investigation(&house).await["report"].take();
    for key in ["outcome", "cause", "confidence", "affected", "findings", "next_steps"] {
        assert_eq!(report[key], expected[key], "{key}");
    }
    assert_eq!(report["cause"]["id"], "secret-missing");
    assert!(report["evidence"].as_array().unwrap().iter().all(|one| one["verified"] == true), "{report}");

    // What the service asked for itself: owners, and how its Job fares.
    let own = tenant.asked_by_service();
    let foreign = own.iter().filter(|line| {
        !line.contains("/jobs")
            && !line.contains("job-name")
            && !line.contains("involvedObject.kind=Job")
            && !line.ends_with("/deployments/user-service")
    });
    assert_eq!(foreign.collect::<Vec<_>>(), Vec::<&String>::new(), "{own:#?}");
    assert!(tenant.asked_by_readers() > 5);
    let jobs = tenant.jobs();
    let [job] = jobs.as_slice() else { panic!("{} Jobs: {jobs:#?}", jobs.len()) };
    assert_eq!(job["metadata"]["namespace"], "prod-api");
    assert_eq!(job["spec"]["template"]["spec"]["serviceAccountName"], "whodunit-reader");
    // The Job's process ended by itself, because the investigation is over.
    assert_eq!(tenant.exit_codes().await, [Some(0)]);
    // The token stands in the Job alone, and what was asked is forgotten.
    let token = kubelet::variable(job, "WHODUNIT_READER_TOKEN");
    assert!(house.rows().await.iter().all(|row| !row.contains(&token)));
    assert_eq!(house.count("select count(*) from questions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_dies_under_the_agent_is_replaced_and_no_turn_is_paid_twice() {
    // It dies when the model was asked for the second time: there is one turn, and the second is not done.
    let tenant = Tenant::start(vec![Fate::Runs, Fate::Runs]).await;
    let killer = Arc::clone(&tenant);
    let server = ModelServer::start(Arc::new(move |number, request| match number {
        0 => Said::Calls(vec![call("kubernetes_events", &json!({}))]),
        1 => {
            killer.kill_all("OOMKilled", 137);
            Said::Calls(vec![call("kubernetes_list", &json!({"kind": "pods"}))])
        }
        _ => {
            let (id, quote) = quotable(case_file(request));
            assert!(
                told(request).iter().any(|(_, text)| text.contains("events")),
                "the first turn is not told again"
            );
            Said::Calls(vec![call("conclude", &conclusion(&id, &quote))])
        }
    }))
    .await;
    let with = |settings: &mut Settings| {
        settings.runbooks.without_builtin = true;
        settings.agent.tool_secs = 30;
    };
    let options = HouseOptions {
        models: vec![server.settings()],
        agent_seconds: Some(120),
        with: Some(Box::new(with)),
        ..HouseOptions::default()
    };
    let house = house(&tenant, options).await;
    let webhook = "recording/alertmanager/webhooks/004-firing-PaymentServiceDown-n1.json";
    assert_eq!(house.post(POST, fixture(webhook)).await.0, 202);
    house.settle().await;
    let investigation = only_investigation(&house).await;
    assert_eq!(investigation["report"]["outcome"], "root_cause", "{investigation}");
    assert_eq!(tenant.jobs().len(), 2, "one an attempt");
    let names: Vec<String> = tenant.jobs().iter().map(|job| job["metadata"]["name"].to_string()).collect();
    assert_ne!(names[0], names[1]);
    // The first question was asked once, over both attempts.
    let first = server.asked().iter().filter(|request| told(request).is_empty()).count();
    assert_eq!(first, 1, "the run began anew");
    let failures = "select coalesce(sum(failures), 0) from investigations";
    assert_eq!(house.count(failures).await, 1);
}

/// Investigates with one attempt, whose Job fares like this; the error that people see.
async fn error_of(fate: Fate, start_secs: u64) -> String {
    let tenant = Tenant::start(vec![fate]).await;
    let with = move |settings: &mut Settings| settings.job.start_secs = start_secs;
    let options =
        HouseOptions { max_attempts: Some(1), with: Some(Box::new(with)), ..HouseOptions::default() };
    let house = house(&tenant, options).await;
    assert_eq!(house.post(POST, of_deployment("prod-api", "user-service")).await.0, 202);
    house.settle().await;
    let investigation = only_investigation(&house).await;
    assert_eq!(investigation["state"], "dead", "{investigation}");
    let error = investigation["error"].as_str().unwrap().to_owned();
    let said = house
        .slack
        .messages()
        .iter()
        .map(|message| message.text.clone() + &message.blocks.to_string())
        .collect::<String>();
    assert!(said.contains("prod-api"), "people were told: {said}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_a_job_people_read_why() {
    for (fate, start_secs, why) in [
        (Fate::Forbidden, 90, "no Job could be created in namespace prod-api"),
        (Fate::Failed { condition: "DeadlineExceeded", pod: None }, 90, "its Job failed (DeadlineExceeded)"),
        (
            Fate::Failed { condition: "BackoffLimitExceeded", pod: Some("Evicted") },
            90,
            "its Job failed (BackoffLimitExceeded): Evicted",
        ),
        (Fate::Waits("ImagePullBackOff"), 3, "did not call within 3 s (job.start_secs): ImagePullBackOff"),
        (Fate::NoPod("exceeded quota: small"), 3, "no pod was made: exceeded quota: small"),
        (Fate::Gone, 90, "is gone from namespace prod-api"),
    ] {
        let error = error_of(fate, start_secs).await;
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_may_do_too_much_reads_nothing_and_says_so() {
    let tenant = Tenant::start_with(vec![Fate::Runs], &["get secrets"]).await;
    let options = HouseOptions { max_attempts: Some(1), ..HouseOptions::default() };
    let house = house(&tenant, options).await;
    assert_eq!(house.post(POST, of_deployment("prod-api", "user-service")).await.0, 202);
    house.settle().await;
    let investigation = only_investigation(&house).await;
    let error = investigation["error"].as_str().unwrap_or_default();
    assert!(error.contains("get secrets") && error.contains("its Job failed"), "{investigation}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_namespace_or_none_of_these_is_read_by_the_service() {
    let tenant = Tenant::start(vec![]).await;
    let with = |settings: &mut Settings| settings.job.namespaces = vec!["shop*".to_owned()];
    let house = house(&tenant, HouseOptions { with: Some(Box::new(with)), ..HouseOptions::default() }).await;
    assert_eq!(house.post(POST, of_deployment("prod-api", "user-service")).await.0, 202);
    let node = firing(&json!({"alertname": "KubeNodeNotReady", "severity": "warning", "node": "w-m02"}));
    assert_eq!(house.post(POST, node).await.0, 202);
    house.settle().await;
    assert_eq!(house.count("select count(*) from investigations where state = 'done'").await, 2);
    assert!(tenant.jobs().is_empty());
    assert_eq!(house.count("select count(*) from readers").await, 0);
}
