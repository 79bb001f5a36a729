//! What becomes of objects, and that nothing in them widens what the settings allow.

use serde_json::{Value, json};

use super::*;
use crate::alert::Severity;
use crate::policy::{About, Policies};

fn settings(policies: Value) -> Settings {
    let models: Vec<Value> = ["big", "small"]
        .iter()
        .map(|name| json!({"name": name, "provider": "openai", "model": "m"}))
        .collect();
    serde_json::from_value(json!({
        "models": models, "policies": policies, "policy_objects": {"channels": ["#shop-*"]},
        "quotas": [{"namespaces": ["*"], "usd_per_day": 5}],
    }))
    .unwrap()
}

fn object(namespace: &str, name: &str, spec: Value) -> PolicyObject {
    let document = json!({
        "apiVersion": "whodunit.dev/v1alpha1", "kind": "InvestigationPolicy",
        "metadata": {"namespace": namespace, "name": name, "uid": name, "generation": 1}, "spec": spec,
    });
    PolicyObject::of(&document).unwrap()
}

fn compiled(objects: &[PolicyObject]) -> (Vec<Policy>, Vec<Fate>) {
    compile(objects, &Allowed::new(&settings(json!([]))).unwrap())
}

#[test]
fn the_program_refuses_what_the_table_says() {
    let table: Vec<Value> =
        serde_saphyr::from_str(include_str!("../../../deploy/tests/policies.yaml")).unwrap();
    let mut judged = 0;
    for row in &table {
        let (policies, fates) = compiled(&[object("shop", "x", row["spec"].clone())]);
        match (row["refused"].as_str(), &fates[0]) {
            (None, fate) => assert_eq!((fate, policies.len()), (&Fate::InForce, 1), "{}", row["what"]),
            (
                Some("program"),
                Fate::Invalid(why) | Fate::UnknownModel(why) | Fate::ChannelNotAllowed(why),
            ) => {
                judged += 1;
                assert!(why.contains(row["message"].as_str().unwrap()), "{why}");
                assert!(policies.is_empty());
            }
            (Some("program"), fate) => panic!("{}: {fate:?}", row["what"]),
            _ => {}
        }
    }
    assert_eq!(judged, 4);
}

#[test]
fn what_a_cluster_without_our_schema_lets_through_is_bounded_here() {
    let long = "x".repeat(129);
    for (spec, why) in [
        (
            json!({"match": {"alerts": ["a", "b", "c", "d", "e", "f", "g", "h", "i"]}}),
            "match.alerts has 9 entries",
        ),
        (json!({"match": {"labels": {"a": long}}}), "a text has 129 bytes"),
        (json!({"match": {"times": [{"zone": long}]}}), "a text has 129 bytes"),
        (json!({"settleSecs": i64::MAX}), "settleSecs is 9223372036854775807"),
        (json!({"settleSecs": -1}), "settleSecs is -1"),
        (json!({"cooldownSecs": i64::MAX}), "cooldownSecs is 9223372036854775807"),
        (json!({"budget": {"steps": -3}}), "budget.steps is -3"),
        (json!({"usdPerDay": -1}), "usd_per_day is -1"),
        (json!({"channel": "#shop-a\n"}), "channel has a space"),
        (json!({"investigate": 7}), "invalid type"),
        (json!("text"), "invalid type"),
        (json!({"match": {"times": [{"from": "08:00", "to": "08:00"}]}}), "is no time of a day"),
    ] {
        let (policies, fates) = compiled(&[object("shop", "x", spec), object("shop", "good", json!({}))]);
        let Fate::Invalid(said) = &fates[0] else { panic!("{fates:?}") };
        assert!(said.contains(why), "{said}");
        assert_eq!((policies.len(), &fates[1]), (1, &Fate::InForce), "one fault hides no other object");
    }
}

#[test]
fn lower_orders_come_first_then_names_and_what_is_never_reached_says_so() {
    let (policies, fates) = compiled(&[
        object("shop", "c", json!({"match": {"severities": ["critical"]}})),
        object("shop", "b", json!({"match": {"severities": ["critical"]}, "order": 5})),
        object("shop", "a", json!({"order": 5})),
        object("shop", "z", json!({"match": {"alerts": ["Kube*"]}, "order": 1})),
        object("shop", "bad", json!({"models": ["huge"], "order": 0})),
    ]);
    let names: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["shop/c", "shop/z", "shop/a", "shop/b"]);
    assert_eq!(
        fates[..4],
        [Fate::InForce, Fate::Shadowed("shop/c".to_owned()), Fate::InForce, Fate::InForce,]
    );
    assert!(matches!(fates[4], Fate::UnknownModel(_)));
}

