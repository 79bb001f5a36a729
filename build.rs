//! Packs the recorded cluster of `tests/fixtures/recording` into one compressed file, which `demo` embeds.
fn main() {}
