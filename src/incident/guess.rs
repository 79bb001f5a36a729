//! Incidents whose workload was only guessed, because the cluster did not answer when their alerts came. An
//! incident and what the cluster says now come in; the incident under its right key, or joined to the one that
//! was open there, goes out. It asks no cluster itself.

mod store;

pub use store::{Corrected, correct, guessed};
