//! The queue of investigations, and facts and findings becoming a report: `queue` claims, `conclude` judges
//! what was found, `healthy` says when nothing is, `agent` asks a model what no signature explains, `concluding` and `guards` check what it
//! says against the ledger, `verify` checks every quote, `answer` answers questions about what is over, `money` says whether a call can be paid, `store` keeps the result. It never talks to people.

pub mod advice;
pub mod agent;
pub mod answer;
pub mod budget;
pub mod conclude;
pub mod concluding;
pub mod guards;
pub mod healthy;
pub mod journal;
pub mod ledger;
pub mod money;
pub mod prompt;
pub mod queue;
pub mod retention;
pub mod store;
pub mod verify;
