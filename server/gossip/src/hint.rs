use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// At most this many manager addresses travel in a hint.
pub const MAX_MANAGERS: usize = 9;
/// A hint is at most this long on the wire.
pub const MAX_HINT_BYTES: usize = 512;

/// What members tell each other about the managers. A hint, never a proof.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The leader of the highest term heard of.
    pub leader: Option<LeaderHint>,
    /// `host:port` of the managers' node service (7000/tcp), at most
    /// [`MAX_MANAGERS`], as told with that leader.
    pub managers: Vec<String>,
    /// `(epoch, generation)`, the highest heard of.
    pub generation: (u64, u64),
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderHint {
    /// The leader's id.
    pub id: Uuid,
    /// Its Raft term.
    pub term: u64,
    /// `host:port` of its node service (7000/tcp).
    pub node_addr: String,
}

/// A hint with what orders two of the same term.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrderedHint {
    pub(crate) hint: Hint,
    /// Counts the changes that a leader made within its term.
    revision: u64,
}

impl OrderedHint {
    fn order(&self) -> (Option<u64>, u64) {
        (self.hint.leader.as_ref().map(|l| l.term), self.revision)
    }

    /// Keeps the newer of each part; true when something was newer.
    pub(crate) fn merge(&mut self, other: &OrderedHint) -> bool {
        let mut changed = false;
        if other.order() > self.order() {
            self.hint.leader = other.hint.leader.clone();
            self.hint.managers = other.hint.managers.clone();
            self.hint.managers.truncate(MAX_MANAGERS);
            self.revision = other.revision;
            changed = true;
        }
        if other.hint.generation > self.hint.generation {
            self.hint.generation = other.hint.generation;
            changed = true;
        }
        changed
    }

    /// What a local `set` makes of this: a lower term changes nothing, the same
    /// term counts as the leader's next change.
    pub(crate) fn set(&mut self, mut hint: Hint) -> bool {
        hint.managers.truncate(MAX_MANAGERS);
        let term = |h: &Hint| h.leader.as_ref().map(|l| l.term);
        let same_term = term(&hint) == term(&self.hint);
        let differs = hint.leader != self.hint.leader || hint.managers != self.hint.managers;
        let revision = match (same_term, differs) {
            (true, true) => self.revision + 1,
            (true, false) => self.revision,
            (false, _) => 0,
        };
        let mut next = OrderedHint { hint, revision };
        while next.encode().len() > MAX_HINT_BYTES && next.hint.managers.pop().is_some() {}
        if next.encode().len() > MAX_HINT_BYTES {
            tracing::warn!("the leader's address is too long to travel in gossip, ignored");
            return false;
        }
        self.merge(&next)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(term: u64, managers: &[&str], generation: (u64, u64)) -> Hint {
        Hint {
            leader: Some(LeaderHint {
                id: Uuid::from_u128(u128::from(term)),
                term,
                node_addr: format!("manager-{term}:7000"),
            }),
            managers: managers.iter().map(ToString::to_string).collect(),
            generation,
        }
    }

    #[test]
    fn leader_and_generation_are_each_kept_at_their_newest() {
        let mut ours = OrderedHint::default();
        assert!(ours.set(hint(5, &["a:7000"], (1, 10))));
        let mut theirs = OrderedHint::default();
        theirs.set(hint(6, &["b:7000"], (1, 9)));
        assert!(ours.merge(&theirs));
        assert_eq!(ours.hint, hint(6, &["b:7000"], (1, 10)));
        assert!(!ours.merge(&theirs));
        assert!(!ours.set(hint(5, &["a:7000"], (1, 10))));
    }

    #[test]
    fn a_leader_can_change_the_managers_within_its_term() {
        let mut ours = OrderedHint::default();
        ours.set(hint(5, &["a:7000"], (0, 0)));
        let old = ours.clone();
        assert!(ours.set(hint(5, &["a:7000", "b:7000"], (0, 0))));
        assert!(!ours.set(hint(5, &["a:7000", "b:7000"], (0, 0))));
        assert!(!ours.merge(&old));
        assert_eq!(ours.hint.managers.len(), 2);
    }

    #[test]
    fn a_hint_that_is_too_long_loses_managers_not_the_leader() {
        let mut ours = OrderedHint::default();
        let long = format!("{}:7000", "m".repeat(100));
        let managers: Vec<&str> = std::iter::repeat_n(long.as_str(), 20).collect();
        assert!(ours.set(hint(5, &managers, (0, 1))));
        assert!(ours.encode().len() <= MAX_HINT_BYTES);
        assert_eq!(ours.hint.managers.len(), 4);
    }
}
