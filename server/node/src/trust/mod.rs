//! TLS towards managers: the pinned authority, the node's certificate, the connection.

mod channel;
mod client;
mod pin;

pub use channel::{ConnectError, Connection, connect};
pub use client::{TrustError, enrolment_tls, session_tls};
pub use pin::PinnedAuthority;

/// The DNS name in every manager's certificate. Addresses prove nothing.
pub const SERVER_NAME: &str = "manager.krakend-cluster";
