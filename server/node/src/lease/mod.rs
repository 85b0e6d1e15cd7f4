//! The signed limits a node holds, and what its time is charged by.
//!
//! [`Meter`] is the pure clock; [`Stored`] is the file with its signature; [`LeaseKeeper`] reads the clocks, writes the
//! file and tells everybody when the lease has ended.

mod keeper;
#[cfg(test)]
mod keeper_tests;
mod meter;
#[cfg(test)]
mod meter_tests;
mod stored;
mod verdict;

pub use keeper::{LeaseKeeper, LeaseView, Standing};
pub use meter::{Meter, Reading, persist_every_ms};
pub use stored::{BadLease, Stored};
pub use verdict::{Cause, Verdict};
