//! What a flood of log lines says, whatever wrote them: records in, templates with their counts and marks out. One
//! configuration for all logs; the output does not depend on the order of the lines. Lines come redacted; nothing
//! here reads, waits or fails.

pub mod digest;
mod enclosed;
pub mod group;
mod header;
mod json;
pub mod lines;
mod merge;
mod pairs;
pub mod parameters;
pub mod record;
pub mod screen;
mod shape;
pub mod structure;
mod tokens;
pub mod told;
mod words;

#[cfg(test)]
mod tests;
