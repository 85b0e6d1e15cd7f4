//! Data directories of earlier versions: every later version opens them, and loses nothing of what they hold.
//!
//! `fixtures/data-1` is a group of one as the first released version writes it: two configuration versions, a licence,
//! a join token, a snapshot in the middle. A format that changes later gets a directory of its own; none that was
//! released is ever removed or written anew. `cargo test -p krakend-raft --test formats -- --ignored` writes the next.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use krakend_domain::{
    Claims, ClusterState, Command, Digest, FleetName, JoinRole, JoinTokenRecord, LicenseRecord,
    Publication,
};
use support::*;

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
    assert_eq!(state.tokens().count(), 1);
    assert!(state.events().count() > 4);
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
        id: uuid::Uuid::from_u128(7),
        fleet: FleetName::default_fleet(),
        secret_sha256: Digest([9; 32]),
        created_by: "admin".into(),
        expires_ms: clock() + 86_400_000,
        max_uses: 100,
        uses: 0,
        role: JoinRole::Node,
    })
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
    propose(&handle, version(2, Some(1), "Second version")).await;
    propose(&handle, join_token()).await;
    manager.shutdown().await;
    let target = fixtures_dir().join(format!("data-{}", fixtures().len() + 1));
    copy(&manager.data_dir(), &target);
    for needless in ["lock", "log/wal/LOCK", "known-managers.json"] {
        let _ = fs::remove_file(target.join(needless));
    }
    println!("wrote {}", target.display());
}