/// What holds for a workload of a namespace, in a few words.
fn held(policies: &Policies, workload: &Workload) -> Value {
    let at = "2026-11-20T11:00:00Z".parse().unwrap();
    let chosen = policies.choose(&About { workload, severity: Severity::Warning, alerts: &[], at });
    let agent = chosen.agent(&settings::Agent::default());
    let purse = policies.purse(workload, &chosen);
    json!({
        "investigate": chosen.investigate().as_str(), "by": chosen.decided_by(), "models": chosen.models(),
        "settle": chosen.settle().map(|wait| wait.as_secs()),
        "cooldown": chosen.cooldown(std::time::Duration::from_secs(600)).as_secs(),
        "steps": agent.steps, "usd": agent.usd, "channel": chosen.channel().map(|(channel, _)| channel),
        "money": [purse.policy_usd, purse.team_usd, purse.namespace_usd],
        "name": chosen.as_used().map(|used| used.name),
    })
}

fn in_force(own: Value, team: Value) -> Policies {
    let (policies, _) = compiled(&[object("shop", "own", team)]);
    let namespaces = Namespaces::from([("shop".to_owned(), Arc::new(policies))]);
    Policies::new(&settings(own)).unwrap().with_teams(None, namespaces)
}

#[test]
fn a_team_narrows_and_never_widens() {
    let shop = Workload::new("lab", "shop", "Deployment", "web");
    let wide = json!({"investigate": "Always", "settleSecs": 5, "cooldownSecs": 1, "models": ["big", "small"],
                      "budget": {"steps": 1000, "usd": 1000}, "usdPerDay": 1000, "channel": "#shop-a"});
    let usual = json!([{"name": "usual", "investigate": "signatures-only", "models": ["small"], "cooldown_secs": 900,
                        "budget": {"steps": 7, "usd": 0.1}, "usd_per_day": 2, "channel": "#all"}]);
    assert_eq!(
        held(&in_force(usual.clone(), wide.clone()), &shop),
        json!({
            "investigate": "signatures-only", "by": "usual", "models": ["small"], "settle": 5, "cooldown": 900,
            "steps": 7, "usd": 0.1, "channel": "#shop-a", "money": [2.0, 1000.0, 5.0], "name": "shop/own",
        })
    );
    // Without a policy of the settings: what `agent` and `intake` say.
    assert_eq!(
        held(&in_force(json!([]), wide), &shop),
        json!({
            "investigate": "always", "by": "", "models": ["big", "small"], "settle": 5, "cooldown": 600,
            "steps": 12, "usd": 0.5, "channel": "#shop-a", "money": [null, 1000.0, 5.0], "name": "shop/own",
        })
    );
    let narrow = json!({"budget": {"steps": 2}, "cooldownSecs": 7200, "usdPerDay": 1, "models": ["big"]});
    let always = json!([{"name": "usual", "budget": {"steps": 50, "usd": 3}, "settle_secs": 9}]);
    assert_eq!(
        held(&in_force(always, narrow.clone()), &shop),
        json!({
            "investigate": "always", "by": "usual", "models": ["big"], "settle": 9, "cooldown": 7200,
            "steps": 2, "usd": 3.0, "channel": null, "money": [null, 1.0, 5.0], "name": "shop/own",
        })
    );
    // The settings allow small, the team only big: nobody is left to be asked, by the team's word.
    let small = json!([{"name": "usual", "models": ["small"]}]);
    let none = held(&in_force(small, narrow), &shop);
    assert_eq!((&none["investigate"], &none["by"]), (&json!("signatures-only"), &json!("shop/own")));
    for (own, team, investigate, by) in [
        ("always", "Never", "never", "shop/own"),
        ("never", "Always", "never", "usual"),
        ("never", "SignaturesOnly", "never", "usual"),
        ("signatures-only", "Never", "never", "shop/own"),
    ] {
        let policies = in_force(json!([{"name": "usual", "investigate": own}]), json!({"investigate": team}));
        let held = held(&policies, &shop);
        assert_eq!((&held["investigate"], &held["by"]), (&json!(investigate), &json!(by)), "{own} {team}");
    }
}

#[test]
fn a_policy_is_about_its_own_namespace_in_its_own_cluster_alone() {
    let (never, _) = compiled(&[object("shop", "own", json!({"investigate": "Never"}))]);
    let namespaces = Namespaces::from([("shop".to_owned(), Arc::new(never))]);
    let usual = || Policies::new(&settings(json!([]))).unwrap();
    let never = |policies: &Policies, workload: &Workload| held(policies, workload)["investigate"] == "never";
    let shop = Workload::new("lab", "shop", "Deployment", "web");
    let whole = Workload::new("lab", "", "Namespace", "shop");
    let others = [
        Workload::new("lab", "pay", "Deployment", "web"),
        Workload::new("lab", "", "Node", "shop"),
        Workload::new("lab", "", "Namespace", "pay"),
    ];
    let one = usual().with_teams(None, namespaces.clone());
    assert!(never(&one, &shop) && never(&one, &whole));
    assert!(never(&one, &Workload::new("as alerts call it", "shop", "Deployment", "web")));
    let many = usual().with_teams(Some("lab"), namespaces).with_teams(Some("prod"), Namespaces::new());
    assert!(never(&many, &shop) && !never(&many, &Workload::new("prod", "shop", "Deployment", "web")));
    for other in &others {
        assert!(!never(&one, other) && !never(&many, other), "{other}");
    }
    assert!(!never(&many.with_teams(Some("lab"), Namespaces::new()), &shop), "what is deleted holds no more");
}
