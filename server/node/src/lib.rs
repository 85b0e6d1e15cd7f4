//! krakend-node

pub mod runtime;
