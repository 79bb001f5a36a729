//! The recorded cluster, served over HTTP: stand-ins for Kubernetes, Prometheus, Loki, Tempo and Slack on
//! loopback, and `whodunit demo`, which sends recorded alerts through the real service in front of them.

pub mod backends;
pub mod kubernetes;
pub mod recording;
mod serve;
pub mod slack;

pub use self::backends::{Backend, BackendStandIn};
pub use self::kubernetes::KubernetesStandIn;
pub use self::recording::Recording;
pub use self::serve::{Fault, Faults};
pub use self::slack::SlackStandIn;
