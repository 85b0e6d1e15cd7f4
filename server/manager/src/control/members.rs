//! The leader keeps the group's membership in order: it promotes, moves, removes, and finishes what was left half done.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use krakend_domain::{
    Command, GroupObservation, ManagerChange, ManagerObservation, ManagerStep, plan_managers,
};
use krakend_raft::{ChangeError, GroupStatus, ManagerNode, MemberStatus};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::propose;
use crate::app::App;

/// A learner may be so many entries behind and still count as caught up.
const CAUGHT_UP_WITHIN: u64 = 250;
/// A joint membership that stands for so long was left by somebody else.
const JOINT_AFTER: Duration = Duration::from_secs(3);

/// What one leader has seen of the members, and the change that it is making.
pub struct Keeper {
    since: Instant,
    reached: HashMap<Uuid, Instant>,
    stable: HashMap<Uuid, Instant>,
    joint: Option<Instant>,
    change: Option<JoinHandle<()>>,
}

impl Keeper {
    /// A new leader has reached nobody: silence counts from its election.
    pub fn new(since: Instant) -> Self {
        Self {
            since,
            reached: HashMap::new(),
            stable: HashMap::new(),
            joint: None,
            change: None,
        }
    }

    /// Looks once, and begins at most one change.
    pub fn step(&mut self, app: &App) {
        let busy = self.change.as_ref().is_some_and(|it| !it.is_finished());
        let status = app.group.status();
        let observed = self.observe(app, &status, Instant::now(), busy);
        if busy {
            return;
        }
        if let Some(step) = plan_managers(&observed, &app.settings.managers) {
            let change = execute(app.clone(), step, status.members);
            self.change = Some(tokio::spawn(change));
        }
    }

    fn observe(
        &mut self,
        app: &App,
        status: &GroupStatus,
        now: Instant,
        busy: bool,
    ) -> GroupObservation {
        let is_member = |id: &Uuid| status.members.iter().any(|it| it.id == *id);
        self.reached.retain(|id, _| is_member(id));
        self.stable.retain(|id, _| is_member(id));
        if !status.joint || busy {
            self.joint = None;
        } else {
            self.joint.get_or_insert(now);
        }
        let last = status.last_log_index.unwrap_or(0);
        let state = app.group.stale().state;
        let managers = status.members.iter().map(|member| {
            let told = state.manager(member.id).map(node_of);
            self.observe_one(member, told, last, now)
        });
        let managers = managers.collect();
        GroupObservation {
            joint: self.joint.is_some_and(|at| now - at >= JOINT_AFTER),
            managers,
        }
    }

    fn observe_one(
        &mut self,
        member: &MemberStatus,
        told: Option<ManagerNode>,
        last: u64,
        now: Instant,
    ) -> ManagerObservation {
        let reachable = member.reachable == Some(true);
        if reachable {
            self.reached.insert(member.id, now);
        }
        let caught_up = member
            .matched
            .is_some_and(|matched| matched + CAUGHT_UP_WITHIN >= last);
        if !(reachable && caught_up) {
            self.stable.remove(&member.id);
        }
        let stable_ms = match reachable && caught_up {
            true => millis(now - *self.stable.entry(member.id).or_insert(now)),
            false => 0,
        };
        let reached = self.reached.get(&member.id).copied().unwrap_or(self.since);
        ManagerObservation {
            id: member.id,
            voter: member.voter,
            raft_address: member.node.raft_address.clone(),
            moved: new_node(member, told).is_some(),
            reachable,
            stable_ms,
            silent_ms: millis(now.saturating_duration_since(reached)),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

fn node_of(record: &krakend_domain::ManagerRecord) -> ManagerNode {
    ManagerNode {
        name: record.name.clone(),
        raft_address: record.raft_address.clone(),
        node_address: record.node_address.clone(),
        http_address: record.http_address.clone(),
    }
}

/// What the membership should say: where the member was heard last, else what it registered.
fn new_node(member: &MemberStatus, told: Option<ManagerNode>) -> Option<ManagerNode> {
    let newest = member.moved.clone().or(told)?;
    (newest != member.node).then_some(newest)
}

async fn execute(app: App, step: ManagerStep, members: Vec<MemberStatus>) {
    let find = |id: Uuid| members.iter().find(|it| it.id == id);
    let name = |id: Uuid| find(id).map_or_else(|| id.to_string(), |it| it.node.name.clone());
    let (done, told) = match step {
        ManagerStep::FinishJoint => {
            tracing::warn!("finishing a change of voters that was left half done");
            (app.group.finish_joint().await, None)
        }
        ManagerStep::Promote(id) => {
            tracing::info!("{} has caught up: it gets a vote", name(id));
            let told = (id, ManagerChange::Promoted, "caught up and stable".into());
            (app.group.promote(id).await, Some(told))
        }
        ManagerStep::Move(id) => {
            let told = app.group.stale().state.manager(id).map(node_of);
            let Some(node) = find(id).and_then(|member| new_node(member, told)) else {
                return;
            };
            tracing::info!("{} is now at {}", name(id), node.raft_address);
            let told = (id, ManagerChange::Moved, node.raft_address.clone());
            (app.group.move_member(id, node).await, Some(told))
        }
        ManagerStep::Remove { id, reason } => {
            tracing::warn!("removing {}: {reason}", name(id));
            let told = (id, ManagerChange::Removed, reason);
            (app.group.remove(id).await, Some(told))
        }
    };
    match (done, told) {
        (Ok(()), Some((id, change, by))) => tell(&app, changed(id, name(id), change, by)).await,
        (Ok(()), None) => {}
        (Err(ChangeError::NoLeader), _) => {}
        (Err(error), _) => tracing::warn!("the membership was not changed: {error}"),
    }
}

/// The entry that tells of a change.
pub fn changed(id: Uuid, name: String, change: ManagerChange, by: String) -> Command {
    Command::ChangeManager {
        id,
        name,
        change,
        by,
    }
}

/// Puts a change into the event trail, and into the audit trail.
pub async fn tell(app: &App, command: Command) {
    if let Err(error) = propose(app, command).await {
        tracing::warn!("the change of the membership is not in the event trail: {error}");
    }
}
