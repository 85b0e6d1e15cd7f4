use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use krakend_domain::{Command, Event, SecretHolder, SecretId};
use krakend_proto::{manager::manager_peer_server::ManagerPeerServer, tls::LiveTls};
use krakend_storage::{Identity, SyncFigures};
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
};
use uuid::Uuid;

use super::{
    Alarm, ClockStatus, GroupConfig, GroupStatus, Inner, Leadership, Proposed, RelayError,
    RelayHandler, StateView, serve,
};
use crate::{
    error::{ChangeError, FormError, OpenError, ProposeError, ReadError, ServeError},
    network::{MembershipChange, PeerService, PeerVerify},
    offline::Frozen,
    rt::Instant,
    types::{ManagerNode, MemberId},
};

/// This manager's part of the group. Clones share it.
#[derive(Clone, Debug)]
pub struct GroupHandle {
    inner: Arc<Inner>,
}

impl GroupHandle {
    /// Opens the data directory and starts Raft. `clock` gives UTC in milliseconds.
    pub async fn open(
        config: GroupConfig,
        tls: Option<LiveTls>,
        clock: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let inner = Inner::open(config, tls, Arc::new(clock)).await?;
        Ok(Self { inner })
    }

    /// On what a simulation has opened.
    #[cfg(test)]
    pub(crate) async fn simulated(
        config: GroupConfig,
        opened: super::Opened,
        clock: crate::network::Clock,
    ) -> Result<Self, OpenError> {
        let dialer = crate::network::Dialer::new(None);
        let inner = Inner::start(config, opened, dialer, clock).await?;
        Ok(Self { inner })
    }

    /// All that is applied.
    #[cfg(test)]
    pub(crate) fn current(&self) -> crate::store::Current {
        self.inner.shared.read().clone()
    }

    /// Raft's own view of who leads.
    #[cfg(test)]
    pub(crate) fn metrics(
        &self,
    ) -> openraft::type_config::alias::WatchReceiverOf<
        crate::types::TypeConfig,
        openraft::metrics::RaftServerMetrics<crate::types::TypeConfig>,
    > {
        self.inner.raft.server_metrics()
    }

    /// Who this manager is.
    pub fn identity(&self) -> Identity {
        self.inner.local.identity()
    }

    /// The group, once this manager belongs to one.
    pub fn group_id(&self) -> Option<Uuid> {
        self.inner.group_id()
    }

    /// What to serve on port 7001. `verify` sees each caller's certificate; without one everybody is believed.
    pub fn service(&self, verify: Option<PeerVerify>) -> ManagerPeerServer<PeerService> {
        serve::service(&self.inner, verify)
    }

    /// Serves port 7001 until `until`, over mutual TLS where the group was opened with it.
    pub async fn serve(
        &self,
        listener: TcpListener,
        verify: Option<PeerVerify>,
        until: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        serve::serve(&self.inner, listener, verify, until).await
    }

    /// Forms the group with `peers` (`host:port`, this manager included), or joins the one that they have. Returns
    /// when this manager is a member; may be cancelled and called again. Port 7001 must be served meanwhile.
    pub async fn form(&self, peers: &[String], expect: usize) -> Result<(), FormError> {
        self.inner.form(peers, expect).await
    }

    /// Has a command committed and applied, wherever the leader is. The leader stamps it.
    pub async fn propose(
        &self,
        command: Command,
        deadline: Instant,
    ) -> Result<Proposed, ProposeError> {
        self.inner.propose(command, deadline).await
    }

    /// A state that contains every write acknowledged before the call, on any manager.
    pub async fn linearizable(&self, deadline: Instant) -> Result<StateView, ReadError> {
        self.inner.linearizable(deadline).await
    }

    /// The state as it is here and now.
    pub fn stale(&self) -> StateView {
        self.inner.stale()
    }

