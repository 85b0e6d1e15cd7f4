use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::types::MemberId;

/// Managers whose word is remembered; a group has few.
const MAX_PEERS: usize = 64;

/// Whose disk is nearly full, as each manager says with every answer.
#[derive(Debug, Default)]
pub(crate) struct Room {
    own_low: AtomicBool,
    low: Mutex<BTreeSet<MemberId>>,
}

impl Room {
    pub(crate) fn own_low(&self) -> bool {
        self.own_low.load(Ordering::Relaxed)
    }

    pub(crate) fn set_own_low(&self, low: bool) {
        self.own_low.store(low, Ordering::Relaxed);
    }

    /// An answer of another manager. An older program never says that its disk is low.
    pub(crate) fn answered(&self, from: MemberId, is_low: bool) {
        let mut low = self.low();
        if !is_low {
            low.remove(&from);
        } else if low.len() < MAX_PEERS {
            low.insert(from);
        }
    }

    /// Whether anybody lacks room at all.
    pub(crate) fn is_any_low(&self) -> bool {
        self.own_low() || !self.low().is_empty()
    }

    fn low(&self) -> MutexGuard<'_, BTreeSet<MemberId>> {
        self.low.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The voters without room, when those that have some are no majority any more: then an entry would soon find no
    /// quorum of disks. `me` is this manager.
    pub(crate) fn lacking(
        &self,
        voters: &BTreeSet<MemberId>,
        me: MemberId,
    ) -> Option<Vec<MemberId>> {
        let low = self.low();
        let is_low = |id: &&MemberId| match **id == me {
            true => self.own_low(),
            false => low.contains(id),
        };
        let lacking: Vec<_> = voters.iter().filter(is_low).copied().collect();
        let have_room = voters.len() - lacking.len();
        (have_room <= voters.len() / 2 && !voters.is_empty()).then_some(lacking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_lacks_room_when_no_majority_has_any() {
        let room = Room::default();
        let [a, b, c] = [1, 2, 3].map(MemberId::from);
        let voters = BTreeSet::from([a, b, c]);
        assert_eq!(room.lacking(&voters, a), None);
        room.answered(b, true);
        assert_eq!(room.lacking(&voters, a), None, "two of three have room");
        room.answered(c, true);
        assert_eq!(room.lacking(&voters, a), Some(vec![b, c]));
        room.answered(b, false);
        assert_eq!(room.lacking(&voters, a), None);
        room.set_own_low(true);
        assert_eq!(room.lacking(&voters, a), Some(vec![a, c]));
        assert_eq!(
            room.lacking(&BTreeSet::from([a, b]), a),
            Some(vec![a]),
            "both of two are needed"
        );
    }
}
