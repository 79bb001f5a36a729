//! Selectors against labels as the scheduler reads them: label selectors, node selector terms with all their
//! operators, and tolerations against taints. Pure; an operator that is not known fits nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

pub type Labels = BTreeMap<String, String>;

/// A missing selector fits nothing, an empty one everything.
pub fn selects(selector: Option<&LabelSelector>, labels: &Labels) -> bool {
    let Some(selector) = selector else { return false };
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|one| {
            let values = one.values.as_deref().unwrap_or_default();
            requirement(labels.get(&one.key), &one.operator, values)
        })
}

/// Whether a node satisfies a node selector: any of its terms.
pub fn node_selects(selector: &NodeSelector, node: &Node) -> bool {
    selector.node_selector_terms.iter().any(|term| term_selects(term, node))
}

fn term_selects(term: &NodeSelectorTerm, node: &Node) -> bool {
    let (expressions, fields) = (
        term.match_expressions.as_deref().unwrap_or_default(),
        term.match_fields.as_deref().unwrap_or_default(),
    );
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let labels = node.metadata.labels.as_ref();
    let fits = |one: &NodeSelectorRequirement, value: Option<&String>| {
        requirement(value, &one.operator, one.values.as_deref().unwrap_or_default())
    };
    expressions.iter().all(|one| fits(one, labels.and_then(|labels| labels.get(&one.key))))
        && fields.iter().all(|one| one.key == "metadata.name" && fits(one, node.metadata.name.as_ref()))
}

fn requirement(value: Option<&String>, operator: &str, values: &[String]) -> bool {
    let number = |text: &String| text.parse::<i64>().ok();
    let bound = || values.first().and_then(number);
    match (operator, value) {
        ("In", Some(value)) => values.contains(value),
        ("NotIn", value) => value.is_none_or(|value| !values.contains(value)),
        ("Exists", value) => value.is_some(),
        ("DoesNotExist", value) => value.is_none(),
        ("Gt", Some(value)) => number(value).zip(bound()).is_some_and(|(own, bound)| own > bound),
        ("Lt", Some(value)) => number(value).zip(bound()).is_some_and(|(own, bound)| own < bound),
        _ => false,
    }
}

/// A node selector in words: `zone In [a, b], ssd Exists`, terms joined by " or ".
pub fn words(selector: &NodeSelector) -> String {
    let one = |one: &NodeSelectorRequirement| match one.values.as_deref().unwrap_or_default() {
        [] => format!("{} {}", one.key, one.operator),
        values => format!("{} {} [{}]", one.key, one.operator, values.join(", ")),
    };
    let term = |term: &NodeSelectorTerm| {
        let all = term.match_expressions.iter().flatten().chain(term.match_fields.iter().flatten());
        all.map(one).collect::<Vec<_>>().join(", ")
    };
    selector.node_selector_terms.iter().map(term).collect::<Vec<_>>().join(" or ")
}

/// A label selector in words: `app=x,tier In [a, b]`.
pub fn selector_words(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "no pods".to_owned() };
    let equal = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let expressions = selector.match_expressions.iter().flatten().map(|one| {
        format!("{} {} [{}]", one.key, one.operator, one.values.clone().unwrap_or_default().join(", "))
    });
    let all: Vec<String> = equal.chain(expressions).collect();
    if all.is_empty() { "all pods".to_owned() } else { all.join(",") }
}

/// Taints that keep pods without a fitting toleration from being scheduled.
pub fn untolerated<'n>(node: &'n Node, tolerations: &[Toleration]) -> Vec<&'n Taint> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let hard = |taint: &&Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
    taints.iter().filter(hard).filter(|taint| !tolerates(tolerations, taint)).collect()
}

pub fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|one| {
        let effect = one.effect.as_deref().unwrap_or_default();
        let key = one.key.as_deref().unwrap_or_default();
        let (own, wanted) =
            (one.value.as_deref().unwrap_or_default(), taint.value.as_deref().unwrap_or_default());
        let number = |text: &str| text.parse::<i64>().ok();
        (effect.is_empty() || effect == taint.effect)
            && (key.is_empty() || key == taint.key)
            && match one.operator.as_deref().unwrap_or("Equal") {
                "Exists" => true,
                "" | "Equal" => !key.is_empty() && own == wanted,
                "Gt" => number(wanted).zip(number(own)).is_some_and(|(taint, bound)| taint > bound),
                "Lt" => number(wanted).zip(number(own)).is_some_and(|(taint, bound)| taint < bound),
                _ => false,
            }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(labels: Value, taints: Value) -> Node {
        serde_json::from_value(
            json!({"metadata": {"name": "n1", "labels": labels}, "spec": {"taints": taints}}),
        )
        .unwrap()
    }

    #[test]
    fn every_operator_of_node_affinity() {
        let node = node(json!({"zone": "a", "cores": "8", "name": "x"}), json!([]));
        for (expected, term) in [
            (true, json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]})),
            (false, json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]})),
            (true, json!({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["a"]}]})),
            (false, json!({"matchExpressions": [{"key": "none", "operator": "In", "values": ["a"]}]})),
            (true, json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]})),
            (true, json!({"matchExpressions": [{"key": "none", "operator": "DoesNotExist"}]})),
            (true, json!({"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["7"]}]})),
            (false, json!({"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["8"]}]})),
            (true, json!({"matchExpressions": [{"key": "cores", "operator": "Lt", "values": ["9"]}]})),
            (false, json!({"matchExpressions": [{"key": "name", "operator": "Lt", "values": ["9"]}]})),
            (true, json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]})),
            (false, json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]})),
            (false, json!({})),
        ] {
            let selector = serde_json::from_value(json!({"nodeSelectorTerms": [term]})).unwrap();
            assert_eq!(node_selects(&selector, &node), expected, "{}", words(&selector));
        }
        let either = json!({"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["c"]}]},
            {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]});
        let either = serde_json::from_value(either).unwrap();
        assert!(node_selects(&either, &node));
        assert_eq!(words(&either), "zone In [c] or zone In [a]");
    }

    #[test]
    fn taints_are_tolerated_by_key_value_and_effect() {
        let node = node(
            json!({}),
            json!([{"key": "dedicated", "value": "db", "effect": "NoSchedule"},
                   {"key": "soft", "effect": "PreferNoSchedule"}]),
        );
        for (left, tolerations) in [
            (1, json!([])),
            (0, json!([{"key": "dedicated", "value": "db", "effect": "NoSchedule"}])),
            (1, json!([{"key": "dedicated", "value": "web"}])),
            (1, json!([{"key": "dedicated", "value": "db", "effect": "NoExecute"}])),
            (0, json!([{"key": "dedicated", "operator": "Exists"}])),
            (0, json!([{"operator": "Exists"}])),
        ] {
            let tolerations: Vec<Toleration> = serde_json::from_value(tolerations).unwrap();
            assert_eq!(untolerated(&node, &tolerations).len(), left, "{tolerations:?}");
        }
    }

    #[test]
    fn label_selectors_select_nothing_when_missing_and_all_when_empty() {
        let labels = Labels::from([("app".to_owned(), "x".to_owned())]);
        assert!(!selects(None, &labels));
        assert!(selects(Some(&LabelSelector::default()), &labels));
        let selector = serde_json::from_value(json!({"matchLabels": {"app": "x"}, "matchExpressions": [
                {"key": "tier", "operator": "DoesNotExist"}]}))
        .unwrap();
        assert!(selects(Some(&selector), &labels));
    }
}
