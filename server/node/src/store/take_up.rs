//! Who this node is, at a start: damage is made good where that is possible, and a copied directory noticed.

use std::sync::PoisonError;

use krakend_domain::NodeId;
use uuid::Uuid;

use super::identity::{COPY, NODE, read_identity};
use super::{Identity, Machine, Store, StoreError};
use crate::disk;
use crate::lease::Stored;

impl Store {
    /// Reads who this node is. A file that is damaged comes back from its copy; without one the node has to enrol again,
    /// and asks for the id that can still be read. On another machine than before the directory gets a new store id, so
    /// that a leader can tell the two apart, and its lease goes: it was given to one machine.
    pub fn take_up_identity(&self) -> Result<Identity, StoreError> {
        self.take_up_on(Machine::this())
    }

    fn take_up_on(&self, machine: Machine) -> Result<Identity, StoreError> {
        let mut identity = self.whole_identity()?;
        let known = identity.machine.clone().unwrap_or_default();
        if known.differs(&machine) && identity.enrolled.is_some() {
            identity.store_id = Uuid::new_v4();
            identity.copied = true;
            Stored::remove(self)?;
            tracing::warn!(
                "the data directory comes from another machine: its lease does not count here, and the leader decides \
                 whether this is the same node or a copy"
            );
        }
        let now = machine.or(known);
        if identity.machine.as_ref() != Some(&now) || identity.copied {
            identity.machine = Some(now);
            self.set_identity(&identity)?;
        }
        Ok(identity)
    }

    fn whole_identity(&self) -> Result<Identity, StoreError> {
        let path = self.path(NODE);
        let reason = match disk::read(&path)?.map(|bytes| read_identity(&bytes)) {
            Some(Ok(identity)) => return Ok(identity),
            Some(Err(reason)) => reason,
            None => "it is missing".into(),
        };
        let copy = disk::read(&self.path(COPY))?;
        let was_there = path.exists() || copy.is_some();
        if let Some(Ok(identity)) = copy.map(|bytes| read_identity(&bytes)) {
            tracing::warn!(
                "{}: {reason}; it is written anew from its copy",
                path.display()
            );
            self.set_aside(NODE)?;
            self.set_identity(&identity)?;
            return Ok(identity);
        }
        if was_there {
            *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = self.readable_id();
            self.set_aside(NODE)?;
            self.set_aside(COPY)?;
            tracing::error!(
                "{}: {reason}, and so is its copy; the gateway serves on, and the node has to enrol again with a join \
                 token. What is left of the files is beside them, named *.damaged",
                path.display()
            );
        }
        self.identity()
    }

    /// The id that a damaged identity had, where it can still be read: enrolment asks for it.
    pub fn lost_node_id(&self) -> Option<NodeId> {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn readable_id(&self) -> Option<NodeId> {
        [NODE, COPY].into_iter().find_map(|name| {
            let bytes = disk::read(&self.path(name)).ok()??;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let after = text.split("\"node_id\"").nth(1)?;
            Some(NodeId(Uuid::parse_str(after.split('"').nth(1)?).ok()?))
        })
    }

    fn set_aside(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        match std::fs::rename(&path, self.path(&format!("{name}.damaged"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(disk::DiskError::at(&path)(error).into())
            }
            _ => Ok(()),
        }
    }

    /// Whether this directory came from another machine, and no leader has taken it for the node itself yet.
    pub fn is_copy(&self) -> bool {
        self.identity().is_ok_and(|identity| identity.copied)
    }

    /// A leader has said who this is.
    pub fn is_no_copy(&self) {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.identity().and_then(|mut identity| {
            if !std::mem::take(&mut identity.copied) {
                return Ok(());
            }
            self.set_identity(&identity)
        });
        if let Err(error) = done {
            tracing::warn!("{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Enrolled, enrolled_as};

    fn named(name: &str) -> Machine {
        Machine::named(Some(name), None)
    }

    fn prepared(dir: &std::path::Path) -> (Store, Identity, Enrolled) {
        let store = Store::open(dir).expect("opened");
        let mut identity = store.take_up_on(named("a")).expect("made");
        let enrolled = enrolled_as(7);
        identity.enrolled = Some(enrolled.clone());
        store.set_identity(&identity).expect("written");
        (store, identity, enrolled)
    }

    #[test]
    fn a_damaged_identity_comes_back_from_its_copy_whatever_byte_is_hit() {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, identity, _) = prepared(dir.path());
        let bytes = std::fs::read(store.path(NODE)).expect("read");
        for at in (0..bytes.len()).step_by(7) {
            let mut torn = bytes.clone();
            torn[at] ^= 1;
            std::fs::write(store.path(NODE), &torn).expect("written");
            let found = store.take_up_on(named("a")).expect("made good");
            assert_eq!(found.store_id, identity.store_id, "byte {at}");
            let id = |it: &Identity| it.enrolled.as_ref().map(|it| it.node_id);
            assert_eq!(id(&found), id(&identity), "byte {at}");
        }
        std::fs::write(store.path(NODE), &bytes[..bytes.len() / 2]).expect("cut");
        assert!(
            store
                .take_up_on(named("a"))
                .expect("made good")
                .enrolled
                .is_some()
        );
        std::fs::remove_file(store.path(NODE)).expect("removed");
        assert!(
            store
                .take_up_on(named("a"))
                .expect("made good")
                .enrolled
                .is_some()
        );
    }

    #[test]
    fn with_both_files_damaged_the_node_starts_and_asks_for_the_id_it_had() {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, identity, enrolled) = prepared(dir.path());
        for name in [NODE, COPY] {
            let bytes = std::fs::read(store.path(name)).expect("read");
            std::fs::write(store.path(name), &bytes[..bytes.len() - 9]).expect("cut");
        }
        let found = store.take_up_on(named("a")).expect("a fresh one");
        assert_ne!(found.store_id, identity.store_id);
        assert!(found.enrolled.is_none());
        assert_eq!(store.lost_node_id(), Some(enrolled.node_id));
        assert!(store.path("node.json.damaged").exists());
    }

    #[test]
    fn a_directory_on_another_machine_gets_a_store_id_of_its_own_and_loses_the_lease() {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, identity, _) = prepared(dir.path());
        std::fs::write(store.path("lease.json"), b"{}").expect("written");
        let same = store.take_up_on(named("a")).expect("read");
        assert_eq!(same.store_id, identity.store_id);
        assert!(store.path("lease.json").exists() && !store.is_copy());
        let copy = store.take_up_on(named("b")).expect("read");
        assert_ne!(copy.store_id, identity.store_id);
        assert!(copy.enrolled.is_some(), "a leader decides");
        assert!(!store.path("lease.json").exists() && store.is_copy());
        // It stays one over restarts, until a leader has spoken.
        let again = store.take_up_on(named("b")).expect("read");
        assert_eq!(again.store_id, copy.store_id);
        assert!(store.is_copy());
        store.is_no_copy();
        assert!(!store.is_copy());
    }
}
