//! Questions to the state.

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use uuid::Uuid;

use super::{ClusterState, Fleet, Meta};
use crate::{
    BackupStatus, ClockHold, Digest, Event, FleetName, FormerGroup, IdempotencyRecord,
    JoinTokenRecord, LicenseNotes, LicenseRecord, LicenseState, LicenseStatus, ManagerId,
    ManagerRecord, Millis, NodeCertificate, NodeId, NodeNote, NodeRecord, NodeWindow, RecentSample,
    Role, SecretRecord, TokenId, TokenRecord, TokenScope, Topic, VersionRecord, WindowKey, advance,
};

impl ClusterState {
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    pub fn nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.values()
    }

    /// The nodes of one fleet, without a look at the others.
    pub fn nodes_of<'s>(&'s self, fleet: &FleetName) -> impl Iterator<Item = &'s NodeRecord> {
        self.nodes.of_fleet(fleet)
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
        self.versions.get(fleet)?.get(&number)
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
        let versions = self.versions.get(fleet).into_iter();
        versions.flat_map(|versions| versions.values().rev())
    }

    pub fn license(&self) -> Option<&LicenseRecord> {
        self.license.as_ref()
    }

    /// Where the licence stands; while a jump of the clock is held, where it stood before.
    pub fn license_status(&self, now: Millis) -> LicenseStatus {
        let now = self.decision_time(now);
        LicenseStatus::at(self.license.as_ref().map(|license| &license.claims), now)
    }

    /// Seats that count against the limit.
    pub fn seats_used(&self, now: Millis) -> u32 {
        self.nodes.seats_taken(self.decision_time(now))
    }

    pub fn token(&self, id: TokenId) -> Option<&TokenRecord> {
        self.tokens.get(&id)
    }

    /// What narrows a token's role, if anything.
    pub fn token_scope(&self, id: TokenId) -> Option<&TokenScope> {
        self.token_scopes.get(&id)
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
        self.events.iter().rev().map(|(_, event)| event.as_ref())
    }

    /// Events after `(index, position)`, oldest first. Complete unless [`Self::is_forgotten`].
    pub fn events_after(&self, after: (u64, u32)) -> impl Iterator<Item = &Event> {
        use std::ops::Bound;
        let range = (Bound::Excluded(after), Bound::Unbounded);
        self.events.range(range).map(|(_, event)| event.as_ref())
    }

    /// Whether events after `index` are gone already, so that nobody can go on from there.
    pub fn is_forgotten(&self, index: u64) -> bool {
        index < self.changes.forgotten_through
    }

    /// Oldest index after which nothing has been forgotten.
    pub fn oldest_event_index(&self) -> u64 {
        self.changes.forgotten_through
    }

    /// Log index of the last change of a topic; 0 before the first.
    pub fn modified(&self, topic: Topic) -> u64 {
        self.changes.modified.get(&topic).copied().unwrap_or(0)
    }

    /// Which secret the group uses.
    pub fn secret(&self) -> &SecretRecord {
        &self.secret
    }

    /// The certificate that a node is known to have.
    pub fn certificate(&self, node_id: NodeId) -> Option<&NodeCertificate> {
        self.certificates.get(&node_id)
    }

    /// What was told of the licence, and who verified it.
    pub fn license_notes(&self) -> &LicenseNotes {
        &self.license_notes
    }

    /// Whether the licence has come to a state or a notice that was not told yet: a tick tells it.
    pub fn is_license_news(&self, now: Millis) -> bool {
        let status = self.license_status(now);
        let told = self.meta.license_state.unwrap_or(LicenseState::Free);
        let notice =
            self.meta.feature_level >= 4 && status.notice_days != self.license_notes.told_days;
        status.state != told || notice
    }

    /// What is wrong with a node's ways to the group.
    pub fn note(&self, id: NodeId) -> Option<&NodeNote> {
        self.notes.get(&id)
    }

    /// Whether a registration of this node would be given a seat: its own, or a free one.
    pub fn has_seat_for(&self, id: NodeId, now: Millis) -> bool {
        let held = self.decision_time(now);
        let own = self.nodes.get(&id);
        own.is_some_and(|node| node.seat.is_taken(held))
            || self.seats_used(now) < self.license_status(now).limits.max_nodes
    }

    /// A jump of the clock that waits for an operator.
    pub fn clock_hold(&self) -> Option<&ClockHold> {
        self.clock.hold.as_ref()
    }

    /// Managers whose clocks are off, and how far ahead they were, in milliseconds.
    pub fn clocks_off(&self) -> &OrdMap<ManagerId, i64> {
        &self.clock.off
    }

    /// The first answer to an idempotency key that is not forgotten yet.
    pub fn first_answer(&self, key: &str) -> Option<&IdempotencyRecord> {
        self.idempotency.get(key).map(Arc::as_ref)
    }

    /// What the state's time would be with a stamp of `wall`: the clock to decide by, on every manager.
    pub fn time_at(&self, wall: Millis) -> Millis {
        advance(self.meta.time_ms, self.clock.hold.as_ref(), wall).now
    }

    /// The time for lease, licence and reap decisions: it stands still while a jump is held.
    pub fn decision_time(&self, now: Millis) -> Millis {
        self.clock.hold.as_ref().map_or(now, |hold| hold.from_ms)
    }
}
