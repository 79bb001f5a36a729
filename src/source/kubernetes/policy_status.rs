//! The one change that whodunit ever makes to an object: the status of an InvestigationPolicy. Conditions come in, one
//! PATCH of that subresource goes out. It has a client of its own, which the reading one cannot reach, and it can read
//! nothing. What somebody changed since it was read is left alone: the request names the version that it is about.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http_body_util::{BodyExt, Limited};
use serde_json::json;

use super::policy_object::{Condition, PolicyObject};
use super::read::JSON;
use super::{Error, connect, path, policy_list};
use crate::settings;

/// Under which name the API server notes who wrote.
const FIELD_MANAGER: &str = "whodunit";
const MERGE_PATCH: &str = "application/merge-patch+json";
/// Most bytes of an answer, which is the object.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Writes what became of policies, and nothing else.
#[derive(Clone)]
pub struct PolicyStatusWriter {
    inner: kube::Client,
    timeout: Duration,
}

impl std::fmt::Debug for PolicyStatusWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("kubernetes::PolicyStatusWriter").finish_non_exhaustive()
    }
}

impl PolicyStatusWriter {
    /// Builds it for the cluster of these settings; no request is sent.
    ///
    /// # Errors
    /// As for the client that reads.
    pub async fn connect(settings: &settings::Kubernetes) -> anyhow::Result<Self> {
        let (inner, timeout) = connect::transport(settings).await?;
        Ok(Self { inner, timeout })
    }

    /// Replaces the conditions of an object that is still as it was read.
    ///
    /// # Errors
    /// `BadRequest` where it changed since, `NotFound` where it is gone, `Forbidden` without the right.
    pub async fn write(&self, object: &PolicyObject, conditions: &[Condition]) -> Result<(), Error> {
        let name = path::segment(&object.name)?;
        let path = policy_list::path_of(path::segment(&object.namespace)?, name)?;
        let body = json!({
            "metadata": {"resourceVersion": object.resource_version},
            "status": {"conditions": conditions},
        });
        let request = http::Request::patch(format!("{path}/status?fieldManager={FIELD_MANAGER}"))
            .header(ACCEPT, JSON)
            .header(CONTENT_TYPE, MERGE_PATCH)
            .body(kube::client::Body::from(body.to_string().into_bytes()))
            .map_err(|error| Error::BadRequest(error.to_string()))?;
        let exchange = async {
            let answer = self.inner.send(request).await.map_err(|error| super::read::unavailable(&error))?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| Error::Unavailable(format!("answer broke off: {error}")))?;
            Ok((status, body.to_bytes()))
        };
        let answer = tokio::time::timeout(self.timeout, exchange).await;
        let (status, body) = answer.unwrap_or(Err(Error::Timeout(self.timeout)))?;
        if (200..300).contains(&status) { Ok(()) } else { Err(Error::from_answer(status, &body)) }
    }
}
