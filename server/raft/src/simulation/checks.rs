//! What must hold at every moment, whatever breaks. Every manager tells what it applies, so the order of writes is
//! known and nothing has to be searched: a read is right when it shows the state at its own index and that index is
//! not below anything that was known before it was asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use krakend_domain::{Digest, FleetName, VersionRecord};
use openraft::EntryPayload;
use uuid::Uuid;

use super::world::world;
use crate::{
    codec,
    group::StateView,
    store::Shared,
    types::{Answer, Entry, MemberId},
};

#[derive(Default)]
pub(super) struct Checks(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// Who led each term.
    leaders: BTreeMap<u64, Uuid>,
    /// What was applied at each index, and what it came to, by whoever was first.
    applied: BTreeMap<u64, Applied>,
    voters: Vec<BTreeSet<MemberId>>,
    /// Highest index that a client knows of.
    known: u64,
    acknowledged: BTreeMap<u64, Acknowledged>,
    /// The version that each publication is to follow; without that one it must not be done.
    parents: BTreeMap<u64, Option<Digest>>,
    /// Publications that were refused: they must not be there.
    refused: BTreeSet<u64>,
    /// Every version that ever was, by number: the state forgets old ones.
    versions: BTreeMap<u64, Version>,
}

struct Version {
    operation: u64,
    index: u64,
    digest: Digest,
    parent: Option<Digest>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Applied {
    term: u64,
    /// Entry and answer.
    hash: u64,
    /// Newest version after it.
    newest: Option<u64>,
}

/// A publication that a client was told is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub number: u64,
    pub index: u64,
}

/// FNV-1a.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// What is kept of an entry until it is applied.
pub(crate) struct Applying {
    index: u64,
    term: u64,
    hash: u64,
    voters: Option<Vec<BTreeSet<MemberId>>>,
}

/// Looks at an entry that a state machine is about to apply.
pub(crate) fn applying(entry: &Entry) -> Applying {
    let voters = match &entry.payload {
        EntryPayload::Membership(membership) => Some(membership.get_joint_config().clone()),
        _ => None,
    };
    Applying {
        index: entry.log_id.index,
        term: entry.log_id.leader_id.term,
        hash: hash(&codec::encode(&entry.payload).unwrap_or_default()),
        voters,
    }
}

/// Compares what a state machine made of an entry with what the others did.
pub(crate) fn applied(entry: Applying, answer: &Answer, shared: &Shared) {
    if super::is_running() {
        let current = shared.read();
        let newest = current.state.newest_version(&FleetName::default_fleet());
        world()
            .checks()
            .applied(entry, answer, newest.map(Arc::as_ref));
    }
}

pub(super) fn newest(state: &krakend_domain::ClusterState) -> Option<(u64, Digest)> {
    let newest = state.newest_version(&FleetName::default_fleet())?;
    Some((newest.number, newest.digest))
}

impl Seen {
    /// The first time that a version is seen, it must be on the very one that its client has named.
    fn is_newest(&mut self, index: u64, newest: &VersionRecord) {
        if self.versions.contains_key(&newest.number) {
            return;
        }
        let operation = newest.author.parse().unwrap_or(0);
        let before = self.versions.get(&(newest.number - 1));
        let before = before.map(|it| it.digest);
        let named = self.parents.get(&operation);
        if named != Some(&before) {
            let number = newest.number;
            world().fail(format!(
                "conditional writes: {operation} became version {number} on {before:?}, and had named {named:?}"
            ));
        }
        let version = Version {
            operation,
            index,
            digest: newest.digest,
            parent: newest.parent,
        };
        self.versions.insert(newest.number, version);
    }
}

