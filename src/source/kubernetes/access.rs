//! What the API server would let this client do beyond reading: rights to be refused go in, those that it has come
//! out. A SelfSubjectAccessReview is the one body that is ever sent: the server answers it and keeps nothing, every
//! user may ask, and path and fields are fixed here.

use futures::{StreamExt, TryStreamExt};
use http::header::{ACCEPT, CONTENT_TYPE};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};

use super::read::{JSON, parse};
use super::{Client, Error};

const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// Questions under way at once.
const AT_ONCE: usize = 8;

/// Verb, API group, resource and subresource of what a reader of facts must not be allowed. Each is a class of its own:
/// secrets, ways into containers and to other identities, writes, and the right to give oneself rights.
const EXCESS: [(&str, &str, &str, &str); 15] = [
    ("get", "", "secrets", ""),
    ("list", "", "secrets", ""),
    ("create", "", "pods", "exec"),
    ("get", "", "pods", "exec"),
    ("create", "", "pods", "portforward"),
    ("get", "", "nodes", "proxy"),
    ("create", "", "serviceaccounts", "token"),
    ("impersonate", "", "serviceaccounts", ""),
    ("create", "", "pods", ""),
    ("delete", "", "pods", ""),
    ("update", "", "configmaps", ""),
    ("patch", "apps", "deployments", ""),
    ("create", "batch", "jobs", ""),
    ("update", "", "nodes", ""),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings", ""),
];

/// One right that is not needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// As `kubectl auth can-i` takes it: `create pods/exec`.
    pub right: String,
    /// None: in all namespaces.
    pub namespace: Option<String>,
}

impl std::fmt::Display for Excess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} in namespace {namespace}", self.right),
            None => write!(f, "{} everywhere", self.right),
        }
    }
}

impl Client {
    /// Which rights this client has that it must not use, in all namespaces or in its own one. Rights in other
    /// namespaces alone are not found: nobody can ask for those but namespace by namespace.
    ///
    /// # Errors
    /// The server does not answer, or does not let us ask.
    pub async fn excess(&self) -> Result<Vec<Excess>, Error> {
        let own = self.inner.default_namespace();
        let asked = EXCESS.map(|right| self.one_excess(right, own));
        let found: Vec<Option<Excess>> = futures::stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn one_excess(&self, right: (&str, &str, &str, &str), own: &str) -> Result<Option<Excess>, Error> {
        let (verb, group, resource, subresource) = right;
        let group = if group.is_empty() { String::new() } else { format!(".{group}") };
        let subresource = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
        let words = format!("{verb} {resource}{group}{subresource}");
        for namespace in [None, Some(own)] {
            if self.may(right, namespace).await? {
                return Ok(Some(Excess { right: words, namespace: namespace.map(str::to_owned) }));
            }
        }
        Ok(None)
    }

    /// Whether it may do this in one namespace, or (None) in all of them.
    pub(super) async fn may(
        &self,
        (verb, group, resource, subresource): (&str, &str, &str, &str),
        namespace: Option<&str>,
    ) -> Result<bool, Error> {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(verb.to_owned()),
                    group: Some(group.to_owned()),
                    resource: Some(resource.to_owned()),
                    subresource: Some(subresource.to_owned()),
                    namespace: namespace.map(str::to_owned),
                    ..ResourceAttributes::default()
                }),
                non_resource_attributes: None,
            },
            ..SelfSubjectAccessReview::default()
        };
        let body = serde_json::to_vec(&review).map_err(|error| Error::BadRequest(error.to_string()))?;
        let request = http::Request::post(PATH)
            .header(ACCEPT, JSON)
            .header(CONTENT_TYPE, JSON)
            .body(kube::client::Body::from(body))
            .map_err(|error| Error::BadRequest(error.to_string()))?;
        let raw = self.exchange(request, format!("POST {PATH}")).await?;
        let answer: SelfSubjectAccessReview = parse(&raw)?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}
