//! Reading a tenant's cluster with the tenant's own rights: an investigation's questions go in, what a Job of the
//! workload's namespace answers comes out. The Job reads and nothing else; deciding, models, the database and Slack
//! stay with the service, so that nothing of them has to lie in a tenant's namespace.
//!
//! `job` is the object (pure), `session` one attempt's Job as the worker sees it, `fate` why one is lost (pure),
//! `door` where Jobs call, `store` what lies between the two, `reader` the Job's own process, `relayed` a tool that is
//! asked there.

mod door;
mod fate;
mod job;
mod question;
mod reader;
mod relayed;
mod session;
mod store;

pub use door::router;
pub use reader::Reader;
pub use relayed::Relayed;
pub use session::{Executor, Session, check};
