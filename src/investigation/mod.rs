//! The queue of investigations, and facts and findings becoming a report: `queue` claims, `conclude` judges
//! what was found, `verify` checks every quote, `store` keeps the result. It never talks to people.

pub mod conclude;
pub mod queue;
pub mod store;
pub mod verify;
