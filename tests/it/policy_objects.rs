//! Policies that teams own, in the running service: what they change in their own namespace and in no other, that they
//! widen nothing, and what stands in their status, with one or two replicas and an API server that has troubles.

mod api;

use serde_json::{Value, json};
use whodunit::settings::Settings;

use self::api::{Api, Trouble};
use crate::house::{House, HouseOptions};
use crate::model::ModelServer;
use crate::policies::{config, firing, quick, reports, said};

/// A service that knows no signature and reads policies every second, behind this API server.
async fn house(server: &ModelServer, api: &std::sync::Arc<Api>, more: Value) -> House {
    let api = std::sync::Arc::clone(api);
    House::start(HouseOptions {
        models: vec![server.settings()],
        with: Some(Box::new(move |settings: &mut Settings| {
            settings.runbooks.without_builtin = true;
            settings.policy_objects.enabled = true;
            settings.policy_objects.every_secs = 1;
            settings.policy_objects.channels = vec!["#data".to_owned()];
            settings.policies = serde_json::from_value(more["policies"].clone()).unwrap_or_default();
            settings.policy_objects.namespaces =
                serde_json::from_value(more["namespaces"].clone()).unwrap_or_default();
            if let Some(steps) = more["steps"].as_u64() {
                settings.agent.steps = u32::try_from(steps).unwrap();
            }
            api.stand_before(settings);
        })),
        ..HouseOptions::default()
    })
    .await
}

async fn fire(house: &House, namespace: &str, deployment: &str) {
    let body = firing(namespace, &[deployment], &json!({"team": "web"}));
    assert_eq!(house.post("/webhooks/alertmanager", body).await.0, 202);
    house.settle().await;
}

