use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use openraft::{
    ChangeMembers,
    async_runtime::WatchReceiver,
    errors::{ClientWriteError, RaftError},
};
use uuid::Uuid;

use super::{Inner, inner::RETRY};
use crate::{
    error::ChangeError,
    network::{ChangeReply, JoinReply, JoinRequest, MembershipChange},
    rt::{self, Instant},
    types::{ManagerNode, Member, MemberId, TypeConfig},
};

/// How long one change may take; a learner catches up within this or is tried again.
const CHANGE_WITHIN: Duration = Duration::from_secs(30);

impl Inner {
    /// Has the leader, wherever it is, change the membership.
    pub(super) async fn change(&self, change: MembershipChange) -> Result<(), ChangeError> {
        let deadline = Instant::now() + CHANGE_WITHIN;
        loop {
            let reply = if self.is_leader() {
                self.handle_change(change.clone()).await
            } else {
                self.change_there(&change, deadline).await
            };
            match reply {
                ChangeReply::Done => return Ok(()),
                ChangeReply::Failed(error) => return Err(error),
                ChangeReply::NotLeader if Instant::now() + RETRY >= deadline => {
                    return Err(ChangeError::NoLeader);
                }
                ChangeReply::NotLeader => rt::sleep(RETRY).await,
            }
        }
    }

    async fn change_there(&self, change: &MembershipChange, deadline: Instant) -> ChangeReply {
        let Some((leader, member)) = self.other_leader() else {
            return ChangeReply::NotLeader;
        };
        let answer = self
            .peers
            .ask(
                &member.node.raft_address,
                Some((leader, member.store_id)),
                change,
                deadline.saturating_duration_since(Instant::now()),
                |mut client, request| async move { client.change(request).await },
            )
            .await;
        match answer {
            Ok(reply) => reply,
            Err(crate::network::AskError::Unknown { reason, .. }) => {
                ChangeReply::Failed(ChangeError::Indeterminate(reason))
            }
            Err(_) => ChangeReply::NotLeader,
        }
    }

    /// Carries a change out, when this manager leads.
    pub(crate) async fn handle_change(&self, change: MembershipChange) -> ChangeReply {
        if !self.is_leader() {
            return ChangeReply::NotLeader;
        }
        let done = match change {
            MembershipChange::AddLearner { id, store_id, node } => {
                self.add_learner(id, Member { node, store_id }).await
            }
            MembershipChange::Promote(id) => self.promote(id).await,
            MembershipChange::Remove(id) => self.remove(id).await,
            MembershipChange::Replace(request) => self.replace(request).await,
            MembershipChange::Transfer(id) => self.transfer(id).await,
            MembershipChange::FinishJoint => self.finish_joint().await,
            MembershipChange::Move { id, node } => self.set_node(id, node).await,
        };
        match done {
            Ok(()) => ChangeReply::Done,
            Err(ChangeError::NoLeader) => ChangeReply::NotLeader,
            Err(error) => ChangeReply::Failed(error),
        }
    }

    async fn add_learner(&self, id: MemberId, member: Member) -> Result<(), ChangeError> {
        match self.known(id) {
            Some(known) if known.store_id != member.store_id => {
                return Err(ChangeError::Wiped(id.0));
            }
            Some(known) if known == member => return Ok(()),
            Some(_) => {}
            None => self.may_come(id).await?,
        }
        let added = self.raft.add_learner(id, member, true);
        within(added).await
    }

    /// Refuses an id that was removed: its question may be older than the removal. What the newest membership took out is known
    /// once that is applied.
    pub(super) async fn may_come(&self, id: MemberId) -> Result<(), ChangeError> {
        let newest = {
            let metrics = self.raft.server_metrics();
            let metrics = metrics.borrow_watched();
            metrics.membership_config.log_id().map_or(0, |it| it.index)
        };
        let mut applied = self.shared.applied();
        let reached = applied.wait_for(|applied| *applied >= newest);
        match rt::timeout(CHANGE_WITHIN, reached).await {
            Ok(Ok(_)) if self.shared.read().state.is_removed_manager(id.0) => {
                Err(ChangeError::Removed(id.0))
            }
            Ok(Ok(_)) => Ok(()),
            _ => Err(ChangeError::NoLeader),
        }
    }

    async fn promote(&self, id: MemberId) -> Result<(), ChangeError> {
        if self.known(id).is_none() {
            return Err(ChangeError::NoSuchManager(id.0));
        }
        if self.voters().contains(&id) {
            return Ok(());
        }
        let change = ChangeMembers::AddVoterIds(BTreeSet::from([id]));
        within(self.raft.change_membership(change, false)).await
    }

    /// A joint membership is left towards the voters that it was begun for.
    async fn finish_joint(&self) -> Result<(), ChangeError> {
        let change = ChangeMembers::AddVoterIds(BTreeSet::new());
        within(self.raft.change_membership(change, false)).await
    }

