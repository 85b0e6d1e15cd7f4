use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// A member of the Raft group.
    Manager,
    /// A KrakenD node.
    Node,
}

/// One member as it speaks for itself. The id stays over restarts; the bump
/// does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The member's stable id.
    pub id: Uuid,
    /// Manager or node.
    pub role: Role,
    /// Where its gossip packets go.
    pub addr: SocketAddr,
    /// SWIM's incarnation: Unix milliseconds at start, raised by each
    /// refutation. Higher wins, so a restart outdoes what was said before it.
    pub bump: u64,
}

impl Identity {
    /// Short name of a member in accusations and pings.
    pub(crate) fn tag(id: Uuid) -> u32 {
        let (high, _) = id.as_u64_pair();
        let (_, low) = id.as_u64_pair();
        let mixed = mix(high ^ low.rotate_left(32));
        u32::try_from(mixed >> 32).unwrap_or(0)
    }
}

/// Spreads the bits of a number (the finaliser of splitmix64).
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
