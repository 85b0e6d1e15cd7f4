//! Draining, restarts and drift of single nodes.

use super::Transaction;
use crate::{
    Applied, ClusterState, DrainOrder, Draining, EventKind, FileDrift, NodeId, NodeRecord,
    RecordKey, Rejected,
};

impl ClusterState {
    /// The newest word on whether a node shall take traffic; `None` before the first.
    pub fn drain_order(&self, id: NodeId) -> Option<&DrainOrder> {
        self.drains.get(&id)
    }

    /// Since when and by whose word a node takes no new traffic.
    pub fn draining(&self, id: NodeId) -> Option<&Draining> {
        self.drains.get(&id)?.draining.as_ref()
    }

    /// How a node's gateway file differs from what the node wrote.
    pub fn drift(&self, id: NodeId) -> Option<&FileDrift> {
        self.drifts.get(&id)
    }
}

impl Transaction<'_> {
    pub(super) fn apply_drain_node(
        &mut self,
        node_id: NodeId,
        draining: bool,
        by: &str,
    ) -> Result<Applied, Rejected> {
        let node = self.known(node_id)?;
        if self.state.draining(node_id).is_some() == draining {
            return Ok(Applied::Unchanged);
        }
        let order = DrainOrder {
            index: self.index,
            draining: draining.then(|| Draining {
                since_ms: self.now,
                by: by.to_owned(),
            }),
        };
        self.state.drains.insert(node_id, order);
        self.changed(RecordKey::Drain(node_id));
        let name = &node.name;
        let (kind, text) = match draining {
            true => (
                EventKind::NodeDrained,
                format!("{by} drained {name}: it takes no new traffic and keeps its seat"),
            ),
            false => (
                EventKind::NodeUndrained,
                format!("{by} let {name} take traffic again"),
            ),
        };
        self.event(kind, text).node(&node);
        Ok(Applied::Done)
    }

    pub(super) fn apply_report_restart(
        &mut self,
        node_id: NodeId,
        by: &str,
        problem: Option<&str>,
    ) -> Result<Applied, Rejected> {
        let node = self.known(node_id)?;
        let name = &node.name;
        let (kind, text) = match problem {
            None => (
                EventKind::GatewayRestarted,
                format!("{by} restarted the gateway of {name}"),
            ),
            Some(problem) => (
                EventKind::GatewayRestartFailed,
                format!("{by} wanted to restart the gateway of {name}: {problem}"),
            ),
        };
        self.event(kind, text).node(&node);
        Ok(Applied::Done)
    }

    pub(super) fn apply_report_drift(
        &mut self,
        node_id: NodeId,
        drift: Option<&FileDrift>,
    ) -> Result<Applied, Rejected> {
        let node = self.known(node_id)?;
        let name = &node.name;
        let Some(drift) = drift else {
            if self.state.drifts.remove(&node_id).is_none() {
                return Ok(Applied::Unchanged);
            }
            self.changed(RecordKey::Drift(node_id));
            let text = format!("the gateway file of {name} is again what the node wrote");
            self.event(EventKind::DriftGone, text).node(&node);
            return Ok(Applied::Done);
        };
        let known = self.state.drifts.get(&node_id);
        if known.is_some_and(|known| known.is_same(drift)) {
            return Ok(Applied::Unchanged);
        }
        let text = format!("{name}: {} ({})", drift.reason, drift.file);
        let drift = FileDrift {
            found_ms: self.now,
            ..drift.clone()
        };
        self.state.drifts.insert(node_id, drift);
        self.changed(RecordKey::Drift(node_id));
        self.event(EventKind::DriftFound, text).node(&node);
        Ok(Applied::Done)
    }

    /// For a node that is gone for good. The word that it may take traffic stays: should it come back, it may still
    /// believe the older one.
    pub(super) fn forget_operation(&mut self, node_id: NodeId) {
        if self.state.drifts.remove(&node_id).is_some() {
            self.changed(RecordKey::Drift(node_id));
        }
        if self.state.draining(node_id).is_some() {
            let order = DrainOrder {
                index: self.index,
                draining: None,
            };
            self.state.drains.insert(node_id, order);
            self.changed(RecordKey::Drain(node_id));
        }
    }

    fn known(&self, node_id: NodeId) -> Result<NodeRecord, Rejected> {
        let node = self.state.nodes.get(&node_id).cloned();
        node.ok_or(Rejected::NoSuchNode(node_id))
    }
}
