use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use krakend_domain::FEATURE_LEVEL;
use krakend_proto::manager::{Handshake, Reply};
use krakend_storage::{Identity, IdentityError};
use tonic::Status;
use uuid::Uuid;

use super::{
    AddressBook, Clock, Clocks, PROTOCOL, clocks::Asked, freshness::Freshness, release, room::Room,
    secrets::Secrets,
};
use crate::{
    rt::{self, Instant},
    store::Shared,
    types::{ManagerNode, Member, MemberId},
};

/// Managers whose answers are remembered; a group has few.
const MAX_PEERS: usize = 64;
/// Version of this program.
const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// Who this manager is, and whom it talks to.
#[derive(Debug)]
pub(crate) struct Local {
    data_dir: PathBuf,
    node: ManagerNode,
    identity: Mutex<Identity>,
    shared: Arc<Shared>,
    /// Where moved members are.
    pub(crate) book: AddressBook,
    /// This run of the process.
    pub(crate) run: Uuid,
    started: Instant,
    freshness: Freshness,
    clocks: Clocks,
    /// Feature levels of the others, as their answers said.
    supported: Mutex<BTreeMap<MemberId, u32>>,
    /// Group secrets of this manager and the others, by name.
    pub(crate) secrets: Secrets,
    /// Whose disk is nearly full.
    pub(crate) room: Room,
}

