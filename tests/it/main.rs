//! One integration binary.

mod api;
mod house;
mod slack;
