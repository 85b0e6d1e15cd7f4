//! How a manager whose log was damaged takes its old place: it comes as a learner under a new id, and once it has
//! caught up the leader exchanges the two ids in one change. The number of voters never falls.

use std::{collections::BTreeSet, sync::Weak, time::Duration};

use krakend_storage::GrantMember;
use openraft::{ChangeMembers, async_runtime::WatchReceiver};

use super::{AlarmKind, Inner, members::within};
use crate::{
    error::ChangeError,
    network::{AskError, MembershipChange, ReplaceReply, Replacement},
    rt::{self, Instant},
    types::{Member, MemberId},
};

const ASK_EVERY: Duration = Duration::from_secs(1);
const ASK_WITHIN: Duration = Duration::from_secs(40);
/// Questions between two lines in the log.
const SAY_EVERY: u32 = 5;
/// A learner so few entries behind counts as caught up.
const CLOSE: u64 = 1000;

/// Asks for the old place until the group has given it.
pub(super) async fn run(inner: Weak<Inner>, others: Vec<String>) {
    let mut asked = 0u32;
    loop {
        let Some(inner) = inner.upgrade() else { return };
        let Some(old) = inner.local.identity().replaces.first().cloned() else {
            inner.alarms.clear(AlarmKind::TakingOldPlace);
            return;
        };
        match inner.ask_for_place(&others, &old).await {
            Ok(()) => {
                let forgotten = inner
                    .local
                    .change(|identity| identity.replaces.retain(|it| *it != old));
                match forgotten {
                    Ok(()) => {
                        tracing::info!(old = %old.manager_id, "this manager has taken the place of its old id");
                        continue;
                    }
                    Err(error) => tracing::error!(%error, "the identity cannot be kept"),
                }
            }
            Err(reason) => {
                let message = format!(
                    "the log of this manager was damaged; it waits to take the place of manager {} under its new id: {reason}",
                    old.manager_id
                );
                if asked.is_multiple_of(SAY_EVERY) {
                    tracing::warn!("{message}");
                }
                inner.alarms.raise(AlarmKind::TakingOldPlace, message);
            }
        }
        drop(inner);
        asked = asked.wrapping_add(1);
        rt::sleep(ASK_EVERY).await;
    }
}

impl Inner {
    async fn ask_for_place(&self, others: &[String], old: &GrantMember) -> Result<(), String> {
        let identity = self.local.identity();
        let request = Replacement {
            old: old.clone(),
            id: MemberId(identity.manager_id),
            store_id: identity.store_id,
            node: self.local.node().clone(),
        };
        let mut reasons = Vec::new();
        for address in others {
            let answer: Result<ReplaceReply, AskError> = self
                .peers
                .ask(
                    address,
                    None,
                    &request,
                    ASK_WITHIN,
                    |mut client, request| async move { client.replace(request).await },
                )
                .await;
            match answer {
                Ok(ReplaceReply::Done) => return Ok(()),
                Ok(ReplaceReply::Failed(error)) => reasons.push(error.to_string()),
                Err(error) => reasons.push(error.to_string()),
            }
        }
        reasons.sort();
        reasons.dedup();
        Err(reasons.join("; "))
    }

    /// For a manager that asks for its old place; the leader, wherever it is, decides.
    pub(crate) async fn handle_replace(&self, request: Replacement) -> ReplaceReply {
        match self.change(MembershipChange::Replace(request)).await {
            Ok(()) => ReplaceReply::Done,
            Err(error) => ReplaceReply::Failed(error),
        }
    }

    /// One step of the exchange. Safe to repeat: each step begins with what the membership says.
    pub(super) async fn replace(&self, request: Replacement) -> Result<(), ChangeError> {
        let (old, id) = (MemberId(request.old.manager_id), request.id);
        let known = self.known(old);
        if known.is_some_and(|known| known.store_id != request.old.store_id) {
            return Err(ChangeError::Wiped(old.0));
        }
        if self.reachable(old) {
            return Err(ChangeError::StillThere(old.0));
        }
        if self.known(id).is_none() {
            let member = Member {
                node: request.node,
                store_id: request.store_id,
            };
            self.may_come(id).await?;
            within(self.raft.add_learner(id, member, false)).await?;
        }
        let voters = self.voters();
        if voters.contains(&id) {
            return self.remove_old(old, &voters).await;
        }
        self.caught_up(id)?;
        self.safe_without(old, &voters)?;
        let mut exchanged = voters;
        exchanged.remove(&old);
        exchanged.insert(id);
        let change = ChangeMembers::ReplaceAllVoters(exchanged);
        within(self.raft.change_membership(change, false)).await?;
        self.remove_old(old, &self.voters()).await
    }

    /// What is left of the old id: a learner, or a voter beside the new one.
    async fn remove_old(
        &self,
        old: MemberId,
        voters: &BTreeSet<MemberId>,
    ) -> Result<(), ChangeError> {
        if self.known(old).is_none() {
            return Ok(());
        }
        if voters.contains(&old) {
            self.safe_without(old, voters)?;
        }
        self.remove(old).await
    }

    fn caught_up(&self, id: MemberId) -> Result<(), ChangeError> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let last = metrics.last_log_index.unwrap_or(0);
        let replication = metrics.replication.as_ref().and_then(|it| it.get(&id));
        let matched = replication.copied().flatten().map(|it| it.index);
        let behind = last.saturating_sub(matched.unwrap_or(0));
        match matched {
            Some(_) if behind <= CLOSE => Ok(()),
            _ => Err(ChangeError::CatchingUp { id: id.0, behind }),
        }
    }

    /// The change is committed by a majority of the old voters as well, and the old id gives nothing.
    fn safe_without(&self, old: MemberId, voters: &BTreeSet<MemberId>) -> Result<(), ChangeError> {
        let others = voters.iter().filter(|id| **id != old);
        let remaining = others.clone().count();
        let answering = others.filter(|id| self.reachable(**id)).count();
        if answering <= voters.len() / 2 {
            return Err(ChangeError::QuorumAtRisk {
                id: old.0,
                answering,
                remaining,
            });
        }
        Ok(())
    }

    /// Whether a member answered one of the last heartbeats. Only a leader knows.
    pub(super) fn reachable(&self, id: MemberId) -> bool {
        let status = self.status();
        let member = status.members.iter().find(|it| it.id == id.0);
        member.is_some_and(|it| it.reachable == Some(true))
    }

    /// Waits until the group has let this manager in again.
    pub(super) async fn wait_for_place(&self) {
        let begun = Instant::now();
        while !self.is_member(self.local.identity().manager_id) {
            rt::sleep(super::inner::RETRY).await;
        }
        tracing::info!(
            took_ms = begun.elapsed().as_millis() as u64,
            "the group has let this manager in under its new id"
        );
    }
}
