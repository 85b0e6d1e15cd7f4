//! openraft's storage traits over `krakend-storage`.

mod behind;
mod checks;
mod log;
mod machine;
mod recent;
mod shared;
mod snapshot;
#[cfg(test)]
mod suite;

pub(crate) use behind::WriteBehind;
pub(crate) use checks::{Checks, StateHash};
pub(crate) use log::LogStorage;
pub(crate) use machine::{StateMachine, read_state};
use recent::Recent;
pub(crate) use shared::{Current, Shared};
pub(crate) use snapshot::build as build_snapshot;
