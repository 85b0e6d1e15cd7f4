//! Managers that were members and are none any more. A member's id ends with its membership: a question for admission that was
//! asked before the removal, and is answered after it, must not bring it back.

use super::{ClusterState, ManagerId};
use crate::RecordKey;

/// Managers below it keep no such record, and all must have the same state.
const LEVEL: u32 = 6;
/// Beyond it the oldest are forgotten: nobody asks for so long.
pub const MAX_REMOVED_MANAGERS: usize = 4_096;

impl ClusterState {
    /// What an entry of the log that changes the group's members does to the state: `gone` were members before it and are not with
    /// it. The record that changed, if one did.
    pub fn members_gone(&mut self, gone: impl IntoIterator<Item = ManagerId>) -> Option<RecordKey> {
        if self.meta.feature_level < LEVEL {
            return None;
        }
        let before = self.removed_managers.len();
        for id in gone {
            if !self.is_removed_manager(id) {
                self.removed_managers.push_back(id);
            }
        }
        if self.removed_managers.len() == before {
            return None;
        }
        let surplus = self
            .removed_managers
            .len()
            .saturating_sub(MAX_REMOVED_MANAGERS);
        self.removed_managers = self.removed_managers.skip(surplus);
        Some(RecordKey::RemovedManagers)
    }

    /// Whether this manager was a member and was removed, which is for good.
    pub fn is_removed_manager(&self, id: ManagerId) -> bool {
        self.removed_managers.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ManagerId {
        uuid::Uuid::from_u128(number as u128)
    }

    fn state(level: u32) -> ClusterState {
        let mut state = ClusterState::default();
        state.meta.feature_level = level;
        state
    }

    #[test]
    fn a_removed_manager_stays_known_through_records() {
        let mut state = state(LEVEL);
        assert_eq!(
            state.members_gone([id(1), id(2)]),
            Some(RecordKey::RemovedManagers)
        );
        assert_eq!(state.members_gone([id(1)]), None);
        let again = ClusterState::from_records(state.records()).unwrap();
        assert!(again.is_removed_manager(id(1)) && again.is_removed_manager(id(2)));
        assert!(!again.is_removed_manager(id(3)));
    }

    #[test]
    fn below_its_level_the_state_is_what_older_managers_have() {
        let mut state = state(LEVEL - 1);
        let before: Vec<_> = state.records().collect();
        assert_eq!(state.members_gone([id(1)]), None);
        assert_eq!(state.records().collect::<Vec<_>>(), before);
    }

    #[test]
    fn the_oldest_removals_are_forgotten_beyond_the_bound() {
        let mut state = state(LEVEL);
        for number in 0..=MAX_REMOVED_MANAGERS {
            state.members_gone([id(number)]);
        }
        assert!(!state.is_removed_manager(id(0)));
        assert!(state.is_removed_manager(id(1)));
        assert_eq!(state.removed_managers.len(), MAX_REMOVED_MANAGERS);
    }
}