    /// Writes where a member is. Its id and data directory stay, so this cannot make two of one.
    async fn set_node(&self, id: MemberId, node: ManagerNode) -> Result<(), ChangeError> {
        let known = self.known(id).ok_or(ChangeError::NoSuchManager(id.0))?;
        if known.node == node {
            return Ok(());
        }
        let member = Member {
            node: node.clone(),
            store_id: known.store_id,
        };
        let change = ChangeMembers::SetNodes(BTreeMap::from([(id, member)]));
        within(self.raft.change_membership(change, true)).await?;
        self.local.note_address(id, None, node);
        Ok(())
    }

    pub(super) async fn remove(&self, id: MemberId) -> Result<(), ChangeError> {
        if self.known(id).is_none() {
            return Err(ChangeError::NoSuchManager(id.0));
        }
        let voters = self.voters();
        // A leader does not take itself out: the next one does.
        if id == self.local.id() && voters.len() > 1 {
            let successor = self.successor().ok_or(ChangeError::NoLeader)?;
            self.transfer(successor).await?;
            return Err(ChangeError::NoLeader);
        }
        if !voters.contains(&id) {
            let change = ChangeMembers::RemoveNodes(BTreeSet::from([id]));
            return within(self.raft.change_membership(change, false)).await;
        }
        if voters.len() == 1 {
            return Err(ChangeError::LastVoter(id.0));
        }
        self.keeps_quorum(id).await?;
        let change = ChangeMembers::RemoveVoters(BTreeSet::from([id]));
        within(self.raft.change_membership(change, false)).await
    }

    /// Refuses to take out a voter without whom the rest would have no majority that answers. A leader that has just
    /// begun has heard nobody yet, so it is given a moment.
    async fn keeps_quorum(&self, id: MemberId) -> Result<(), ChangeError> {
        let until = Instant::now() + 2 * self.timers.election_max();
        loop {
            let members = self.status().members;
            let rest = members.iter().filter(|it| it.voter && it.id != id.0);
            let remaining = rest.clone().count();
            let answering = rest.filter(|it| it.reachable == Some(true)).count();
            if answering > remaining / 2 {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(ChangeError::QuorumAtRisk {
                    id: id.0,
                    answering,
                    remaining,
                });
            }
            rt::sleep(RETRY).await;
        }
    }

    /// Gives the leadership to one voter and waits until it has it.
    pub(super) async fn transfer(&self, to: MemberId) -> Result<(), ChangeError> {
        if to == self.local.id() {
            return Ok(());
        }
        if !self.voters().contains(&to) {
            return Err(ChangeError::NoSuchManager(to.0));
        }
        self.raft
            .trigger()
            .transfer_leader(to)
            .await
            .map_err(|error| ChangeError::Refused(error.to_string()))?;
        let mut leadership = self.leadership.subscribe();
        let moved = leadership.wait_for(|now| now.leader == Some(to.0));
        match rt::timeout(3 * self.timers.election_max(), moved).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(ChangeError::Indeterminate(format!(
                "manager {to} did not take the leadership"
            ))),
        }
    }

    /// The other voter whose log reaches furthest: the one to lead when this manager stops.
    pub(super) fn successor(&self) -> Option<MemberId> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let voters: Vec<_> = metrics.membership_config.voter_ids().collect();
        let matched = metrics.replication.as_ref()?;
        matched
            .iter()
            .filter(|(id, _)| **id != metrics.id && voters.contains(id))
            .max_by_key(|(_, log_id)| **log_id)
            .map(|(id, _)| *id)
    }

    /// Lets a manager with the group's certificate in, as learner. The leader promotes it when it has been stable.
    pub(crate) async fn handle_join(&self, request: JoinRequest) -> JoinReply {
        let id = MemberId(request.manager_id);
        let add = MembershipChange::AddLearner {
            id,
            store_id: request.store_id,
            node: request.node,
        };
        match self.change(add).await {
            Ok(()) => JoinReply::Joined,
            Err(error) => JoinReply::Failed(error),
        }
    }

    pub(super) fn known(&self, id: MemberId) -> Option<Member> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.get_node(&id).cloned()
    }

    pub(super) fn voters(&self) -> BTreeSet<MemberId> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.voter_ids().collect()
    }

    /// A member once the entry that says so is here.
    pub(super) fn is_member(&self, id: Uuid) -> bool {
        self.known(MemberId(id)).is_some()
    }

    pub(super) fn alone(&self) -> BTreeMap<MemberId, Member> {
        BTreeMap::from([(self.local.id(), self.local.member())])
    }
}

pub(super) async fn within<T>(
    change: impl Future<Output = Result<T, RaftError<TypeConfig, ClientWriteError<TypeConfig>>>>,
) -> Result<(), ChangeError> {
    match rt::timeout(CHANGE_WITHIN, change).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))) => {
            Err(ChangeError::NoLeader)
        }
        Ok(Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error)))) => {
            Err(ChangeError::Refused(error.to_string()))
        }
        Ok(Err(error)) => Err(ChangeError::Indeterminate(error.to_string())),
        Err(_) => Err(ChangeError::Indeterminate(format!(
            "it took more than {CHANGE_WITHIN:?}"
        ))),
    }
}
