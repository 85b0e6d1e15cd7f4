//! TLS towards managers: the pinned authority, the node's certificate and its renewal, the connection.

mod client;
mod renew;
mod time;

pub use client::{TrustError, session_tls};
pub use krakend_proto::join::{ConnectError, Connection, TlsError, connect, enrolment_tls};
pub use renew::{RenewError, renew};
pub use time::GroupTime;
