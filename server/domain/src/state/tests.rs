mod leases;
mod operating;
mod seat_counts;
mod time;
mod watching;

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    BackendSample, Claims, Digest, EndpointSample, NodeRegistration, NodeState, Publication,
    Sample, SampleStream, Sketch,
};

const START: u64 = 1_800_000_000_000;

fn entry(time_ms: u64, command: Command) -> LogEntry {
    LogEntry { time_ms, command }
}

struct Group {
    state: ClusterState,
    index: u64,
    now: u64,
}

impl Group {
    fn begun() -> Self {
        let mut group = Self {
            state: ClusterState::default(),
            index: 0,
            now: START,
        };
        group.done(Command::Bootstrap {
            group_id: Uuid::from_u128(1),
            first_token: token(7),
        });
        group
    }

    fn apply(&mut self, command: Command) -> Result<Applied, Rejected> {
        self.index += 1;
        let entry = entry(self.now, command);
        self.state.apply(self.index, &entry).result
    }

    fn done(&mut self, command: Command) -> Applied {
        self.apply(command).expect("applied")
    }

    /// Lets time pass as an idle group does: with a tick now and then.
    fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while self.now < until {
            self.now = (self.now + 3_000_000).min(until);
            self.done(Command::Tick);
        }
    }

    fn join(&mut self, number: u128) -> Result<Applied, Rejected> {
        self.apply(Command::RegisterNode(registration(number, 1)))
    }

    fn state_of(&self, number: u128) -> NodeState {
        self.state.node(id(number)).expect("a node").state
    }

    fn publish(&mut self, parent: Option<Digest>, digest: u8) -> Result<Applied, Rejected> {
        self.apply(publish(parent, digest))
    }
}

fn id(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}

fn token(number: u128) -> TokenRecord {
    TokenRecord {
        id: Uuid::from_u128(number),
        name: "admin".into(),
        role: crate::Role::Admin,
        sha256: Digest([number as u8; 32]),
        created_by: "bootstrap".into(),
        expires_ms: None,
    }
}

fn registration(number: u128, store: u128) -> NodeRegistration {
    NodeRegistration {
        node_id: id(number),
        store_id: Uuid::from_u128(store),
        fleet: FleetName::default_fleet(),
        name: format!("gw-{number}"),
        gateway_address: "127.0.0.1:8080".into(),
        gossip_address: "127.0.0.1:7000".into(),
        gateway: crate::GatewayKind::Embedded,
        gateway_version: "0".into(),
        version: "0".into(),
        lease_until_ms: START + 1_000,
    }
}

fn publish(parent: Option<Digest>, digest: u8) -> Command {
    Command::Publish(Publication {
        fleet: FleetName::default_fleet(),
        parent,
        digest: Digest([digest; 32]),
        body: Bytes::from_static(b"body"),
        size_bytes: 4,
        author: "maria".into(),
        message: String::new(),
    })
}

fn sample(seq: u64, requests: u64) -> Sample {
    let mut latency = Sketch::default();
    latency.add(5.0);
    Sample {
        seq,
        start_ms: START + seq * 10_000,
        end_ms: START + (seq + 1) * 10_000,
        endpoints: vec![EndpointSample {
            endpoint: "/a".into(),
            method: "GET".into(),
            status: vec![(200, requests), (500, 1)],
            latency,
        }],
        backends: vec![BackendSample {
            host: "http://b".into(),
            url_pattern: "/x".into(),
            calls: requests,
            errors: 0,
            timeouts: 0,
            latency: Sketch::default(),
        }],
        connections: 1,
        memory_bytes: 1,
        cpu_ms: 1,
        restarts: 0,
    }
}

fn record(number: u128, stream: u128, samples: Vec<Sample>) -> Command {
    Command::RecordStatistics {
        node_id: id(number),
        stream: SampleStream(Uuid::from_u128(stream)),
        samples,
    }
}

fn requests(state: &ClusterState) -> u64 {
    let fleet = FleetName::default_fleet();
    let all = state.windows(&fleet, 0, u64::MAX);
    all.flat_map(|(_, window)| window.endpoints.values())
        .flat_map(|cell| cell.status.values())
        .sum()
}

fn license(max_nodes: u32, expires_ms: u64) -> Command {
    Command::InstallLicense(LicenseRecord {
        claims: Claims {
            subscriber: "Acme".into(),
            level: "business".into(),
            max_nodes,
            features: vec![],
            not_before_ms: 0,
            expires_ms,
            grace_days: Some(1),
        },
        token: "t".into(),
        installed_by: "admin".into(),
        installed_ms: 0,
    })
}

#[test]
fn without_a_license_the_fourth_node_gets_the_documents_refusal() {
    let mut group = Group::begun();
    for number in 1..=3 {
        group.join(number).expect("a seat");
    }
    let refused = group.join(4).expect_err("no seat");
    assert_eq!(
        refused.to_string(),
        "Your current subscription does not allow more nodes running. Please upgrade to add more nodes."
    );
    assert!(group.state.node(id(4)).is_none());
}

