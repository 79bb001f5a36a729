//! Several clusters behind one door: a call names the one it is about, no other is asked, and a token is told only of
//! those that it sees.

use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use whodunit::demo::{KubernetesStandIn, Recording};

use super::Agent;
use crate::house::{self, House, HouseOptions};

const TOKENS: &str = "
tokens:
  - {name: root, token: root-token}
  - {name: west, token: west-token, clusters: [west], namespaces: [shop]}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_about_one_cluster_and_a_token_about_those_that_it_sees() {
    let west = Arc::new(KubernetesStandIn::new(Recording::embedded().unwrap()).unwrap());
    let (listener, url) = house::listen().await;
    tokio::spawn(Arc::clone(&west).serve(listener, CancellationToken::new()));
    let house = House::start(HouseOptions {
        without_slack: true,
        with: Some(Box::new(move |settings| {
            settings.api = serde_saphyr::from_str(TOKENS).unwrap();
            let clusters = format!("- {{name: west, kubernetes: {{url: '{url}'}}}}");
            settings.clusters = serde_saphyr::from_str(&clusters).unwrap();
        })),
        ..HouseOptions::default()
    })
    .await;
    let asked = || (house.kubernetes.asked().len(), west.asked().len());
    let pods = |cluster: &str| json!({"kind": "pods", "namespace": "shop", "cluster": cluster});

    let root = Agent::connect(&house, "root-token").await;
    let tools = root.tools().await;
    let list = tools.iter().find(|tool| tool.name == "kubernetes_list").unwrap().schema_as_json_value();
    assert_eq!(list["properties"]["cluster"]["enum"], json!(["lab", "west"]));
    assert!(list["required"].as_array().unwrap().contains(&json!("cluster")));
    let before = asked();
    let why = root.refused("kubernetes_list", json!({"kind": "pods", "namespace": "shop"})).await;
    assert!(why.contains("`cluster` is one of lab, west"), "{why}");
    root.refused("kubernetes_list", pods("east")).await;
    assert_eq!(asked(), before);
    assert!(root.told("kubernetes_list", pods("west")).await.contains("checkout-"));
    let between = asked();
    assert!(between.0 == before.0 && between.1 > before.1, "{before:?} {between:?}");
    root.told("kubernetes_list", pods("lab")).await;
    assert!(asked().0 > between.0 && asked().1 == between.1, "{between:?} {:?}", asked());

    let one = Agent::connect(&house, "west-token").await;
    let told = serde_json::to_string(&one.tools().await).unwrap();
    assert!(!told.contains("\"lab\""), "the other cluster is not named");
    let before = asked();
    assert!(one.told("kubernetes_list", json!({"kind": "pods"})).await.contains("checkout-"));
    one.refused("kubernetes_list", json!({"kind": "pods", "namespace": "prod-api"})).await;
    assert!(!one.names().await.contains("prometheus_query"), "only lab has a Prometheus");
    assert_eq!(asked().0, before.0);
    assert!(west.asked()[before.1..].iter().all(|asked| !asked.contains("prod-api")));
}
