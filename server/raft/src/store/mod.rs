//! openraft's storage traits over `krakend-storage`.

mod behind;
mod log;
mod machine;
mod shared;
mod snapshot;
#[cfg(test)]
mod suite;

pub(crate) use behind::WriteBehind;
pub(crate) use log::LogStorage;
pub(crate) use machine::StateMachine;
#[cfg(test)]
pub(crate) use shared::Current;
pub(crate) use shared::Shared;
