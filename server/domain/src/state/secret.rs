//! The group's secret by name, and what nodes' certificates stand on.

use super::Transaction;
use crate::{Applied, EventKind, NodeCertificate, NodeId, RecordKey, Rejected, SecretId};

impl Transaction<'_> {
    /// The leader has made sure that every voter holds it.
    pub(super) fn apply_use_secret(&mut self, id: SecretId, by: &str) -> Result<Applied, Rejected> {
        let before = self.state.secret.in_use;
        if before == Some(id) {
            return Ok(Applied::Unchanged);
        }
        self.state.secret = self.state.secret.next(id, self.now, by);
        self.changed(RecordKey::Secret);
        // The first word on it is no change.
        if let Some(before) = before {
            let text = format!("{by} rotated the group secret from {before} to {id}");
            self.event(EventKind::SecretRotated, text);
        }
        Ok(Applied::Done)
    }

    pub(super) fn apply_record_certificate(
        &mut self,
        node_id: NodeId,
        certificate: NodeCertificate,
    ) -> Result<Applied, Rejected> {
        if !self.state.nodes.contains_key(&node_id) {
            return Err(Rejected::NoSuchNode(node_id));
        }
        let before = self.state.certificates.insert(node_id, certificate);
        if before == Some(certificate) {
            return Ok(Applied::Unchanged);
        }
        self.changed(RecordKey::Certificate(node_id));
        Ok(Applied::Done)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::{
        Applied, ClusterState, Command, Digest, EventKind, LogEntry, NodeCertificate, NodeId,
        Rejected, Role, SecretId, TokenRecord,
    };

    fn begun() -> ClusterState {
        let mut state = ClusterState::default();
        let first_token = TokenRecord {
            id: Uuid::nil(),
            name: "admin".into(),
            role: Role::Admin,
            sha256: Digest([0; 32]),
            created_by: "test".into(),
            expires_ms: None,
        };
        let group_id = Uuid::from_u128(1);
        let begin = Command::Bootstrap {
            group_id,
            first_token,
        };
        apply(&mut state, begin).expect("begun");
        state
    }

    fn apply(state: &mut ClusterState, command: Command) -> Result<Applied, Rejected> {
        let entry = LogEntry {
            time_ms: 1_800_000_000_000,
            command,
        };
        state.apply(1, &entry).result
    }

    fn using(byte: u8) -> Command {
        Command::UseSecret {
            id: SecretId([byte; 8]),
            by: "admin".into(),
        }
    }

    #[test]
    fn a_rotation_is_told_once_and_is_in_snapshots() {
        let mut state = begun();
        let rotations = |state: &ClusterState| {
            let events = state.events();
            events
                .filter(|it| it.kind == EventKind::SecretRotated)
                .count()
        };
        assert_eq!(apply(&mut state, using(1)), Ok(Applied::Done));
        assert_eq!(rotations(&state), 0, "the first word is no rotation");
        assert_eq!(apply(&mut state, using(2)), Ok(Applied::Done));
        assert_eq!(apply(&mut state, using(2)), Ok(Applied::Unchanged));
        assert_eq!(rotations(&state), 1);
        let records: Vec<_> = state.records().collect();
        let loaded = ClusterState::from_records(records).expect("its own records");
        assert_eq!(loaded.secret(), state.secret());
        assert_eq!(loaded.secret().in_use, Some(SecretId([2; 8])));
        assert_eq!(loaded.secret().former, [SecretId([1; 8])]);
        assert_eq!(apply(&mut state, using(1)), Ok(Applied::Done));
        assert_eq!(state.secret().former, [SecretId([2; 8])], "back in use");
    }

    #[test]
    fn a_state_without_a_word_on_secrets_has_no_record_that_an_older_version_would_not_know() {
        let state = begun();
        let keys = state.records().map(|(key, _)| key);
        let keys: Vec<_> = keys.map(|key| crate::RecordKey::from_bytes(&key)).collect();
        assert!(!keys.contains(&Ok(crate::RecordKey::Secret)));
    }

    #[test]
    fn a_certificate_is_kept_of_nodes_that_are_known_only() {
        let mut state = begun();
        let record = Command::RecordCertificate {
            node_id: NodeId(Uuid::nil()),
            certificate: NodeCertificate {
                secret: SecretId([1; 8]),
                not_after_ms: 1,
            },
        };
        assert!(matches!(
            apply(&mut state, record),
            Err(Rejected::NoSuchNode(_))
        ));
    }
}
