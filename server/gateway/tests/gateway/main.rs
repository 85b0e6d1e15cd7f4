//! The gateway through real sockets: small backends on one side, plain HTTP clients on the other.

mod merging;
mod passing;
mod shutdown;
mod statistics;
mod support;
mod swapping;
