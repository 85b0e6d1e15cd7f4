use std::collections::HashMap;
use std::net::SocketAddr;

use uuid::Uuid;

use crate::identity::{Identity, Role};

/// At most this many members are remembered; the ones that left, then the ones
/// that are down longest, make room.
pub const MAX_MEMBERS: usize = 20_000;

/// What gossip knows of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberState {
    /// It answers.
    Alive,
    /// Somebody had no answer; it may still refute.
    Suspect,
    /// It did not refute in time.
    Down,
    /// It said that it leaves, or somebody who must know said so.
    Left,
}

impl MemberState {
    /// Alive or suspect: still counted as a living member.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }
}

/// One member of the pool, other than ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: Uuid,
    /// Manager or node.
    pub role: Role,
    /// Its gossip address.
    pub addr: SocketAddr,
    /// What is known of it.
    pub state: MemberState,
}

/// A member is new, or its state, role or address has changed.
pub type MemberEvent = Member;

/// All members ever seen, living or not.
#[derive(Debug)]
pub(crate) struct Roster {
    me: Uuid,
    entries: HashMap<Uuid, Entry>,
    capacity: usize,
    changes: u64,
}

#[derive(Debug)]
struct Entry {
    identity: Identity,
    state: MemberState,
    changed_at: u64,
}

impl Entry {
    fn member(&self) -> Member {
        Member {
            id: self.identity.id,
            role: self.identity.role,
            addr: self.identity.addr,
            state: self.state,
        }
    }
}

impl Roster {
    pub(crate) fn new(me: Uuid, capacity: usize) -> Self {
        Self {
            me,
            entries: HashMap::new(),
            capacity,
            changes: 0,
        }
    }

    /// Notes what is known; an event when others should hear of it. An older
    /// life never overwrites a newer one.
    pub(crate) fn note(&mut self, identity: Identity, state: MemberState) -> Option<MemberEvent> {
        if identity.id == self.me {
            return None;
        }
        self.changes += 1;
        let next = Entry {
            identity,
            state,
            changed_at: self.changes,
        };
        let event = next.member();
        if let Some(known) = self.entries.get_mut(&identity.id) {
            if known.identity.bump > identity.bump {
                return None;
            }
            let changed = known.member() != event;
            if changed || known.identity != identity {
                *known = next;
            }
            return changed.then_some(event);
        }
        if self.entries.len() >= self.capacity && !self.make_room() {
            return None;
        }
        self.entries.insert(identity.id, next);
        Some(event)
    }

    fn make_room(&mut self) -> bool {
        let oldest = |wanted: MemberState| {
            let of_state = self.entries.values().filter(move |e| e.state == wanted);
            of_state.min_by_key(|e| e.changed_at).map(|e| e.identity.id)
        };
        let victim = oldest(MemberState::Left).or_else(|| oldest(MemberState::Down));
        victim.and_then(|id| self.entries.remove(&id)).is_some()
    }

    pub(crate) fn identity(&self, id: Uuid) -> Option<Identity> {
        self.entries.get(&id).map(|entry| entry.identity)
    }

    pub(crate) fn state(&self, id: Uuid) -> Option<MemberState> {
        self.entries.get(&id).map(|entry| entry.state)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = Member> + '_ {
        self.entries.values().map(Entry::member)
    }

    pub(crate) fn identities(
        &self,
        wanted: impl Fn(MemberState) -> bool,
    ) -> impl Iterator<Item = Identity> {
        self.entries
            .values()
            .filter(move |entry| wanted(entry.state))
            .map(|entry| entry.identity)
    }

    pub(crate) fn active_at(&self, addr: SocketAddr) -> bool {
        let mut active = self.entries.values().filter(|e| e.state.is_active());
        active.any(|e| e.identity.addr == addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u128, bump: u64) -> Identity {
        Identity {
            id: Uuid::from_u128(id),
            role: Role::Node,
            addr: ([127, 0, 0, 1], 7000).into(),
            bump,
        }
    }

    #[test]
    fn only_a_change_makes_an_event_and_an_older_life_makes_none() {
        let mut roster = Roster::new(Uuid::nil(), 10);
        assert!(roster.note(member(1, 5), MemberState::Alive).is_some());
        assert!(roster.note(member(1, 5), MemberState::Alive).is_none());
        assert!(roster.note(member(1, 4), MemberState::Down).is_none());
        assert!(roster.note(member(1, 6), MemberState::Alive).is_none());
        assert!(roster.note(member(1, 6), MemberState::Down).is_some());
        assert!(roster.note(member(0, 6), MemberState::Down).is_none());
    }

    #[test]
    fn a_full_roster_forgets_who_left_first_and_nobody_who_lives() {
        let mut roster = Roster::new(Uuid::nil(), 3);
        roster.note(member(1, 1), MemberState::Down);
        roster.note(member(2, 1), MemberState::Alive);
        roster.note(member(3, 1), MemberState::Left);
        for id in 4..7 {
            roster.note(member(id, 1), MemberState::Alive);
        }
        let mut ids: Vec<u128> = roster.members().map(|m| m.id.as_u128()).collect();
        ids.sort_unstable();
        assert_eq!(ids, [2, 4, 5]);
    }
}
