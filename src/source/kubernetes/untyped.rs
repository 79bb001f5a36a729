//! Objects as JSON, for questions that are not known beforehand: a kind of the closed list, a namespace
//! and a name come in, the object comes out as the API server gave it. GET only, behind the same checks of
//! path and scope as typed reading; lists are one page, and say how many objects they left out.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;

use super::kinds::Kind;
use super::read::{JSON, METADATA_LIST_ONLY, parse};
use super::{Answer, Error, ListQuery, Scope, Scoped, path};

/// Most objects of one untyped list: half a thousand pods are some ten megabytes.
const MAX_OBJECTS: usize = 500;

/// One page of objects.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// More objects match than were read.
    pub more: bool,
    /// How many more, where the API server says so.
    pub remaining: Option<u64>,
}

#[derive(Deserialize)]
struct List<T> {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    #[serde(default, rename = "continue")]
    next: Option<String>,
    #[serde(default)]
    remaining_item_count: Option<u64>,
}

#[derive(Deserialize)]
struct Partial {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl Scoped<'_> {
    /// One object as JSON; `namespace` is not looked at for kinds that have none.
    pub async fn object(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Answer<Value>, Error> {
        let namespace = self.place(kind, namespace)?;
        if kind.name == "Namespace" {
            self.admit(name, "Namespace")?;
        }
        if kind.namespaced && namespace.is_empty() {
            return Err(Error::BadRequest(format!("{} {name} needs a namespace", kind.name)));
        }
        let path = path::build(&kind.prefix(), kind.plural, namespace, path::segment(name)?)?;
        let raw = self.client().send(&path, &[], JSON).await?;
        let value = parse(&raw)?;
        Ok(raw.answer(value))
    }

    /// Objects of a kind as JSON; "" lists all namespaces, which needs the scope `Cluster`.
    pub async fn objects(
        &self,
        kind: &Kind,
        namespace: &str,
        query: &ListQuery,
    ) -> Result<Answer<Page<Value>>, Error> {
        self.page(kind, namespace, query, JSON).await
    }

    /// Names of a kind's objects without their content.
    pub async fn object_names(&self, kind: &Kind, namespace: &str) -> Result<Vec<String>, Error> {
        let page =
            self.page::<Partial>(kind, namespace, &ListQuery::default(), METADATA_LIST_ONLY).await?.value;
        Ok(page.items.into_iter().filter_map(|item| item.metadata.name).collect())
    }

    async fn page<T: serde::de::DeserializeOwned>(
        &self,
        kind: &Kind,
        namespace: &str,
        query: &ListQuery,
        accept: &str,
    ) -> Result<Answer<Page<T>>, Error> {
        let namespace = self.place(kind, namespace)?;
        if kind.name == "Namespace" {
            self.admit("", "Namespace")?;
        }
        let path = path::build(&kind.prefix(), kind.plural, namespace, "")?;
        let limit = MAX_OBJECTS.to_string();
        let mut parameters = Vec::new();
        for (name, value) in [("labelSelector", &query.labels), ("fieldSelector", &query.fields)] {
            if !value.is_empty() {
                parameters.push((name, value.as_str()));
            }
        }
        parameters.push(("limit", limit.as_str()));
        let raw = self.client().send(&path, &parameters, accept).await?;
        let mut list: List<T> = parse(&raw)?;
        let cut = list.items.len() > MAX_OBJECTS;
        list.items.truncate(MAX_OBJECTS);
        let more = cut || list.metadata.next.is_some_and(|token| !token.is_empty());
        let value = Page { items: list.items, more, remaining: list.metadata.remaining_item_count };
        Ok(raw.answer(value))
    }

    /// The namespace of the path, once the scope lets it through.
    fn place<'n>(&self, kind: &Kind, namespace: &'n str) -> Result<&'n str, Error> {
        if !kind.namespaced {
            // A namespace itself is admitted by its name.
            if kind.name != "Namespace" {
                self.admit_shared(kind.name)?;
            }
            return Ok("");
        }
        self.admit(namespace, kind.name)?;
        Ok(namespace)
    }
}

impl Scope {
    /// The scope for a list of namespaces; an empty list means all of them.
    pub fn of_namespaces(names: &[String]) -> Self {
        if names.is_empty() { Self::Cluster } else { Self::Namespaces(names.to_vec()) }
    }
}
