//! The gateway through real sockets: small backends on one side, plain HTTP clients on the other.

mod merging;
mod passing;
mod peer;
mod shutdown;
mod stale;
mod statistics;
mod support;
mod swapping;
