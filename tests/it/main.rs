//! One integration binary.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod agent;
mod api;
mod attacker;
mod backends;
mod canary;
mod canary_model;
mod cases;
mod clickhouse;
mod configuration;
mod copy;
mod end_to_end;
mod events;
mod hostile;
mod house;
mod injections;
mod intake;
mod listed_sources;
mod mcp;
mod memory;
mod model;
mod once;
mod overload;
mod program;
mod prometheus;
mod queue;
mod recorded;
mod redaction;
mod restart;
mod signatures;
mod slack;
mod traces;
mod triage;
