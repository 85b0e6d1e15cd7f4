//! Nodes: enrolment, seats, life cycle.

use imbl::Vector;

use super::{Transaction, node_table::NodeMut};
use crate::{
    Applied, Digest, EventKind, FleetName, JoinRole, Millis, NodeId, NodeNote, NodeRecord,
    NodeRegistration, NodeState, RecordKey, Rejected, Seat, TokenId,
};

/// How long a seat is kept for a node that stopped cleanly.
const HOLD_SEAT_MS: Millis = 5 * 60_000;

impl Transaction<'_> {
    pub(super) fn apply_enroll_node(
        &mut self,
        token_id: TokenId,
        secret_sha256: &Digest,
    ) -> Result<Applied, Rejected> {
        let fleet = self.spend_join_token(token_id, secret_sha256, JoinRole::Node)?;
        Ok(Applied::Enrolled { fleet })
    }

    pub(super) fn apply_enroll_manager(
        &mut self,
        token_id: TokenId,
        secret_sha256: &Digest,
    ) -> Result<Applied, Rejected> {
        self.spend_join_token(token_id, secret_sha256, JoinRole::Manager)?;
        Ok(Applied::Done)
    }

    /// Takes one use off a token that is valid for the role. The fleet that it names.
    fn spend_join_token(
        &mut self,
        token_id: TokenId,
        secret_sha256: &Digest,
        role: JoinRole,
    ) -> Result<FleetName, Rejected> {
        let now = self.now;
        let token = self
            .state
            .join_tokens
            .get_mut(&token_id)
            .filter(|token| token.secret_sha256 == *secret_sha256)
            .ok_or(Rejected::JoinTokenUnknown)?;
        if token.role != role {
            return Err(Rejected::JoinTokenForOther(token.role));
        }
        if now >= token.expires_ms {
            return Err(Rejected::JoinTokenExpired);
        }
        if token.uses >= token.max_uses {
            return Err(Rejected::JoinTokenUsedUp {
                max_uses: token.max_uses,
            });
        }
        token.uses += 1;
        let fleet = token.fleet.clone();
        self.changed(RecordKey::JoinToken(token_id));
        Ok(fleet)
    }

    pub(super) fn apply_register_node(
        &mut self,
        asked: &NodeRegistration,
    ) -> Result<Applied, Rejected> {
        if !self.state.fleets.contains_key(&asked.fleet) {
            return Err(Rejected::NoSuchFleet(asked.fleet.clone()));
        }
        let before = self.state.nodes.get(&asked.node_id).cloned();
        if let Some(node) = &before {
            let running = matches!(node.state, NodeState::Active | NodeState::Unreachable);
            if running && node.store_id != asked.store_id {
                return Err(Rejected::NodeIdInUse(node.id));
            }
        }
        self.take_seat(before.as_ref())?;
        let node = registered(asked, before.as_ref(), self.now);
        let lease_until_ms = node.lease_until_ms;
        let fresh = self.tell_registration(before.as_ref(), &node);
        self.state.nodes.insert(node);
        self.changed(RecordKey::Node(asked.node_id));
        Ok(Applied::Registered {
            fresh,
            lease_until_ms,
            epoch: self.state.meta.epoch,
        })
    }

    /// A node that has its seat keeps it; any other needs a free one.
    fn take_seat(&self, before: Option<&NodeRecord>) -> Result<(), Rejected> {
        let held = self.state.decision_time(self.now);
        if before.is_some_and(|node| node.seat.is_taken(held)) {
            return Ok(());
        }
        let seats_used = self.state.seats_used(self.now);
        let max_nodes = self.state.license_status(self.now).limits.max_nodes;
        if seats_used >= max_nodes {
            return Err(Rejected::NoSeat {
                max_nodes,
                seats_used,
            });
        }
        Ok(())
    }

    fn tell_registration(&mut self, before: Option<&NodeRecord>, node: &NodeRecord) -> bool {
        let name = &node.name;
        let free = before.map_or("", |before| self.was_free(before));
        match before.map(|node| node.state) {
            None => {
                self.event(EventKind::NodeJoined, format!("{name} joined"))
                    .node(node);
                true
            }
            Some(NodeState::Active) => false,
            Some(NodeState::Unreachable) => {
                self.event(EventKind::NodeActive, format!("{name} answers again{free}"))
                    .node(node);
                false
            }
            Some(NodeState::Down | NodeState::Removed) => {
                self.event(EventKind::NodeActive, format!("{name} is back{free}"))
                    .node(node);
                true
            }
        }
    }

    pub(super) fn apply_renew_lease(
        &mut self,
        node_id: NodeId,
        until_ms: Millis,
    ) -> Result<Applied, Rejected> {
        let epoch = self.state.meta.epoch;
        let seated = self.state.nodes.get(&node_id);
        if seated.is_some_and(|node| node.seat != Seat::Held) {
            return Err(Rejected::NotSeated(node_id));
        }
        let mut node = self.node_mut(node_id)?;
        node.lease_until_ms = node.lease_until_ms.max(until_ms);
        let lease_until_ms = node.lease_until_ms;
        Ok(Applied::Registered {
            fresh: false,
            lease_until_ms,
            epoch,
        })
    }

    pub(super) fn apply_set_node_state(
        &mut self,
        node_id: NodeId,
        (from, from_since_ms): (NodeState, Millis),
        to: NodeState,
        reason: &str,
    ) -> Result<Applied, Rejected> {
        let now = self.now;
        if to == NodeState::Removed && self.state.clock.hold.is_some() {
            return Err(Rejected::ClockHeld);
        }
        let mut node = self.node_mut(node_id)?;
        if node.state != from || node.state_since_ms != from_since_ms {
            return Err(Rejected::NodeMovedOn {
                expected: from,
                is: node.state,
            });
        }
        node.state = to;
        node.state_since_ms = now;
        if matches!(to, NodeState::Down | NodeState::Removed) {
            node.seat = Seat::Free;
        }
        let node = node.done();
        if to == NodeState::Removed {
            self.forget_operation(node_id);
        }
        let (kind, word) = match to {
            NodeState::Active => (EventKind::NodeActive, "active"),
            NodeState::Unreachable => (EventKind::NodeUnreachable, "unreachable"),
            NodeState::Down => (EventKind::NodeDown, "down"),
            NodeState::Removed => (EventKind::NodeRemoved, "removed"),
        };
        self.event(kind, format!("{} {word}: {reason}", node.name))
            .node(&node);
        Ok(Applied::Done)
    }

    pub(super) fn apply_leave_node(
        &mut self,
        node_id: NodeId,
        hold_seat: bool,
    ) -> Result<Applied, Rejected> {
        let now = self.now;
        let mut node = self.node_mut(node_id)?;
        if node.state == NodeState::Removed {
            if !hold_seat {
                node.seat = Seat::Free;
            }
            return Ok(Applied::Unchanged);
        }
        node.state = NodeState::Removed;
        node.state_since_ms = now;
        node.seat = if hold_seat && node.seat == Seat::Held {
            Seat::HeldUntil(now + HOLD_SEAT_MS)
        } else {
            Seat::Free
        };
        let node = node.done();
        if !hold_seat {
            self.forget_operation(node_id);
        }
        let how = if hold_seat {
            "stopped by its operator"
        } else {
            "left for good"
        };
        self.event(
            EventKind::NodeRemoved,
            format!("{} removed: {how}", node.name),
        )
        .node(&node);
        Ok(Applied::Done)
    }

    /// A goodbye that travelled in gossip. Who has come back meanwhile is not sent away by it.
    pub(super) fn apply_node_left(
        &mut self,
        node_id: NodeId,
        (from, from_since_ms): (NodeState, Millis),
    ) -> Result<Applied, Rejected> {
        let node = self.state.nodes.get(&node_id);
        let node = node.ok_or(Rejected::NoSuchNode(node_id))?;
        if node.state != from || node.state_since_ms != from_since_ms {
            return Err(Rejected::NodeMovedOn {
                expected: from,
                is: node.state,
            });
        }
        self.apply_leave_node(node_id, true)
    }

    pub(super) fn apply_report_gossip(
        &mut self,
        node_id: NodeId,
        blocked: bool,
    ) -> Result<Applied, Rejected> {
        let node = self.state.nodes.get(&node_id).cloned();
        let node = node.ok_or(Rejected::NoSuchNode(node_id))?;
        if self.state.notes.contains_key(&node_id) == blocked {
            return Ok(Applied::Unchanged);
        }
        self.changed(RecordKey::NodeNote(node_id));
        let name = &node.name;
        if blocked {
            let note = NodeNote {
                gossip_blocked_since_ms: self.now,
            };
            self.state.notes.insert(node_id, note);
            let text = format!(
                "gossip does not reach {name}, which has a session: is UDP blocked between it and the others?"
            );
            self.event(EventKind::GossipBlocked, text).node(&node);
            return Ok(Applied::Done);
        }
        self.state.notes.remove(&node_id);
        // Of one that is silent as a whole there is more to say than this.
        if node.state == NodeState::Active {
            let text = format!("gossip reaches {name} again");
            self.event(EventKind::GossipOpen, text).node(&node);
        }
        Ok(Applied::Done)
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> Result<NodeMut<'_>, Rejected> {
        if !self.state.nodes.contains_key(&id) {
            return Err(Rejected::NoSuchNode(id));
        }
        self.changed(RecordKey::Node(id));
        self.state
            .nodes
            .get_mut(&id)
            .ok_or(Rejected::NoSuchNode(id))
    }
}

fn registered(asked: &NodeRegistration, before: Option<&NodeRecord>, now: Millis) -> NodeRecord {
    let stayed = before.filter(|node| node.state == NodeState::Active);
    NodeRecord {
        id: asked.node_id,
        store_id: asked.store_id,
        fleet: asked.fleet.clone(),
        name: asked.name.clone(),
        gateway_address: asked.gateway_address.clone(),
        gossip_address: asked.gossip_address.clone(),
        gateway: asked.gateway,
        gateway_version: asked.gateway_version.clone(),
        version: asked.version.clone(),
        state: NodeState::Active,
        state_since_ms: stayed.map_or(now, |node| node.state_since_ms),
        joined_ms: before.map_or(now, |node| node.joined_ms),
        seat: Seat::Held,
        lease_until_ms: before
            .map_or(0, |node| node.lease_until_ms)
            .max(asked.lease_until_ms),
        applied: before.and_then(|node| node.applied.clone()),
        refusal: before.and_then(|node| node.refusal.clone()),
        streams: before.map_or_else(Vector::new, |node| node.streams.clone()),
        reported_until_ms: before.and_then(|node| node.reported_until_ms),
    }
}
