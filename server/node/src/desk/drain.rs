use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use krakend_proto::node::Drain;

use crate::store::{DrainWord, Store, StoreError};

/// Whether this node shall take traffic: the newest word on it, also after a restart.
pub struct DrainSwitch {
    store: Arc<Store>,
    newest: Mutex<DrainWord>,
}

impl DrainSwitch {
    pub fn open(store: Arc<Store>) -> Result<Self, StoreError> {
        let newest = Mutex::new(store.drain_word()?);
        Ok(Self { store, newest })
    }

    pub fn is_draining(&self) -> bool {
        self.newest().draining
    }

    /// What changed: a manager that leads no more, or a group that was restored since, may not undo a newer word. The
    /// word holds also where it cannot be stored.
    pub fn obey(&self, word: &Drain) -> Result<Option<bool>, StoreError> {
        let word = DrainWord {
            epoch: word.epoch,
            index: word.index,
            draining: word.draining,
        };
        let mut newest = self.newest();
        let known = (newest.epoch, newest.index);
        if (word.epoch, word.index) < known || *newest == word {
            return Ok(None);
        }
        let changed = newest.draining != word.draining;
        *newest = word;
        self.store.set_drain_word(&word)?;
        Ok(changed.then_some(word.draining))
    }

    fn newest(&self) -> MutexGuard<'_, DrainWord> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_word_is_not_obeyed_and_the_newest_survives_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let word = |epoch, index, draining| Drain {
            epoch,
            index,
            draining,
        };
        {
            let store = Arc::new(Store::open(dir.path()).expect("opened"));
            let switch = DrainSwitch::open(store).expect("read");
            assert!(!switch.is_draining());
            assert_eq!(switch.obey(&word(1, 0, false)).expect("stored"), None);
            assert_eq!(switch.obey(&word(1, 50, true)).expect("stored"), Some(true));
            for older in [word(1, 49, false), word(0, 90, false), word(1, 50, true)] {
                assert_eq!(switch.obey(&older).expect("stored"), None);
                assert!(switch.is_draining());
            }
        }
        let store = Arc::new(Store::open(dir.path()).expect("opened"));
        let switch = DrainSwitch::open(store).expect("read");
        assert!(switch.is_draining(), "also after a restart");
        // A restored group begins with an epoch of its own.
        assert_eq!(
            switch.obey(&word(2, 7, false)).expect("stored"),
            Some(false)
        );
        assert!(!switch.is_draining());
    }
}
