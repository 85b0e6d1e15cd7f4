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

/// One life of one member. The id stays over restarts; the bump does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The member's stable id.
    pub id: Uuid,
    /// Manager or node.
    pub role: Role,
    /// Where its gossip packets go.
    pub addr: SocketAddr,
    /// Which life this is: Unix milliseconds at start, plus one for each time
    /// the member came back from having been declared down. Higher wins.
    pub bump: u64,
}

impl Identity {
    fn precedence(&self) -> (u64, SocketAddr, Role) {
        (self.bump, self.addr, self.role)
    }
}

impl foca::Identity for Identity {
    type Addr = Uuid;

    /// Never: two processes that share an id would push each other out at the
    /// speed of the network. The engine renews by itself, at a bounded rate.
    fn renew(&self) -> Option<Self> {
        None
    }

    fn addr(&self) -> Uuid {
        self.id
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.precedence() > adversary.precedence()
    }
}
