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

#[cfg(test)]
pub(crate) use crate::simulation::LogStore;
#[cfg(not(test))]
pub(crate) use krakend_storage::LogStore;

pub(crate) use behind::WriteBehind;
#[cfg(test)]
pub(crate) use checks::hash as state_hash;
pub(crate) use checks::{Checks, StateHash};
pub(crate) use log::LogStorage;
pub(crate) use machine::{StateMachine, read_state};
use recent::Recent;
pub(crate) use shared::{Current, Shared};
pub(crate) use snapshot::build as build_snapshot;
