//! From the gateway's counters to samples that managers have committed.

mod boundary;
mod convert;
mod sampler;
mod spool;
mod totals;

pub use sampler::{BYTES_LEVEL, Sampler, Wanted};
pub use spool::{Batch, Spool, SpoolError};
pub use totals::Totals;
