//! Data directories of earlier versions: every later version opens them, and loses nothing of what they hold.
//!
//! `fixtures/data-1` is a group of one as the first version wrote it: two configuration versions, a licence, a join
//! token. A format that changes gets a directory of its own; none is ever removed or written anew.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use krakend_domain::ClusterState;
use support::*;

fn fixtures() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{}", dir.display());
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
    for fixture in fixtures() {
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
