//! Which policy holds, as a table; and what cannot work.

use serde_json::{Value, json};

use super::*;

fn policies(policies: Value, quotas: Value) -> Result<Policies, BadPolicy> {
    let models: Vec<Value> = ["big", "small"]
        .iter()
        .map(|name| json!({"name": name, "provider": "openai", "model": "m"}))
        .collect();
    let settings =
        json!({"policies": policies, "quotas": quotas, "models": models, "agent": {"usd_per_day": 20}});
    Policies::new(&serde_json::from_value(settings).unwrap())
}

fn alert(labels: &Value) -> Alert {
    serde_json::from_value(json!({
        "source": "alertmanager", "status": "firing", "fingerprint": "f", "severity": "warning",
        "starts_at": "2026-11-21T07:00:00Z", "ends_at": null, "labels": labels, "annotations": {},
        "generator_url": "", "receiver": "", "group_key": "", "subject": null, "truncated_alerts": 0,
    }))
    .unwrap()
}

#[test]
fn the_first_policy_of_which_every_key_holds_is_chosen() {
    let policies = policies(
        json!([
            {"name": "noise", "match": {"alerts": ["Info*"]}, "investigate": "never"},
            {"name": "data", "match": {"alerts": ["Click*"], "labels": {"team": "data*"}}, "models": ["big"]},
            {"name": "prod-page", "match": {"clusters": ["prod-*"], "severities": ["critical"]}, "settle_secs": 5},
            {"name": "night", "match": {"namespaces": ["shop", "pay-?"],
                "times": [{"zone": "Europe/Berlin", "days": ["mon-fri"], "from": "20:00", "to": "07:00"},
                          {"zone": "Europe/Berlin", "days": ["sat", "sun"]}]},
             "investigate": "signatures-only"},
            {"name": "rest"},
        ]),
        json!([]),
    )
    .unwrap();
    // 2026-11-20 is a Friday; Berlin is one hour ahead of UTC.
    let (noon, evening, weekend) = ("2026-11-20T11:00:00Z", "2026-11-20T19:30:00Z", "2026-11-22T12:00:00Z");
    let deployment = |cluster: &str, namespace: &str| Workload::new(cluster, namespace, "Deployment", "web");
    let node = Workload::new("prod-eu", "", "Node", "n1");
    let storm = Workload::new("lab", "", "Namespace", "shop");
    let plain = json!({"alertname": "A"});
    let table = [
        (
            json!({"alertname": "InfoInhibitor"}),
            deployment("lab", "shop"),
            Severity::Critical,
            weekend,
            "noise",
        ),
        (
            json!({"alertname": "ClickHouseDown", "team": "data-eu"}),
            deployment("", "x"),
            Severity::None,
            noon,
            "data",
        ),
        // One of the two is not enough.
        (
            json!({"alertname": "ClickHouseDown", "team": "web"}),
            deployment("", "x"),
            Severity::None,
            noon,
            "rest",
        ),
        (json!({"alertname": "ClickHouseDown"}), deployment("", "x"), Severity::None, noon, "rest"),
        (plain.clone(), deployment("prod-eu", "shop"), Severity::Critical, weekend, "prod-page"),
        (plain.clone(), node, Severity::Critical, noon, "prod-page"),
        (plain.clone(), deployment("prod-eu", "shop"), Severity::Warning, noon, "rest"),
        (plain.clone(), deployment("", "shop"), Severity::Critical, noon, "rest"),
        (plain.clone(), deployment("lab", "shop"), Severity::Critical, evening, "night"),
        (plain.clone(), deployment("lab", "pay-a"), Severity::Info, weekend, "night"),
        (plain.clone(), deployment("lab", "pay-ab"), Severity::Info, weekend, "rest"),
        (plain, storm, Severity::Critical, evening, "night"),
    ];
    for (labels, workload, severity, at, expected) in table {
        let alerts = [alert(&labels)];
        let about = About { workload: &workload, severity, alerts: &alerts, at: at.parse().unwrap() };
        let chosen = policies.choose(&about);
        let name = chosen.policy.map(|policy| policy.name.as_str());
        assert_eq!(name, Some(expected), "{labels} {workload} {severity:?} {at}: {}", chosen.reason);
    }
}

#[test]
fn a_choice_says_why_and_why_no_other() {
    let some = json!([
        {"name": "a", "match": {"namespaces": ["db-*"]}},
        {"name": "b", "match": {"severities": ["critical"], "times": [{"days": ["sun"]}]}},
        {"name": "c", "match": {"namespaces": ["shop"], "labels": {"team": "web"}}},
    ]);
    let policies = policies(some, json!([])).unwrap();
    let workload = Workload::new("lab", "shop", "Deployment", "web");
    let alerts = [alert(&json!({"alertname": "X"})), alert(&json!({"alertname": "Y", "team": "web"}))];
    let at = "2026-11-20T11:00:00Z".parse().unwrap();
    let about = About { workload: &workload, severity: Severity::Critical, alerts: &alerts, at };
    let chosen = policies.choose(&about);
    assert_eq!(
        (chosen.place.as_str(), chosen.reason.as_str()),
        ("policies[2]", "label team web fits `web`; namespace shop fits `shop`")
    );
    let passed: Vec<String> =
        chosen.passed.iter().map(|(place, name, why)| format!("{place} {name}: {why}")).collect();
    assert_eq!(
        passed,
        [
            "policies[0] a: namespace shop does not fit `db-*`",
            "policies[1] b: the time Fri 11:00 UTC is outside of it",
        ]
    );
    let nothing = policies.choose(&About { alerts: &[], ..about });
    assert!(nothing.policy.is_none());
    assert_eq!(nothing.passed[2].2, "there is no alert");
}

