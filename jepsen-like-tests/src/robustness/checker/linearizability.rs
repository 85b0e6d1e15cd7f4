//! Wing and Gong's search for a linearization, with Lowe's memoisation ("Testing for linearizability", 2017), on the
//! linked list of calls and returns that Porcupine uses. Histories are split by key before (Horn and Kroening, 2015).
//!
//! An open operation (nobody knows whether it happened) has a call and no return: it may be linearized any time later,
//! or never.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// A sequential specification.
pub trait Model {
    type State: Clone + Eq + Hash + Debug;
    type Call: Debug;

    /// Before any operation.
    fn initial(&self) -> Self::State;

    /// The state after `call`, or nothing when `call` cannot have ended as it did in `state`.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Option<Self::State>;
}

/// An operation with its times. `to_ns` is absent when it is open.
#[derive(Clone, Debug)]
pub struct Timed<C> {
    pub call: C,
    pub from_ns: u64,
    pub to_ns: Option<u64>,
}

/// How much work is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    pub steps: u64,
    pub time: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: 200_000_000,
            time: Duration::from_secs(120),
        }
    }
}

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    /// No order explains the history.
    Violation {
        /// Position of the operation that no order could place, on the longest way that was found.
        stuck: usize,
        /// Those that could have come before it and did not help either.
        concurrent: Vec<usize>,
        /// The state in which it could not have ended so.
        state: String,
    },
    /// The budget was used up. Not a pass.
    Unknown {
        reason: String,
    },
}

/// Searches for an order of `history` that `model` allows.
pub fn check<M: Model>(model: &M, history: &[Timed<M::Call>], budget: Budget) -> Verdict {
    Search::new(model, history).run(budget)
}

const END: usize = usize::MAX;

#[derive(Clone, Copy)]
struct Entry {
    operation: usize,
    is_call: bool,
    previous: usize,
    next: usize,
}

