//! How managers become a group: once, exactly one, whatever the order of their starts.
//!
//! Each fresh manager durably grants one (group id, member set). The lowest id asks for the grants and initialises
//! after all have granted; never when a peer has a group already: then that group is joined.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use krakend_storage::{Grant, GrantMember, Identity};
use openraft::async_runtime::WatchReceiver;
use uuid::Uuid;

use super::Inner;
use crate::{
    error::{ChangeError, FormError},
    network::{
        AskError, GrantReply, GrantRequest, JoinReply, JoinRequest, ProbeReply, ProbeRequest,
    },
    rt,
    types::{Member, MemberId},
};

const STEP_EVERY: Duration = Duration::from_millis(250);
const PROBE_WITHIN: Duration = Duration::from_millis(1500);
const JOIN_WITHIN: Duration = Duration::from_secs(65);
/// Steps between two lines in the log that say what is waited for.
const SAY_EVERY: u32 = 12;

/// What a step found out.
enum Step {
    Member,
    Waiting(String),
}

impl Inner {
    pub(super) async fn form(&self, peers: &[String], expect: usize) -> Result<(), FormError> {
        if expect > 1 && peers.len() != expect {
            return Err(FormError::PeerCount {
                expect,
                peers: peers.len(),
            });
        }
        if !self.local.identity().replaces.is_empty() {
            self.wait_for_place().await;
            return self.was_let_in();
        }
        if self.is_settled() {
            return self.compare_groups(peers).await;
        }
        let mut steps = 0u32;
        loop {
            match self.step(peers, expect).await? {
                Step::Member => return self.was_let_in(),
                Step::Waiting(reason) if steps % SAY_EVERY == SAY_EVERY - 1 => {
                    tracing::warn!(
                        "waiting to become a member of the group: {reason}; a manager that runs and is not reachable may have another group secret"
                    );
                }
                Step::Waiting(_) => {}
            }
            steps = steps.wrapping_add(1);
            rt::sleep(STEP_EVERY).await;
        }
    }

    /// A member that starts with somebody else's peers, or with somebody else's data, says so and stops.
    async fn compare_groups(&self, peers: &[String]) -> Result<(), FormError> {
        let Some(ours) = self.local.identity().group_id else {
            return Ok(());
        };
        let own = &self.local.node().raft_address;
        let others: Vec<&String> = peers.iter().filter(|peer| *peer != own).collect();
        let (found, _) = self.probe(&others).await;
        let other = found
            .into_values()
            .find_map(|(peer, it)| it.group_id.filter(|id| *id != ours).map(|id| (peer, id)));
        match other {
            Some((peer, theirs)) => Err(FormError::OtherGroup { ours, theirs, peer }),
            None => Ok(()),
        }
    }

    async fn step(&self, peers: &[String], expect: usize) -> Result<Step, FormError> {
        if self.is_settled() {
            return Ok(Step::Member);
        }
        let others: Vec<&String> = peers
            .iter()
            .filter(|peer| **peer != self.local.node().raft_address)
            .collect();
        if others.is_empty() && expect <= 1 {
            return self.form_alone().await;
        }
        let (found, missing) = self.probe(&others).await;
        if let Some((peer, theirs)) = found
            .values()
            .find_map(|(peer, it)| it.group_id.map(|id| (peer, id)))
        {
            return self.meet_group(peer, theirs).await;
        }
        if expect <= 1 {
            return Ok(Step::Waiting(format!(
                "none of the peers is in a group; not reachable: {missing:?}"
            )));
        }
        if found.len() + 1 < expect {
            return Ok(Step::Waiting(format!(
                "{} of {expect} managers are there; not reachable: {missing:?}",
                found.len() + 1
            )));
        }
        self.initiate(&found, expect).await
    }

    async fn form_alone(&self) -> Result<Step, FormError> {
        let _one = self.forming.lock().await;
        // A member that restarts has its membership in the log; only an empty log is begun here.
        self.local.change(|identity| {
            identity.group_id.get_or_insert_with(rt::new_id);
            identity.grant = None;
        })?;
        self.initialize(self.alone()).await
    }

