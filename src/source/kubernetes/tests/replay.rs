//! For tests: a client of the recorded cluster, with faults where a test wants them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::super::Client;
pub use crate::demo::Fault;
use crate::demo::{KubernetesStandIn, Recording};
use crate::settings;

/// A client with a deadline of one second a request; its server ends with the test's runtime.
pub async fn client(faults: Vec<(&'static str, Fault)>) -> Client {
    let stand_in = Arc::new(KubernetesStandIn::new(Recording::embedded().unwrap()).unwrap());
    for (part, fault) in faults {
        stand_in.faults().inject(part, fault);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(stand_in.serve(listener, CancellationToken::new()));
    let settings =
        settings::Kubernetes { url: Some(url), timeout_secs: 1, ..settings::Kubernetes::default() };
    Client::connect(&settings).await.unwrap()
}
