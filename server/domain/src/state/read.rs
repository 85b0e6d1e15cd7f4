//! Questions to the state.

use std::sync::Arc;

use imbl::Vector;
use uuid::Uuid;

use super::{ClusterState, Fleet, Meta};
use crate::{
    BackupStatus, Digest, Event, FleetName, FormerGroup, JoinTokenRecord, LicenseRecord,
    LicenseStatus, ManagerId, ManagerRecord, Millis, NodeId, NodeRecord, NodeWindow, RecentSample,
    Role, TokenRecord, VersionRecord, WindowKey,
};

impl ClusterState {
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    pub fn nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.values()
    }

    pub fn node(&self, id: NodeId) -> Option<&NodeRecord> {
        self.nodes.get(&id)
    }

    /// Newest samples of a node in short, oldest first.
    pub fn recent(&self, id: NodeId) -> Option<&Vector<RecentSample>> {
        self.recent.get(&id)
    }

    pub fn managers(&self) -> impl Iterator<Item = &ManagerRecord> {
        self.managers.values()
    }

    pub fn manager(&self, id: ManagerId) -> Option<&ManagerRecord> {
        self.managers.get(&id)
    }

    pub fn fleets(&self) -> impl Iterator<Item = &Fleet> {
        self.fleets.values()
    }

    pub fn fleet(&self, name: &FleetName) -> Option<&Fleet> {
        self.fleets.get(name)
    }

    /// The fleet's desired version.
    pub fn newest_version(&self, fleet: &FleetName) -> Option<&Arc<VersionRecord>> {
        self.version(fleet, self.fleets.get(fleet)?.newest)
    }

    pub fn version(&self, fleet: &FleetName, number: u64) -> Option<&Arc<VersionRecord>> {
        self.versions.get(&(fleet.clone(), number))
    }

    pub fn version_by_digest(
        &self,
        fleet: &FleetName,
        digest: &Digest,
    ) -> Option<&Arc<VersionRecord>> {
        self.versions(fleet)
            .find(|version| version.digest == *digest)
    }

    /// A fleet's versions, newest first.
    pub fn versions(&self, fleet: &FleetName) -> impl Iterator<Item = &Arc<VersionRecord>> {
        let range = (fleet.clone(), 0)..=(fleet.clone(), u64::MAX);
        self.versions.range(range).rev().map(|(_, version)| version)
    }

    pub fn license(&self) -> Option<&LicenseRecord> {
        self.license.as_ref()
    }

    pub fn license_status(&self, now: Millis) -> LicenseStatus {
        LicenseStatus::at(self.license.as_ref().map(|license| &license.claims), now)
    }

    /// Seats that count against the limit.
    pub fn seats_used(&self, now: Millis) -> u32 {
        let taken = self.nodes.values().filter(|node| node.seat.is_taken(now));
        taken.count() as u32
    }

    pub fn tokens(&self) -> impl Iterator<Item = &TokenRecord> {
        self.tokens.values()
    }

    pub fn join_token(&self, id: Uuid) -> Option<&JoinTokenRecord> {
        self.join_tokens.get(&id)
    }

    pub fn join_tokens(&self) -> impl Iterator<Item = &JoinTokenRecord> {
        self.join_tokens.values()
    }

    /// The token's name and role while it is valid.
    pub fn authenticate(&self, sha256: &Digest, now: Millis) -> Option<(&TokenRecord, Role)> {
        let token = self.tokens.values().find(|token| token.sha256 == *sha256)?;
        let valid = token.expires_ms.is_none_or(|expires| now < expires);
        valid.then_some((token, token.role))
    }

    /// A fleet's windows that start in `from..to`, by start and node.
    pub fn windows(
        &self,
        fleet: &FleetName,
        from: Millis,
        to: Millis,
    ) -> impl Iterator<Item = (&WindowKey, &Arc<NodeWindow>)> {
        let key = |start_ms| WindowKey {
            fleet: fleet.clone(),
            start_ms,
            node_id: NodeId(Uuid::nil()),
        };
        self.windows.range(key(from)..key(to.max(from)))
    }

    /// The groups that this state has been, oldest first.
    pub fn lineage(&self) -> impl Iterator<Item = &FormerGroup> {
        self.lineage.iter()
    }

    pub fn backup(&self) -> &BackupStatus {
        &self.backup
    }

    /// Newest first.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().rev().map(|(_, event)| event)
    }

    /// Events of entries after `index` that are still kept, oldest first; see [`Self::oldest_event_index`].
    pub fn events_after(&self, index: u64) -> impl Iterator<Item = &Event> {
        self.events.range((index + 1, 0)..).map(|(_, event)| event)
    }

    /// Oldest index from which nothing has been forgotten.
    pub fn oldest_event_index(&self) -> u64 {
        self.events.get_min().map_or(0, |(key, _)| key.0)
    }
}
