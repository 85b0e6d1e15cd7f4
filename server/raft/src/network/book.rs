use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::types::{ManagerNode, Member, MemberId};

/// Members that are remembered at most; a group has few.
const KEEP: usize = 64;

/// Where members were heard of last, when that is elsewhere than the membership says.
///
/// Only a hint: who answers at an address proves its id, its data directory and its group before Raft speaks to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressBook {
    known: Arc<Mutex<BTreeMap<MemberId, ManagerNode>>>,
}

impl AddressBook {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<MemberId, ManagerNode>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member says where it is. Forgotten once the membership says the same.
    pub(crate) fn note(&self, id: MemberId, member: &Member, node: ManagerNode) {
        let mut known = self.lock();
        if member.node == node {
            known.remove(&id);
        } else if known.len() < KEEP || known.contains_key(&id) {
            known.insert(id, node);
        }
    }

    /// Where the member is, when the membership is behind.
    pub(crate) fn moved(&self, id: MemberId, member: &Member) -> Option<ManagerNode> {
        let known = self.lock().get(&id).cloned();
        known.filter(|node| *node != member.node)
    }

    /// The member's port for other managers, as it is known best.
    pub(crate) fn raft_address(&self, id: MemberId, member: &Member) -> String {
        let moved = self.moved(id, member);
        moved.map_or_else(|| member.node.raft_address.clone(), |it| it.raft_address)
    }

    /// Every entry, for telling it to others.
    pub(crate) fn all(&self) -> BTreeMap<MemberId, ManagerNode> {
        self.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn member(address: &str) -> Member {
        Member {
            node: node(address),
            store_id: Uuid::nil(),
        }
    }

    fn node(address: &str) -> ManagerNode {
        ManagerNode {
            raft_address: address.into(),
            ..ManagerNode::default()
        }
    }

    #[test]
    fn a_moved_member_is_dialled_where_it_was_heard_until_the_membership_says_the_same() {
        let (book, id) = (AddressBook::default(), MemberId::from(7));
        assert_eq!(book.raft_address(id, &member("a:1")), "a:1");
        book.note(id, &member("a:1"), node("b:1"));
        assert_eq!(book.raft_address(id, &member("a:1")), "b:1");
        book.note(id, &member("b:1"), node("b:1"));
        assert_eq!(book.moved(id, &member("b:1")), None);
        assert!(book.all().is_empty());
    }

    #[test]
    fn the_book_is_bounded() {
        let book = AddressBook::default();
        for n in 0..200 {
            book.note(MemberId::from(n), &member("a:1"), node("b:1"));
        }
        assert_eq!(book.all().len(), KEEP);
    }
}
