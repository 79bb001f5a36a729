//! One integration binary.

mod prometheus;
