//! Starts the role that the command line names.
fn main() {}
