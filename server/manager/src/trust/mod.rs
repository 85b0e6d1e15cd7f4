//! Who may speak to whom: one group secret, and everything that derives from it.

mod authority;
mod join_token;
mod lease;
mod secret;

pub use authority::{Authority, CertifiedRole, role_of};
pub use join_token::JoinToken;
pub use lease::LeaseSigner;
pub use secret::{GroupSecret, SecretError};
