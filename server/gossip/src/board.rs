use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foca::{BroadcastHandler, Invalidates};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::hint::{MAX_HINT_BYTES, OrderedHint};
use crate::identity::Identity;
use crate::roster::MAX_MEMBERS;

/// News that rides on SWIM's packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum News {
    Hint(OrderedHint),
    /// This life of a member ended on purpose.
    Left(Identity),
}

impl News {
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewsKey {
    Hint,
    Left(Uuid),
}

impl Invalidates for NewsKey {
    fn invalidates(&self, other: &Self) -> bool {
        self == other
    }
}

/// What is known from news; shared between foca's handler and the engine,
/// because foca keeps its handler to itself. Never contended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) hint: OrderedHint,
    pub(crate) hint_changed: bool,
    left: HashMap<Uuid, u64>,
    /// Leaves heard since the engine last looked.
    pub(crate) new_left: Vec<Identity>,
}

impl Board {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    pub(crate) fn merge_hint(&mut self, hint: &OrderedHint) -> bool {
        let changed = self.hint.merge(hint);
        self.hint_changed |= changed;
        changed
    }

    /// True when this leave is news.
    pub(crate) fn add_left(&mut self, member: Identity) -> bool {
        let known = self.left.get(&member.id);
        if known.is_some_and(|bump| *bump >= member.bump) {
            return false;
        }
        if known.is_none() && self.left.len() >= MAX_MEMBERS {
            // Forgetting one only means that it is shown as down, not as left.
            let any = self.left.keys().next().copied();
            any.and_then(|id| self.left.remove(&id));
        }
        self.left.insert(member.id, member.bump);
        self.new_left.push(member);
        true
    }

    pub(crate) fn has_left(&self, member: &Identity) -> bool {
        let left = self.left.get(&member.id);
        left.is_some_and(|bump| *bump >= member.bump)
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NewsError {
    #[error("news of {0} bytes is too long")]
    TooLong(usize),
    #[error("news does not parse")]
    Unreadable,
}

impl BroadcastHandler<Identity> for Board {
    type Key = NewsKey;
    type Error = NewsError;

    fn receive_item(
        &mut self,
        data: &[u8],
        sender: Option<&Identity>,
    ) -> Result<Option<NewsKey>, NewsError> {
        if data.len() > MAX_HINT_BYTES + 16 {
            return Err(NewsError::TooLong(data.len()));
        }
        let news = postcard::from_bytes(data).map_err(|_| NewsError::Unreadable)?;
        // What the engine adds itself (no sender) always goes out.
        let ours = sender.is_none();
        Ok(match news {
            News::Hint(hint) => (self.lock().merge_hint(&hint) || ours).then_some(NewsKey::Hint),
            News::Left(member) => {
                (self.lock().add_left(member) || ours).then_some(NewsKey::Left(member.id))
            }
        })
    }
}
