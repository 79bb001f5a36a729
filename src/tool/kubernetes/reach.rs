//! How far one run may see: namespaces and pods are checked here, before the client checks them again. What
//! is read comes back screened; what the API refuses becomes words that help to ask better.

use std::collections::BTreeMap;

use serde_json::Value;

use super::asked::{Asked, Place};
use super::screen::screened;
use crate::evidence::references::similar;
use crate::source::kubernetes::kinds::Kind;
use crate::source::kubernetes::{Answer, Client, Error, ListQuery, Owner, Page, Scope, Scoped};
use crate::tool::{Bounds, Refusal};

/// Most owners above a pod.
const MAX_OWNERS: usize = 5;

pub struct Reach<'a> {
    client: &'a Client,
    pub bounds: &'a Bounds,
    pub scoped: Scoped<'a>,
}

impl<'a> Reach<'a> {
    pub fn new(client: &'a Client, bounds: &'a Bounds) -> Self {
        let scoped = client.scoped(Scope::of_namespaces(&bounds.namespaces));
        let scoped = if bounds.nothing_shared { scoped.without_shared() } else { scoped };
        Self { client, bounds, scoped }
    }

    /// The namespace that a question is about, "" for all; checked.
    pub fn namespace(&self, asked: &Asked) -> Result<String, Refusal> {
        if !asked.kind.namespaced {
            return Ok(String::new());
        }
        let name = match &asked.place {
            Place::All => String::new(),
            Place::Namespace(name) => name.clone(),
            Place::Own => {
                match (self.bounds.workload.namespace.as_str(), self.bounds.namespaces.as_slice()) {
                    ("", [only]) => only.clone(),
                    ("", _) => return Err(Refusal::Arguments("`namespace` is missing".to_owned())),
                    (own, _) => own.to_owned(),
                }
            }
        };
        if self.scoped.scope().allows(&name) {
            return Ok(name);
        }
        let asked = if name.is_empty() { "all namespaces".to_owned() } else { format!("namespace {name}") };
        Err(Refusal::Scope(format!("{asked}; readable: {}", self.bounds.namespaces.join(", "))))
    }

    /// The namespace of a question about one object.
    pub fn one_namespace(&self, asked: &Asked) -> Result<String, Refusal> {
        let namespace = self.namespace(asked)?;
        if asked.kind.namespaced && namespace.is_empty() {
            return Err(Refusal::Arguments("one object lives in one `namespace`".to_owned()));
        }
        Ok(namespace)
    }

    pub async fn object(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Answer<Value>, Refusal> {
        match self.scoped.object(kind, namespace, name).await {
            Ok(answer) => Ok(Answer { value: screened(answer.value), ..answer }),
            Err(Error::NotFound) => Err(self.not_found(kind, namespace, name).await),
            Err(error) => Err(refusal(&error, &format!("{} {name}", kind.name))),
        }
    }

    pub async fn objects(
        &self,
        kind: &Kind,
        namespace: &str,
        query: &ListQuery,
    ) -> Result<Answer<Page<Value>>, Refusal> {
        let answer = match self.scoped.objects(kind, namespace, query).await {
            Err(Error::NotFound) => return Err(Refusal::Failed(no_kind(kind))),
            answer => answer.map_err(|error| refusal(&error, kind.plural))?,
        };
        let Page { items, more, remaining } = answer.value;
        let value = Page { items: items.into_iter().map(screened).collect(), more, remaining };
        Ok(Answer { value, date: answer.date, query: answer.query, milliseconds: answer.milliseconds })
    }

    /// A name that is not there is often nearly one that is.
    async fn not_found(&self, kind: &Kind, namespace: &str, name: &str) -> Refusal {
        let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
        let mut words = format!("{} {name} does not exist{place}", kind.name);
        match self.scoped.object_names(kind, namespace).await {
            Ok(names) if names.is_empty() => words.push_str(&format!("; there are no {}", kind.plural)),
            Ok(names) => {
                let alike = similar(name, &names);
                if !alike.is_empty() {
                    words.push_str(&format!("; similar: {}", alike.join(", ")));
                }
            }
            Err(Error::NotFound) => return Refusal::Failed(no_kind(kind)),
            Err(_) => {}
        }
        Refusal::Failed(words)
    }

    /// The controllers above an object, nearest first. What cannot be read ends the chain.
    pub async fn owners(&self, object: &Value, namespace: &str) -> Vec<Owner> {
        let mut chain = Vec::new();
        let mut next = direct_owner(object);
        while let Some(owner) = next.filter(|_| chain.len() < MAX_OWNERS) {
            next = self.client.owner(&owner.kind, namespace, &owner.name).await.ok().flatten();
            chain.push(owner);
        }
        chain
    }

    /// Whether a pod belongs to the workload of the run.
    pub async fn is_own(&self, pod: &Value, namespace: &str) -> bool {
        let workload = &self.bounds.workload;
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        match workload.kind.as_str() {
            "Namespace" => namespace == workload.name || namespace == workload.namespace,
            "Node" => pod["spec"]["nodeName"] == workload.name.as_str(),
            _ if namespace != workload.namespace => false,
            "Pod" => name == workload.name,
            "Service" => self.is_selected(pod, namespace, &workload.name).await,
            kind => {
                let owners = self.owners(pod, namespace).await;
                owners.iter().any(|owner| owner.kind == kind && owner.name == workload.name)
            }
        }
    }

    async fn is_selected(&self, pod: &Value, namespace: &str, service: &str) -> bool {
        let Some(kind) = crate::source::kubernetes::kinds::kind("Service") else { return false };
        let Ok(service) = self.scoped.object(kind, namespace, service).await else { return false };
        let selector: BTreeMap<&str, &Value> = service.value["spec"]["selector"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| (k.as_str(), v))
            .collect();
        let labels = &pod["metadata"]["labels"];
        !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// A view for the logs of one pod that was found to be the workload's own.
    pub fn for_logs_of(&self, pod: &str) -> Scoped<'a> {
        let scoped = self.client.scoped(self.scoped.scope().clone());
        if self.bounds.own_pods_only { scoped.only_pods([pod.to_owned()]) } else { scoped }
    }
}

/// The controller of an object.
pub fn direct_owner(object: &Value) -> Option<Owner> {
    let references = object["metadata"]["ownerReferences"].as_array()?;
    let owner = references.iter().find(|owner| owner["controller"] == true)?;
    let text = |key: &str| owner[key].as_str().unwrap_or_default().to_owned();
    // A static pod's node did not make it.
    Some(Owner { kind: text("kind"), name: text("name") }).filter(|owner| owner.kind != "Node")
}

fn no_kind(kind: &Kind) -> String {
    let custom = if kind.is_custom() { " (not installed)" } else { "" };
    format!("this cluster has no {}{custom}", kind.plural)
}

/// The API's words, in the classes that a model can act on.
pub fn refusal(error: &Error, what: &str) -> Refusal {
    match error {
        Error::Refused(why) => Refusal::Scope(why.clone()),
        Error::BadRequest(why) => Refusal::Arguments(format!("{what}: {why}")),
        Error::Timeout(after) => Refusal::Timeout(*after),
        Error::NotFound => Refusal::Failed(format!("{what} does not exist")),
        Error::Forbidden(_) | Error::Unauthorized(_) | Error::Unavailable(_) => {
            Refusal::Failed(format!("{what}: {error}"))
        }
    }
}