/// The report about this deployment.
async fn report(house: &House, name: &str) -> Value {
    let all = reports(house).await;
    let found = all.iter().find(|one| one["workload"].as_str().unwrap().ends_with(name));
    found.unwrap_or_else(|| panic!("nothing of {name}: {all:#?}"))["report"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_teams_policy_changes_its_own_namespace_and_deleting_it_restores() {
    let (server, api) = (quick().await, Api::start().await);
    api.put(
        "prod-api",
        "quiet",
        json!({"investigate": "SignaturesOnly", "match": {"labels": {"team": "w*"}}}),
    );
    let house = house(&server, &api, json!({})).await;
    // What is there at the start holds for the first alert.
    fire(&house, "prod-api", "api-gateway").await;
    fire(&house, "shop", "search").await;
    let quiet = report(&house, "api-gateway").await;
    assert_eq!(
        quiet["policy"],
        json!({"name": "prod-api/quiet", "reason": "label team web fits `w*`"}),
        "{quiet}"
    );
    assert_eq!(
        (&quiet["held_back"]["why"], &quiet["held_back"]["policy"]),
        (&json!("policy"), &json!("prod-api/quiet"))
    );
    assert!(said(&house).contains("the policy prod-api/quiet asks no model."), "{}", said(&house));
    let search = report(&house, "search").await;
    assert_eq!(search["outcome"], "root_cause", "{search}");
    assert!(search["policy"].is_null() && search["held_back"].is_null());
    assert_eq!(server.asked().len(), 1);

    api.put("prod-api", "quiet", json!({"investigate": "Never"}));
    api.told_of("prod-api", "quiet", "Accepted=True/Accepted@2").await;
    fire(&house, "prod-api", "auth-service").await;
    fire(&house, "shop", "catalog").await;
    let reasons: Vec<String> = sqlx::query_scalar("select reason from alerts where decision = 'ignore'")
        .fetch_all(&house.pool)
        .await
        .unwrap();
    assert_eq!(reasons, ["its policy says never to investigate it (prod-api/quiet)"]);
    assert_eq!(report(&house, "catalog").await["outcome"], "root_cause");

    api.delete("prod-api", "quiet");
    api.looked(1).await;
    fire(&house, "prod-api", "payment-service").await;
    let restored = report(&house, "payment-service").await;
    assert_eq!(restored["outcome"], "root_cause", "{restored}");
    assert!(restored["policy"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_cannot_widen_and_has_its_own_money_and_an_allowed_channel() {
    let (server, api) = (quick().await, Api::start().await);
    let model = server.settings().name;
    let wide = json!({"models": [model], "budget": {"steps": 900, "usd": 900}, "usdPerDay": 900});
    api.put("prod-api", "wide", wide.clone());
    api.put("shop", "wide", wide);
    api.put("monitoring", "poor", json!({"usdPerDay": 0, "channel": "#data", "settleSecs": 0}));
    let cheap =
        json!([{"name": "cheap", "match": {"namespaces": ["prod-api"]}, "investigate": "signatures-only"}]);
    let house = house(&server, &api, json!({"policies": cheap, "steps": 3})).await;
    for (namespace, deployment) in
        [("prod-api", "api-gateway"), ("shop", "search"), ("monitoring", "prometheus")]
    {
        fire(&house, namespace, deployment).await;
    }
    let held = report(&house, "api-gateway").await;
    assert_eq!(
        (&held["held_back"]["why"], &held["held_back"]["policy"]),
        (&json!("policy"), &json!("cheap"))
    );
    assert_eq!(
        held["policy"],
        json!({"name": "prod-api/wide",
               "reason": "it fits everything; within cheap (policies[0]: namespace prod-api fits `prod-api`)"})
    );
    assert_eq!(report(&house, "search").await["policy"]["name"], "shop/wide");
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "the one in shop");
    assert!(asked[0]["messages"][0]["content"].as_str().unwrap().contains("3 turns"), "{:?}", asked[0]);
    let poor = report(&house, "prometheus").await["held_back"].clone();
    assert_eq!(
        poor,
        json!({"why": "policy_money", "policy": "monitoring/poor", "namespace": "", "limit": 0.0})
    );
    let channels: Vec<(String, Option<String>)> = sqlx::query_as(
        "select a.channel, a.route_reason from announcements a join incidents i on i.id = a.incident_id
         where i.namespace = 'monitoring' and a.kind = 'parent'",
    )
    .fetch_all(&house.pool)
    .await
    .unwrap();
    assert_eq!(channels, [("#data".to_owned(), Some("monitoring/poor: it fits everything".to_owned()))]);
    let spent: Vec<(String, String)> = sqlx::query_as(
        "select policy, team_policy from investigations where charged_at is not null order by namespace",
    )
    .fetch_all(&house.pool)
    .await
    .unwrap();
    assert_eq!(spent, [(String::new(), "shop/wide".to_owned())], "the run is booked under its team's policy");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_a_policy_is_written_once_by_two_replicas_and_nothing_else_is() {
    let (server, api) = (quick().await, Api::start().await);
    api.put("shop", "all", json!({"settleSecs": 5}));
    api.put("shop", "late", json!({"match": {"alerts": ["Kube*"]}, "order": 3}));
    api.put("shop", "huge", json!({"models": ["huge"]}));
    api.put("pay", "loud", json!({"channel": "#general"}));
    api.put("pay", "odd", json!({"match": {"times": [{"zone": "Mars/Base"}]}}));
    let house = house(&server, &api, json!({})).await;
    let replica = house.replica().await;
    for (namespace, name, words) in [
        ("shop", "all", "Accepted=True/Accepted@1 Reached=True/Reached@1"),
        ("shop", "late", "Accepted=True/Accepted@1 Reached=False/Shadowed@1"),
        ("shop", "huge", "Accepted=False/UnknownModel@1 Reached=False/NotAccepted@1"),
        ("pay", "loud", "Accepted=False/ChannelNotAllowed@1 Reached=False/NotAccepted@1"),
        ("pay", "odd", "Accepted=False/Invalid@1 Reached=False/NotAccepted@1"),
    ] {
        api.told_of(namespace, name, words).await;
        assert_eq!(api.told(namespace, name), words);
    }
    assert_eq!(
        api.conditions("pay", "odd")[0]["message"],
        "`Mars/Base` is no time zone; write one as in Europe/Berlin or UTC"
    );
    // Long enough for both to have looked and found nothing to say.
    api.looked(6).await;
    let writes = api.writes();
    assert_eq!(writes.len(), 5, "{writes:#?}");
    let first =
        writes.iter().find(|(request, _)| request.contains("/shop/") && request.contains("/all/")).unwrap();
    assert_eq!(
        first.0,
        "PATCH /apis/whodunit.dev/v1alpha1/namespaces/shop/investigationpolicies/all/status?fieldManager=whodunit"
    );
    assert_eq!(first.1["content_type"], "application/merge-patch+json");
    let mut body = first.1["body"].clone();
    for condition in body["status"]["conditions"].as_array_mut().unwrap() {
        let at = condition["lastTransitionTime"].take();
        assert!(at.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{at}");
    }
    assert_eq!(
        body,
        json!({
            "metadata": {"resourceVersion": "1"},
            "status": {"conditions": [
                {"type": "Accepted", "status": "True", "reason": "Accepted", "observedGeneration": 1,
                 "lastTransitionTime": null, "message": "it holds within what the settings allow"},
                {"type": "Reached", "status": "True", "reason": "Reached", "observedGeneration": 1,
                 "lastTransitionTime": null, "message": "the first policy of this namespace that fits holds"},
            ]},
        })
    );
    // A change is told anew, and of nobody else's.
    let since = api.conditions("shop", "late")[0]["lastTransitionTime"].clone();
    api.put("shop", "all", json!({"match": {"severities": ["critical"]}}));
    api.told_of("shop", "late", "Reached=True/Reached@1").await;
    api.told_of("shop", "all", "Accepted=True/Accepted@2").await;
    assert_eq!(
        api.conditions("shop", "late")[0]["lastTransitionTime"],
        since,
        "it was accepted all the time"
    );
    api.looked(4).await;
    assert_eq!(api.writes().len(), 7);
    replica.stop().await;
    assert_eq!(house.kubernetes.writes_refused(), 0, "nothing is written anywhere else");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_turn_reads_and_does_not_write() {
    let (server, api) = (quick().await, Api::start().await);
    let house = house(&server, &api, json!({})).await;
    let taken = "insert into chores (name, due_at) values ('policy status ', now() + interval '1 hour')";
    sqlx::query(taken).execute(&house.pool).await.unwrap();
    api.put("shop", "all", json!({"settleSecs": 5}));
    api.looked(4).await;
    assert!(api.writes().is_empty(), "another replica has the turn: {:#?}", api.writes());
    sqlx::query("update chores set due_at = now()").execute(&house.pool).await.unwrap();
    api.told_of("shop", "all", "Accepted=True/Accepted@1 Reached=True/Reached@1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_in_trouble_changes_nothing_that_holds() {
    let (server, api) = (quick().await, Api::start().await);
    let quiet = json!({"investigate": "SignaturesOnly"});
    api.put("prod-api", "quiet", quiet.clone());
    api.trouble(Trouble { patch: Some(403), ..Trouble::default() });
    let house = house(&server, &api, json!({})).await;
    let held = async |deployment: &str| {
        fire(&house, "prod-api", deployment).await;
        report(&house, deployment).await["held_back"]["policy"] == "prod-api/quiet"
    };
    // Without the right to write it holds all the same, and the right is not tried again and again.
    api.looked(3).await;
    assert!(held("api-gateway").await);
    assert_eq!((api.writes().len(), api.told("prod-api", "quiet")), (1, String::new()));
    // Gone or changed in between: the next look writes what is then.
    api.put("shop", "new", quiet.clone());
    for status in [404, 409, 503] {
        let before = api.writes().len();
        api.trouble(Trouble { patch: Some(status), ..Trouble::default() });
        api.looked(2).await;
        assert!(api.writes().len() > before, "{status} is tried again");
        assert_eq!(api.told("shop", "new"), "");
    }
    api.trouble(Trouble::default());
    api.told_of("shop", "new", "Accepted=True/Accepted@1").await;
    for status in [503, 403] {
        api.trouble(Trouble { list: Some(status), ..Trouble::default() });
        api.looked(1).await;
    }
    assert!(held("auth-service").await, "what was known last stays in force");
    // A cluster that no longer knows the kind has none.
    api.trouble(Trouble { list: Some(404), ..Trouble::default() });
    api.looked(2).await;
    assert!(!held("payment-service").await);
    api.trouble(Trouble::default());
    api.looked(2).await;
    assert!(held("user-service").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_check_says_whether_policies_can_be_read() {
    let api = Api::start().await;
    let inner = House::start(HouseOptions { without_slack: true, ..HouseOptions::default() }).await;
    api.stand_before_url(&inner.kubernetes_url());
    api.put("shop", "all", json!({}));
    let check = |trouble: Trouble| {
        api.trouble(trouble);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_whodunit"));
        command.args(["config", "check", "--live"]).env("NO_COLOR", "1");
        command.env("WHODUNIT_KUBERNETES__URL", api.url()).env("WHODUNIT_POLICY_OBJECTS__ENABLED", "true");
        async move {
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            said.lines().find(|line| line.starts_with("policies")).unwrap_or(&said).to_owned()
        }
    };
    let line = check(Trouble::default()).await;
    assert!(line.contains(" ok ") && line.contains("1 policies of teams"), "{line}");
    let line = check(Trouble { list: Some(404), ..Trouble::default() }).await;
    assert!(line.contains("FAULT") && line.contains("does not know the kind"), "{line}");
    let line = check(Trouble { list: Some(403), ..Trouble::default() }).await;
    assert!(line.contains("FAULT") && line.contains("403"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_rights_in_some_namespaces_only_those_are_read() {
    let (server, api) = (quick().await, Api::start().await);
    api.trouble(Trouble { wide_list: Some(403), ..Trouble::default() });
    api.put("prod-api", "quiet", json!({"investigate": "SignaturesOnly"}));
    api.put("shop", "quiet", json!({"investigate": "SignaturesOnly"}));
    let house = house(&server, &api, json!({"namespaces": ["prod-api"]})).await;
    fire(&house, "prod-api", "api-gateway").await;
    fire(&house, "shop", "search").await;
    assert_eq!(report(&house, "api-gateway").await["held_back"]["policy"], "prod-api/quiet");
    assert_eq!(report(&house, "search").await["outcome"], "root_cause");
    let path = "GET /apis/whodunit.dev/v1alpha1/namespaces/prod-api/investigationpolicies?limit=16";
    let reads = api.requests().into_iter().filter(|(request, _)| request.starts_with("GET "));
    assert!(reads.into_iter().all(|(request, _)| request == path), "{:?}", api.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_full_of_policies_takes_no_place_from_others() {
    let (server, api) = (quick().await, Api::start().await);
    for number in 0..200 {
        let spec = json!({"match": {"alerts": [format!("{{a,b}}*{number}?[xy]")]}, "order": number});
        api.put("kube-public", &format!("p{number:03}"), spec);
    }
    api.put("prod-api", "quiet", json!({"investigate": "SignaturesOnly"}));
    api.put("shop", "quiet", json!({"investigate": "SignaturesOnly"}));
    let house = house(&server, &api, json!({})).await;
    for (namespace, deployment) in [("prod-api", "api-gateway"), ("shop", "search")] {
        fire(&house, namespace, deployment).await;
        let held = report(&house, deployment).await["held_back"]["policy"].clone();
        assert_eq!(held, format!("{namespace}/quiet"));
        api.told_of(namespace, "quiet", "Accepted=True").await;
    }
    api.told_of("kube-public", "p015", "Accepted=True").await;
    assert_eq!(api.told("kube-public", "p016"), "", "only so many are read");
}

const SETTINGS: &str = r##"
models: [{name: big, provider: openai, model: m, base_url: "http://models/v1"}]
policy_objects: {channels: ["#shop-*"]}
policies: [{name: usual, match: {clusters: [""]}, investigate: never}, {name: all, settle_secs: 9}]
"##;

const OBJECTS: &str = r##"
apiVersion: whodunit.dev/v1alpha1
kind: InvestigationPolicy
metadata: {name: oncall, namespace: shop}
spec:
  match: {severities: [critical]}
  settleSecs: 3
  budget: {steps: 4, usd: 99}
  channel: "#shop-oncall"
  usdPerDay: 2
---
apiVersion: whodunit.dev/v1alpha1
kind: InvestigationPolicy
metadata: {name: loud, namespace: shop}
spec: {channel: "#general"}
---
apiVersion: whodunit.dev/v1alpha1
kind: InvestigationPolicy
metadata: {name: pages, namespace: shop}
spec: {match: {severities: [critical], alerts: [Kube*]}}
"##;

#[test]
fn explain_takes_the_objects_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.yaml");
    std::fs::write(&file, OBJECTS).unwrap();
    let file = file.to_str().unwrap();
    let explain = ["explain", "--policy-object", file, "--namespace", "shop", "--severity", "critical"];
    let (ok, told, error) = config(SETTINGS, &explain);
    assert!(ok, "{error}");
    assert_eq!(
        told,
        "all (policies[1]): it fits everything\n\
         within it shop/oncall (InvestigationPolicy): severity critical fits `critical`\n  \
         not usual (policies[0]): there is no cluster to fit ``\n\n\
         investigate  always\nsettle       3 s\ncooldown     14400 s\nchannel      #shop-oncall\n\
         budget       4 steps, 180 s, 120000 tokens, $0.50 a run\nmodels       big\n\
         money        $2.00 of the policy shop/oncall, $20.00 of everybody within 24 hours\n\
         shop/loud: not accepted: `#general` fits none of policy_objects.channels\n\
         shop/pages: never reached: all that fits it fits shop/oncall first\n"
    );
    std::fs::write(file, "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n").unwrap();
    let (ok, _, error) = config(SETTINGS, &explain);
    assert!(!ok && error.contains("no InvestigationPolicy"), "{error}");
    let (ok, _, error) =
        config("policy_objects: {channels: [\"a[\"]}\nkubernetes: {enabled: false}\n", &["check"]);
    assert!(!ok && error.contains("policy_objects.channels: `a[` is not a glob"), "{error}");
}
