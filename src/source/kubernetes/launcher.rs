//! Starts Jobs and looks at what becomes of them: the one place from which something is written into a cluster, and a
//! type of its own, so that nobody who holds the reading client can. It knows one path to write to and no other verb
//! than `create`; it deletes nothing, because finished Jobs forget themselves.

use http::header::{ACCEPT, CONTENT_TYPE};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use serde_json::Value;

use super::read::JSON;
use super::{Client, Error, ListQuery, path};

/// What the launcher sees of one Job.
#[derive(Debug, Clone)]
pub struct Seen {
    pub job: Job,
    /// Empty also where they may not be listed.
    pub pods: Vec<Pod>,
    /// About the Job itself; empty also where they may not be listed.
    pub events: Vec<Event>,
}

/// Shares address, credentials, time-outs and the bound of requests with the reading client that it was made of.
#[derive(Debug, Clone)]
pub struct Launcher(Client);

impl Launcher {
    pub fn new(client: &Client) -> Self {
        Self(client.clone())
    }

    /// Creates `job`, an object of batch/v1, in `namespace`.
    ///
    /// # Errors
    /// The API server's: no right to create Jobs there, no such namespace, no answer.
    pub async fn create(&self, namespace: &str, job: &Value) -> Result<(), Error> {
        let path = format!("/apis/batch/v1/namespaces/{}/jobs", path::segment(namespace)?);
        let request = http::Request::post(&path)
            .header(ACCEPT, JSON)
            .header(CONTENT_TYPE, JSON)
            .body(kube::client::Body::from(job.to_string().into_bytes()))
            .map_err(|error| Error::BadRequest(error.to_string()))?;
        self.0.exchange(request, format!("POST {path}")).await?;
        Ok(())
    }

    /// Whether Jobs may be created in this namespace.
    ///
    /// # Errors
    /// The API server does not say.
    pub async fn may_create(&self, namespace: &str) -> Result<bool, Error> {
        self.0.may(("create", "batch", "jobs", ""), Some(namespace)).await
    }

    /// The Job, its pods, and what was said about it.
    ///
    /// # Errors
    /// The Job itself could not be read; `NotFound` where it is gone.
    pub async fn look(&self, namespace: &str, name: &str) -> Result<Seen, Error> {
        let job = self.0.get::<Job>(namespace, name).await?.value;
        let (pods, events) = (
            ListQuery::labels(format!("batch.kubernetes.io/job-name={name}")),
            ListQuery::fields(format!("involvedObject.kind=Job,involvedObject.name={name}")),
        );
        let (pods, events) =
            tokio::join!(self.0.list::<Pod>(namespace, &pods), self.0.list::<Event>(namespace, &events));
        // Without them it is only less clear why a Job failed.
        let pods = pods.map(|answer| answer.value.items).unwrap_or_default();
        let events = events.map(|answer| answer.value.items).unwrap_or_default();
        Ok(Seen { job, pods, events })
    }
}
