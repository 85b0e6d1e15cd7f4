//! Who may speak to whom: the group's secrets, and everything that derives from them.

mod authority;
mod gossip;
mod join_token;
mod keep;
mod keyring;
mod lease;
mod secret;

pub use authority::{Authority, CertifiedRole, not_after_ms, role_of};
pub use gossip::{gossip_keys, gossip_ring};
pub use join_token::JoinToken;
pub use keep::{Trust, keep, missing_text, names};
pub use keyring::{Held, Ring};
pub use lease::LeaseSigner;
pub use secret::{GroupSecret, MAX_SECRETS, SecretError};
