//! Which namespaces a term about other pods covers: its list and its selector of namespaces together, or its
//! pod's own namespace where it has neither. Pure; of a namespace only the name is known, and a selector by
//! other labels stays undecided.

use k8s_openapi::api::core::v1::{Pod, PodAffinityTerm};

use super::labels::{self, Labels};

/// The label that the API server puts on every namespace.
const NAME: &str = "kubernetes.io/metadata.name";

pub fn namespace_of(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// Whether a term of `owner` is about pods of this namespace; None where only its labels would tell.
pub fn covers(term: &PodAffinityTerm, owner: &Pod, namespace: &str) -> Option<bool> {
    let listed = term.namespaces.as_deref().unwrap_or_default();
    let Some(selector) = term.namespace_selector.as_ref() else {
        return Some(if listed.is_empty() {
            namespace == namespace_of(owner)
        } else {
            listed.iter().any(|one| one == namespace)
        });
    };
    if listed.iter().any(|one| one == namespace) {
        return Some(true);
    }
    let keys = selector.match_labels.iter().flatten().map(|(key, _)| key);
    let mut keys = keys.chain(selector.match_expressions.iter().flatten().map(|one| &one.key));
    let known = Labels::from([(NAME.to_owned(), namespace.to_owned())]);
    keys.all(|key| key == NAME).then(|| labels::selects(Some(selector), &known))
}

/// Whether a term of `owner` may be about pods of other namespaces.
pub fn reaches_out(term: &PodAffinityTerm, owner: &Pod) -> bool {
    let listed = term.namespaces.as_deref().unwrap_or_default();
    term.namespace_selector.is_some() || listed.iter().any(|one| one != namespace_of(owner))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judged(term: Value, namespace: &str) -> Option<bool> {
        let mut term = term;
        term["topologyKey"] = json!("kubernetes.io/hostname");
        let term: PodAffinityTerm = serde_json::from_value(term).unwrap();
        let owner = serde_json::from_value(json!({"metadata": {"name": "x", "namespace": "own"}})).unwrap();
        covers(&term, &owner, namespace)
    }

    #[test]
    fn a_term_is_about_its_own_namespace_or_those_that_it_names() {
        let by_name = json!({"matchLabels": {"kubernetes.io/metadata.name": "db"}});
        let by_team = json!({"matchLabels": {"team": "data"}});
        for (term, namespace, expected) in [
            (json!({}), "own", Some(true)),
            (json!({}), "db", Some(false)),
            (json!({"namespaces": ["db"]}), "db", Some(true)),
            (json!({"namespaces": ["db"]}), "own", Some(false)),
            (json!({"namespaces": []}), "own", Some(true)),
            (json!({"namespaceSelector": {}}), "any", Some(true)),
            (json!({"namespaceSelector": by_name}), "db", Some(true)),
            (json!({"namespaceSelector": by_name}), "own", Some(false)),
            (json!({"namespaceSelector": by_team}), "db", None),
            (json!({"namespaces": ["db"], "namespaceSelector": by_team}), "db", Some(true)),
        ] {
            assert_eq!(judged(term.clone(), namespace), expected, "{term} {namespace}");
        }
    }
}
