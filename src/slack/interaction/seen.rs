//! What was asked once is not done again: Slack repeats what it heard no answer to, and a recorded request can be sent
//! again. An id goes in, whether it is new comes out. It keeps ids for longer than any of them is accepted.

mod store;

pub use store::is_new;
