use uuid::Uuid;

use crate::{
    Applied, AuditActor, AuditRecord, AuditVia, ClusterState, Command, Digest, FleetName, LogEntry,
    NodeId, NodeRegistration, NodeState, Publication, Rejected, Role, TokenRecord, TokenScope,
};

const NOW: u64 = 1_800_000_000_000;

struct Group {
    state: ClusterState,
    index: u64,
}

impl Group {
    fn begun(level: u32) -> Self {
        let mut group = Self {
            state: ClusterState::default(),
            index: 0,
        };
        let first_token = TokenRecord {
            id: Uuid::nil(),
            name: "admin".into(),
            role: Role::Admin,
            sha256: Digest([0; 32]),
            created_by: "bootstrap".into(),
            expires_ms: None,
        };
        let group_id = Uuid::from_u128(1);
        group.done(Command::Bootstrap {
            group_id,
            first_token,
        });
        group.done(Command::RaiseFeatureLevel {
            level,
            by: "founding".into(),
        });
        group
    }

    fn apply(&mut self, command: Command) -> Result<Applied, Rejected> {
        self.index += 1;
        let entry = LogEntry {
            time_ms: NOW + self.index,
            command,
        };
        let before = self.state.clone();
        let outcome = self.state.apply(self.index, &entry);
        // What is not in `changed` would not be on disk.
        let mut stored: std::collections::BTreeMap<_, _> = before.records().collect();
        for key in &outcome.changed {
            match self.state.encode_record(key) {
                Some(value) => stored.insert(key.to_bytes(), value),
                None => stored.remove(&key.to_bytes()),
            };
        }
        let now: std::collections::BTreeMap<_, _> = self.state.records().collect();
        assert!(stored == now, "a changed record is not told of");
        outcome.result
    }

    fn done(&mut self, command: Command) -> Applied {
        self.apply(command).expect("taken")
    }

    fn newest(&self) -> &AuditRecord {
        self.state.audit().next_back().expect("a record")
    }
}

fn audited(command: Command) -> Command {
    Command::Audited {
        actor: AuditActor {
            token_id: Some(Uuid::from_u128(5)),
            name: "ci".into(),
            role: Some(Role::Operator),
            address: Some("192.0.2.7".into()),
            via: AuditVia::Api,
            request: "POST /v1/x".into(),
            action: None,
        },
        command: Box::new(command),
    }
}

fn publish(parent: Option<u8>, digest: u8) -> Command {
    Command::Publish(Publication {
        fleet: FleetName::default_fleet(),
        parent: parent.map(|it| Digest([it; 32])),
        digest: Digest([digest; 32]),
        body: bytes::Bytes::new(),
        size_bytes: 0,
        author: "ci".into(),
        message: "why".into(),
    })
}

fn fleet(name: &str) -> Command {
    Command::CreateFleet {
        name: name.parse().expect("a name"),
        by: "ci".into(),
    }
}

#[test]
fn a_write_is_told_with_who_from_where_before_and_after() {
    let mut group = Group::begun(5);
    group.done(audited(publish(None, 1)));
    group.done(audited(publish(Some(1), 2)));
    let record = group.newest();
    assert_eq!(
        (record.action.as_str(), record.subject.as_str()),
        ("publish", "v2")
    );
    assert_eq!(record.fleet, Some(FleetName::default_fleet()));
    assert_eq!(record.before.as_deref(), Some("v1 010101010101: why"));
    assert_eq!(record.after.as_deref(), Some("v2 020202020202: why"));
    assert_eq!(record.actor.address.as_deref(), Some("192.0.2.7"));
    assert_eq!(
        (record.index, record.time_ms),
        (group.index, NOW + group.index)
    );
}

#[test]
fn what_was_refused_or_changed_nothing_is_not_in_the_trail_and_a_retry_is_in_it_once() {
    let mut group = Group::begun(5);
    group.done(audited(fleet("one")));
    let before = group.state.audit_len();
    assert!(group.apply(audited(publish(Some(9), 1))).is_err());
    assert_eq!(group.done(audited(fleet("one"))), Applied::Unchanged);
    assert_eq!(group.state.audit_len(), before);
    let keyed = || Command::Idempotent {
        key: format!("{}:my-key", Uuid::from_u128(5)),
        request: Digest([3; 32]),
        command: Box::new(audited(publish(None, 1))),
    };
    group.done(keyed());
    assert!(matches!(group.done(keyed()), Applied::Replayed { .. }));
    assert_eq!(group.state.audit_len(), before + 1);
    assert_eq!(group.newest().idempotency_key.as_deref(), Some("my-key"));
}

