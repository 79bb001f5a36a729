//! incident

pub mod resolve;
