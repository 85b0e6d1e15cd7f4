//! From the gateway's counters to samples that managers have committed.

mod boundary;
mod convert;
mod sampler;
mod spool;

pub use sampler::Sampler;
pub use spool::{Batch, Spool, SpoolError};
