use std::{sync::Arc, time::Duration};

use krakend_domain::ClusterState;
use openraft::{
    Instant as _, ReadPolicy,
    async_runtime::WatchReceiver,
    errors::{LinearizableReadError, RaftError},
};
use uuid::Uuid;

use super::{Inner, inner::RETRY};
use crate::{
    error::ReadError,
    network::{ReadIndexReply, ReadIndexRequest},
    rt::{self, Instant},
};

/// A frozen state, with where and how fresh it is.
#[derive(Clone, Debug)]
pub struct StateView {
    pub state: ClusterState,
    /// 0 as long as nothing is applied.
    pub applied_index: u64,
    /// Term of this manager's vote.
    pub term: u64,
    /// `None` as well when the leader that was known has been silent for two election times.
    pub leader: Option<Uuid>,
    /// How old the state may be, in milliseconds: since it was known to have everything that a living leader had
    /// committed; on a leader, since its quorum last answered. A linearizable read gives 0.
    pub staleness_ms: u64,
    /// Log index of the membership that holds.
    pub membership_index: u64,
}

/// What came of asking for a read index.
#[derive(Clone, Debug)]
pub(super) enum ReadIndex {
    Index(u64),
    NotLeader,
    Stopped,
    Failed(String),
}

impl Inner {
    pub(super) fn stale(&self) -> StateView {
        let leadership = self.leadership_now();
        // Raft goes on naming a leader until it knows another.
        let patience = 2 * self.timers.election_max();
        let (staleness_ms, lives) = if leadership.is_me {
            // One that no quorum has answered yet knows no more than it knew as a follower.
            let silence_ms = self.quorum_silence_ms();
            let silence_ms = silence_ms.unwrap_or_else(|| self.local.silence_ms());
            (silence_ms, Duration::from_millis(silence_ms) <= patience)
        } else {
            let lives = self.local.heard_within(patience);
            (self.local.silence_ms(), lives)
        };
        let current = self.shared.read();
        StateView {
            state: current.state.clone(),
            applied_index: current.last_applied.map_or(0, |it| it.index),
            term: leadership.term,
            leader: leadership.leader.filter(|_| lives),
            staleness_ms,
            membership_index: current.membership.log_id().map_or(0, |it| it.index),
        }
    }

