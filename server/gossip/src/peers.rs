use std::collections::HashMap;
use std::net::SocketAddr;

use rand::RngExt;
use rand::rngs::StdRng;
use uuid::Uuid;

use crate::identity::mix;
use crate::member::{Member, MemberState};
use crate::message::BUCKETS;
use crate::record::Record;

/// At most this many members are remembered; the ones that left, then the ones
/// that are down longest, make room.
pub const MAX_MEMBERS: usize = 20_000;

/// What is known of one member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) record: Record,
    /// Protocol time of the last change of state.
    pub(crate) since: u64,
    /// The process that spoke for this id before the present one; 0 when none.
    pub(crate) before: u32,
}

impl Peer {
    pub(crate) fn member(&self) -> Member {
        Member {
            id: self.record.id,
            role: self.record.role,
            addr: self.record.addr,
            state: self.record.state(),
        }
    }
}

/// All members ever seen but ourselves, living or not, with a digest of those
/// who live and the ring in which they are probed.
#[derive(Debug)]
pub(crate) struct Peers {
    slots: Vec<Peer>,
    index: HashMap<Uuid, u32>,
    /// Whose process an instance is.
    instances: HashMap<u32, Uuid>,
    active: usize,
    parts: [u32; BUCKETS],
    whole: u64,
    /// Ids of those who live, in order: the same ring for all members.
    ring: Vec<Uuid>,
    capacity: usize,
}