#[test]
fn what_the_group_does_by_itself_is_told_where_people_ask_about_it() {
    let mut group = Group::begun(5);
    let node_id = NodeId(Uuid::from_u128(9));
    group.done(Command::RegisterNode(NodeRegistration {
        node_id,
        store_id: Uuid::from_u128(1),
        fleet: FleetName::default_fleet(),
        name: "gw-1".into(),
        gateway_address: String::new(),
        gossip_address: String::new(),
        gateway: crate::GatewayKind::Embedded,
        gateway_version: String::new(),
        version: String::new(),
        lease_until_ms: 0,
    }));
    assert_eq!(group.newest().action, "register-node");
    for (from, to) in [
        (NodeState::Active, NodeState::Unreachable),
        (NodeState::Unreachable, NodeState::Down),
    ] {
        let since = group.state.node(node_id).expect("a node").state_since_ms;
        group.done(Command::SetNodeState {
            node_id,
            from,
            from_since_ms: since,
            to,
            reason: "silent".into(),
        });
    }
    let record = group.newest();
    assert_eq!(
        (record.action.as_str(), record.subject.as_str()),
        ("node-down", "gw-1")
    );
    assert_eq!(record.before.as_deref(), Some("unreachable"));
    assert_eq!(record.after.as_deref(), Some("down"));
    assert_eq!(record.actor.via, AuditVia::Manager);
    assert!(
        !group
            .state
            .audit()
            .any(|it| it.action == "node-unreachable")
    );
}

#[test]
fn below_level_5_there_is_no_trail_and_no_record_of_a_kind_that_others_do_not_know() {
    let mut group = Group::begun(4);
    group.done(fleet("one"));
    assert_eq!(audited(fleet("two")).needs_level(), 5);
    assert_eq!(group.state.audit_len(), 0);
}

#[test]
fn the_chain_holds_after_a_restart_and_breaks_where_anything_was_changed() {
    let mut group = Group::begun(5);
    for name in ["a", "b", "c"] {
        group.done(audited(fleet(name)));
    }
    let loaded = ClusterState::from_records(group.state.records()).expect("its own records");
    assert_eq!(loaded.audit_verify(), Ok(group.state.audit_head()));
    for (index, record) in loaded.audit.clone() {
        let mut changed = loaded.clone();
        let mut record = record.as_ref().clone();
        record.actor.address = Some("198.51.100.1".into());
        changed.audit.insert(index, record.into());
        assert_eq!(changed.audit_verify().expect_err("broken").index, index);
        let mut shorter = loaded.clone();
        shorter.audit.remove(&index);
        // Without its last record a chain is whole: only who has written its head down can tell.
        let is_last = index == group.index;
        assert_eq!(shorter.audit_verify().is_ok(), is_last);
    }
}

#[test]
fn the_oldest_are_dropped_and_the_rest_still_follows_from_them() {
    let mut group = Group::begun(5);
    group.done(audited(fleet("one")));
    let record = group.newest().clone();
    // As many as fit, without applying each.
    for index in 1_000..1_000 + AuditRecord::MAX_KEPT as u64 - group.state.audit_len() as u64 {
        let mut next = record.clone();
        next.index = index;
        next.hash = next.chained(&group.state.audit_head());
        group.state.audit.insert(index, next.into());
    }
    group.index = 1_000_000;
    let head = group.state.audit_head();
    for name in ["two", "three", "four"] {
        let entry = LogEntry {
            time_ms: NOW + group.index,
            command: audited(fleet(name)),
        };
        group.index += 1;
        group
            .state
            .apply(group.index, &entry)
            .result
            .expect("taken");
    }
    assert_eq!(group.state.audit_len(), AuditRecord::MAX_KEPT);
    assert_eq!(group.state.audit_anchor().dropped, 3);
    assert_ne!(group.state.audit_head(), head);
    assert_eq!(group.state.audit_verify(), Ok(group.state.audit_head()));
}

#[test]
fn a_token_with_limits_keeps_them_until_it_is_revoked() {
    let mut group = Group::begun(5);
    let id = Uuid::from_u128(77);
    let scope = TokenScope {
        fleets: vec![FleetName::default_fleet()],
        requests_per_s: Some(10),
        concurrent: Some(2),
    };
    let record = TokenRecord {
        id,
        name: "deploy".into(),
        role: Role::Operator,
        sha256: Digest([7; 32]),
        created_by: "admin".into(),
        expires_ms: None,
    };
    group.done(audited(Command::CreateScopedToken {
        record,
        scope: scope.clone(),
    }));
    assert_eq!(group.state.token_scope(id), Some(&scope));
    let after = group.newest().after.clone().expect("told");
    assert!(
        after.contains("fleet default") && after.contains("10 requests/s"),
        "{after}"
    );
    let loaded = ClusterState::from_records(group.state.records()).expect("its own records");
    assert_eq!(loaded.token_scope(id), Some(&scope));
    let by = "admin".into();
    group.done(audited(Command::RevokeToken { id, by }));
    assert_eq!(group.state.token_scope(id), None);
}
