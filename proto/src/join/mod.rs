//! The way into a group for a machine that has nothing but a join token: the token's text, the pinned authority, and
//! the connection to a manager's node port.

mod channel;
mod pin;
mod token;

pub use channel::{ConnectError, Connection, connect};
pub use pin::{PinnedAuthority, TlsError, enrolment_tls};
pub use token::{JoinRole, JoinToken, JoinTokenError, TokenText};

/// The DNS name in every manager's certificate. Addresses prove nothing.
pub const SERVER_NAME: &str = "manager.krakend-cluster";