    /// The state for a backup, as it is here and now; after [`Self::linearizable`] it contains what that one did.
    pub fn frozen(&self) -> Frozen {
        Frozen::new(self.inner.shared.read().clone())
    }

    /// The managers' clocks, and whether this one's may stamp entries.
    pub fn clocks(&self) -> ClockStatus {
        self.inner.clock_status()
    }

    /// The feature level that each manager supports, as far as this one knows; a leader knows all that answer.
    pub fn supported_levels(&self) -> BTreeMap<Uuid, u32> {
        let supported = self.inner.local.supported();
        supported.into_iter().map(|(id, it)| (id.0, it)).collect()
    }

    /// Which group secrets this manager holds, newest first, and which it uses, by name: its answers say so.
    pub fn set_secrets(&self, holds: &[SecretId], uses: SecretId) {
        self.inner.set_secrets(holds, uses);
    }

    /// Which group secrets each manager holds, as far as this one knows; a leader knows all that answer.
    pub fn secret_holders(&self) -> Vec<SecretHolder> {
        self.inner.secret_holders()
    }

    /// Which group secret each manager uses, as far as this one knows.
    pub fn secrets_used(&self) -> BTreeMap<Uuid, SecretId> {
        self.inner.secrets_used()
    }

    pub fn status(&self) -> GroupStatus {
        self.inner.status()
    }

    /// The same, with what only the leader knows of the others; it is asked and has `within` to answer.
    pub async fn observed_status(&self, within: Duration) -> GroupStatus {
        self.inner.observed_status(within).await
    }

    /// Who answers what other managers relay to this one as leader. The first to be set stays.
    pub fn set_relay(&self, handler: RelayHandler) {
        self.inner.set_relay(handler);
    }

    /// Asks whoever runs above the group on the leader, wherever that is.
    pub async fn relay(&self, body: Vec<u8>, within: Duration) -> Result<Vec<u8>, RelayError> {
        self.inner.relay(body, within).await
    }

    /// How long the log's fsyncs took since the start.
    pub fn syncs(&self) -> SyncFigures {
        self.inner.log.syncs()
    }

    /// How often this manager saw another leader or term since its start.
    pub fn leader_changes(&self) -> u64 {
        self.inner.leader_changes.load(Ordering::Relaxed)
    }

    /// What is wrong with this manager.
    pub fn alarms(&self) -> Vec<Alarm> {
        self.inner.alarms.list()
    }

    /// Whether this manager's state was found to differ from the majority's: nothing of it may be believed.
    pub fn is_quarantined(&self) -> bool {
        self.inner.is_quarantined()
    }

    /// Compares the managers' states now, where this one leads, and not at the next time.
    pub async fn compare_states(&self) {
        if self.inner.is_leader() {
            self.inner.compare_states().await;
        }
    }

    /// Changes the state of this manager alone, as a fault in its memory would. For tests.
    #[doc(hidden)]
    #[cfg(debug_assertions)]
    pub fn spoil(&self, command: Command) {
        let entry = krakend_domain::LogEntry {
            time_ms: 0,
            command,
        };
        let mut current = self.inner.shared.write();
        let outcome = current.state.apply(0, &entry);
        current.unwritten.keys.extend(outcome.changed);
        current.unwritten.any = true;
    }

