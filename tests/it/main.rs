//! One integration binary.

mod configuration;
mod prometheus;
