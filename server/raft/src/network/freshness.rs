use crate::rt::Instant;
use std::sync::{Mutex, PoisonError};

/// How fresh a follower's state is: since when it contains everything that its leader had committed.
///
/// A message from the leader alone does not make the state fresh: a follower that lags has heard of entries that it
/// does not have.
#[derive(Debug)]
pub(crate) struct Freshness {
    marks: Mutex<Marks>,
}

#[derive(Debug, Default)]
struct Marks {
    /// The leader was heard then, whether the state has everything or not.
    heard: Option<Instant>,
    /// The state had everything that was committed then.
    fresh: Option<Instant>,
    /// The leader said then that it had committed up to here, and we have not applied it yet.
    waiting: Option<(u64, Instant)>,
}

impl Freshness {
    pub(crate) fn new() -> Self {
        Self {
            marks: Mutex::default(),
        }
    }

    /// The leader said at `at` that it has committed up to `committed`; `applied` is where we are.
    pub(crate) fn heard(&self, committed: u64, at: Instant, applied: u64) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.heard = marks.heard.max(Some(at));
        marks.settle(applied);
        if committed <= applied {
            marks.fresh = marks.fresh.max(Some(at));
        } else if marks.waiting.is_none() {
            // The oldest one waits: younger ones would put the moment off for ever under load.
            marks.waiting = Some((committed, at));
        }
    }

    /// Since when the state is known to be complete; `None` when no leader was heard since the start.
    pub(crate) fn since(&self, applied: u64) -> Option<Instant> {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.settle(applied);
        marks.fresh
    }
}

impl Freshness {
    /// When a living leader was heard last.
    pub(crate) fn heard_at(&self) -> Option<Instant> {
        self.marks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .heard
    }
}

impl Marks {
    fn settle(&mut self, applied: u64) {
        if let Some((committed, at)) = self.waiting
            && committed <= applied
        {
            self.fresh = self.fresh.max(Some(at));
            self.waiting = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_follower_that_hears_its_leader_and_lags_is_not_fresh() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let freshness = Freshness::new();
        assert_eq!(freshness.since(9), None);
        freshness.heard(9, at(1), 9);
        assert_eq!(freshness.since(9), Some(at(1)));
        freshness.heard(20, at(2), 9);
        freshness.heard(30, at(3), 9);
        assert_eq!(freshness.since(19), Some(at(1)));
        assert_eq!(
            freshness.since(20),
            Some(at(2)),
            "what it heard first counts"
        );
        freshness.heard(30, at(4), 30);
        assert_eq!(freshness.since(30), Some(at(4)));
        freshness.heard(30, at(3), 30);
        assert_eq!(freshness.since(30), Some(at(4)), "it never gets older");
    }
}
