//! Reads the objects of the kind InvestigationPolicy: a namespace or all of them come in, what teams wrote goes out, each
//! object by itself, so that one that cannot be read hides no other. It is bounded by namespace: whoever fills one with
//! objects takes no place from others.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::policy_object::{Condition, PolicyObject};
use super::read::{JSON, parse};
use super::{Client, Error, path};

const PREFIX: &str = "/apis/whodunit.dev/v1alpha1";
const API_VERSION: &str = "whodunit.dev/v1alpha1";
const KIND: &str = "InvestigationPolicy";
const PLURAL: &str = "investigationpolicies";
/// Most objects of one namespace; the first by name.
pub const MAX_PER_NAMESPACE: usize = 16;
/// Objects of one page, each of which may have 1.5 MiB: with what an answer may have, that fits.
const PAGE: usize = 40;
/// Most pages of one list over all namespaces.
const MAX_PAGES: usize = 50;

/// `/apis/whodunit.dev/v1alpha1/namespaces/shop/investigationpolicies/quiet`
pub(super) fn path_of(namespace: &str, name: &str) -> Result<String, Error> {
    path::build(PREFIX, PLURAL, namespace, name)
}

/// What there is.
#[derive(Debug, Clone, Default)]
pub struct PolicyList {
    pub objects: Vec<PolicyObject>,
    /// There are more than are read. Of all namespaces: then each has to be read by itself, so that all get their share.
    pub crowded: bool,
    /// The cluster does not know the kind.
    pub unknown: bool,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize, Default)]
struct ListMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    metadata: ItemMetadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemMetadata {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    generation: i64,
}

impl Client {
    /// The policies of one namespace, "" for all. A cluster that does not know the kind has none.
    ///
    /// # Errors
    /// There is no answer, or listing them is forbidden.
    pub async fn policy_objects(&self, namespace: &str) -> Result<PolicyList, Error> {
        match self.policy_pages(namespace).await {
            Err(Error::NotFound) => Ok(PolicyList { unknown: true, ..PolicyList::default() }),
            answer => answer,
        }
    }

    async fn policy_pages(&self, namespace: &str) -> Result<PolicyList, Error> {
        let path = path_of(namespace, "")?;
        let (page, pages) = if namespace.is_empty() { (PAGE, MAX_PAGES) } else { (MAX_PER_NAMESPACE, 1) };
        let limit = page.to_string();
        let (mut objects, mut next) = (Vec::new(), None::<String>);
        let mut by_namespace: BTreeMap<String, usize> = BTreeMap::new();
        for _page in 0..pages {
            let mut parameters = vec![("limit", limit.as_str())];
            if let Some(token) = &next {
                parameters.push(("continue", token.as_str()));
            }
            let list: List = parse(&self.send(&path, &parameters, JSON).await?)?;
            for object in list.items.into_iter().map(PolicyObject::from) {
                let count = by_namespace.entry(object.namespace.clone()).or_default();
                *count += 1;
                if *count > MAX_PER_NAMESPACE {
                    return Ok(PolicyList { objects, crowded: true, unknown: false });
                }
                objects.push(object);
            }
            next = list.metadata.next.filter(|token| !token.is_empty());
            if next.is_none() {
                break;
            }
        }
        Ok(PolicyList { objects, crowded: next.is_some(), unknown: false })
    }
}

impl PolicyObject {
    /// A document of a file; None: it is another kind, or has no name.
    pub fn of(document: &Value) -> Option<Self> {
        let kind = (document["apiVersion"].as_str()?, document["kind"].as_str()?);
        (kind == (API_VERSION, KIND)).then(|| Item::deserialize(document).ok().map(Self::from))?
    }
}

impl From<Item> for PolicyObject {
    fn from(item: Item) -> Self {
        let ItemMetadata { name, namespace, uid, resource_version, generation } = item.metadata;
        // Others may have written there what is no condition.
        let conditions = item.status.get("conditions").and_then(Value::as_array).into_iter().flatten();
        let conditions = conditions.filter_map(|one| Condition::deserialize(one).ok()).collect();
        Self { namespace, name, uid, generation, spec: item.spec, resource_version, conditions }
    }
}
