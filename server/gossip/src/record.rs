use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::identity::{Identity, Role, mix};
use crate::member::MemberState;

/// What is said about one member, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    #[serde(with = "uuid::serde::compact")]
    pub(crate) id: Uuid,
    pub(crate) role: Role,
    pub(crate) addr: SocketAddr,
    pub(crate) bump: u64,
    /// Which process says so: random, drawn at each start. Tells a restart
    /// from a second process with the same id.
    pub(crate) instance: u32,
    pub(crate) claim: Claim,
}

/// `by` is the tag of the member that had no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Claim {
    Alive,
    Suspect { by: u32 },
    Down { by: u32 },
    Left,
}

impl Record {
    pub(crate) fn alive(member: Identity, instance: u32) -> Self {
        Self {
            id: member.id,
            role: member.role,
            addr: member.addr,
            bump: member.bump,
            instance,
            claim: Claim::Alive,
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity {
            id: self.id,
            role: self.role,
            addr: self.addr,
            bump: self.bump,
        }
    }

    pub(crate) fn state(&self) -> MemberState {
        match self.claim {
            Claim::Alive => MemberState::Alive,
            Claim::Suspect { .. } => MemberState::Suspect,
            Claim::Down { .. } => MemberState::Down,
            Claim::Left => MemberState::Left,
        }
    }

    pub(crate) fn claiming(self, claim: Claim) -> Self {
        Self { claim, ..self }
    }

    /// What wins: the higher incarnation, then the worse claim.
    pub(crate) fn order(&self) -> (u64, u8) {
        let rank = match self.claim {
            Claim::Alive => 0,
            Claim::Suspect { .. } => 1,
            Claim::Down { .. } => 2,
            Claim::Left => 3,
        };
        (self.bump, rank)
    }

    /// Contribution of an active member to the digest of the pool. Suspicions
    /// do not count: they pass by themselves.
    pub(crate) fn digest(&self) -> u64 {
        let (high, low) = self.id.as_u64_pair();
        mix(mix(high ^ low.rotate_left(17)).wrapping_add(self.bump))
    }
}