    /// Asks all peers who they are. Answers by manager id, with the address asked, without our own.
    async fn probe(
        &self,
        peers: &[&String],
    ) -> (BTreeMap<Uuid, (String, ProbeReply)>, Vec<String>) {
        let ask = |peer: String| async move {
            let answer: Result<ProbeReply, AskError> = self
                .peers
                .ask(
                    &peer,
                    None,
                    &ProbeRequest::default(),
                    PROBE_WITHIN,
                    |mut client, request| async move { client.probe(request).await },
                )
                .await;
            (peer, answer)
        };
        let me = self.local.id().0;
        let mut found = BTreeMap::new();
        let mut missing = Vec::new();
        for (peer, answer) in join_all(peers.iter().map(|peer| ask((*peer).clone()))).await {
            match answer {
                Ok(reply) if reply.manager_id == me => {}
                Ok(reply) => drop(found.insert(reply.manager_id, (peer, reply))),
                Err(error) => missing.push(error.to_string()),
            }
        }
        (found, missing)
    }

    /// Whether this manager is a member, for good. The entry that lets a newcomer in may be replaced before it is
    /// committed: then it stands in the newcomer's log, and nobody else knows of it.
    fn is_settled(&self) -> bool {
        let identity = self.local.identity();
        if !self.is_member(identity.manager_id) {
            return false;
        }
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        !asks_to_join(&identity) || *metrics.membership_config.log_id() <= metrics.last_applied
    }

    /// From here on this manager does not ask any more: whoever is removed must not come back by itself.
    fn was_let_in(&self) -> Result<(), FormError> {
        if asks_to_join(&self.local.identity()) {
            self.local.change(|identity| identity.grant = None)?;
        }
        Ok(())
    }

    /// A peer is in a group. Either it is ours and will call us, or we ask to be let in.
    async fn meet_group(&self, peer: &str, theirs: Uuid) -> Result<Step, FormError> {
        let identity = self.local.identity();
        if let Some(ours) = identity.group_id
            && ours != theirs
        {
            return Err(FormError::OtherGroup {
                ours,
                theirs,
                peer: peer.into(),
            });
        }
        let promised = identity
            .grant
            .as_ref()
            .is_some_and(|it| it.group_id == theirs && !it.members.is_empty());
        // A leader may have let us in, spoken to us, and lost its leadership before the others had the entry: then
        // nobody knows of us, whatever we have of its log. Asking once more does no harm.
        let asks = asks_to_join(&identity);
        let has_log = self
            .raft
            .metrics()
            .borrow_watched()
            .last_log_index
            .is_some();
        if promised || (identity.group_id.is_some() && has_log && !asks) {
            return Ok(Step::Waiting(format!("the leader of group {theirs}")));
        }
        // Kept before the question, because the leader speaks to us before it answers.
        let initiator = identity.manager_id;
        self.local.change(|identity| {
            if identity.group_id.is_none() {
                identity.grant = Some(Grant {
                    group_id: theirs,
                    initiator,
                    round: 0,
                    members: Vec::new(),
                });
            }
        })?;
        let request = JoinRequest {
            manager_id: identity.manager_id,
            store_id: identity.store_id,
            node: self.local.node().clone(),
        };
        let joined: Result<JoinReply, AskError> = self
            .peers
            .ask(
                peer,
                None,
                &request,
                JOIN_WITHIN,
                |mut client, request| async move { client.join(request).await },
            )
            .await;
        if let Ok(JoinReply::Failed(error @ ChangeError::Removed(_))) = joined {
            return Err(FormError::Refused(error));
        }
        Ok(Step::Waiting(match joined {
            Ok(JoinReply::Joined) => format!("the first entries of group {theirs}"),
            Ok(JoinReply::Failed(error)) => error.to_string(),
            Err(error) => error.to_string(),
        }))
    }

    /// Everybody is there and nobody has a group: the lowest id begins, the others wait for it.
    async fn initiate(
        &self,
        found: &BTreeMap<Uuid, (String, ProbeReply)>,
        expect: usize,
    ) -> Result<Step, FormError> {
        let _one = self.forming.lock().await;
        let identity = self.local.identity();
        let me = identity.manager_id;
        let mut members: Vec<GrantMember> = found
            .values()
            .map(|(_, it)| GrantMember {
                manager_id: it.manager_id,
                store_id: it.store_id,
            })
            .collect();
        members.push(GrantMember {
            manager_id: me,
            store_id: identity.store_id,
        });
        members.sort_by_key(|member| member.manager_id);
        if members.len() != expect || members[0].manager_id != me {
            return Ok(Step::Waiting(format!(
                "manager {} to form the group",
                members[0].manager_id
            )));
        }
        let grant = match identity.grant {
            Some(grant) if grant.initiator == me && grant.members == members => grant,
            older => Grant {
                group_id: rt::new_id(),
                initiator: me,
                round: older.map_or(1, |older| older.round + 1),
                members,
            },
        };
        self.local
            .change(|identity| identity.grant = Some(grant.clone()))?;
        if let Some(reason) = self.ask_grants(found, &grant).await {
            return Ok(Step::Waiting(reason));
        }
        // From here on the group exists; a crash in between is repaired by the next step.
        self.local
            .change(|identity| identity.group_id = Some(grant.group_id))?;
        let mut all = self.alone();
        all.extend(found.values().map(|(_, it)| {
            let member = Member {
                node: it.node.clone(),
                store_id: it.store_id,
            };
            (MemberId(it.manager_id), member)
        }));
        self.initialize(all).await
    }

