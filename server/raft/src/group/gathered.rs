use std::sync::{Mutex, MutexGuard, PoisonError};

/// Who waits to be handed over together. Whoever comes to nobody is the first and takes a turn for all that come until
/// then. A turn may be late: what it finds can be another's already, so everybody has a ticket.
#[derive(Debug)]
pub(super) struct Gathered<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    next: u64,
    waiting: Vec<(Ticket, T)>,
}

/// Whose something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self(Mutex::new(State {
            next: 0,
            waiting: Vec::new(),
        }))
    }
}

impl<T> Gathered<T> {
    /// Joins; true for the first, who has to take the turn.
    pub(super) fn join(&self, item: T) -> (Ticket, bool) {
        let mut state = self.state();
        let ticket = Ticket(state.next);
        state.next += 1;
        state.waiting.push((ticket, item));
        (ticket, state.waiting.len() == 1)
    }

    /// What joined under this ticket, when it waits and nobody else does.
    pub(super) fn take_alone(&self, ticket: Ticket) -> Option<T> {
        let mut state = self.state();
        match state.waiting.as_slice() {
            [(whose, _)] if *whose == ticket => state.waiting.pop().map(|(_, item)| item),
            _ => None,
        }
    }

    /// Everything that waits, in the order in which it came.
    pub(super) fn take_all(&self) -> Vec<T> {
        let waiting = std::mem::take(&mut self.state().waiting);
        waiting.into_iter().map(|(_, item)| item).collect()
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_takes_the_turn_for_all_that_come_until_then() {
        let gathered = Gathered::default();
        let (first, takes_turn) = gathered.join("a");
        assert!(takes_turn);
        assert!(!gathered.join("b").1);
        assert!(!gathered.join("c").1);
        assert_eq!(gathered.take_alone(first), None);
        assert_eq!(gathered.take_all(), ["a", "b", "c"]);
        assert!(gathered.join("d").1);
    }

    #[test]
    fn who_is_alone_goes_alone() {
        let gathered = Gathered::default();
        let (ticket, _) = gathered.join("a");
        assert_eq!(gathered.take_alone(ticket), Some("a"));
        assert!(gathered.take_all().is_empty());
    }

    #[test]
    fn a_late_turn_does_not_take_what_a_newer_caller_put_there() {
        let gathered = Gathered::default();
        // The first goes alone, but has not ended its turn when the second comes, and hands the second's over as well.
        let (first, _) = gathered.join("first");
        assert_eq!(gathered.take_alone(first), Some("first"));
        let (second, takes_turn) = gathered.join("second");
        assert!(takes_turn);
        assert_eq!(gathered.take_all(), ["second"]);
        // The second's turn comes when a third waits.
        let (third, _) = gathered.join("third");
        assert_eq!(gathered.take_alone(second), None);
        assert_eq!(gathered.take_alone(third), Some("third"));
    }
}