#[test]
fn a_lowered_limit_unseats_nobody_and_admits_nobody() {
    let mut group = Group::begun();
    group.done(license(5, START * 2));
    for number in 1..=5 {
        group.join(number).expect("a seat");
    }
    group.done(license(4, START * 2));
    assert_eq!(group.state.seats_used(group.now), 5);
    assert!(group.join(5).is_ok(), "who has a seat keeps it");
    assert!(group.join(6).is_err());
}

#[test]
fn a_clean_stop_holds_the_seat_for_that_id_for_five_minutes() {
    let mut group = Group::begun();
    for number in 1..=3 {
        group.join(number).expect("a seat");
    }
    let leave = Command::LeaveNode {
        node_id: id(3),
        hold_seat: true,
    };
    group.done(leave);
    assert_eq!(group.state_of(3), NodeState::Removed);
    assert!(group.join(4).is_err(), "the seat is held");
    assert!(group.join(3).is_ok(), "for this id");
    let leave = Command::LeaveNode {
        node_id: id(3),
        hold_seat: true,
    };
    group.done(leave);
    group.now += 5 * 60_000;
    assert!(group.join(4).is_ok(), "no longer");
}

#[test]
fn a_down_node_frees_its_seat_and_gets_one_back_with_the_same_id() {
    let mut group = Group::begun();
    for number in 1..=3 {
        group.join(number).expect("a seat");
    }
    for (from, to) in [
        (NodeState::Active, NodeState::Unreachable),
        (NodeState::Unreachable, NodeState::Down),
    ] {
        let from_since_ms = group.state.node(id(2)).expect("a node").state_since_ms;
        group.now += 1;
        group.done(Command::SetNodeState {
            node_id: id(2),
            from,
            from_since_ms,
            to,
            reason: "test".into(),
        });
    }
    assert_eq!(group.state.seats_used(group.now), 2);
    let back = group.join(2).expect("a seat");
    assert!(matches!(back, Applied::Registered { fresh: true, .. }));
    assert_eq!(group.state_of(2), NodeState::Active);
}

#[test]
fn a_step_that_was_planned_on_an_older_state_is_rejected() {
    let mut group = Group::begun();
    group.join(1).expect("a seat");
    let stale = group.apply(Command::SetNodeState {
        node_id: id(1),
        from: NodeState::Unreachable,
        from_since_ms: 0,
        to: NodeState::Down,
        reason: "test".into(),
    });
    assert!(matches!(stale, Err(Rejected::NodeMovedOn { .. })));
    assert_eq!(group.state_of(1), NodeState::Active);
}

#[test]
fn a_second_machine_with_a_running_nodes_id_is_refused_by_name() {
    let mut group = Group::begun();
    group.join(1).expect("a seat");
    let other = group.apply(Command::RegisterNode(registration(1, 2)));
    assert_eq!(other, Err(Rejected::NodeIdInUse(id(1))));
}

#[test]
fn versions_form_a_chain_and_a_stale_parent_learns_the_newest() {
    let mut group = Group::begun();
    let first = group.publish(None, 1).expect("published");
    assert!(matches!(first, Applied::Published { number: 1, .. }));
    assert!(matches!(
        group.publish(None, 2),
        Err(Rejected::StaleParent {
            current: Some((1, _))
        })
    ));
    let second = group.publish(Some(Digest([1; 32])), 2).expect("published");
    assert!(matches!(
        second,
        Applied::Published {
            number: 2,
            generation: 2,
            ..
        }
    ));
}

#[test]
fn a_retry_with_the_same_key_is_answered_and_not_done_twice() {
    let mut group = Group::begun();
    let keyed = |request: u8| Command::Idempotent {
        key: "k".into(),
        request: Digest([request; 32]),
        command: Box::new(publish(None, 1)),
    };
    let first = group.done(keyed(1));
    let index = group.index;
    let again = group.done(keyed(1));
    assert_eq!(
        again,
        Applied::Replayed {
            index,
            result: Box::new(Ok(first))
        }
    );
    assert_eq!(
        group.apply(keyed(2)),
        Err(Rejected::IdempotencyKeyReused { index })
    );
    group.pass(IdempotencyRecord::KEEP_MS);
    assert!(group.state.idempotency.is_empty());
    assert!(group.state.idempotency_age.is_empty());
}

#[test]
fn a_resent_sample_is_counted_once_and_a_new_run_counts_again() {
    let mut group = Group::begun();
    group.join(1).expect("a seat");
    group.done(record(1, 1, vec![sample(1, 10), sample(2, 10)]));
    let again = group.done(record(1, 1, vec![sample(2, 10), sample(3, 10)]));
    assert!(matches!(
        again,
        Applied::StatisticsRecorded { through_seq: 3, .. }
    ));
    assert_eq!(requests(&group.state), 33);
    group.done(record(1, 2, vec![sample(1, 10)]));
    assert_eq!(requests(&group.state), 44);
}