/// Which operations are linearized. Closed ones apart from open ones, because closed ones fill up from the front and
/// need to be kept as a window only.
struct Done {
    closed: Vec<u64>,
    open: Vec<u64>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key<S> {
    first_word: usize,
    closed: Box<[u64]>,
    open: Box<[u64]>,
    state: S,
}

struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a [Timed<M::Call>],
    /// Entry 0 is the head of the list.
    entries: Vec<Entry>,
    returns: Vec<usize>,
    /// Bit of each operation in its set.
    bits: Vec<usize>,
    done: Done,
    closed_left: usize,
    seen: HashSet<Key<M::State>>,
    stack: Vec<(usize, M::State)>,
    deepest: usize,
    stuck: Option<(usize, Vec<usize>, String)>,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, history: &'a [Timed<M::Call>]) -> Self {
        let mut times: Vec<(u64, bool, usize)> = Vec::with_capacity(history.len() * 2);
        let (mut closed, mut open) = (0, 0);
        let mut bits = Vec::with_capacity(history.len());
        for (index, operation) in history.iter().enumerate() {
            // At one instant the call sorts first: that only allows more orders.
            times.push((operation.from_ns, false, index));
            let counter = if let Some(to) = operation.to_ns {
                times.push((to.max(operation.from_ns), true, index));
                &mut closed
            } else {
                &mut open
            };
            bits.push(*counter);
            *counter += 1;
        }
        times.sort_unstable();
        let mut entries = vec![Entry {
            operation: END,
            is_call: false,
            previous: END,
            next: END,
        }];
        let mut returns = vec![END; history.len()];
        for (_, is_return, operation) in times {
            let at = entries.len();
            entries[at - 1].next = at;
            entries.push(Entry {
                operation,
                is_call: !is_return,
                previous: at - 1,
                next: END,
            });
            if is_return {
                returns[operation] = at;
            }
        }
        Self {
            model,
            history,
            entries,
            returns,
            bits,
            done: Done {
                closed: vec![0; closed.div_ceil(64)],
                open: vec![0; open.div_ceil(64)],
            },
            closed_left: closed,
            seen: HashSet::new(),
            stack: Vec::new(),
            deepest: 0,
            stuck: None,
        }
    }

    fn run(mut self, budget: Budget) -> Verdict {
        let start = Instant::now();
        let mut state = self.model.initial();
        let mut at = self.entries[0].next;
        let mut steps = 0_u64;
        while self.closed_left > 0 {
            steps += 1;
            if steps > budget.steps || (steps.is_multiple_of(4096) && start.elapsed() > budget.time)
            {
                return Verdict::Unknown {
                    reason: format!(
                        "gave up after {steps} steps and {} s: {} of {} operations placed",
                        start.elapsed().as_secs(),
                        self.stack.len(),
                        self.history.len()
                    ),
                };
            }
            let entry = self.entries[at];
            if entry.is_call {
                let call = &self.history[entry.operation].call;
                let next = self.model.step(&state, call);
                match next {
                    Some(next) if self.is_new(entry.operation, &next) => {
                        self.stack.push((at, std::mem::replace(&mut state, next)));
                        self.lift(at);
                        at = self.entries[0].next;
                    }
                    _ => at = entry.next,
                }
                continue;
            }
            self.note_stuck(entry.operation, &state);
            let Some((call, before)) = self.stack.pop() else {
                return self.violation();
            };
            self.unlift(call);
            self.set(self.entries[call].operation, false);
            state = before;
            at = self.entries[call].next;
        }
        Verdict::Linearizable
    }

    /// Marks the operation as linearized unless that leads where the search has been.
    fn is_new(&mut self, operation: usize, state: &M::State) -> bool {
        self.set(operation, true);
        let new = self.seen.insert(self.key(state));
        if !new {
            self.set(operation, false);
        }
        new
    }

    fn key(&self, state: &M::State) -> Key<M::State> {
        let words = &self.done.closed;
        let first_word = words
            .iter()
            .position(|word| *word != u64::MAX)
            .unwrap_or(words.len());
        let last = words
            .iter()
            .rposition(|word| *word != 0)
            .map_or(first_word, |last| (last + 1).max(first_word));
        Key {
            first_word,
            closed: words[first_word..last].into(),
            open: self.done.open.as_slice().into(),
            state: state.clone(),
        }
    }

    fn set(&mut self, operation: usize, to: bool) {
        let closed = self.returns[operation] != END;
        let bit = self.bits[operation];
        let words = if closed {
            &mut self.done.closed
        } else {
            &mut self.done.open
        };
        let mask = 1 << (bit % 64);
        if to {
            words[bit / 64] |= mask;
        } else {
            words[bit / 64] &= !mask;
        }
        match (closed, to) {
            (true, true) => self.closed_left -= 1,
            (true, false) => self.closed_left += 1,
            (false, _) => {}
        }
    }

    fn lift(&mut self, call: usize) {
        self.unlink(call);
        let returns = self.returns[self.entries[call].operation];
        if returns != END {
            self.unlink(returns);
        }
    }

    fn unlift(&mut self, call: usize) {
        let returns = self.returns[self.entries[call].operation];
        if returns != END {
            self.relink(returns);
        }
        self.relink(call);
    }

    fn unlink(&mut self, at: usize) {
        let Entry { previous, next, .. } = self.entries[at];
        self.entries[previous].next = next;
        if next != END {
            self.entries[next].previous = previous;
        }
    }

    fn relink(&mut self, at: usize) {
        let Entry { previous, next, .. } = self.entries[at];
        self.entries[previous].next = at;
        if next != END {
            self.entries[next].previous = at;
        }
    }

    /// Keeps the place where the longest way ended, for people.
    fn note_stuck(&mut self, operation: usize, state: &M::State) {
        if self.stuck.is_some() && self.stack.len() <= self.deepest {
            return;
        }
        self.deepest = self.stack.len();
        let mut concurrent = Vec::new();
        let mut at = self.entries[0].next;
        while at != END && self.entries[at].is_call && concurrent.len() < 20 {
            let other = self.entries[at].operation;
            if other != operation && self.returns[other] != END {
                concurrent.push(other);
            }
            at = self.entries[at].next;
        }
        self.stuck = Some((operation, concurrent, format!("{state:?}")));
    }

    fn violation(self) -> Verdict {
        let (stuck, concurrent, state) = self.stuck.unwrap_or_default();
        Verdict::Violation {
            stuck,
            concurrent,
            state,
        }
    }
}
