//! One fleet's newest version as a register with compare-and-set.

use super::linearizability::{Model, Timed};
use crate::robustness::history::{Action, Operation, Outcome, Seen};

/// Number and value of the newest version; nothing before the first.
pub type Newest = Option<(u64, u64)>;

/// What an operation on the register did, as the client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Read(Newest),
    /// `number` is absent when nobody saw the answer.
    Publish {
        parent: Option<u64>,
        value: u64,
        number: Option<u64>,
    },
    /// The newest version was not `parent`.
    Conflict {
        parent: Option<u64>,
    },
}

/// The sequential specification.
#[derive(Clone, Copy, Debug)]
pub struct Register;

impl Model for Register {
    type State = Newest;
    type Call = Call;

    fn initial(&self) -> Newest {
        None
    }

    fn step(&self, state: &Newest, call: &Call) -> Option<Newest> {
        match call {
            Call::Read(seen) => (seen == state).then_some(*state),
            Call::Conflict { parent } => (state.map(|it| it.1) != *parent).then_some(*state),
            Call::Publish {
                parent,
                value,
                number,
            } => {
                let next = state.map_or(1, |it| it.0 + 1);
                let fits =
                    state.map(|it| it.1) == *parent && number.is_none_or(|number| number == next);
                fits.then_some(Some((next, *value)))
            }
        }
    }
}

/// The operations on one key that the register's checker looks at, with their ids. Stale reads and open reads say nothing;
/// failed operations did nothing.
pub fn calls(key: usize, operations: &[Operation]) -> Vec<(usize, Timed<Call>)> {
    let of_key = operations
        .iter()
        .filter(|operation| operation.action.key() == Some(key));
    of_key.filter_map(timed).collect()
}

fn timed(operation: &Operation) -> Option<(usize, Timed<Call>)> {
    let (call, open) = match (&operation.action, &operation.outcome) {
        (Action::Read { .. }, Outcome::Ok(Seen::Newest { version, .. })) => {
            let newest = version.as_ref().map(|it| (it.number, it.value));
            (Call::Read(newest), false)
        }
        (Action::Publish { parent, .. }, Outcome::Conflict) => {
            (Call::Conflict { parent: *parent }, false)
        }
        (Action::Publish { parent, value, .. }, outcome) => {
            let (number, open) = match outcome {
                Outcome::Ok(Seen::Published { number, .. }) => (Some(*number), false),
                _ if operation.is_open() => (None, true),
                _ => return None,
            };
            let call = Call::Publish {
                parent: *parent,
                value: *value,
                number,
            };
            (call, open)
        }
        _ => return None,
    };
    let timed = Timed {
        call,
        from_ns: operation.invoked_ns,
        to_ns: (!open).then_some(operation.completed_ns),
    };
    Some((operation.id, timed))
}
