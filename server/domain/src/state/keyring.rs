//! Changes of the gossip key ring, and which nodes have taken them over.

use super::Transaction;
use crate::{
    Applied, ClusterState, EventKind, GossipKeyId, GossipKeyRecord, Keyring, NodeId, NodeState,
    RecordKey, Rejected,
};

/// Nodes that are named in a refusal.
const MAX_NAMED: usize = 20;

impl ClusterState {
    /// Which keys authenticate gossip.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The newest revision of the ring that a node says it holds; 0 before the first.
    pub fn keyring_held(&self, node_id: NodeId) -> u64 {
        self.keyring_held.get(&node_id).copied().unwrap_or(0)
    }

    /// Living nodes that have not acknowledged a revision of the ring. Who is away fetches the ring when it is back.
    pub fn nodes_without_keyring(&self, revision: u64) -> Vec<NodeId> {
        let living = self.nodes().filter(|it| it.state == NodeState::Active);
        let behind = living.filter(|it| self.keyring_held(it.id) < revision);
        behind.map(|it| it.id).collect()
    }
}

impl Transaction<'_> {
    pub(super) fn apply_install_gossip_key(
        &mut self,
        record: &GossipKeyRecord,
    ) -> Result<Applied, Rejected> {
        let ring = &self.state.keyring;
        if ring.key(record.id).is_some() {
            return Ok(Applied::Unchanged);
        }
        if ring.keys.len() >= Keyring::MAX_KEYS {
            return Err(Rejected::TooMany {
                what: "gossip keys".into(),
                limit: Keyring::MAX_KEYS as u64,
            });
        }
        let (now, revision) = (self.now, ring.revision + 1);
        self.state.keyring.revision = revision;
        self.state.keyring.keys.push(GossipKeyRecord {
            installed_ms: now,
            revision,
            ..record.clone()
        });
        let text = format!("{} installed the gossip key {}", record.by, record.id);
        self.keyring_changed(text)
    }

    pub(super) fn apply_use_gossip_key(
        &mut self,
        id: Option<GossipKeyId>,
        by: &str,
    ) -> Result<Applied, Rejected> {
        let ring = &self.state.keyring;
        if ring.in_use == id {
            return Ok(Applied::Unchanged);
        }
        let held_since = match id {
            Some(id) => ring.key(id).map(|key| key.revision),
            None => (!ring.initial_removed).then_some(0),
        };
        let held_since = held_since.ok_or(Rejected::NoSuchGossipKey)?;
        self.all_hold(held_since)?;
        let ring = &mut self.state.keyring;
        ring.revision += 1;
        ring.in_use = id;
        ring.in_use_revision = ring.revision;
        let text = format!("{by} put the gossip key {} into use", Keyring::name(id));
        self.keyring_changed(text)
    }

    pub(super) fn apply_remove_gossip_key(
        &mut self,
        id: Option<GossipKeyId>,
        by: &str,
    ) -> Result<Applied, Rejected> {
        let ring = &self.state.keyring;
        let present = match id {
            Some(id) => ring.key(id).is_some(),
            None => !ring.initial_removed,
        };
        if !present {
            return Err(Rejected::NoSuchGossipKey);
        }
        if ring.in_use == id {
            return Err(Rejected::GossipKeyInUse);
        }
        // Who still signs with the old key would be silent for the others.
        self.all_hold(ring.in_use_revision)?;
        let ring = &mut self.state.keyring;
        ring.revision += 1;
        match id {
            Some(id) => ring.keys.retain(|key| key.id != id),
            None => ring.initial_removed = true,
        }
        let text = format!("{by} removed the gossip key {}", Keyring::name(id));
        self.keyring_changed(text)
    }

    pub(super) fn apply_acknowledge_keyring(
        &mut self,
        node_id: NodeId,
        revision: u64,
    ) -> Result<Applied, Rejected> {
        if !self.state.nodes.contains_key(&node_id) {
            return Err(Rejected::NoSuchNode(node_id));
        }
        if self.state.keyring_held(node_id) == revision || revision > self.state.keyring.revision {
            return Ok(Applied::Unchanged);
        }
        self.state.keyring_held.insert(node_id, revision);
        self.changed(RecordKey::KeyringHeld(node_id));
        Ok(Applied::Done)
    }

    fn all_hold(&self, revision: u64) -> Result<(), Rejected> {
        let behind = self.state.nodes_without_keyring(revision);
        if behind.is_empty() {
            return Ok(());
        }
        let named = behind.iter().take(MAX_NAMED);
        let named = named.filter_map(|id| self.state.node(*id));
        Err(Rejected::GossipKeyAwaited {
            nodes: named.map(|node| node.name.clone()).collect(),
            total: behind.len() as u32,
        })
    }

    fn keyring_changed(&mut self, text: String) -> Result<Applied, Rejected> {
        self.changed(RecordKey::Keyring);
        self.event(EventKind::GossipKeysChanged, text);
        Ok(Applied::Done)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use uuid::Uuid;

    use crate::{
        Applied, ClusterState, Command, Digest, EventKind, FleetName, GatewayKind, GossipKeyId,
        GossipKeyRecord, LogEntry, NodeId, NodeRegistration, Rejected, Role, SecretId, TokenRecord,
    };

    fn apply(state: &mut ClusterState, command: Command) -> Result<Applied, Rejected> {
        // Events are kept by index, so each entry has its own.
        static INDEX: AtomicU64 = AtomicU64::new(1);
        let entry = LogEntry {
            time_ms: 1_800_000_000_000,
            command,
        };
        let index = INDEX.fetch_add(1, Ordering::Relaxed);
        state.apply(index, &entry).result
    }

    fn begun(nodes: u128) -> ClusterState {
        let mut state = ClusterState::default();
        let first_token = TokenRecord {
            id: Uuid::nil(),
            name: "admin".into(),
            role: Role::Admin,
            sha256: Digest([0; 32]),
            created_by: "test".into(),
            expires_ms: None,
        };
        let group_id = Uuid::from_u128(1);
        let begin = Command::Bootstrap {
            group_id,
            first_token,
        };
        apply(&mut state, begin).expect("begun");
        for id in 1..=nodes {
            let registration = NodeRegistration {
                node_id: NodeId(Uuid::from_u128(id)),
                store_id: Uuid::from_u128(id),
                fleet: FleetName::default_fleet(),
                name: format!("node-{id}"),
                gateway_address: String::new(),
                gossip_address: String::new(),
                gateway: GatewayKind::Embedded,
                gateway_version: String::new(),
                version: String::new(),
                lease_until_ms: 0,
            };
            apply(&mut state, Command::RegisterNode(registration)).expect("a seat");
        }
        state
    }

    fn install(state: &mut ClusterState, byte: u8) -> Result<Applied, Rejected> {
        let record = GossipKeyRecord {
            id: GossipKeyId([byte; 8]),
            secret: SecretId([9; 8]),
            salt: [byte; 32],
            encrypts: false,
            installed_ms: 0,
            by: "admin".into(),
            revision: 0,
        };
        apply(state, Command::InstallGossipKey(record))
    }

    fn using(byte: u8) -> Command {
        Command::UseGossipKey {
            id: Some(GossipKeyId([byte; 8])),
            by: "admin".into(),
        }
    }

    fn removing(byte: Option<u8>) -> Command {
        Command::RemoveGossipKey {
            id: byte.map(|byte| GossipKeyId([byte; 8])),
            by: "admin".into(),
        }
    }

    fn held(state: &mut ClusterState, node: u128) {
        let revision = state.keyring().revision;
        let node_id = NodeId(Uuid::from_u128(node));
        let said = Command::AcknowledgeKeyring { node_id, revision };
        apply(state, said).expect("taken down");
    }

    #[test]
    fn a_key_is_used_and_the_old_one_removed_only_when_every_living_node_holds_it() {
        let mut state = begun(2);
        assert_eq!(install(&mut state, 1), Ok(Applied::Done));
        held(&mut state, 1);
        let awaited = Rejected::GossipKeyAwaited {
            nodes: vec!["node-2".into()],
            total: 1,
        };
        assert_eq!(apply(&mut state, using(1)), Err(awaited.clone()));
        held(&mut state, 2);
        assert_eq!(apply(&mut state, using(1)), Ok(Applied::Done));
        held(&mut state, 1);
        assert_eq!(apply(&mut state, removing(None)), Err(awaited));
        held(&mut state, 2);
        assert_eq!(apply(&mut state, removing(None)), Ok(Applied::Done));
        assert!(state.keyring().initial_removed);
        let told = state.events();
        let told = told.filter(|it| it.kind == EventKind::GossipKeysChanged);
        assert_eq!(told.count(), 3);
        let records: Vec<_> = state.records().collect();
        let loaded = ClusterState::from_records(records).expect("its own records");
        assert_eq!(loaded.keyring(), state.keyring());
        assert_eq!(loaded.keyring_held, state.keyring_held);
    }

    #[test]
    fn who_is_away_holds_up_nobody_and_what_is_in_use_stays() {
        let mut state = begun(2);
        let away = Command::LeaveNode {
            node_id: NodeId(Uuid::from_u128(2)),
            hold_seat: true,
        };
        apply(&mut state, away).expect("left");
        install(&mut state, 1).expect("installed");
        held(&mut state, 1);
        assert_eq!(apply(&mut state, using(1)), Ok(Applied::Done));
        assert_eq!(
            apply(&mut state, removing(Some(1))),
            Err(Rejected::GossipKeyInUse)
        );
        assert_eq!(
            apply(&mut state, removing(Some(7))),
            Err(Rejected::NoSuchGossipKey)
        );
        assert_eq!(apply(&mut state, using(7)), Err(Rejected::NoSuchGossipKey));
    }

    #[test]
    fn a_ring_is_bounded_and_an_untouched_one_leaves_no_record() {
        let mut state = begun(0);
        let keys = state.records().map(|(key, _)| key);
        let keys: Vec<_> = keys.map(|key| crate::RecordKey::from_bytes(&key)).collect();
        assert!(!keys.contains(&Ok(crate::RecordKey::Keyring)));
        for byte in 1..=4 {
            assert_eq!(install(&mut state, byte), Ok(Applied::Done));
        }
        assert_eq!(install(&mut state, 1), Ok(Applied::Unchanged));
        assert!(matches!(
            install(&mut state, 5),
            Err(Rejected::TooMany { limit: 4, .. })
        ));
    }
}
