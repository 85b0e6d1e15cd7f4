use std::net::SocketAddr;

use uuid::Uuid;

use crate::identity::Role;

/// What gossip knows of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberState {
    /// It answers.
    Alive,
    /// Somebody had no answer; it may still refute.
    Suspect,
    /// It did not refute in time.
    Down,
    /// It said that it leaves, or somebody who must know said so.
    Left,
}

impl MemberState {
    /// Alive or suspect: still counted as a living member.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }
}

/// One member of the pool, other than ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: Uuid,
    /// Manager or node.
    pub role: Role,
    /// Its gossip address.
    pub addr: SocketAddr,
    /// What is known of it.
    pub state: MemberState,
}

/// A member is new, or its state, role or address has changed.
pub type MemberEvent = Member;

/// Two living processes that use one id, seen by their taking turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate {
    /// The id that both use.
    pub id: Uuid,
    /// Manager or node.
    pub role: Role,
    /// Where both were heard. Equal when both advertise one address.
    pub addrs: [SocketAddr; 2],
    /// Milliseconds since this was last seen.
    pub age_ms: u64,
}