#[test]
fn what_cannot_work_is_named_and_what_is_never_reached() {
    let fine = json!({"name": "fine", "match": {"namespaces": ["a-*", "b"], "severities": ["critical"]}});
    for (policy, why) in [
        (json!({"name": " "}), "it has no name"),
        (json!({"name": "fine"}), "policies[0] is called fine too"),
        (json!({"name": "x", "models": ["big", "huge"]}), "`huge` is no model of `models`: big, small"),
        (json!({"name": "x", "match": {"severities": ["page"]}}), "`page` is no severity"),
        (json!({"name": "x", "match": {"namespaces": ["a["]}}), "`a[` is not a glob"),
        (json!({"name": "x", "match": {"times": [{"zone": "Mars"}]}}), "`Mars` is no time zone"),
        (json!({"name": "x", "usd_per_day": -1}), "usd_per_day is -1, which is no money"),
        (
            json!({"name": "x", "match": {"namespaces": ["a-1", "b"], "severities": ["critical"], "labels": {"l": "v"}}}),
            "never reached: all that fits it fits policies[0] (fine) first",
        ),
    ] {
        let error = policies(json!([fine, policy]), json!([])).unwrap_err().to_string();
        assert!(error.starts_with("policies[1]: ") && error.contains(why), "{error}");
    }
    // Wider, other, or by a pattern that only looks alike: each is reached by something.
    for reached in [
        json!({"name": "x"}),
        json!({"name": "x", "match": {"namespaces": ["a-1"]}}),
        json!({"name": "x", "match": {"namespaces": ["a-1", "c"], "severities": ["critical"]}}),
        json!({"name": "x", "match": {"namespaces": ["a?1"], "severities": ["critical"]}}),
        json!({"name": "x", "match": {"severities": ["critical"]}}),
    ] {
        policies(json!([fine, reached]), json!([])).unwrap();
    }
    let times = json!([{"name": "a", "match": {"times": [{"days": ["sat", "sun"]}]}},
                       {"name": "b", "match": {"times": [{"days": ["sat"]}]}}]);
    policies(times, json!([])).unwrap();
    let rest = json!([{"name": "rest"}, {"name": "b", "match": {"namespaces": ["x"]}}]);
    let error = policies(rest, json!([])).unwrap_err().to_string();
    assert!(error.contains("fits policies[0] (rest) first"), "{error}");
}

#[test]
fn what_quotas_promise_is_the_sum_over_the_namespaces_that_they_name() {
    let promised = |quotas: Value| promised(&serde_json::from_value::<Vec<_>>(quotas).unwrap());
    assert_eq!(promised(json!([])), 0.0);
    let quotas = json!([
        {"namespaces": ["shop", "pay"], "usd_per_day": 5},
        {"namespaces": ["shop"], "usd_per_day": 100},
        {"namespaces": ["pay-*", "*"], "usd_per_day": 100},
        {"namespaces": ["infra"], "investigations_per_day": 3},
        {"namespaces": ["web"], "clusters": ["eu", "us", "test-*"], "usd_per_day": 2},
    ]);
    assert_eq!(promised(quotas), 14.0);
}

#[test]
fn each_namespace_has_a_quota_of_its_own_and_the_first_that_fits_holds() {
    let quotas = json!([
        {"namespaces": ["shop"], "clusters": ["prod-*"], "usd_per_day": 5},
        {"namespaces": ["*"], "usd_per_day": 1, "investigations_per_day": 7},
    ]);
    let night = json!([{"name": "night", "usd_per_day": 3, "budget": {"steps": 3, "usd": 0.1}}]);
    let policies = policies(night, quotas).unwrap();
    let purse = |workload: &Workload| policies.purse_again(workload, "night", "");
    let shop = purse(&Workload::new("prod-eu", "shop", "Deployment", "web"));
    assert_eq!(
        (shop.namespace_usd, shop.namespace_investigations, shop.policy_usd),
        (Some(5.0), None, Some(3.0))
    );
    let storm = purse(&Workload::new("lab", "", "Namespace", "shop"));
    assert_eq!((storm.namespace.as_str(), storm.namespace_usd), ("shop", Some(1.0)));
    assert_eq!(storm.namespace_investigations, Some(7));
    let node = purse(&Workload::new("lab", "", "Node", "n1"));
    assert_eq!((node.namespace_usd, node.usd_per_day), (None, 20.0), "a node is nobody's");
    let lone = Workload::new("lab", "", "Node", "n1");
    let about = About { workload: &lone, severity: Severity::Info, alerts: &[], at: Utc::now() };
    let agent = policies.choose(&about).agent(&settings::Agent::default());
    assert_eq!((agent.steps, agent.usd, agent.tokens), (3, 0.1, settings::Agent::default().tokens));
    for (quota, why) in [
        (json!({"usd_per_day": 1}), "it names no namespaces"),
        (json!({"namespaces": ["a"]}), "it limits nothing"),
        (json!({"namespaces": ["a["], "usd_per_day": 1}), "`a[` is not a glob"),
    ] {
        let error = self::policies(json!([]), json!([quota])).unwrap_err().to_string();
        assert!(error.starts_with("quotas[0]: ") && error.contains(why), "{error}");
    }
}
