//! A fault tester: real managers on hosts of their own, clients that note everything, faults from a seed, and checkers
//! that know nothing but the notes.
//!
//! - [`host`]: network namespaces on a bridge, and the programs in them
//! - [`workload`]: what clients do
//! - [`history`]: what came of it, and when
//! - `fleet`: nodes beside the managers, and what is done to them
//! - `crowd`: a hundred nodes at once
//! - [`nemesis`]: what is done to the managers
//! - `packets`: what an attacker sends into gossip
//! - [`checker`]: what must hold
//! - [`report`]: a line of JSON, and a page with a timeline

pub mod checker;
mod crowd;
mod disk;
mod fleet;
pub mod history;
pub mod host;
pub mod nemesis;
mod options;
mod packets;
pub mod planted;
pub mod report;
mod run;
pub mod workload;

pub use crowd::{Crowded, crowd};
pub use options::RunOptions;
pub use run::{Ended, run};
