//! Alerts become incidents of a workload: `cluster` says whose they are, `resolve` finds the workload, `decide` says what
//! one alert means, `book` applies decisions to what is known, `store` keeps it, `selector` says which incidents a rule of
//! the settings is about. Nothing here investigates or talks to people.

pub mod book;
pub mod cluster;
pub mod decide;
pub mod guess;
pub mod listed;
pub mod resolve;
pub mod retention;
pub mod selector;
pub mod store;
pub mod storm;
pub mod tally;