impl Checks {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn applied(&self, entry: Applying, answer: &Answer, newest: Option<&VersionRecord>) {
        let answer = hash(&codec::encode(answer).unwrap_or_default());
        let new = Applied {
            term: entry.term,
            hash: entry.hash ^ answer.rotate_left(7),
            newest: newest.map(|it| it.number),
        };
        world().note(
            "applied",
            &[world().here().0, entry.index, entry.term, new.hash],
        );
        let mut seen = self.lock();
        let first = seen
            .applied
            .entry(entry.index)
            .or_insert(new.clone())
            .clone();
        if first != new {
            let index = entry.index;
            world().fail(format!(
                "state machine safety: entry {index} was applied as {first:?} and as {new:?}"
            ));
        }
        let is_new = seen.applied.last_key_value().map(|(last, _)| *last) == Some(entry.index);
        if let Some(newest) = newest {
            seen.is_newest(entry.index, newest);
        }
        if let Some(voters) = entry.voters
            && is_new
        {
            let overlaps = seen.voters.is_empty()
                || seen.voters == voters
                || seen.voters.iter().any(|old| voters.contains(old));
            if !overlaps {
                world().fail(format!(
                    "membership: the voters went from {:?} to {voters:?}, whose majorities need not meet",
                    seen.voters
                ));
            }
            seen.voters = voters;
        }
    }

    pub(super) fn leads(&self, term: u64, leader: Uuid) {
        world().note("leads", &[term, leader.as_u128() as u64]);
        let first = *self.lock().leaders.entry(term).or_insert(leader);
        if first != leader {
            world().fail(format!(
                "election safety: both {first} and {leader} lead term {term}"
            ));
        }
    }

    /// What everything that is asked from now on must not be older than.
    pub(super) fn known(&self) -> u64 {
        self.lock().known
    }

    pub(super) fn was_read(&self, since: u64, view: &StateView) {
        let mut seen = self.lock();
        let index = view.applied_index;
        if index < since {
            world().fail(format!(
                "linearizable reads: a read shows entry {index}, and {since} was known before it was asked"
            ));
        }
        let shows = newest(&view.state).map(|(number, _)| number);
        let there = seen.applied.get(&index).and_then(|it| it.newest);
        if shows != there {
            world().fail(format!(
                "linearizable reads: a read at entry {index} shows version {shows:?}, there it was {there:?}"
            ));
        }
        seen.known = seen.known.max(index);
    }

    /// A client is about to ask for a publication after `parent`.
    pub(super) fn will_follow(&self, operation: u64, parent: Option<Digest>) {
        self.lock().parents.insert(operation, parent);
    }

    /// A client was told that its publication is version `number`, by the entry `index`.
    pub(super) fn was_done(&self, operation: u64, since: u64, done: Acknowledged) {
        let mut seen = self.lock();
        if done.index <= since {
            world().fail(format!(
                "writes: {operation} is entry {}, and {since} was known before it was asked",
                done.index
            ));
        }
        seen.known = seen.known.max(done.index);
        let first = seen
            .acknowledged
            .entry(operation)
            .or_insert(done.clone())
            .clone();
        if first != done {
            world().fail(format!(
                "idempotent writes: {operation} was answered with {first:?} and with {done:?}"
            ));
        }
    }

    /// A client was told that its publication is not done and will not be.
    pub(super) fn was_refused(&self, operation: u64) {
        self.lock().refused.insert(operation);
    }

    /// Compares the final state, which all managers have, with what the clients were told.
    pub(super) fn compare(&self, state: &krakend_domain::ClusterState) {
        let seen = self.lock();
        let mut found = BTreeMap::new();
        let mut parent = None;
        for (number, version) in &seen.versions {
            let (operation, index) = (version.operation, version.index);
            let number = *number;
            if let Some(twice) = found.insert(operation, Acknowledged { number, index }) {
                world().fail(format!(
                    "writes: {operation} is both {twice:?} and version {number}"
                ));
            }
            if version.parent != parent {
                world().fail(format!("writes: version {number} has another parent"));
            }
            parent = Some(version.digest);
        }
        for kept in state.versions(&FleetName::default_fleet()) {
            if seen.versions.get(&kept.number).map(|it| it.digest) != Some(kept.digest) {
                world().fail(format!("writes: version {} has changed", kept.number));
            }
        }
        for (operation, done) in &seen.acknowledged {
            if found.get(operation) != Some(done) {
                let there = found.get(operation);
                world().fail(format!(
                    "acknowledged writes: {operation} was acknowledged as {done:?}, and is {there:?}"
                ));
            }
        }
        if let Some(there) = seen.refused.iter().find(|it| found.contains_key(it)) {
            world().fail(format!(
                "writes: {there} was refused, and is there all the same"
            ));
        }
        let count = (seen.acknowledged.len(), seen.refused.len());
        world().note(
            "compared",
            &[count.0 as u64, count.1 as u64, found.len() as u64],
        );
    }
}