impl Local {
    pub(crate) fn new(
        data_dir: PathBuf,
        node: ManagerNode,
        identity: Identity,
        shared: Arc<Shared>,
        clock: Clock,
    ) -> Self {
        Self {
            data_dir,
            node,
            identity: Mutex::new(identity),
            shared,
            book: AddressBook::default(),
            run: rt::new_id(),
            started: Instant::now(),
            freshness: Freshness::new(),
            clocks: Clocks::new(clock),
            supported: Mutex::default(),
            secrets: Secrets::default(),
            room: Room::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn identity(&self) -> Identity {
        self.lock().clone()
    }

    pub(crate) fn id(&self) -> MemberId {
        MemberId(self.lock().manager_id)
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(crate) fn node(&self) -> &ManagerNode {
        &self.node
    }

    pub(crate) fn member(&self) -> Member {
        Member {
            node: self.node.clone(),
            store_id: self.lock().store_id,
        }
    }

    /// Changes the identity. Durable on return; on failure nothing has changed. Blocks for an fsync.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Identity)) -> Result<(), IdentityError> {
        let mut identity = self.lock();
        let mut changed = identity.clone();
        change(&mut changed);
        if changed != *identity {
            changed.save(&self.data_dir)?;
            *identity = changed;
        }
        Ok(())
    }

    pub(crate) fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// Takes out of an answer what it says of whoever gave it.
    pub(crate) fn answered(&self, asked: Asked, from: MemberId, reply: &Reply) {
        self.clocks.answered(asked, from, reply.time_ms);
        self.secrets.answered(from, &reply.secrets);
        self.room.answered(from, reply.disk_low);
        let mut supported = self
            .supported
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if reply.feature_level > 0 && (supported.len() < MAX_PEERS || supported.contains_key(&from))
        {
            supported.insert(from, reply.feature_level);
        }
    }

    /// The leader, alive at `at`, had committed up to `committed`.
    pub(crate) fn heard_leader(&self, committed: u64, at: Instant) {
        self.freshness.heard(committed, at, self.applied_index());
    }

    fn applied_index(&self) -> u64 {
        let current = self.shared.read();
        current.last_applied.map_or(0, |it| it.index)
    }

    /// Whether a living leader was heard within this time.
    pub(crate) fn heard_within(&self, time: std::time::Duration) -> bool {
        let heard = self.freshness.heard_at();
        heard.is_some_and(|at| at.elapsed() <= time)
    }

    /// How long ago the state was known to have everything that was committed, in milliseconds. A manager that has
    /// heard no leader since its start goes by the stamp of its newest entry.
    pub(crate) fn silence_ms(&self) -> u64 {
        if let Some(since) = self.freshness.since(self.applied_index()) {
            return since.elapsed().as_millis() as u64;
        }
        let stamped_ms = self.shared.read().state.meta().time_ms;
        let by_clock = match stamped_ms {
            0 => 0,
            stamped => self.clocks.now_ms().saturating_sub(stamped),
        };
        by_clock.max(self.started.elapsed().as_millis() as u64)
    }

    /// What is sent along to prove who speaks. `to` is left out while it is not known.
    pub(crate) fn handshake(&self, to: Option<(MemberId, Uuid)>) -> Handshake {
        let identity = self.lock();
        let bytes = |id: Uuid| bytes::Bytes::copy_from_slice(id.as_bytes());
        Handshake {
            protocol: PROTOCOL,
            group_id: identity.group_id.map(bytes).unwrap_or_default(),
            from_id: bytes(identity.manager_id),
            from_store: bytes(identity.store_id),
            to_id: to.map(|(id, _)| bytes(id.0)).unwrap_or_default(),
            to_store: to.map(|(_, store)| bytes(store)).unwrap_or_default(),
            release: RELEASE.into(),
            feature_level: FEATURE_LEVEL,
        }
    }

    /// Refuses, by name, whoever means another manager, another disk or another group.
    pub(crate) fn verify(&self, handshake: Option<&Handshake>) -> Result<MemberId, Status> {
        let handshake = handshake.ok_or_else(|| refused("the handshake is missing".into()))?;
        self.verify_protocol(handshake)?;
        let group = id_of("group", &handshake.group_id)?;
        let from = id_of("caller", &handshake.from_id)?
            .ok_or_else(|| refused("the caller does not say who it is".into()))?;
        let from_store = id_of("caller's store", &handshake.from_store)?;
        self.verify_target(handshake)?;
        self.verify_group(group)?;
        self.verify_store(from, from_store)?;
        Ok(MemberId(from))
    }

    /// A member that moved says where it is. Believed when it names this group and its own data directory.
    pub(crate) fn note_moved(&self, handshake: Option<&Handshake>, node: ManagerNode) {
        let uuid = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
        let Some(handshake) = handshake else { return };
        let (group, from) = (uuid(&handshake.group_id), uuid(&handshake.from_id));
        if group.is_none() || group != self.identity().group_id {
            return;
        }
        let store = uuid(&handshake.from_store);
        if let (Some(from), Some(store)) = (from, store) {
            self.note_address(MemberId(from), Some(store), node);
        }
    }

    /// Remembers where a member is; `store` where it proved its data directory.
    pub(crate) fn note_address(&self, id: MemberId, store: Option<Uuid>, node: ManagerNode) {
        if id == self.id() {
            return;
        }
        let member = self.shared.read().membership.get_node(&id).cloned();
        if let Some(member) = member
            && store.is_none_or(|store| store == member.store_id)
        {
            self.book.note(id, &member, node);
        }
    }

    /// For calls that come before there is a group.
    pub(crate) fn verify_stranger(&self, handshake: Option<&Handshake>) -> Result<(), Status> {
        let handshake = handshake.ok_or_else(|| refused("the handshake is missing".into()))?;
        self.verify_protocol(handshake)
    }

    /// Before anything else is understood: the same protocol, at most one minor version apart, and able to apply what
    /// the group uses already.
    fn verify_protocol(&self, handshake: &Handshake) -> Result<(), Status> {
        if handshake.protocol != PROTOCOL {
            return Err(refused(format!(
                "the caller speaks protocol {}, this manager {PROTOCOL}: run versions that fit together",
                handshake.protocol
            )));
        }
        let theirs = handshake.release.as_str();
        if !release::fit(RELEASE, theirs) {
            return Err(refused(format!(
                "the caller runs version {theirs:?}, this manager {RELEASE}: managers of one group may be one minor version apart; upgrade through the versions between"
            )));
        }
        let (level, supported) = (self.feature_level(), handshake.feature_level);
        if supported < level {
            return Err(refused(format!(
                "the group uses feature level {level}, the caller supports {supported}: upgrade the caller; there is no way back below {level}"
            )));
        }
        Ok(())
    }

    /// The level that the group uses.
    pub(crate) fn feature_level(&self) -> u32 {
        self.shared.read().state.meta().feature_level
    }

    /// What each manager supports that has answered since the start, this one included.
    pub(crate) fn supported(&self) -> BTreeMap<MemberId, u32> {
        let mut supported = self
            .supported
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        supported.insert(self.id(), FEATURE_LEVEL);
        supported
    }

    fn verify_target(&self, handshake: &Handshake) -> Result<(), Status> {
        let (id, store) = {
            let identity = self.lock();
            (identity.manager_id, identity.store_id)
        };
        if let Some(meant) = id_of("target", &handshake.to_id)?
            && meant != id
        {
            return Err(refused(format!(
                "this is manager {id}, the caller means {meant}: correct the address"
            )));
        }
        if let Some(meant) = id_of("target's store", &handshake.to_store)?
            && meant != store
        {
            return Err(refused(format!(
                "the data directory of manager {id} is another than when it joined: a wiped manager needs a new id"
            )));
        }
        Ok(())
    }

    fn verify_group(&self, theirs: Option<Uuid>) -> Result<(), Status> {
        let theirs = theirs.ok_or_else(|| refused("the caller belongs to no group yet".into()))?;
        let identity = self.identity();
        match (identity.group_id, identity.grant) {
            (Some(ours), _) if ours == theirs => Ok(()),
            (Some(ours), _) => Err(refused(self.other_group(ours, theirs))),
            // The promise is kept: whoever speaks for the promised group has initialised it.
            (None, Some(grant)) if grant.group_id == theirs => self
                .change(|identity| {
                    identity.group_id = Some(theirs);
                    // Who asked to be let in keeps that until it is certain that it was.
                    identity.grant.take_if(|it| !it.members.is_empty());
                })
                .map_err(|error| Status::internal(error.to_string())),
            (None, _) => Err(refused(format!(
                "this manager has not joined group {theirs}"
            ))),
        }
    }

    fn other_group(&self, ours: Uuid, theirs: Uuid) -> String {
        let current = self.shared.read();
        let former = current.state.lineage().find(|it| it.group_id == theirs);
        match former {
            Some(former) => format!(
                "group {theirs} ended with entry {} and goes on as group {ours}, this one: stop the caller, move its data directory away (keep the group secret) and start it again, and it joins as a new manager",
                former.index
            ),
            None => format!("this manager belongs to group {ours}, the caller to group {theirs}"),
        }
    }

    fn verify_store(&self, from: Uuid, store: Option<Uuid>) -> Result<(), Status> {
        let current = self.shared.read();
        match current.membership.get_node(&MemberId(from)) {
            Some(member) if Some(member.store_id) != store => Err(refused(format!(
                "manager {from} is known with another data directory: a wiped manager needs a new id, so remove `identity.json` from its data directory"
            ))),
            _ => Ok(()),
        }
    }
}

fn refused(reason: String) -> Status {
    Status::failed_precondition(reason)
}

fn id_of(what: &str, bytes: &[u8]) -> Result<Option<Uuid>, Status> {
    if bytes.is_empty() {
        return Ok(None);
    }
    Uuid::from_slice(bytes)
        .map(Some)
        .map_err(|_| Status::invalid_argument(format!("the {what} id has {} bytes", bytes.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use krakend_domain::{Command, LogEntry};

    #[test]
    fn who_does_not_fit_is_refused_before_anything_else_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let identity = Identity::load_or_create(dir.path()).expect("an identity");
        let shared = Shared::new(crate::store::Current::default());
        let node = ManagerNode::default();
        let local = Local::new(
            dir.path().into(),
            node,
            identity,
            shared.clone(),
            Arc::new(|| 1),
        );
        let ours = local.handshake(None);
        local
            .verify_stranger(Some(&ours))
            .expect("the same program");
        let refused = |change: &dyn Fn(&mut Handshake)| {
            let mut theirs = ours.clone();
            change(&mut theirs);
            let refused = local.verify_stranger(Some(&theirs));
            refused.expect_err("it does not fit").message().to_owned()
        };
        let text = refused(&|it| it.release = "0.9.0".into());
        assert!(
            text.contains("0.9.0") && text.contains("one minor version"),
            "{text}"
        );
        let text = refused(&|it| it.protocol += 1);
        assert!(text.contains("protocol"), "{text}");
        let raise = Command::RaiseFeatureLevel {
            level: 7,
            by: "admin".into(),
        };
        let begin = Command::Bootstrap {
            group_id: Uuid::nil(),
            first_token: krakend_domain::TokenRecord {
                id: Uuid::nil(),
                name: String::new(),
                role: krakend_domain::Role::Admin,
                sha256: krakend_domain::Digest([0; 32]),
                created_by: String::new(),
                expires_ms: None,
            },
        };
        for (index, command) in [(1, begin), (2, raise)] {
            let entry = LogEntry {
                time_ms: 1,
                command,
            };
            shared
                .write()
                .state
                .apply(index, &entry)
                .result
                .expect("applied");
        }
        let text = refused(&|_| {});
        assert!(text.contains("feature level 7"), "{text}");
    }
}