    /// Follows the index of the last applied entry; 0 at first.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.inner.shared.applied()
    }

    /// Follows who leads.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.subscribe()
    }

    /// Follows what happens, entry by entry. A subscriber that lags by 4096 entries is told so and loses some.
    pub fn events(&self) -> broadcast::Receiver<(u64, Arc<Vec<Event>>)> {
        self.inner.shared.events()
    }

    /// Adds a manager that receives the log and has no vote yet. Returns when it has caught up.
    pub async fn add_learner(
        &self,
        id: Uuid,
        store_id: Uuid,
        node: ManagerNode,
    ) -> Result<(), ChangeError> {
        let change = MembershipChange::AddLearner {
            id: MemberId(id),
            store_id,
            node,
        };
        self.inner.change(change).await
    }

    /// Makes a learner a voter.
    pub async fn promote(&self, id: Uuid) -> Result<(), ChangeError> {
        self.inner
            .change(MembershipChange::Promote(MemberId(id)))
            .await
    }

    /// Takes a manager out of the group.
    pub async fn remove(&self, id: Uuid) -> Result<(), ChangeError> {
        self.inner
            .change(MembershipChange::Remove(MemberId(id)))
            .await
    }

    /// Makes another voter the leader.
    pub async fn transfer_leadership(&self, to: Uuid) -> Result<(), ChangeError> {
        self.inner
            .change(MembershipChange::Transfer(MemberId(to)))
            .await
    }

    /// Ends a change of voters that was left half done.
    pub async fn finish_joint(&self) -> Result<(), ChangeError> {
        self.inner.change(MembershipChange::FinishJoint).await
    }

    /// Writes a member's new names and addresses into the membership.
    pub async fn move_member(&self, id: Uuid, node: ManagerNode) -> Result<(), ChangeError> {
        let id = MemberId(id);
        self.inner.change(MembershipChange::Move { id, node }).await
    }

    /// Tells every manager at `addresses` (`host:port` of port 7001) where this one is, and learns where they are.
    /// Returns how many members answered.
    pub async fn announce(&self, addresses: &[String]) -> usize {
        self.inner.announce(addresses).await
    }

    /// Writes a snapshot file soon.
    pub async fn snapshot(&self) -> Result<(), ChangeError> {
        self.inner
            .raft
            .trigger()
            .snapshot()
            .await
            .map_err(|error| ChangeError::Refused(error.to_string()))
    }

    /// Hands the leadership over where there is somebody to take it, then stops. The data directory is free on
    /// return.
    pub async fn shutdown(&self) {
        if self.inner.is_leader()
            && let Some(to) = self.inner.successor()
            && let Err(error) = self.inner.transfer(to).await
        {
            tracing::warn!(%error, "stopping as leader; the others elect");
        }
        self.inner.stop().await;
    }

    /// Stops at once, as a crash would. For tests.
    #[doc(hidden)]
    pub async fn crash(&self) {
        self.inner.stop().await;
    }

    /// Resolves when a connection to the leader stands that tells of its end. For tests.
    #[doc(hidden)]
    pub async fn attending(&self) {
        let mut attended = self.inner.attended.subscribe();
        let _ = attended.wait_for(Option::is_some).await;
    }

    /// Resolves when Raft has died, with the reason. The process should exit then, and be started again.
    pub async fn fatal(&self) -> String {
        let mut fault = self.inner.fault.subscribe();
        let found = fault.wait_for(Option::is_some).await;
        let reason = found.ok().and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn open(dir: &std::path::Path) -> GroupHandle {
        let node = ManagerNode {
            name: "one".into(),
            raft_address: "127.0.0.1:1".into(),
            node_address: "127.0.0.1:1".into(),
            http_address: "127.0.0.1:1".into(),
        };
        let config = GroupConfig::new(dir.join("data"), node);
        let opened = GroupHandle::open(config, None, || 0).await;
        opened.expect("opened")
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_panic_inside_raft_is_fatal_and_a_stop_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let group = open(dir.path()).await;
        group.inner.stop().await;
        assert_eq!(*group.inner.fault.borrow(), None);
        drop(group);

        let dir = tempfile::tempdir().expect("a directory");
        let group = open(dir.path()).await;
        let state = group.inner.raft.with_raft_state(|state| {
            assert!(state.log_ids.last().is_some(), "on purpose");
        });
        state.await.expect_err("nobody is left to answer");
        let reason = tokio::time::timeout(Duration::from_secs(30), group.fatal()).await;
        let reason = reason.expect("noticed");
        assert!(reason.contains("panicked"), "{reason}");
        group.inner.stop().await;
    }
}
