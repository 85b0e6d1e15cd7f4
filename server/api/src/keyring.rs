use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/keyring`. Keys are known by name; none is ever shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyringStatus {
    /// Grows with each change.
    pub revision: u64,
    /// `initial`, or the id of the key that signs gossip packets.
    pub in_use: String,
    pub keys: Vec<GossipKey>,
    /// Living nodes that have not taken over the newest ring yet, by name.
    pub waiting_for: Vec<String>,
}

/// One key that members accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GossipKey {
    /// `initial` for the one that was there before any was installed.
    pub id: String,
    pub in_use: bool,
    /// Packets under it are encrypted, too.
    pub encrypts: bool,
    pub installed: Option<String>,
    pub installed_by: Option<String>,
    /// Name of the group secret that it derives from; the initial key derives from each that is held.
    pub secret: Option<String>,
    /// The answering manager holds that secret.
    pub usable: bool,
}
