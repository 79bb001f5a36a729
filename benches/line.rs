//! Benchmarks of the whole line.
fn main() {}
