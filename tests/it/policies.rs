//! Policies and quotas in the running service: what is looked at, by which model, where it is told, and that nobody
//! spends another's money, over two replicas.

use std::sync::Arc;

use serde_json::{Value, json};
use whodunit::settings::Settings;

use crate::house::{House, HouseOptions};
use crate::model::{ModelServer, Said, call, case_file, conclusion, quotable};

/// Deployments of the recorded cluster that are in trouble.
pub const PROD: [&str; 5] =
    ["analytics-service", "api-gateway", "auth-service", "payment-service", "user-service"];

pub fn firing(namespace: &str, deployments: &[&str], labels: &Value) -> String {
    let alert = |deployment: &&str| {
        let mut all = json!({"alertname": "KubeDeploymentReplicasMismatch", "cluster": "lab", "severity": "warning",
                             "namespace": namespace, "deployment": deployment});
        all.as_object_mut().unwrap().extend(labels.as_object().unwrap().clone());
        json!({"status": "firing", "startsAt": "2026-11-21T07:03:19.889Z", "endsAt": "0001-01-01T00:00:00Z",
               "generatorURL": "", "labels": all, "annotations": {"summary": "It is down."}})
    };
    let alerts: Vec<Value> = deployments.iter().map(alert).collect();
    json!({"version": "4", "groupKey": "g", "truncatedAlerts": 0, "status": "firing", "receiver": "r",
           "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": alerts})
    .to_string()
}

/// Concludes at once.
pub async fn quick() -> ModelServer {
    ModelServer::start(Arc::new(|_, request| {
        let (id, quote) = quotable(case_file(request));
        Said::Calls(vec![call("conclude", &conclusion(&id, &quote))])
    }))
    .await
}

/// A service that knows no signature, with these settings beside the model's.
async fn house(server: &ModelServer, more: Value) -> House {
    let mut other = server.settings();
    other.name = "other".to_owned();
    House::start(HouseOptions {
        models: vec![server.settings(), other],
        with: Some(Box::new(move |settings: &mut Settings| {
            settings.runbooks.without_builtin = true;
            settings.policies = serde_json::from_value(more["policies"].clone()).unwrap_or_default();
            settings.quotas = serde_json::from_value(more["quotas"].clone()).unwrap_or_default();
            if let Some(usd) = more["usd_per_day"].as_f64() {
                settings.agent.usd_per_day = usd;
            }
        })),
        ..HouseOptions::default()
    })
    .await
}

pub async fn reports(house: &House) -> Vec<Value> {
    let (_, list) = house.get("/api/v1/investigations?limit=100").await;
    let mut reports = Vec::new();
    for item in list["items"].as_array().unwrap() {
        let id = item["id"].as_str().unwrap();
        reports.push(house.get(&format!("/api/v1/investigations/{id}")).await.1);
    }
    reports
}

