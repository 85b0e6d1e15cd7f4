//! openraft's own test suite for stores.

use krakend_storage::{LogSettings, SnapshotFiles};
use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
};
use tempfile::TempDir;

use super::{LogStorage, LogStore, Shared, StateMachine, WriteBehind};
use crate::types::TypeConfig;

struct Builder;

impl StoreBuilder<TypeConfig, LogStorage, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStorage, StateMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let log = LogStore::open(&dir.path().join("log"), LogSettings::default()).unwrap();
        let files = SnapshotFiles::open(&dir.path().join("snapshots")).unwrap();
        let (store, current) = WriteBehind::load(&dir.path().join("state")).unwrap();
        let shared = Shared::new(current);
        let behind = WriteBehind::start(store, shared.clone()).unwrap();
        let machine = StateMachine::new(shared, behind, files);
        Ok((dir, LogStorage::new(log), machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_stores_pass_the_suite() {
    Suite::test_all(Builder).await.unwrap();
}
