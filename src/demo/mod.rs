//! The recorded cluster, served over HTTP: stand-ins for Kubernetes, Prometheus, Loki, Tempo and Slack on
//! loopback, and `whodunit demo`, which sends recorded alerts through the real service in front of them.

pub mod alerts;
pub mod backends;
pub mod kubernetes;
pub mod recording;
mod run;
mod serve;
mod service;
mod show;
pub mod slack;
mod stage;
mod wait;

#[cfg(test)]
mod tests;

pub use self::backends::{Backend, BackendStandIn, Said};
pub use self::kubernetes::{Described, KubernetesStandIn};
pub use self::recording::Recording;
pub use self::run::{Options, Output, RunningService, run, run_to};
pub use self::serve::{Fault, Faults};
pub use self::slack::SlackStandIn;
pub use self::stage::{Endpoints, Stage};
