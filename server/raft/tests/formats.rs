//! Data directories of earlier versions: every later version opens them, and loses nothing of what they hold.
//!
//! `fixtures/data-1` is a group of one as the first released version writes it: two configuration versions, a licence,
//! a join token, a snapshot in the middle. `data-2` is of feature level 5: a node with a certificate, samples and drift,
//! a gossip key, a token with a scope, an audit trail, records in packs. A format that changes later gets a directory of its own; none that was
//! released is ever removed or written anew. `cargo test -p krakend-raft --test formats -- --ignored` writes the next.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use krakend_domain::{
    AuditActor, AuditVia, BackendSample, Claims, ClusterState, Command, Digest, EndpointSample,
    FEATURE_LEVEL, FileDrift, FleetName, GatewayKind, GossipKeyId, GossipKeyRecord, JoinRole,
    JoinTokenRecord, LicenseRecord, NodeCertificate, NodeId, NodeRegistration, Publication, Role,
    Sample, SampleStream, SecretId, Sketch, TokenRecord, TokenScope,
};
use support::*;
use uuid::Uuid;

const NODE: Uuid = Uuid::from_u128(11);

fn fixtures_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn fixtures() -> Vec<PathBuf> {
    let dir = fixtures_dir();
    let mut found: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn holds_everything(state: &ClusterState) {
    let fleet = "default".parse().unwrap();
    let versions: Vec<_> = state
        .versions(&fleet)
        .map(|it| it.message.clone())
        .collect();
    assert_eq!(versions, ["Second version", "First version"]);
    assert_eq!(state.license().unwrap().claims.subscriber, "Fixture");
    assert_eq!(state.join_tokens().count(), 1);
    assert!(state.tokens().any(|it| it.name == "first"));
    assert!(state.events().count() > 4);
    if state.meta().feature_level >= 5 {
        holds_level_5(state);
    }
}

fn holds_level_5(state: &ClusterState) {
    let id = krakend_domain::NodeId(NODE);
    assert_eq!(state.node(id).unwrap().name, "gateway-1");
    assert!(state.certificate(id).is_some());
    assert_eq!(state.drift(id).unwrap().reason, "edited by hand");
    assert_eq!(state.keyring().keys.len(), 1);
    assert_eq!(state.keyring().in_use, Some(GossipKeyId([3; 8])));
    let scoped = state.tokens().find(|it| it.name == "scoped").unwrap();
    let scope = state.token_scope(scoped.id).unwrap();
    assert_eq!(scope.requests_per_s, Some(10));
    let actions: Vec<_> = state.audit().map(|it| it.action.as_str()).collect();
    assert!(actions.contains(&"create-token"), "{actions:?}");
    assert!(actions.contains(&"publish"), "{actions:?}");
    state.audit_verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_data_directory_of_earlier_versions_opens() {
    let found = fixtures();
    assert!(!found.is_empty(), "there are fixtures");
    for fixture in found {
        let name = fixture.display();
        let mut manager = Manager::new().await;
        copy(&fixture, &manager.data_dir());
        let stored = fs::read_to_string(fixture.join("identity.json")).unwrap();
        let handle = manager.start().await;
        let id = handle.identity().manager_id.to_string();
        assert!(stored.contains(&id), "{name}: it keeps its id");
        let view = handle.linearizable(soon()).await.unwrap();
        holds_everything(&view.state);
        propose(&handle, write(7)).await;
        manager.crash().await;
        // And without the applied state, from snapshot and log alone.
        fs::remove_dir_all(manager.data_dir().join("state")).unwrap();
        let handle = manager.start().await;
        let view = handle.linearizable(soon()).await.unwrap();
        holds_everything(&view.state);
        assert_eq!(value(&view.state), Some(7), "{name}");
        manager.crash().await;
    }
}

fn version(digest: u8, parent: Option<u8>, message: &str) -> Command {
    Command::Publish(Publication {
        fleet: FleetName::default_fleet(),
        parent: parent.map(|it| Digest([it; 32])),
        digest: Digest([digest; 32]),
        body: vec![digest; 100].into(),
        size_bytes: 100,
        author: "admin".into(),
        message: message.into(),
    })
}

fn license() -> Command {
    Command::InstallLicense(LicenseRecord {
        claims: Claims {
            subscriber: "Fixture".into(),
            level: "business".into(),
            max_nodes: 10,
            features: vec!["rollouts".into()],
            not_before_ms: 0,
            expires_ms: clock() + 86_400_000,
            grace_days: Some(14),
        },
        token: "header.claims.signature".into(),
        installed_by: "admin".into(),
        installed_ms: clock(),
    })
}

fn join_token() -> Command {
    Command::CreateJoinToken(JoinTokenRecord {
        id: Uuid::from_u128(7),
        fleet: FleetName::default_fleet(),
        secret_sha256: Digest([9; 32]),
        created_by: "admin".into(),
        expires_ms: clock() + 86_400_000,
        max_uses: 100,
        uses: 0,
        role: JoinRole::Node,
    })
}

fn audited(command: Command) -> Command {
    Command::Audited {
        actor: AuditActor {
            token_id: Some(Uuid::from_u128(5)),
            name: "admin".into(),
            role: Some(Role::Admin),
            address: Some("192.0.2.7".into()),
            via: AuditVia::Api,
            request: "POST /v1/fleets/default/versions".into(),
            action: None,
        },
        command: Box::new(command),
    }
}

fn registration() -> Command {
    Command::RegisterNode(NodeRegistration {
        node_id: NodeId(NODE),
        store_id: Uuid::from_u128(12),
        fleet: FleetName::default_fleet(),
        name: "gateway-1".into(),
        gateway_address: "192.0.2.11:8080".into(),
        gossip_address: "192.0.2.11:7000".into(),
        gateway: GatewayKind::Embedded,
        gateway_version: "2.7".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        lease_until_ms: clock() + 86_400_000,
    })
}

fn sample() -> Command {
    let mut latency = Sketch::default();
    latency.add(12.5);
    let end_ms = clock() / 10_000 * 10_000;
    Command::RecordStatistics {
        node_id: NodeId(NODE),
        stream: SampleStream(Uuid::from_u128(13)),
        samples: vec![Sample {
            seq: 1,
            start_ms: end_ms - 10_000,
            end_ms,
            endpoints: vec![EndpointSample {
                endpoint: "/orders".into(),
                method: "GET".into(),
                status: vec![(200, 1)],
                latency: latency.clone(),
            }],
            backends: vec![BackendSample {
                host: "http://orders:8000".into(),
                url_pattern: "/orders".into(),
                calls: 1,
                errors: 0,
                timeouts: 0,
                latency,
            }],
            connections: 1,
            memory_bytes: 1 << 20,
            cpu_ms: 5,
            restarts: 0,
        }],
    }
}

/// What feature level 5 knows beside the first.
fn of_level_5() -> Vec<Command> {
    let node_id = NodeId(NODE);
    let scoped = TokenRecord {
        id: Uuid::from_u128(6),
        name: "scoped".into(),
        role: Role::Operator,
        sha256: Digest([8; 32]),
        created_by: "admin".into(),
        expires_ms: None,
    };
    let scope = TokenScope {
        fleets: vec![FleetName::default_fleet()],
        requests_per_s: Some(10),
        concurrent: None,
    };
    let key = GossipKeyRecord {
        id: GossipKeyId([3; 8]),
        secret: SecretId([4; 8]),
        salt: [5; 32],
        encrypts: true,
        installed_ms: 0,
        by: "admin".into(),
        revision: 0,
    };
    vec![
        registration(),
        Command::RecordCertificate {
            node_id,
            certificate: NodeCertificate {
                secret: SecretId([4; 8]),
                not_after_ms: clock() + 86_400_000,
            },
        },
        sample(),
        audited(Command::CreateScopedToken {
            record: scoped,
            scope,
        }),
        audited(Command::InstallGossipKey(key)),
        Command::AcknowledgeKeyring {
            node_id,
            revision: 1,
        },
        audited(Command::UseGossipKey {
            id: Some(GossipKeyId([3; 8])),
            by: "admin".into(),
        }),
        audited(Command::DrainNode {
            node_id,
            draining: true,
            by: "admin".into(),
        }),
        Command::ReportDrift {
            node_id,
            drift: Some(FileDrift {
                found_ms: clock(),
                file: "/etc/krakend/krakend.json".into(),
                expected: Digest([1; 32]),
                found: Some(Digest([2; 32])),
                reason: "edited by hand".into(),
            }),
        },
        Command::Idempotent {
            key: "fixture".into(),
            request: Digest([6; 32]),
            command: Box::new(audited(version(2, Some(1), "Second version"))),
        },
    ]
}

/// Not a test: writes the next fixture, as this version stores it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes a fixture"]
async fn write_the_next_fixture() {
    let mut manager = Manager::new().await;
    let handle = manager.start().await;
    handle.form(&[], 1).await.unwrap();
    propose(&handle, bootstrap(handle.group_id().unwrap())).await;
    propose(&handle, version(1, None, "First version")).await;
    propose(&handle, license()).await;
    handle.snapshot().await.unwrap();
    let until = Instant::now() + PATIENCE;
    while handle.status().snapshot.is_none() {
        assert!(Instant::now() < until, "a snapshot is written");
        tokio::task::yield_now().await;
    }
    let raise = Command::RaiseFeatureLevel {
        level: FEATURE_LEVEL,
        by: "admin".into(),
    };
    propose(&handle, raise).await;
    for command in of_level_5() {
        propose(&handle, command).await;
    }
    propose(&handle, join_token()).await;
    manager.shutdown().await;
    let target = fixtures_dir().join(format!("data-{}", fixtures().len() + 1));
    copy(&manager.data_dir(), &target);
    for needless in ["lock", "log/wal/LOCK", "known-managers.json"] {
        let _ = fs::remove_file(target.join(needless));
    }
    println!("wrote {}", target.display());
}
