//! Known patterns over facts: Facts and signatures come in, ranked findings go out, each with the rows
//! that prove it. A signature is data in a runbook's front matter; this room compiles it once and judges
//! with it. It never asks a cluster and never reads a clock.

mod answers;
mod compile;
mod find;
mod functions;
mod lint;
mod needs;
mod rank;
mod row;
mod scope;
mod spec;
mod stack;
mod tables;
mod template;
#[cfg(test)]
mod tests;
mod wide;

pub use answers::{answers, fire_by_design, is_known, state_decides};
pub use compile::{Misprint, Signature};
pub use find::{Found, find};
pub use scope::TABLES;
pub use spec::Spec;
