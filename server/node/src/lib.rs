//! A KrakenD node: the gateway on a machine and its place in the cluster.
//!
//! [`runtime`] serves the traffic and knows nothing of managers; [`session`] finds the leader and follows it; [`applier`]
//! carries its orders out; [`statistics`] counts for it; [`store`] is what survives a restart. If every manager is gone,
//! the node goes on with what it has.

pub mod api;
pub mod applier;
pub mod cli;
mod clock;
pub mod cluster;
mod control;
pub mod desk;
mod disk;
pub mod enroll;
pub mod join_token;
pub mod lease;
mod listen;
pub mod log;
mod metrics;
pub mod node;
mod notify;
pub mod orders;
#[cfg(feature = "planted-bugs")]
mod planted;
pub mod runtime;
pub mod session;
pub mod settings;
pub mod statistics;
pub mod status;
pub mod store;
pub mod trust;
