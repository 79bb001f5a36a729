//! A read-only client of one cluster's API over kube-rs. Objects come out typed, with the request that
//! anyone can repeat. It has no method that writes (`access` only asks what it may do; `launcher` is a type of its own that creates Jobs), refuses Secrets and ways into containers before
//! sending (`path::check`), and never waits longer than one request's deadline.

mod access;
mod connect;
mod error;
pub mod kinds;
mod launcher;
mod path;
mod read;
mod scope;
mod untyped;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use moka::future::Cache;
use tokio::sync::Semaphore;

use super::circuit::{Circuit, Standing};
pub use access::Excess;
pub use error::Error;
pub use launcher::{Launcher, Seen};
pub use read::{Answer, ListQuery, Listing, LogQuery};
pub use scope::{Requested, Scope, Scoped};
pub use untyped::Page;

/// How long an owner stays known. Owners do not change during a storm; deleted ones are soon forgotten.
const OWNER_TTL: Duration = Duration::from_secs(60);
const OWNER_CAPACITY: u64 = 10_000;
/// How long an object that is not there stays unasked for: a storm tells of the same one again and again, and what is
/// made anew is soon seen.
const GONE_TTL: Duration = Duration::from_secs(10);

/// Cheap to clone; the transport inside is shared and private, so nobody can write through it.
#[derive(Clone)]
pub struct Client {
    inner: kube::Client,
    timeout: Duration,
    owners: Cache<OwnerKey, Option<Owner>>,
    gone: Cache<OwnerKey, ()>,
    /// A storm is no reason to overrun the API server.
    turns: Arc<Semaphore>,
    circuit: Circuit,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct OwnerKey {
    kind: String,
    namespace: String,
    name: String,
}

/// The direct controller of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub kind: String,
    pub name: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("kubernetes::Client").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Client {
    fn new(inner: kube::Client, timeout: Duration, max_in_flight: usize) -> Self {
        let owners = Cache::builder().max_capacity(OWNER_CAPACITY).time_to_live(OWNER_TTL).build();
        let gone = Cache::builder().max_capacity(OWNER_CAPACITY).time_to_live(GONE_TTL).build();
        Self {
            inner,
            timeout,
            owners,
            gone,
            turns: Arc::new(Semaphore::new(max_in_flight.max(1))),
            circuit: Circuit::default(),
        }
    }

    /// Whether it answers, as far as it was asked.
    pub fn standing(&self) -> Standing {
        self.circuit.standing()
    }

    /// A view of this client that refuses what lies outside `scope`.
    pub fn scoped(&self, scope: Scope) -> Scoped<'_> {
        Scoped::new(self, scope)
    }

    /// Metadata of an object of a built-in kind; `Refused` for kinds that this client does not know.
    pub async fn metadata(&self, kind: &str, namespace: &str, name: &str) -> Result<ObjectMeta, Error> {
        match path::of_kind(kind, namespace, name) {
            Some(path) => self.object_metadata(&path?).await,
            None => Err(Error::Refused(format!("kind {kind} is not known here"))),
        }
    }

    /// The controller of an object, from the cache where it was asked before. None: it has no controller,
    /// or its kind is not built in and therefore the top. That an object is not there is remembered for a moment, too.
    pub async fn owner(&self, kind: &str, namespace: &str, name: &str) -> Result<Option<Owner>, Error> {
        let Some(path) = path::of_kind(kind, namespace, name) else { return Ok(None) };
        let path = path?;
        let key = OwnerKey { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() };
        if let Some(owner) = self.owners.get(&key).await {
            return Ok(owner);
        }
        if self.gone.contains_key(&key) {
            return Err(Error::NotFound);
        }
        match self.object_metadata(&path).await {
            Ok(metadata) => {
                let owner = controller(&metadata);
                self.owners.insert(key, owner.clone()).await;
                Ok(owner)
            }
            Err(error) => {
                if error == Error::NotFound {
                    self.gone.insert(key, ()).await;
                }
                Err(error)
            }
        }
    }
}

/// The controlling owner in an object's metadata. Static pods are owned by their Node, which did not
/// make them: for those there is none.
pub fn controller(metadata: &ObjectMeta) -> Option<Owner> {
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    let is_controller = |owner: &&OwnerReference| owner.controller == Some(true);
    owners
        .iter()
        .find(is_controller)
        .filter(|owner| owner.kind != "Node")
        .map(|owner| Owner { kind: owner.kind.clone(), name: owner.name.clone() })
}

#[cfg(test)]
pub(crate) mod tests;