/// Everything that was said in Slack, as text.
pub fn said(house: &House) -> String {
    house.slack.messages().iter().map(|message| message.blocks.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_at_its_quota_gets_signatures_only_and_a_line_that_says_so() {
    let server = quick().await;
    let quotas = json!([{"namespaces": ["*"], "investigations_per_day": 1}]);
    let house = house(&server, json!({"quotas": quotas})).await;
    for (namespace, deployments) in
        [("prod-api", &PROD[..1]), ("prod-api", &PROD[1..2]), ("shop", &["search"][..])]
    {
        assert_eq!(
            house.post("/webhooks/alertmanager", firing(namespace, deployments, &json!({}))).await.0,
            202
        );
        house.settle().await;
    }
    let all = reports(&house).await;
    let of = |name: &str| all.iter().find(|one| one["workload"].as_str().unwrap().ends_with(name)).unwrap();
    let (first, second) = (of("analytics-service"), of("api-gateway"));
    assert_eq!(first["report"]["outcome"], "root_cause", "{first}");
    assert!(first["report"]["held_back"].is_null());
    let held =
        json!({"why": "namespace_investigations", "policy": "", "namespace": "prod-api", "limit": 1.0});
    assert_eq!(second["report"]["held_back"], held, "{second}");
    assert_eq!(
        (&second["report"]["outcome"], &second["report"]["cost"]["usd"]),
        (&json!("inconclusive"), &json!(0.0))
    );
    assert!(
        second["report"]["findings"].is_array()
            && !second["report"]["timeline"].as_array().unwrap().is_empty()
    );
    assert_eq!(of("search")["report"]["outcome"], "root_cause", "another namespace has its own");
    assert_eq!(server.asked().len(), 2);
    let line = "the namespace prod-api had its 1 investigations with a model of 24 hours.";
    assert_eq!(said(&house).matches(line).count(), 1, "{}", said(&house));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_never_looks_at_is_decided_anew_when_it_is_sent_again() {
    let server = quick().await;
    let never = json!([{"name": "night", "match": {"namespaces": ["shop"]}, "investigate": "never"}]);
    let mut house = house(&server, json!({"policies": never})).await;
    let body = firing("shop", &["search", "catalog"], &json!({}));
    let send = async |house: &House| {
        assert_eq!(house.post("/webhooks/alertmanager", body.clone()).await.0, 202);
        house.settle().await;
    };
    let stands = async |house: &House| {
        let query = "select string_agg(distinct decision, ','), sum(repeats)::bigint, count(*) from alerts";
        sqlx::query_as::<_, (String, i64, i64)>(query).fetch_one(&house.pool).await.unwrap()
    };
    let adds_up = async |house: &House| {
        let tally = whodunit::incident::tally::read(&house.pool).await.unwrap();
        assert!(tally.adds_up(), "{tally:?}");
        tally
    };
    send(&house).await;
    send(&house).await;
    assert_eq!(stands(&house).await, ("ignore".to_owned(), 2, 2), "the policy still says never");
    assert_eq!(adds_up(&house).await.ignored, 2);
    assert!(reports(&house).await.is_empty());

    // Its hours are over.
    house.restart_with(|settings| settings.policies.clear()).await;
    send(&house).await;
    assert_eq!(stands(&house).await, ("open".to_owned(), 4, 2));
    let tally = adds_up(&house).await;
    assert_eq!((tally.received, tally.repeated, tally.ignored, tally.done), (6, 4, 0, 2));
    let all = reports(&house).await;
    assert_eq!(all.len(), 2, "{all:#?}");

    // Decided is decided: what is known is not ignored when the hours begin again.
    house.restart_with(|settings| settings.policies = serde_json::from_value(never.clone()).unwrap()).await;
    send(&house).await;
    assert_eq!(stands(&house).await, ("open".to_owned(), 6, 2));
    assert_eq!(adds_up(&house).await.done, 2);
    let over =
        body.replace("\"firing\"", "\"resolved\"").replace("0001-01-01T00:00:00Z", "2026-11-21T08:00:00Z");
    assert_eq!(house.post("/webhooks/alertmanager", over).await.0, 202);
    house.settle().await;
    assert_eq!(house.count("select count(*) from incidents where state = 'open'").await, 0);
    adds_up(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_namespaces_spending_leaves_anothers_money_untouched_over_two_replicas() {
    const QUOTA: f64 = 0.2;
    // In prod-api it looks for ever, elsewhere it concludes.
    let server = ModelServer::start(Arc::new(|number, request| {
        let case = case_file(request);
        if case.contains("prod-api") {
            return Said::Calls(vec![call("kubernetes_list", &json!({"kind": "pods", "limit": number + 1}))]);
        }
        let (id, quote) = quotable(case);
        Said::Calls(vec![call("conclude", &conclusion(&id, &quote))])
    }))
    .await;
    let house = house(&server, json!({"quotas": [{"namespaces": ["*"], "usd_per_day": QUOTA}]})).await;
    let replica = house.replica().await;
    assert_eq!(house.post("/webhooks/alertmanager", firing("prod-api", &PROD, &json!({}))).await.0, 202);
    house.settle().await;
    assert_eq!(
        house.post("/webhooks/alertmanager", firing("shop", &["search", "catalog"], &json!({}))).await.0,
        202
    );
    house.settle().await;
    replica.stop().await;
    let all = reports(&house).await;
    let in_shop = |one: &&Value| one["workload"].as_str().unwrap().contains("/shop/");
    let usd = |one: &Value| one["report"]["cost"]["usd"].as_f64().unwrap();
    let (shop, prod): (Vec<&Value>, Vec<&Value>) = all.iter().partition(in_shop);
    assert_eq!((shop.len(), prod.len()), (2, 5));
    let spent: f64 = prod.iter().map(|one| usd(one)).sum();
    assert!(spent > 0.05 && spent <= QUOTA, "prod-api spent {spent}");
    let held = |one: &&&Value| one["report"]["held_back"]["why"] == "namespace_money";
    assert!(prod.iter().filter(held).count() >= 3, "{prod:#?}");
    assert!(prod.iter().all(|one| one["report"]["outcome"] == "inconclusive"));
    assert!(
        said(&house).contains("the namespace prod-api has spent its $0.20 of 24 hours."),
        "{}",
        said(&house)
    );
    for one in shop {
        assert_eq!(one["report"]["outcome"], "root_cause", "{one}");
        assert!(one["report"]["held_back"].is_null() && usd(one) > 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_who_is_looked_at_by_which_model_and_where_it_is_told() {
    let server = quick().await;
    let policies = json!([
        {"name": "noise", "match": {"labels": {"team": "lab"}}, "investigate": "never"},
        {"name": "cheap", "match": {"labels": {"team": "test"}}, "investigate": "signatures-only"},
        {"name": "data", "match": {"namespaces": ["shop"]}, "models": ["other"], "channel": "#data",
         "budget": {"steps": 2}, "settle_secs": 0},
    ]);
    let house = house(&server, json!({"policies": policies})).await;
    for (namespace, deployment, team) in
        [("prod-api", "api-gateway", "lab"), ("prod-api", "auth-service", "test"), ("shop", "search", "web")]
    {
        let body = firing(namespace, &[deployment], &json!({"team": team}));
        assert_eq!(house.post("/webhooks/alertmanager", body).await.0, 202);
    }
    house.settle().await;
    let reason: String = sqlx::query_scalar("select reason from alerts where decision = 'ignore'")
        .fetch_one(&house.pool)
        .await
        .unwrap();
    assert_eq!(reason, "its policy says never to investigate it (noise)");
    let all = reports(&house).await;
    assert_eq!(all.len(), 2, "{all:#?}");
    let of = |name: &str| all.iter().find(|one| one["workload"].as_str().unwrap().ends_with(name)).unwrap();
    let cheap = &of("auth-service")["report"];
    assert_eq!(
        cheap["policy"],
        json!({"name": "cheap", "reason": "policies[1]: label team test fits `test`"})
    );
    assert_eq!(cheap["held_back"]["why"], "policy");
    assert!(said(&house).contains("the policy cheap asks no model."), "{}", said(&house));
    let data = of("search");
    assert_eq!(
        (&data["report"]["outcome"], &data["report"]["policy"]["name"]),
        (&json!("root_cause"), &json!("data"))
    );
    let models: Vec<String> =
        sqlx::query_scalar("select distinct model from turns").fetch_all(&house.pool).await.unwrap();
    assert_eq!(models, ["other"]);
    // Two turns are what it may have, and the model is told so.
    assert!(
        server.asked()[0]["messages"][0]["content"].as_str().unwrap().contains("2 turns"),
        "{:?}",
        server.asked()[0]
    );
    let channels: Vec<(String, Option<String>)> = sqlx::query_as(
        "select a.channel, a.route_reason from announcements a join incidents i on i.id = a.incident_id
         where i.namespace = 'shop' and a.kind = 'parent'",
    )
    .fetch_all(&house.pool)
    .await
    .unwrap();
    let why = "policies[2] (data): namespace shop fits `shop`".to_owned();
    assert_eq!(channels, [("#data".to_owned(), Some(why))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policys_money_is_its_own() {
    let server = ModelServer::start(Arc::new(|number, _| {
        Said::Calls(vec![call("kubernetes_list", &json!({"kind": "pods", "limit": number + 1}))])
    }))
    .await;
    let policies = json!([{"name": "test", "match": {"namespaces": ["prod-api"]}, "usd_per_day": 0.0}]);
    let house = house(&server, json!({"policies": policies})).await;
    for (namespace, deployment) in [("prod-api", "api-gateway"), ("shop", "search")] {
        let body = firing(namespace, &[deployment], &json!({}));
        assert_eq!(house.post("/webhooks/alertmanager", body).await.0, 202);
    }
    house.settle().await;
    let all = reports(&house).await;
    let of = |name: &str| all.iter().find(|one| one["workload"].as_str().unwrap().ends_with(name)).unwrap();
    assert_eq!(of("api-gateway")["report"]["held_back"]["why"], "policy_money");
    assert!(of("search")["report"]["held_back"].is_null());
    assert!(of("search")["report"]["cost"]["usd"].as_f64().unwrap() > 0.0);
}

const SETTINGS: &str = r##"
models:
  - {name: big, provider: openai, model: m, base_url: "http://models/v1"}
  - {name: small, provider: openai, model: s, base_url: "http://models/v1"}
policies:
  - name: night
    match:
      namespaces: [shop]
      times: [{zone: Europe/Berlin, from: "20:00", to: "07:00"}]
    models: [small]
    budget: {steps: 4}
    usd_per_day: 2
  - {name: page, match: {severities: [critical]}, settle_secs: 5, channel: "#page"}
quotas:
  - {namespaces: ["*"], usd_per_day: 1.5, investigations_per_day: 30}
"##;

pub fn config(text: &str, arguments: &[&str]) -> (bool, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("whodunit.yaml");
    std::fs::write(&file, text).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_whodunit"));
    let output = command.arg("config").args(arguments).arg("--config").arg(&file).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn explain_says_which_policy_holds_and_why_no_other() {
    let night = ["explain", "--namespace", "shop", "--severity", "critical", "--at", "2026-11-20T19:30:00Z"];
    let (ok, told, error) = config(SETTINGS, &night);
    assert!(ok, "{error}");
    assert_eq!(
        told,
        "night (policies[0]): namespace shop fits `shop`; the time Fri 20:30 Europe/Berlin is within \
         20:00-07:00 Europe/Berlin\n\n\
         investigate  always\nsettle       0 s\ncooldown     14400 s\n\
         channel      as slack.routes and slack.channel say\n\
         budget       4 steps, 180 s, 120000 tokens, $0.50 a run\nmodels       small\n\
         money        $1.50 of the namespace shop, 30 investigations with a model of the namespace shop, \
         $2.00 of the policy night, $20.00 of everybody within 24 hours\n"
    );
    let labels = "alertname=A,severity=critical,namespace=shop";
    let (_, told, _) = config(SETTINGS, &["explain", "--labels", labels, "--at", "2026-11-20T12:00:00Z"]);
    assert!(
        told.starts_with(
            "page (policies[1]): severity critical fits `critical`\n  \
             not night (policies[0]): the time Fri 13:00 Europe/Berlin is outside of it\n"
        ),
        "{told}"
    );
    assert!(told.contains("settle       5 s\n") && told.contains("channel      #page\n"), "{told}");
    let (_, told, _) = config(SETTINGS, &["explain", "--namespace", "pay", "--severity", "info"]);
    assert!(told.starts_with("No policy: no policy fits; the settings hold.\n"), "{told}");
}

#[test]
fn check_finds_policies_that_are_never_reached_and_models_that_are_none() {
    let fine = SETTINGS.to_owned() + "kubernetes: {enabled: false}\n";
    for (text, why) in [
        (
            fine.replace(
                "quotas:\n",
                "  - {name: late, match: {severities: [critical], namespaces: [x]}}\nquotas:\n",
            ),
            "policies[2]: never reached: all that fits it fits policies[1] (page) first",
        ),
        (
            fine.replace("models: [small]", "models: [huge]"),
            "policies[0]: `huge` is no model of `models`: big, small",
        ),
    ] {
        let (ok, _, error) = config(&text, &["check"]);
        assert!(!ok && error.contains(why), "{error}");
    }
}
