mod generated;
mod known;
mod others;

use super::linearizability::{Budget, Timed, Verdict, check};
use super::register::{Call, Register};

/// A write on top of `parent` that was acknowledged as version `number`.
fn publish(parent: u64, value: u64, number: u64, times: (u64, u64)) -> Timed<Call> {
    Timed {
        call: Call::Publish {
            parent: some(parent),
            value,
            number: Some(number),
        },
        from_ns: times.0,
        to_ns: Some(times.1),
    }
}

/// A write that nobody knows the end of.
fn open(parent: u64, value: u64, from_ns: u64) -> Timed<Call> {
    Timed {
        call: Call::Publish {
            parent: some(parent),
            value,
            number: None,
        },
        from_ns,
        to_ns: None,
    }
}

fn conflict(parent: u64, times: (u64, u64)) -> Timed<Call> {
    Timed {
        call: Call::Conflict {
            parent: some(parent),
        },
        from_ns: times.0,
        to_ns: Some(times.1),
    }
}

/// A read of version `number` with `value`; 0 for none.
fn read(number: u64, value: u64, times: (u64, u64)) -> Timed<Call> {
    Timed {
        call: Call::Read((number > 0).then_some((number, value))),
        from_ns: times.0,
        to_ns: Some(times.1),
    }
}

fn some(value: u64) -> Option<u64> {
    (value > 0).then_some(value)
}

fn verdict(history: &[Timed<Call>]) -> Verdict {
    check(&Register, history, Budget::default())
}

fn holds(history: &[Timed<Call>]) -> bool {
    match verdict(history) {
        Verdict::Linearizable => true,
        Verdict::Violation { .. } => false,
        Verdict::Unknown { reason } => panic!("{reason}"),
    }
}
