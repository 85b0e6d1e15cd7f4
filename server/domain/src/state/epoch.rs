//! The end of one group and the beginning of the next with the same state.

use super::Transaction;
use crate::{
    Applied, EpochCause, EventKind, FormerGroup, ManagerId, NewEpoch, RecordKey, Rejected,
    SecretRecord,
};

impl Transaction<'_> {
    /// Every order is newer than any of the former group's: orders are compared by epoch first.
    pub(super) fn apply_begin_epoch(&mut self, new: &NewEpoch) -> Result<Applied, Rejected> {
        let former = self.state.meta.group_id.ok_or(Rejected::NotBootstrapped)?;
        let used = former == new.group_id
            || self
                .state
                .lineage
                .iter()
                .any(|group| group.group_id == new.group_id);
        if used {
            return Err(Rejected::GroupIdUsed(new.group_id));
        }
        if new.epoch <= self.state.meta.epoch {
            return Err(Rejected::EpochTooLow {
                least: self.state.meta.epoch + 1,
            });
        }
        // An operator is at work, and the state may be days old: the stamp is believed.
        self.state.clock.hold = None;
        self.set_time(self.stamp.max(self.now));
        self.changed(RecordKey::Clock);
        let ended = FormerGroup {
            group_id: former,
            epoch: self.state.meta.epoch,
            index: self.index.saturating_sub(1),
            ended_ms: self.now,
            cause: new.cause,
        };
        self.state.lineage.push_back(ended);
        while self.state.lineage.len() > FormerGroup::MAX {
            self.state.lineage.pop_front();
        }
        self.changed(RecordKey::Lineage);
        self.state.meta.group_id = Some(new.group_id);
        self.state.meta.epoch = new.epoch;
        self.state.meta.leader = None;
        // The state may be older than the last rotation, and the secret that it names may be gone for good.
        if self.state.secret != SecretRecord::default() {
            self.state.secret = SecretRecord::default();
            self.changed(RecordKey::Secret);
        }
        self.forget_managers_but(new.manager_id);
        let kind = match new.cause {
            EpochCause::Restored => EventKind::GroupRestored,
            EpochCause::Recovered => EventKind::GroupRecovered,
        };
        let (group, epoch) = (new.group_id, self.state.meta.epoch);
        let message = format!("{}; now group {group}, epoch {epoch}", new.message);
        self.event(kind, message);
        Ok(Applied::Done)
    }

    fn forget_managers_but(&mut self, kept: ManagerId) {
        let gone: Vec<ManagerId> = self
            .state
            .managers
            .keys()
            .filter(|id| **id != kept)
            .copied()
            .collect();
        for id in gone {
            self.state.managers.remove(&id);
            self.changed(RecordKey::Manager(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::{
        Applied, ClusterState, Command, Digest, EpochCause, EventKind, LogEntry, ManagerRecord,
        NewEpoch, Rejected, Role, TokenRecord,
    };

    const NOW: u64 = 1_800_000_000_000;

    fn apply(state: &mut ClusterState, index: u64, command: Command) -> Result<Applied, Rejected> {
        let entry = LogEntry {
            time_ms: NOW + index,
            command,
        };
        state.apply(index, &entry).result
    }

    /// Each group takes its own number as epoch.
    fn begin_epoch(group: u128) -> Command {
        Command::BeginEpoch(NewEpoch {
            group_id: Uuid::from_u128(group),
            epoch: group as u64,
            cause: EpochCause::Recovered,
            manager_id: Uuid::from_u128(12),
            message: "recovered".into(),
        })
    }

    fn begun() -> ClusterState {
        let mut state = ClusterState::default();
        let first_token = TokenRecord {
            id: Uuid::from_u128(1),
            name: "admin".into(),
            role: Role::Admin,
            sha256: Digest([7; 32]),
            created_by: "bootstrap".into(),
            expires_ms: None,
        };
        let bootstrap = Command::Bootstrap {
            group_id: Uuid::from_u128(1),
            first_token,
        };
        apply(&mut state, 1, bootstrap).unwrap();
        for id in 11..14 {
            let record = ManagerRecord {
                id: Uuid::from_u128(id),
                name: format!("manager-{id}"),
                raft_address: String::new(),
                node_address: String::new(),
                http_address: String::new(),
                version: String::new(),
            };
            apply(&mut state, id as u64, Command::RegisterManager(record)).unwrap();
        }
        state
    }

    #[test]
    fn a_new_epoch_keeps_the_data_forgets_the_managers_and_remembers_the_group() {
        let mut state = begun();
        let tokens = state.tokens().count();
        apply(&mut state, 20, begin_epoch(2)).unwrap();
        let meta = state.meta();
        assert_eq!((meta.group_id, meta.epoch), (Some(Uuid::from_u128(2)), 2));
        assert_eq!(state.tokens().count(), tokens);
        let managers: Vec<_> = state.managers().map(|it| it.id.as_u128()).collect();
        assert_eq!(managers, [12]);
        let former: Vec<_> = state.lineage().collect();
        assert_eq!(former.len(), 1);
        assert_eq!(former[0].group_id, Uuid::from_u128(1));
        assert_eq!((former[0].epoch, former[0].index), (1, 19));
        let event = state.events().next().unwrap();
        assert_eq!(event.kind, EventKind::GroupRecovered);
        assert!(event.message.contains("epoch 2"), "{}", event.message);
        let read = ClusterState::from_records(state.records()).unwrap();
        assert!(read.lineage().eq(state.lineage()));
    }

    #[test]
    fn a_group_id_is_used_once() {
        let mut state = begun();
        apply(&mut state, 20, begin_epoch(2)).unwrap();
        for used in [1, 2] {
            let rejected = apply(&mut state, 21, begin_epoch(used)).unwrap_err();
            assert_eq!(rejected, Rejected::GroupIdUsed(Uuid::from_u128(used)));
        }
        assert_eq!(state.meta().epoch, 2);
    }

    #[test]
    fn an_epoch_never_goes_back_or_stays() {
        let mut state = begun();
        apply(&mut state, 20, begin_epoch(7)).unwrap();
        assert_eq!(state.meta().epoch, 7);
        for lower in 2..7 {
            let rejected = apply(&mut state, 21, begin_epoch(lower)).unwrap_err();
            assert_eq!(rejected, Rejected::EpochTooLow { least: 8 });
        }
    }

    #[test]
    fn what_never_began_has_no_next_epoch() {
        let mut state = ClusterState::default();
        let rejected = apply(&mut state, 1, begin_epoch(2)).unwrap_err();
        assert_eq!(rejected, Rejected::NotBootstrapped);
    }

    #[test]
    fn only_the_newest_groups_are_remembered() {
        let mut state = begun();
        for group in 2..100 {
            apply(&mut state, 20, begin_epoch(group)).unwrap();
        }
        assert_eq!(state.lineage().count(), crate::FormerGroup::MAX);
    }
}
