use std::net::SocketAddr;

/// Why gossip could not start or take a setting. Nothing has changed when one
/// of these is returned.
#[derive(Debug, thiserror::Error)]
pub enum GossipError {
    /// A period or count in [`crate::Config`] does not fit the others.
    #[error("gossip settings: {0}")]
    InvalidConfig(&'static str),
    /// A key ring has no key, or more than [`crate::KeyRing::MAX_KEYS`].
    #[error("gossip key ring holds {0} keys; give between 1 and 8, the signing key first")]
    KeyCount(usize),
    /// Other members could not reach this address.
    #[error("gossip cannot advertise {0}: give an address and a port that other members can reach")]
    Advertise(SocketAddr),
    /// The UDP socket failed.
    #[error("gossip socket: {0}")]
    Socket(#[from] std::io::Error),
}