impl Peers {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            slots: Vec::new(),
            index: HashMap::new(),
            instances: HashMap::new(),
            active: 0,
            parts: [0; BUCKETS],
            whole: 0,
            ring: Vec::new(),
            capacity,
        }
    }

    pub(crate) fn reserve(&mut self, members: usize) {
        self.slots.reserve_exact(members);
        self.index.reserve(members);
        self.instances.reserve(members);
        self.ring.reserve_exact(members);
    }

    /// Members that are alive or suspected.
    pub(crate) fn active(&self) -> usize {
        self.active
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<&Peer> {
        let slot = *self.index.get(&id)? as usize;
        self.slots.get(slot)
    }

    /// The member whose process sends under this instance.
    pub(crate) fn by_instance(&self, instance: u32) -> Option<&Peer> {
        self.get(*self.instances.get(&instance)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.slots.iter()
    }

    /// Digest of all who live, ourselves included, if `me` does.
    pub(crate) fn whole(&self, me: Option<&Record>) -> u64 {
        me.map_or(self.whole, |me| self.whole.wrapping_add(me.digest()))
    }

    /// The same in parts.
    pub(crate) fn parts(&self, me: Option<&Record>) -> Vec<u32> {
        let mut parts = self.parts;
        if let Some(me) = me {
            let part = &mut parts[bucket(me.id)];
            *part = part.wrapping_add(me.digest() as u32);
        }
        parts.to_vec()
    }

    /// Notes what is known now. False when there is no room for a new member.
    pub(crate) fn put(&mut self, peer: Peer) -> bool {
        if let Some(slot) = self.index.get(&peer.record.id) {
            let slot = *slot as usize;
            let old = std::mem::replace(&mut self.slots[slot], peer);
            self.uncount(&old.record);
            if old.record.instance != peer.record.instance {
                self.instances.remove(&old.record.instance);
            }
        } else {
            if self.slots.len() >= self.capacity && !self.make_room() {
                return false;
            }
            let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
            self.index.insert(peer.record.id, slot);
            self.slots.push(peer);
        }
        self.instances.insert(peer.record.instance, peer.record.id);
        self.count(&peer.record);
        true
    }

    pub(crate) fn remove(&mut self, id: Uuid) {
        let Some(slot) = self.index.remove(&id) else {
            return;
        };
        let gone = self.slots.swap_remove(slot as usize);
        self.uncount(&gone.record);
        self.instances.remove(&gone.record.instance);
        if let Some(moved) = self.slots.get(slot as usize) {
            self.index.insert(moved.record.id, slot);
        }
    }

    /// Whom `me` probes in a round: the one so many places on in the ring, as
    /// many for all members. So each is probed by exactly one other in a round,
    /// where all know the same members and the round.
    pub(crate) fn to_probe(&self, me: Uuid, round: u32) -> Option<Record> {
        let others = self.ring.len();
        if others == 0 {
            return None;
        }
        let mine = self.ring.partition_point(|id| *id < me);
        let step = 1 + mix(u64::from(round)) as usize % others;
        let place = (mine + step) % (others + 1);
        let place = if place > mine { place - 1 } else { place };
        self.get(*self.ring.get(place)?).map(|peer| peer.record)
    }

    /// Up to `wanted` different members that fit, by chance.
    pub(crate) fn sample(
        &self,
        rng: &mut StdRng,
        wanted: usize,
        fits: impl Fn(&Record) -> bool,
    ) -> Vec<Record> {
        let mut chosen: Vec<Record> = Vec::with_capacity(wanted);
        let take = |record: &Record, chosen: &mut Vec<Record>| {
            if fits(record) && !chosen.iter().any(|it| it.id == record.id) {
                chosen.push(*record);
            }
        };
        // Blind tries find most at no cost; what is rare needs a look at all.
        for _ in 0..wanted * 4 {
            if self.slots.is_empty() || chosen.len() >= wanted {
                return chosen;
            }
            let slot = rng.random_range(0..self.slots.len());
            take(&self.slots[slot].record, &mut chosen);
        }
        if chosen.len() < wanted {
            let start = rng.random_range(0..self.slots.len());
            let turned = self.slots[start..].iter().chain(&self.slots[..start]);
            for peer in turned {
                take(&peer.record, &mut chosen);
                if chosen.len() >= wanted {
                    break;
                }
            }
        }
        chosen
    }

    pub(crate) fn active_at(&self, addr: SocketAddr) -> bool {
        let mut all = self.slots.iter().map(|peer| &peer.record);
        all.any(|record| record.addr == addr && record.state().is_active())
    }

    fn count(&mut self, record: &Record) {
        if record.state().is_active() {
            self.active += 1;
            if let Err(place) = self.ring.binary_search(&record.id) {
                self.ring.insert(place, record.id);
            }
            self.whole = self.whole.wrapping_add(record.digest());
            let part = &mut self.parts[bucket(record.id)];
            *part = part.wrapping_add(record.digest() as u32);
        }
    }

    fn uncount(&mut self, record: &Record) {
        if record.state().is_active() {
            self.active -= 1;
            if let Ok(place) = self.ring.binary_search(&record.id) {
                self.ring.remove(place);
            }
            self.whole = self.whole.wrapping_sub(record.digest());
            let part = &mut self.parts[bucket(record.id)];
            *part = part.wrapping_sub(record.digest() as u32);
        }
    }

    fn make_room(&mut self) -> bool {
        let oldest = |wanted: MemberState| {
            let of_state = self.slots.iter().filter(|p| p.record.state() == wanted);
            of_state.min_by_key(|p| p.since).map(|p| p.record.id)
        };
        let victim = oldest(MemberState::Left).or_else(|| oldest(MemberState::Down));
        if let Some(id) = victim {
            self.remove(id);
        }
        victim.is_some()
    }
}

/// Which part of the digest an id belongs to.
pub(crate) fn bucket(id: Uuid) -> usize {
    crate::identity::Identity::tag(id) as usize % BUCKETS
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::identity::{Identity, Role};
    use crate::record::Claim;

    fn peer(id: u128, claim: Claim, since: u64) -> Peer {
        let member = Identity {
            id: Uuid::from_u128(id),
            role: Role::Node,
            addr: ([127, 0, 0, 1], 7000).into(),
            bump: 1,
        };
        Peer {
            record: Record::alive(member, 1).claiming(claim),
            since,
            before: 0,
        }
    }

    #[test]
    fn a_full_table_forgets_who_left_first_and_nobody_who_lives() {
        let mut peers = Peers::new(3);
        peers.put(peer(1, Claim::Down { by: 0 }, 1));
        peers.put(peer(2, Claim::Alive, 2));
        peers.put(peer(3, Claim::Left, 3));
        for id in 4..7 {
            peers.put(peer(id, Claim::Alive, 4));
        }
        let mut ids: Vec<u128> = peers.iter().map(|p| p.record.id.as_u128()).collect();
        ids.sort_unstable();
        assert_eq!(ids, [2, 4, 5]);
    }

    #[test]
    fn digests_are_equal_where_the_same_members_live_whatever_came_before() {
        let (mut one, mut other) = (Peers::new(100), Peers::new(100));
        for id in 0..50 {
            one.put(peer(id, Claim::Alive, 1));
        }
        for id in (0..60).rev() {
            other.put(peer(id, Claim::Alive, 9));
        }
        assert_ne!(one.whole(None), other.whole(None));
        for id in 50..55 {
            other.put(peer(id, Claim::Down { by: 1 }, 9));
        }
        for id in 55..60 {
            other.remove(Uuid::from_u128(id));
        }
        other.put(peer(7, Claim::Suspect { by: 3 }, 9));
        assert_eq!(one.whole(None), other.whole(None));
        assert_eq!(one.parts(None), other.parts(None));
        assert_eq!((one.active(), other.active()), (50, 50));
    }

    #[test]
    fn everybody_who_lives_is_probed_once_in_a_round_and_by_all_in_turn() {
        let views: Vec<(Uuid, Peers)> = (0..20)
            .filter(|me| *me != 5)
            .map(|me| {
                let mut peers = Peers::new(100);
                // Each has heard of the others in another order.
                for id in (0..20).map(|id| (id * 7 + me) % 20).filter(|id| *id != me) {
                    peers.put(peer(id, Claim::Alive, 1));
                }
                peers.put(peer(5, Claim::Down { by: 0 }, 1));
                (Uuid::from_u128(me), peers)
            })
            .collect();
        let mut pairs = std::collections::BTreeSet::new();
        for round in 0..400 {
            let mut probed = Vec::new();
            for (me, peers) in &views {
                let target = peers.to_probe(*me, round).unwrap().id;
                assert_ne!(target, *me, "round {round}");
                pairs.insert((*me, target));
                probed.push(target);
            }
            probed.sort_unstable();
            probed.dedup();
            assert_eq!(probed.len(), 19, "round {round}");
        }
        assert_eq!(pairs.len(), 19 * 18);
    }

    #[test]
    fn one_who_is_alone_probes_nobody_and_two_probe_each_other() {
        let mut peers = Peers::new(10);
        assert!(peers.to_probe(Uuid::from_u128(1), 3).is_none());
        peers.put(peer(2, Claim::Alive, 1));
        for me in [1, 3] {
            let target = peers.to_probe(Uuid::from_u128(me), 3).unwrap();
            assert_eq!(target.id, Uuid::from_u128(2));
        }
        peers.remove(Uuid::from_u128(2));
        assert!(peers.to_probe(Uuid::from_u128(1), 3).is_none());
    }

    #[test]
    fn a_sample_has_different_members_and_finds_the_rare_one() {
        let mut peers = Peers::new(1_000);
        for id in 0..500 {
            peers.put(peer(id, Claim::Alive, 1));
        }
        peers.put(peer(77, Claim::Left, 1));
        let mut rng = StdRng::seed_from_u64(1);
        let left = |record: &Record| record.state() == MemberState::Left;
        assert_eq!(peers.sample(&mut rng, 3, left).len(), 1);
        let mut some = peers.sample(&mut rng, 5, |_| true);
        some.dedup_by_key(|record| record.id);
        assert_eq!(some.len(), 5);
    }
}
