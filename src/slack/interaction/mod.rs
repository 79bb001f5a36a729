//! What people do in Slack comes back as requests: `signature` tells whether Slack sent one (pure), `payload` what it is
//! about (pure), `seen` whether it was acted on already. Bytes and envelopes go in, what was asked for comes out. It acts
//! on nothing.

pub mod payload;
pub mod seen;
pub mod signature;

pub use payload::{Asked, Mention, Press, Reason};
pub use signature::{Refused, verify};