    /// `None` when all have granted, else the first reason why not.
    async fn ask_grants(
        &self,
        found: &BTreeMap<Uuid, (String, ProbeReply)>,
        grant: &Grant,
    ) -> Option<String> {
        let request = GrantRequest {
            group_id: grant.group_id,
            initiator: grant.initiator,
            round: grant.round,
            members: grant.members.clone(),
        };
        let request = &request;
        let ask = |peer: &str, it: &ProbeReply| {
            let (peer, to) = (peer.to_owned(), (MemberId(it.manager_id), it.store_id));
            async move {
                let answer: Result<GrantReply, AskError> = self
                    .peers
                    .ask(
                        &peer,
                        Some(to),
                        request,
                        PROBE_WITHIN,
                        |mut client, request| async move { client.grant(request).await },
                    )
                    .await;
                match answer {
                    Ok(GrantReply::Granted) => None,
                    Ok(GrantReply::Refused { reason }) => Some(reason),
                    Err(error) => Some(error.to_string()),
                }
            }
        };
        let answers = join_all(found.values().map(|(peer, it)| ask(peer, it))).await;
        answers.into_iter().flatten().next()
    }

    async fn initialize(&self, members: BTreeMap<MemberId, Member>) -> Result<Step, FormError> {
        use openraft::errors::{InitializeError, RaftError};
        match self.raft.initialize(members).await {
            Ok(()) => Ok(Step::Waiting("the first leader".into())),
            // The log has begun already: a leader will tell.
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
                Ok(Step::Waiting("the group's leader".into()))
            }
            Err(RaftError::Fatal(openraft::errors::Fatal::Stopped)) => Err(FormError::Stopped),
            Err(error) => Err(FormError::Raft(error.to_string())),
        }
    }

    pub(crate) fn probe_reply(&self) -> ProbeReply {
        let identity = self.local.identity();
        ProbeReply {
            manager_id: identity.manager_id,
            store_id: identity.store_id,
            // A group that is not initialised yet is nothing to be joined.
            group_id: identity
                .group_id
                .filter(|_| self.is_member(identity.manager_id)),
            node: self.local.node().clone(),
            moved: self.local.book.all().into_iter().collect(),
        }
    }

    /// Promises to become a member, unless something else is promised.
    pub(crate) async fn handle_grant(&self, request: GrantRequest) -> GrantReply {
        let _one = self.forming.lock().await;
        let identity = self.local.identity();
        let refused = |reason: String| GrantReply::Refused { reason };
        let me = GrantMember {
            manager_id: identity.manager_id,
            store_id: identity.store_id,
        };
        let lowest = request.members.iter().map(|it| it.manager_id).min();
        if !request.members.contains(&me) || lowest != Some(request.initiator) {
            return refused(format!(
                "manager {} is asked to join a group that it would not belong to",
                me.manager_id
            ));
        }
        if let Some(group) = identity.group_id
            && group != request.group_id
        {
            return refused(format!(
                "manager {} belongs to group {group}",
                me.manager_id
            ));
        }
        let free = identity.grant.as_ref().is_none_or(|given| {
            given.group_id == request.group_id
                || given.members.is_empty()
                || given.initiator == me.manager_id
                || (given.initiator == request.initiator && given.round < request.round)
        });
        if !free {
            let given = identity.grant.map(|it| it.initiator).unwrap_or_default();
            return refused(format!(
                "manager {} has promised itself to the group of manager {given}; if that one is gone for good, remove `identity.json` of the others and start them again",
                me.manager_id
            ));
        }
        let kept = self.local.change(|identity| {
            if identity.group_id.is_none() {
                identity.grant = Some(Grant {
                    group_id: request.group_id,
                    initiator: request.initiator,
                    round: request.round,
                    members: request.members,
                });
            }
        });
        match kept {
            Ok(()) => GrantReply::Granted,
            Err(error) => refused(error.to_string()),
        }
    }
}

/// Whether a manager has asked to be let into a group that was there before, and is not known to be in it.
fn asks_to_join(identity: &Identity) -> bool {
    let grant = identity.grant.as_ref();
    grant.is_some_and(|it| it.members.is_empty())
}
