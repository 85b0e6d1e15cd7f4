//! The group itself: its beginning, its managers, its leader, its time.

use uuid::Uuid;

use super::{Fleet, Transaction};
use crate::{
    Applied, EventKind, FleetName, IdempotencyRecord, ManagerChange, ManagerId, ManagerRecord,
    Millis, NodeState, RecordKey, Rejected, TokenRecord, Topic,
};

/// How long minute windows are kept.
const KEEP_WINDOWS_MS: Millis = 24 * 3_600_000;
const MAX_FLEETS: usize = 1_000;

impl Transaction<'_> {
    pub(super) fn apply_bootstrap(
        &mut self,
        group_id: Uuid,
        first_token: &TokenRecord,
    ) -> Result<Applied, Rejected> {
        if self.state.meta.group_id.is_some() {
            return Err(Rejected::AlreadyBootstrapped);
        }
        self.state.meta.group_id = Some(group_id);
        self.state.meta.epoch = 1;
        self.state.meta.feature_level = 1;
        let name = FleetName::default_fleet();
        self.state.fleets.insert(
            name.clone(),
            Fleet {
                name: name.clone(),
                newest: 0,
                generation: 0,
            },
        );
        self.changed(RecordKey::Fleet(name));
        self.state
            .tokens
            .insert(first_token.id, first_token.clone());
        self.changed(RecordKey::Token(first_token.id));
        self.event(EventKind::GroupFormed, format!("group {group_id} formed"));
        Ok(Applied::Done)
    }

    pub(super) fn apply_register_manager(
        &mut self,
        record: &ManagerRecord,
    ) -> Result<Applied, Rejected> {
        let before = self.state.managers.insert(record.id, record.clone());
        if before.as_ref() == Some(record) {
            return Ok(Applied::Unchanged);
        }
        self.changed(RecordKey::Manager(record.id));
        if before.is_none() {
            self.event(EventKind::ManagerJoined, format!("{} joined", record.name))
                .about(record.id, &record.name);
        }
        Ok(Applied::Done)
    }

    pub(super) fn apply_leader_elected(
        &mut self,
        manager_id: ManagerId,
        term: u64,
    ) -> Result<Applied, Rejected> {
        if self.state.meta.leader == Some((manager_id, term)) {
            return Ok(Applied::Unchanged);
        }
        self.state.meta.leader = Some((manager_id, term));
        self.touch(Topic::Managers);
        let name = match self.state.managers.get(&manager_id) {
            Some(manager) => manager.name.clone(),
            None => manager_id.to_string(),
        };
        self.event(
            EventKind::LeaderElected,
            format!("{name} leads, term {term}"),
        )
        .about(manager_id, &name);
        Ok(Applied::Done)
    }

    pub(super) fn apply_change_manager(
        &mut self,
        id: ManagerId,
        name: &str,
        change: ManagerChange,
        by: &str,
    ) -> Result<Applied, Rejected> {
        if change == ManagerChange::Removed && self.state.managers.remove(&id).is_some() {
            self.changed(RecordKey::Manager(id));
        }
        self.touch(Topic::Managers);
        let (kind, what) = match change {
            ManagerChange::Promoted => (EventKind::ManagerPromoted, "is a voter"),
            ManagerChange::Removed => (EventKind::ManagerRemoved, "was removed"),
            ManagerChange::Moved => (EventKind::ManagerMoved, "is reached elsewhere"),
            ManagerChange::Led => (EventKind::LeadershipTransferred, "was given the lead"),
        };
        self.event(kind, format!("{name} {what}: {by}"))
            .about(id, name);
        Ok(Applied::Done)
    }

    pub(super) fn apply_create_fleet(
        &mut self,
        name: &FleetName,
        by: &str,
    ) -> Result<Applied, Rejected> {
        if self.state.fleets.contains_key(name) {
            return Ok(Applied::Unchanged);
        }
        if self.state.fleets.len() >= MAX_FLEETS {
            return Err(Rejected::TooMany {
                what: "fleets".into(),
                limit: MAX_FLEETS as u64,
            });
        }
        let fleet = Fleet {
            name: name.clone(),
            newest: 0,
            generation: 0,
        };
        self.state.fleets.insert(name.clone(), fleet);
        self.changed(RecordKey::Fleet(name.clone()));
        self.event(
            EventKind::FleetCreated,
            format!("{by} created fleet {name}"),
        )
        .fleet(name);
        Ok(Applied::Done)
    }

    pub(super) fn apply_raise_feature_level(
        &mut self,
        level: u32,
        by: &str,
    ) -> Result<Applied, Rejected> {
        let before = self.state.meta.feature_level;
        if level <= before {
            return Ok(Applied::Unchanged);
        }
        self.state.meta.feature_level = level;
        self.touch(Topic::Managers);
        self.event(
            EventKind::FeatureLevelRaised,
            format!("{by} raised the feature level from {before} to {level}"),
        );
        Ok(Applied::Done)
    }

    pub(super) fn apply_tick(&mut self) -> Result<Applied, Rejected> {
        self.forget_windows();
        self.tick_series();
        self.forget_idempotency_keys();
        self.forget_removed_nodes();
        self.forget_given_up();
        self.tell_license_state();
        self.tell_ended_leases();
        Ok(Applied::Done)
    }

    fn forget_windows(&mut self) {
        let oldest = self.now.saturating_sub(KEEP_WINDOWS_MS);
        let over: Vec<_> = self
            .state
            .windows
            .keys()
            .filter(|key| key.start_ms < oldest)
            .cloned()
            .collect();
        for key in over {
            self.state.windows.remove(&key);
            self.changed(RecordKey::Window(key));
        }
    }

    pub(super) fn forget_idempotency_keys(&mut self) {
        while let Some((age, key)) = self.state.idempotency_age.get_min().cloned() {
            let young = self.now.saturating_sub(age.0) < IdempotencyRecord::KEEP_MS;
            if young && self.state.idempotency.len() <= IdempotencyRecord::MAX {
                break;
            }
            self.state.idempotency_age.remove(&age);
            self.state.idempotency.remove(&key);
            self.changed(RecordKey::IdempotencyAge(age.0, age.1));
            self.changed(RecordKey::Idempotency(key.to_string()));
        }
    }

    /// A removed node's record goes when its last window has run out.
    fn forget_removed_nodes(&mut self) {
        let oldest = self.now.saturating_sub(KEEP_WINDOWS_MS);
        let over: Vec<_> = self
            .state
            .nodes
            .values()
            .filter(|node| node.state == NodeState::Removed && node.state_since_ms < oldest)
            .map(|node| node.id)
            .collect();
        for id in over {
            self.state.nodes.remove(&id);
            self.state.recent.remove(&id);
            self.changed(RecordKey::Node(id));
            self.changed(RecordKey::Recent(id));
            if self.state.notes.remove(&id).is_some() {
                self.changed(RecordKey::NodeNote(id));
            }
            if self.state.certificates.remove(&id).is_some() {
                self.changed(RecordKey::Certificate(id));
            }
            if self.state.metrics_addresses.remove(&id).is_some() {
                self.changed(RecordKey::MetricsAddress(id));
            }
            if self.state.keyring_held.remove(&id).is_some() {
                self.changed(RecordKey::KeyringHeld(id));
            }
        }
    }
}
