use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use openraft::{Instant as _, ServerState, async_runtime::WatchReceiver};
use uuid::Uuid;

use super::Inner;
use crate::{
    network::{AskError, ObserveReply, SeenMember},
    rt,
    types::{ManagerNode, MemberId},
};

/// Heartbeats that a member may miss before it counts as not reachable.
const MISSED: u32 = 3;

/// Who leads, as this manager knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    pub leader: Option<Uuid>,
    pub term: u64,
    pub is_me: bool,
}

/// What a manager is in the group at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaftRole {
    Leader,
    Follower,
    Candidate,
    /// Receives the log, has no vote. Also a manager that is in no group yet.
    Learner,
    Stopped,
}

/// The group as this manager sees it.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    pub leader: Option<Uuid>,
    pub term: u64,
    pub role: RaftRole,
    pub last_log_index: Option<u64>,
    pub committed: Option<u64>,
    pub applied: Option<u64>,
    /// The last entry in the newest snapshot file.
    pub snapshot: Option<u64>,
    /// Everything up to here is gone from the log.
    pub purged: Option<u64>,
    /// Voters are being changed, or were and the change was left half done.
    pub joint: bool,
    pub members: Vec<MemberStatus>,
}

/// One manager of the group.
#[derive(Clone, Debug)]
pub struct MemberStatus {
    pub id: Uuid,
    pub node: ManagerNode,
    pub voter: bool,
    /// How far its log is known to agree; the leader alone knows.
    pub matched: Option<u64>,
    /// It answered one of the last heartbeats; the leader alone knows.
    pub reachable: Option<bool>,
    /// Where it says that it is, when that is elsewhere than `node` says.
    pub moved: Option<ManagerNode>,
}

impl Inner {
    pub(super) fn status(&self) -> GroupStatus {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let leads = metrics.state == ServerState::Leader;
        let patience = Duration::from_millis(self.timers.heartbeat_ms) * MISSED;
        let membership = metrics.membership_config.membership();
        let voters: Vec<MemberId> = membership.voter_ids().collect();
        let member = |(id, member): (&MemberId, &crate::types::Member)| {
            let me = *id == metrics.id;
            let replicated = metrics.replication.as_ref().and_then(|it| it.get(id));
            let acked = metrics.heartbeat.as_ref().and_then(|it| it.get(id));
            let reachable = acked
                .copied()
                .flatten()
                .is_some_and(|at| at.elapsed() <= patience);
            MemberStatus {
                id: id.0,
                node: member.node.clone(),
                voter: voters.contains(id),
                matched: match (leads, me) {
                    (true, true) => metrics.last_log_index,
                    (true, false) => replicated.copied().flatten().map(|it| it.index),
                    (false, _) => None,
                },
                reachable: leads.then_some(me || reachable),
                moved: if me {
                    let here = self.local.node();
                    (*here != member.node).then(|| here.clone())
                } else {
                    self.local.book.moved(*id, member)
                },
            }
        };
        GroupStatus {
            leader: metrics.current_leader.map(|it| it.0),
            term: metrics.current_term,
            role: role(metrics.state),
            last_log_index: metrics.last_log_index,
            committed: metrics.local_committed.map(|it| it.index),
            applied: metrics.last_applied.map(|it| it.index),
            snapshot: metrics.snapshot.map(|it| it.index),
            purged: metrics.purged.map(|it| it.index),
            joint: membership.get_joint_config().len() > 1,
            members: membership.nodes().map(member).collect(),
        }
    }

    /// The status with what only the leader knows, asked of it where it is somebody else and answers in time.
    pub(super) async fn observed_status(&self, within: Duration) -> GroupStatus {
        let mut status = self.status();
        let Some((leader, member)) = self.other_leader() else {
            return status;
        };
        let answer: Result<ObserveReply, AskError> = self
            .peers
            .ask(
                &member.node.raft_address,
                Some((leader, member.store_id)),
                &(),
                within,
                |mut client, request| async move { client.observe(request).await },
            )
            .await;
        let Ok(ObserveReply {
            seen: Some(seen),
            last_log_index,
        }) = answer
        else {
            return status;
        };
        status.last_log_index = status.last_log_index.max(last_log_index);
        for member in &mut status.members {
            if let Some(seen) = seen.iter().find(|it| it.id.0 == member.id) {
                member.matched = seen.matched;
                member.reachable = Some(seen.reachable);
            }
        }
        status
    }

    pub(crate) fn handle_observe(&self) -> ObserveReply {
        if !self.is_leader() {
            return ObserveReply::default();
        }
        let status = self.status();
        let seen = status.members.iter().map(|it| SeenMember {
            id: MemberId(it.id),
            matched: it.matched,
            reachable: it.reachable == Some(true),
        });
        ObserveReply {
            seen: Some(seen.collect()),
            last_log_index: status.last_log_index,
        }
    }

    pub(super) fn leadership_now(&self) -> Leadership {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        Leadership {
            leader: metrics.current_leader.map(|it| it.0),
            term: metrics.vote.leader_id.term,
            is_me: metrics.state == ServerState::Leader,
        }
    }
}

fn role(state: ServerState) -> RaftRole {
    match state {
        ServerState::Leader => RaftRole::Leader,
        ServerState::Follower => RaftRole::Follower,
        ServerState::Candidate => RaftRole::Candidate,
        ServerState::Learner => RaftRole::Learner,
        ServerState::Shutdown => RaftRole::Stopped,
    }
}

/// Follows Raft's metrics for as long as the group is open.
pub(super) async fn watch_leadership(inner: Weak<Inner>) {
    let Some(mut metrics) = inner.upgrade().map(|inner| inner.raft.server_metrics()) else {
        return;
    };
    loop {
        let Some(inner) = inner.upgrade() else { return };
        let now = inner.leadership_now();
        inner.leadership.send_if_modified(|known| {
            let changed = *known != now;
            if now.leader.is_some() && (now.leader, now.term) != (known.leader, known.term) {
                inner.leader_changes.fetch_add(1, Ordering::Relaxed);
            }
            *known = now;
            changed
        });
        drop(inner);
        if metrics.changed().await.is_err() {
            return;
        }
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Notes why Raft has died, when it dies by itself.
pub(super) async fn watch_health(inner: Weak<Inner>) {
    let Some(mut metrics) = inner.upgrade().map(|inner| inner.raft.metrics()) else {
        return;
    };
    loop {
        let running = metrics.borrow_watched().running_state.clone();
        if let Err(error) = running {
            let stopped = matches!(error, openraft::errors::Fatal::Stopped);
            if let Some(inner) = inner.upgrade()
                && !stopped
            {
                note_fault(&inner, error.to_string());
            }
            return;
        }
        // They change with every entry.
        rt::sleep(LOOK_EVERY).await;
        if metrics.changed().await.is_err() {
            // Gone without a last word: Raft's task has panicked. A stop says so first.
            let silent = metrics.borrow_watched().running_state.is_ok();
            if let Some(inner) = inner.upgrade()
                && silent
            {
                note_fault(&inner, "Raft's task has panicked".into());
            }
            return;
        }
    }
}

pub(super) fn note_fault(inner: &Arc<Inner>, reason: String) {
    inner.fault.send_if_modified(|known| {
        let first = known.is_none();
        known.get_or_insert(reason);
        first
    });
}
