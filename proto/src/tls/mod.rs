//! TLS that can be exchanged while it is in use: certificates that are renewed, authorities that come and go.

mod accept;
mod closing;
mod connect;
mod live;
mod material;
mod verify;

#[cfg(test)]
mod tests;

pub use accept::accept;
pub use closing::Closing;
pub use connect::{connect, is_untrusted};
pub use live::{Callers, LiveTls};
pub use material::{TlsError, TlsMaterial, client_config};
pub use rustls::pki_types::CertificateDer;
pub(crate) use verify::at;
pub use verify::{Judgement, TrustedTime};
