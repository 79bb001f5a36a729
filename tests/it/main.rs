//! One integration binary.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod agent;
mod api;
mod canary;
mod cases;
mod configuration;
mod copy;
mod end_to_end;
mod hostile;
mod house;
mod intake;
mod memory;
mod model;
mod overload;
mod program;
mod prometheus;
mod queue;
mod recorded;
mod signatures;
mod slack;
