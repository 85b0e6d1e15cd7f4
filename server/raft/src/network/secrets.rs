use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
};

use bytes::Bytes;
use krakend_domain::SecretId;

use crate::types::MemberId;

/// Managers whose word is remembered; a group has few.
const MAX_PEERS: usize = 64;

/// Which group secrets each manager says that it uses and holds, by name.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    own: RwLock<Bytes>,
    heard: Mutex<BTreeMap<MemberId, Bytes>>,
}

/// What one manager says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub uses: SecretId,
    /// Newest first.
    pub holds: Vec<SecretId>,
}

impl Secrets {
    /// What this manager's answers say.
    pub(crate) fn own(&self) -> Bytes {
        self.own
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set(&self, said: &Said) {
        let names = std::iter::once(&said.uses).chain(&said.holds);
        let bytes: Vec<u8> = names.flat_map(|id| id.0).collect();
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = bytes.into();
    }

    /// An answer of another manager. An older program says nothing.
    pub(crate) fn answered(&self, from: MemberId, said: &Bytes) {
        let mut heard = self.heard();
        let known = heard.get(&from);
        if known != Some(said) && (known.is_some() || heard.len() < MAX_PEERS) {
            heard.insert(from, said.clone());
        }
    }

    fn heard(&self) -> MutexGuard<'_, BTreeMap<MemberId, Bytes>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a manager; `me` is this one.
    pub(crate) fn of(&self, id: MemberId, me: MemberId) -> Option<Said> {
        let said = match id == me {
            true => self.own(),
            false => self.heard().get(&id).cloned()?,
        };
        read(&said)
    }
}

fn read(said: &[u8]) -> Option<Said> {
    let (names, rest) = said.as_chunks::<8>();
    let mut names = names.iter().map(|name| SecretId(*name));
    let uses = names.next().filter(|_| rest.is_empty())?;
    Some(Said {
        uses,
        holds: names.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_manager_says_is_known_until_it_says_otherwise_and_an_older_one_says_nothing() {
        let (me, other) = (MemberId::from(1), MemberId::from(2));
        let (a, b) = (SecretId([1; 8]), SecretId([2; 8]));
        let there = Secrets::default();
        there.set(&Said {
            uses: a,
            holds: vec![b, a],
        });
        let here = Secrets::default();
        assert_eq!(here.of(other, me), None);
        here.answered(other, &there.own());
        let said = here.of(other, me).expect("known");
        assert_eq!((said.uses, said.holds), (a, vec![b, a]));
        here.answered(other, &Bytes::new());
        assert_eq!(here.of(other, me), None);
    }
}
