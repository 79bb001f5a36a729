//! What numbers did around an onset: levels and spreads that single odd samples do not move, the moment a series
//! changed, the shape of what it did, and which service's series moved most. Samples come in, judgements go out;
//! nothing here reads or waits.

pub mod change;
pub mod group;
pub mod rank;
pub mod shape;
pub mod stats;

#[cfg(test)]
mod tests;
