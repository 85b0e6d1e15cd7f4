use std::time::Duration;

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
enum Attempt {
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

    pub(super) async fn linearizable(&self, deadline: Instant) -> Result<StateView, ReadError> {
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
            let attempt = if self.is_leader() {
                self.read_index_here(deadline).await
            } else {
                self.read_index_there(deadline).await
            };
            match attempt {
                Attempt::Index(index) => break index,
                Attempt::Stopped => return Err(ReadError::Stopped),
                Attempt::NotLeader => {}
                Attempt::Failed(reason) => failure = Some(reason),
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
    pub(crate) async fn handle_read_index(&self, request: ReadIndexRequest) -> ReadIndexReply {
        let deadline = Instant::now() + Duration::from_millis(request.within_ms);
        match self.read_index_here(deadline).await {
            Attempt::Index(index) => ReadIndexReply::Index(index),
            Attempt::NotLeader | Attempt::Stopped => ReadIndexReply::NotLeader,
            Attempt::Failed(reason) => ReadIndexReply::Failed { reason },
        }
    }

    /// Asks a quorum whether we still lead; no clock takes part.
    async fn read_index_here(&self, deadline: Instant) -> Attempt {
        let asked = self.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        match rt::timeout_at(deadline, asked).await {
            Err(_) => Attempt::Failed("a quorum did not answer".into()),
            Ok(Ok(linearizer)) => Attempt::Index(linearizer.read_log_id().index()),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_)))) => {
                Attempt::NotLeader
            }
            Ok(Err(RaftError::APIError(error))) => Attempt::Failed(error.to_string()),
            Ok(Err(RaftError::Fatal(_))) => Attempt::Stopped,
        }
    }

    async fn read_index_there(&self, deadline: Instant) -> Attempt {
        let Some((leader, member)) = self.other_leader() else {
            return Attempt::NotLeader;
        };
        // A leader that died is found out after a while, and the new one asked.
        let within = deadline
            .saturating_duration_since(Instant::now())
            .min(2 * self.timers.election_max());
        let request = ReadIndexRequest {
            within_ms: within.as_millis() as u64,
        };
        let answer = self
            .peers
            .ask(
                &member.node.raft_address,
                Some((leader, member.store_id)),
                &request,
                within,
                |mut client, request| async move { client.read_index(request).await },
            )
            .await;
        match answer {
            Ok(ReadIndexReply::Index(index)) => Attempt::Index(index),
            Ok(ReadIndexReply::NotLeader) => Attempt::NotLeader,
            Ok(ReadIndexReply::Failed { reason }) => Attempt::Failed(reason),
            Err(error) => Attempt::Failed(error.to_string()),
        }
    }
}