    /// A leader that is cut off does not know that it was deposed, so its state ages as well.
    /// `None`: no quorum has answered it since it leads.
    fn quorum_silence_ms(&self) -> Option<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.membership_config.voter_ids().count() == 1 {
            return Some(0);
        }
        let acked = metrics.last_quorum_acked;
        acked.map(|at| at.elapsed().as_millis() as u64)
    }

    /// A leader hears of itself, so that it does not look old when it has just handed over.
    pub(super) fn note_leading(&self) {
        let Some(silence_ms) = self.quorum_silence_ms() else {
            return;
        };
        let silence = Duration::from_millis(silence_ms);
        let committed = self.status().committed.unwrap_or(0);
        if self.is_leader()
            && let Some(at) = Instant::now().checked_sub(silence)
        {
            self.local.heard_leader(committed, at);
        }
    }

    pub(super) async fn linearizable(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<StateView, ReadError> {
        #[cfg(any(test, feature = "planted-bugs"))]
        if crate::planted::has(crate::planted::Bug::ReadWithoutReadIndex) {
            return Ok(self.stale());
        }
        if self.is_quarantined() {
            return Err(ReadError::Quarantined);
        }
        let begun = Instant::now();
        let mut failure = None;
        let index = loop {
            match self.read_index(deadline).await {
                ReadIndex::Index(index) => break index,
                ReadIndex::Stopped => return Err(ReadError::Stopped),
                ReadIndex::NotLeader => {}
                ReadIndex::Failed(reason) => failure = Some(reason),
            }
            if Instant::now() + RETRY >= deadline {
                return Err(match failure {
                    None => ReadError::NoLeader,
                    Some(reason) => ReadError::Timeout {
                        waited: begun.elapsed(),
                        reason,
                    },
                });
            }
            rt::sleep(RETRY).await;
        };
        self.wait_applied(index, begun, deadline).await?;
        let mut view = self.stale();
        view.staleness_ms = 0;
        Ok(view)
    }

    async fn wait_applied(
        &self,
        index: u64,
        begun: Instant,
        deadline: Instant,
    ) -> Result<(), ReadError> {
        let mut applied = self.shared.applied();
        let reached = applied.wait_for(|applied| *applied >= index);
        match rt::timeout_at(deadline, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ReadError::Stopped),
            Err(_) => Err(ReadError::Timeout {
                waited: begun.elapsed(),
                reason: format!("entry {index} is not applied here yet"),
            }),
        }
    }

    /// For another manager that believes this one leads.
    pub(crate) async fn handle_read_index(
        self: &Arc<Self>,
        request: ReadIndexRequest,
    ) -> ReadIndexReply {
        if !self.is_leader() {
            return ReadIndexReply::NotLeader;
        }
        let deadline = Instant::now() + Duration::from_millis(request.within_ms);
        match self.read_index(deadline).await {
            ReadIndex::Index(index) => ReadIndexReply::Index(index),
            ReadIndex::NotLeader | ReadIndex::Stopped => ReadIndexReply::NotLeader,
            ReadIndex::Failed(reason) => ReadIndexReply::Failed { reason },
        }
    }

    /// Readers that come while a question is on its way share the next one.
    async fn read_index(self: &Arc<Self>, deadline: Instant) -> ReadIndex {
        let inner = Arc::downgrade(self);
        let ask = move || {
            let inner = inner.upgrade();
            async move {
                let Some(inner) = inner else {
                    return ReadIndex::Stopped;
                };
                // A leader that died is found out after a while, and the new one asked.
                let within = 2 * inner.timers.election_max();
                if inner.is_leader() {
                    inner.read_index_here(within).await
                } else {
                    inner.read_index_there(within).await
                }
            }
        };
        match rt::timeout_at(deadline, self.reads.pass(ask)).await {
            Ok(Some(found)) => found,
            Ok(None) => ReadIndex::Failed("asking for the commit index failed".into()),
            Err(_) => ReadIndex::Failed("the leader did not answer".into()),
        }
    }

    /// Asks a quorum whether we still lead; no clock takes part.
    async fn read_index_here(&self, within: Duration) -> ReadIndex {
        let asked = self.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        match rt::timeout(within, asked).await {
            Err(_) => ReadIndex::Failed("a quorum did not answer".into()),
            Ok(Ok(linearizer)) => ReadIndex::Index(linearizer.read_log_id().index()),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_)))) => {
                ReadIndex::NotLeader
            }
            Ok(Err(RaftError::APIError(error))) => ReadIndex::Failed(error.to_string()),
            Ok(Err(RaftError::Fatal(_))) => ReadIndex::Stopped,
        }
    }

    async fn read_index_there(&self, within: Duration) -> ReadIndex {
        let Some((leader, member)) = self.other_leader() else {
            return ReadIndex::NotLeader;
        };
        let request = ReadIndexRequest {
            within_ms: within.as_millis() as u64,
        };
        let asked = self.peers.ask(
            &member.node.raft_address,
            Some((leader, member.store_id)),
            &request,
            within,
            |mut client, request| async move { client.read_index(request).await },
        );
        let mut leadership = self.leadership.subscribe();
        let deposed = leadership.wait_for(|now| now.leader.is_some_and(|it| it != leader.0));
        let answer = tokio::select! {
            biased;
            answer = asked => answer,
            _ = deposed => return ReadIndex::NotLeader,
        };
        match answer {
            Ok(ReadIndexReply::Index(index)) => ReadIndex::Index(index),
            Ok(ReadIndexReply::NotLeader) => ReadIndex::NotLeader,
            Ok(ReadIndexReply::Failed { reason }) => ReadIndex::Failed(reason),
            Err(error) => ReadIndex::Failed(error.to_string()),
        }
    }
}
