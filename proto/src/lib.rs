//! The protobuf schemas between nodes and managers and among managers, and their conversions to domain types.

mod sample;

/// 7000/tcp: nodes and managers.
pub mod node {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    tonic::include_proto!("krakend.node.v1");
}

/// 7001/tcp: managers among themselves.
pub mod manager {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    tonic::include_proto!("krakend.manager.v1");
}

mod convert;
pub mod join;
mod lease;
pub mod tls;

pub use convert::{FieldError, digest_from, uuid_from};
pub use lease::{LeaseClaims, LeaseError};
pub use sample::{SampleError, decode_sample, encode_sample};