#[test]
fn an_expired_license_passes_grace_and_falls_to_the_free_limits() {
    let mut group = Group::begun();
    group.done(license(10, START + 1_000));
    let state_at = |group: &Group, now| group.state.license_status(now).state;
    assert_eq!(state_at(&group, START), LicenseState::Expiring);
    assert_eq!(state_at(&group, START + 1_000), LicenseState::Grace);
    assert_eq!(
        state_at(&group, START + 1_000 + 86_400_000),
        LicenseState::Free
    );
    group.pass(1_000 + 86_400_000);
    let told = group.state.events().next().expect("an event");
    assert_eq!(told.kind, crate::EventKind::LicenseStateChanged);
}

#[test]
fn time_never_goes_back() {
    let mut group = Group::begun();
    group.now = START - 10_000;
    group.done(Command::Tick);
    assert_eq!(group.state.meta().time_ms, START);
}

#[test]
fn the_last_admin_token_cannot_be_revoked() {
    let mut group = Group::begun();
    let revoke = Command::RevokeToken {
        id: Uuid::from_u128(7),
        by: "admin".into(),
    };
    assert_eq!(group.apply(revoke.clone()), Err(Rejected::LastAdminToken));
    group.done(Command::CreateToken(token(8)));
    group.done(revoke);
}

fn bytes(state: &ClusterState) -> Vec<(Vec<u8>, Vec<u8>)> {
    state.records().collect()
}

fn any_command() -> impl Strategy<Value = Command> {
    let node = 1..6u128;
    prop_oneof![
        Just(Command::Tick),
        node.clone()
            .prop_map(|n| Command::RegisterNode(registration(n, 1))),
        (node.clone(), any::<bool>()).prop_map(|(n, hold_seat)| Command::LeaveNode {
            node_id: id(n),
            hold_seat,
        }),
        (0..4u8, 1..4u8).prop_map(|(parent, digest)| {
            publish((parent > 0).then_some(Digest([parent; 32])), digest)
        }),
        (1..8u32).prop_map(|max| license(max, START * 2)),
        (node.clone(), 1..3u128, 1..5u64, 1..100u64).prop_map(|(n, stream, seq, count)| record(
            n,
            stream,
            vec![sample(seq, count)]
        )),
        (node, 1..4u64).prop_map(|(n, number)| Command::AcknowledgeVersion {
            node_id: id(n),
            epoch: 1,
            generation: number,
            number,
            digest: Digest([number as u8; 32]),
            rendered: Digest([0; 32]),
            refusal: None,
        }),
        (0..3u8, 1..4u8).prop_map(|(key, digest)| Command::Idempotent {
            key: format!("k{key}"),
            request: Digest([digest; 32]),
            command: Box::new(publish(None, digest)),
        }),
        (1..6u128).prop_map(|group| Command::BeginEpoch(crate::NewEpoch {
            group_id: Uuid::from_u128(group),
            epoch: group as u64,
            cause: crate::EpochCause::Restored,
            manager_id: Uuid::from_u128(1),
            message: String::new(),
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_log_gives_the_same_state_and_a_snapshot_plus_the_rest_too(
        commands in proptest::collection::vec((0..100_000u64, any_command()), 1..60),
        cut in 0..60usize,
    ) {
        let mut whole = Group::begun();
        let mut resumed = Group::begun();
        for (at, (step, command)) in commands.iter().enumerate() {
            if at == cut {
                let loaded = ClusterState::from_records(bytes(&resumed.state));
                resumed.state = loaded.expect("its own records");
            }
            whole.now += step;
            resumed.now += step;
            let (one, two) = (whole.apply(command.clone()), resumed.apply(command.clone()));
            prop_assert_eq!(one, two);
        }
        prop_assert_eq!(bytes(&whole.state), bytes(&resumed.state));
    }

    #[test]
    fn changed_keys_name_every_record_that_differs(
        commands in proptest::collection::vec((0..100_000u64, any_command()), 1..40),
    ) {
        let mut group = Group::begun();
        let mut behind: std::collections::BTreeMap<_, _> = bytes(&group.state).into_iter().collect();
        for (step, command) in commands {
            group.now += step;
            group.index += 1;
            let outcome = group.state.apply(group.index, &entry(group.now, command));
            for key in outcome.changed {
                match group.state.encode_record(&key) {
                    Some(value) => behind.insert(key.to_bytes(), value),
                    None => behind.remove(&key.to_bytes()),
                };
            }
            let now: std::collections::BTreeMap<_, _> = bytes(&group.state).into_iter().collect();
            prop_assert_eq!(&behind, &now);
        }
    }

    #[test]
    fn seats_never_exceed_the_limit_while_it_stands(
        joins in proptest::collection::vec((1..12u128, any::<bool>()), 1..80),
        max in 1..6u32,
    ) {
        let mut group = Group::begun();
        group.done(license(max, START * 2));
        for (node, leave) in joins {
            group.now += 1_000;
            if leave {
                let _ = group.apply(Command::LeaveNode { node_id: id(node), hold_seat: true });
            } else {
                let _ = group.join(node);
            }
            prop_assert!(group.state.seats_used(group.now) <= max);
        }
    }
}
