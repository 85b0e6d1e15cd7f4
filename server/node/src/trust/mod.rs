//! TLS towards managers: the pinned authority, the node's certificate, the connection.

mod client;

pub use client::{TrustError, session_tls};
pub use krakend_proto::join::{ConnectError, Connection, TlsError, connect, enrolment_tls};
