//! Ports: typed read-only clients of what a cluster offers. They speak a protocol and know nothing of
//! alerts, incidents or facts; none of them can write but two types of `kubernetes` that say so.

pub mod alertmanager;
mod circuit;
mod credentials;
mod enforced;
pub mod http;
pub mod kubernetes;
pub mod loki;
pub mod prometheus;
pub mod tempo;
mod tls;

pub use circuit::Standing;
