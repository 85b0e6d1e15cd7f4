use std::ops::{Deref, DerefMut};

use imbl::{OrdMap, OrdSet};

use super::seat_count::SeatCount;
use crate::{FleetName, Millis, NodeId, NodeRecord, Seat};

/// The registered nodes, which of them a fleet has, and how many seats they take: neither what is asked of one fleet nor the
/// question for a free seat must cost a look at all nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeTable {
    by_id: OrdMap<NodeId, NodeRecord>,
    by_fleet: OrdMap<FleetName, OrdSet<NodeId>>,
    seats: SeatCount,
}

/// One node, to be changed in place. The end of it counts its seat anew.
pub(crate) struct NodeMut<'t> {
    node: &'t mut NodeRecord,
    seats: &'t mut SeatCount,
    before: Seat,
}

impl NodeMut<'_> {
    /// Ends the change; the node as it is now.
    pub(crate) fn done(self) -> NodeRecord {
        self.node.clone()
    }
}

impl Deref for NodeMut<'_> {
    type Target = NodeRecord;

    fn deref(&self) -> &NodeRecord {
        self.node
    }
}

impl DerefMut for NodeMut<'_> {
    fn deref_mut(&mut self) -> &mut NodeRecord {
        self.node
    }
}

impl Drop for NodeMut<'_> {
    fn drop(&mut self) {
        self.seats.replace(Some(self.before), Some(self.node.seat));
    }
}

impl NodeTable {
    pub(crate) fn get(&self, id: &NodeId) -> Option<&NodeRecord> {
        self.by_id.get(id)
    }

    pub(crate) fn contains_key(&self, id: &NodeId) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &NodeId> {
        self.by_id.keys()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &NodeRecord> {
        self.by_id.values()
    }

    /// The nodes of a fleet, by id.
    pub(crate) fn of_fleet<'s>(
        &'s self,
        fleet: &FleetName,
    ) -> impl Iterator<Item = &'s NodeRecord> {
        let ids = self.by_fleet.get(fleet);
        // To find each of many takes longer than to walk past the others.
        let many = ids.is_some_and(|ids| ids.len() > self.by_id.len() / 4);
        let walked = many.then(|| self.by_id.values().filter(move |it| it.fleet == *fleet));
        let found = ids.filter(|_| !many).into_iter().flatten();
        let found = found.filter_map(|id| self.by_id.get(id));
        walked.into_iter().flatten().chain(found)
    }

    pub(crate) fn insert(&mut self, node: NodeRecord) {
        let (id, fleet, seat) = (node.id, node.fleet.clone(), node.seat);
        let before = self.by_id.insert(id, node);
        let seat_before = before.as_ref().map(|before| before.seat);
        self.seats.replace(seat_before, Some(seat));
        if let Some(left) = before.filter(|before| before.fleet != fleet) {
            self.leave(&left);
        }
        self.by_fleet.entry(fleet).or_default().insert(id);
    }

    pub(crate) fn remove(&mut self, id: &NodeId) {
        if let Some(node) = self.by_id.remove(id) {
            self.seats.replace(Some(node.seat), None);
            self.leave(&node);
        }
    }

    /// To change a node in place. Its fleet changes by [`Self::insert`] only.
    pub(crate) fn get_mut(&mut self, id: &NodeId) -> Option<NodeMut<'_>> {
        let node = self.by_id.get_mut(id)?;
        Some(NodeMut {
            before: node.seat,
            node,
            seats: &mut self.seats,
        })
    }

    /// Seats that are taken at `now`.
    pub(crate) fn seats_taken(&self, now: Millis) -> u32 {
        self.seats.taken(now)
    }

    fn leave(&mut self, node: &NodeRecord) {
        if let Some(nodes) = self.by_fleet.get_mut(&node.fleet) {
            nodes.remove(&node.id);
            if nodes.is_empty() {
                self.by_fleet.remove(&node.fleet);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{GatewayKind, NodeState, Seat};

    fn in_fleet(table: &NodeTable, fleet: &str) -> Vec<u128> {
        let fleet = fleet.parse().expect("a name");
        table.of_fleet(&fleet).map(|it| it.id.0.as_u128()).collect()
    }

    fn node(id: u128, fleet: &str) -> NodeRecord {
        NodeRecord {
            id: NodeId(Uuid::from_u128(id)),
            store_id: Uuid::from_u128(id),
            fleet: fleet.parse().expect("a name"),
            name: String::new(),
            gateway_address: String::new(),
            gossip_address: String::new(),
            gateway: GatewayKind::Embedded,
            gateway_version: String::new(),
            version: String::new(),
            state: NodeState::Active,
            state_since_ms: 0,
            joined_ms: 0,
            seat: Seat::Held,
            lease_until_ms: 0,
            applied: None,
            refusal: None,
            streams: imbl::Vector::new(),
            reported_until_ms: None,
        }
    }

    #[test]
    fn a_fleet_has_the_nodes_that_are_registered_in_it_and_no_other() {
        let mut table = NodeTable::default();
        for (id, fleet) in [(1, "a"), (2, "b"), (3, "a")] {
            table.insert(node(id, fleet));
        }
        assert_eq!(in_fleet(&table, "a"), [1, 3]);
        // Few among many are found, and not walked to.
        for id in 4..30 {
            table.insert(node(id, "c"));
        }
        assert_eq!(in_fleet(&table, "a"), [1, 3]);
        assert_eq!(in_fleet(&table, "c"), (4..30).collect::<Vec<_>>());
        // It registers again, in another fleet.
        table.insert(node(1, "b"));
        assert_eq!(in_fleet(&table, "a"), [3]);
        assert_eq!(in_fleet(&table, "b"), [1, 2]);
        table.remove(&NodeId(Uuid::from_u128(3)));
        assert!(in_fleet(&table, "a").is_empty());
        assert_eq!(table.values().count(), 28);
        assert_eq!(table.by_fleet.len(), 2);
    }
}
