//! One integration binary.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod configuration;
mod prometheus;
